/**
 * How the k-th smallest of a row is found: how many samples bound it, which of their ranks do, and how much room the
 * candidates get. All of it follows from n and k, so it is the same on every machine.
 */
import { rounded } from './loops.js'
import { COUNTERS } from './keys.js'
import { ROW_CHUNKS, SELECTION_CHUNK, SORTED_ROW } from '../machine.js'

/** Where candidates lie: all of a short row; beyond one bound; or between two. */
export type Side = 'all' | 'above' | 'below' | 'between'

/** The plan of one row. */
export type SelectionPlan = {
  readonly n: number
  readonly k: number
  readonly abs: boolean
  readonly side: Side
  /** Samples and the distance between them. */
  readonly samples: number
  readonly step: number
  /** `above`, `below`: the bound is the sample of this rank (from 1) from that end. */
  readonly rank: number
  /** `between`: ranks (from 0) of the two bounds among the samples. */
  readonly ranks: readonly [number, number]
  /** A chunk is one unit of work: two neighbouring strips, read side by side (from memory two streams come faster than one). */
  readonly strip: number
  readonly chunks: number
  /** Candidates that one strip, and that all chunks together may have before the row is searched the slow way. */
  readonly room: number
  readonly most: number
  /** Bytes from the start of a row's scratch. */
  readonly at: {
    readonly counts: number
    readonly counters: number
    readonly keys: number
    readonly candidates: number
  }
  readonly bytes: number
}

/** Strips of a chunk. */
export const STRIPS = 2

/** Standard deviations between the expected rank of a sample and the one that is taken. */
const SIGMAS = 6

const powerOfTwoNear = (x: number): number => {
  let p = 1
  while (p * 1.5 < x) p *= 2
  return p
}

/** Rank from an end that the wanted element, of rank `wanted` from that end, will hardly lie beyond. */
const safeRank = (wanted: number, rate: number): number => {
  const expected = wanted * rate
  return Math.ceil(expected + SIGMAS * Math.sqrt(expected) + 3)
}

const bounds = (n: number, k: number, samples: number) => {
  const rate = samples / n
  const [above, below] = [safeRank(n - k + 1, rate), safeRank(k, rate)]
  const spread = SIGMAS * Math.sqrt(samples * (k / n) * (1 - k / n)) + 3
  const ranks: readonly [number, number] = [
    Math.max(0, Math.floor(k * rate - spread)),
    Math.min(samples - 1, Math.ceil(k * rate + spread)),
  ]
  return { above, below, ranks }
}

/** The plan of a row of `n` elements of which the k-th smallest is wanted, cut into chunks where `split`. */
export const planSelection = (n: number, k: number, abs: boolean, split: boolean): SelectionPlan => {
  const few = powerOfTwoNear(4 * Math.sqrt(n))
  const first = bounds(n, k, few)
  const best = Math.min(first.above, first.below)
  const nearer: Side = first.above <= first.below ? 'above' : 'below'
  const sampled: Side = best > few / 16 ? 'between' : nearer
  const side: Side = n <= SORTED_ROW ? 'all' : sampled
  const samples = side === 'between' ? Math.min(4 * few, powerOfTwoNear(n / 2)) : few
  const { ranks } = bounds(n, k, samples)
  const width = side === 'between' ? ranks[1] - ranks[0] : best
  const expected = Math.ceil((width * n) / samples)
  const strip = Math.ceil((split ? Math.max(SELECTION_CHUNK, n / ROW_CHUNKS) : n) / STRIPS / 16) * 16
  const chunks = Math.ceil(n / (STRIPS * strip))
  const room = side === 'all' ? 0 : Math.min(strip, Math.ceil(1.25 * expected) + 64)
  const most = side === 'all' ? n : Math.min(n, 4 * expected + 64)
  const counts = 64
  const counters = counts + rounded(STRIPS * chunks * 16)
  const keys = counters + COUNTERS
  const candidates = keys + rounded(4 * Math.max(side === 'all' ? n : samples, most))
  return {
    n,
    k,
    abs,
    side,
    samples,
    step: Math.floor(n / samples),
    rank: best,
    ranks,
    strip,
    chunks,
    room,
    most,
    at: { counts, counters, keys, candidates },
    bytes: candidates + rounded(STRIPS * chunks * room * 8),
  }
}

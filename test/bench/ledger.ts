/** What has been measured so far, and what it amounts to. */
import { casesOf, idOf, WORKLOADS } from './cases.js'
import { PEERS, type PeerName, type Runner, type TimesEvent, type Trouble } from './events.js'
import { medianOf } from './measure.js'

/** Times of one case from one process. */
export type Entry = TimesEvent & { readonly peer: Runner; readonly threads: number }
/** Why someone has no times. */
export type Loss = Trouble & { readonly peer: Runner; readonly threads: number }
/** A remark, or the accuracy of a training. */
export type Remark = {
  readonly peer: Runner
  readonly threads: number
  readonly id: string
  readonly note?: string
  readonly accuracy?: number
}

/** Everything measured. */
export type Ledger = {
  readonly entries: readonly Entry[]
  readonly losses: readonly Loss[]
  readonly remarks: readonly Remark[]
}

/** All rounds of one case of one runner: the least of all, and the middle of its best variant's medians. */
export type Cell = { readonly best: number; readonly median: number; readonly rounds: number; readonly variant: string }

/** The cell of a case, or null where there is none. */
export const cellOf = (entries: readonly Entry[], peer: Runner, threads: number, id: string): Cell | null => {
  const own = entries.filter((e) => e.peer === peer && e.threads === threads && e.id === id)
  if (own.length === 0) return null
  const least = own.reduce((a, b) => (b.best < a.best ? b : a))
  const same = own.filter((e) => e.variant === least.variant)
  return { best: least.best, median: medianOf(same.map((e) => e.median)), rounds: same.length, variant: least.variant }
}

/** One comparison, as the JSON holds it. */
export type Row = {
  readonly workload: string
  readonly size: string
  readonly phase: string
  readonly threads: number
  readonly ours_ms: number
  readonly peer: PeerName
  readonly peer_ms: number
  readonly ratio: number
}

/** Peers that run on one thread only, and are compared with ours on one. */
export const SINGLE: readonly PeerName[] = ['reference', 'tfjs-wasm', 'jax-js']

/** Every comparison there is, in the order of cases, threads and peers. */
export const rowsOf = (entries: readonly Entry[], threads: readonly number[]): readonly Row[] => {
  const all = [...new Set([1, ...threads])]
  return casesOf(WORKLOADS).flatMap((c) =>
    all.flatMap((t) => {
      const ours = cellOf(entries, 'ours', t, idOf(c))
      if (ours === null) return []
      return PEERS.flatMap((peer): readonly Row[] => {
        if (SINGLE.includes(peer) ? t !== 1 : !threads.includes(t)) return []
        const theirs = cellOf(entries, peer, t, idOf(c))
        if (theirs === null) return []
        return [
          {
            workload: c.workload,
            size: c.size,
            phase: c.phase,
            threads: t,
            ours_ms: ours.best,
            peer,
            peer_ms: theirs.best,
            ratio: theirs.best / ours.best,
          },
        ]
      })
    }),
  )
}

/** Variants that are worth another round: those within a tenth of the best. Unseen ones are. */
export const worthwhile = (
  entries: readonly Entry[],
  peer: Runner,
  threads: number,
  id: string,
  variants: readonly string[],
): readonly string[] => {
  const seen = entries.filter((e) => e.peer === peer && e.threads === threads && e.id === id)
  const least = Math.min(...seen.map((e) => e.best))
  return variants.filter((v) => {
    const own = seen.filter((e) => e.variant === v)
    return own.length === 0 || Math.min(...own.map((e) => e.best)) <= least * 1.1
  })
}

/** The geometric mean. */
export const geometricMean = (list: readonly number[]): number =>
  Math.exp(list.reduce((s, x) => s + Math.log(x), 0) / list.length)

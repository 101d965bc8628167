/** The statistics that have names: what each makes of the rows of a tensor (SEMANTICS 4). */
import type { Value } from '../graph/op.js'

/** What a built-in statistic may read of its quantizer. */
type Percentages = { readonly highPercentileQ: number; readonly lowPercentileQ: number }
/** A statistic of the table: of rows, `[n]` or `[scales, n]`, their thresholds. */
type BuiltIn = {
  readonly name: string
  readonly of: (rows: Value, q: Percentages) => Value
  readonly overChannels?: boolean
  readonly reads?: readonly (keyof Percentages)[]
}

/** Which rank of n elements a percentage means: `floor(0.01*q*n + 0.5)`, counted from 1, in double. */
export const highRank = (q: number, n: number): number => Math.floor(0.01 * q * n + 0.5)
/** The rank of a low percentage: `ceil(0.01*q*n)`. */
export const lowRank = (q: number, n: number): number => Math.ceil(0.01 * q * n)

const lastAxis = (x: Value): number => x.shape[x.shape.length - 1] ?? 1

const kth = (x: Value, k: number): Value => x.kit.emit('kthValue', [x], { k })
const abs = (x: Value): Value => x.kit.emit('abs', [x])
const neg = (x: Value): Value => x.kit.emit('neg', [x])
/** At 0 the whole gradient passes, as torch.clamp lets it. */
const atMostZero = (x: Value): Value => x.kit.emit('clamp', [x], { min: null, max: 0 })
/** Largest of each row: per tensor ties share the gradient evenly, per channel the first one takes it. */
const largest = (x: Value): Value => x.kit.emit(x.shape.length === 1 ? 'maxAll' : 'maxLast', [x])

/** `min(kth(x, k_low), 0)`: the lower end of an interval, and the zero point's statistic. */
export const lowPercentile = (rows: Value, q: Percentages): Value =>
  atMostZero(kth(rows, lowRank(q.lowPercentileQ, lastAxis(rows))))

/** `min(min(x), 0)` of each row. */
export const smallestAtMostZero = (rows: Value): Value => atMostZero(neg(largest(neg(rows))))

const overLast = (op: 'sum' | 'mean', x: Value): Value =>
  x.kit.emit(op, [x], { dims: [x.shape.length - 1], keepdim: false })

/** `sqrt(Σ m²) / sqrt(n)` of the maxima m of n channels: two roundings, as Brevitas divides. */
const rootMeanSquare = (m: Value): Value => {
  const { kit } = m
  const norm = kit.emit('sqrt', [overLast('sum', kit.emit('mul', [m, m]))])
  return kit.emit('div', [norm, kit.constant(Math.sqrt(lastAxis(m)))])
}

/**
 * The built-in statistics, under the names of their modules in Brevitas: one is a row here, and nothing else. `ZERO_MIN_MAX` is ours:
 * `max(max, 0) - min(min, 0)`, which spans all-negative weights where Brevitas' `MIN_MAX` cuts them (a quirk). `MAX_L2` is the root mean
 * square of the channels' maxima.
 */
export const STATISTICS = {
  PERCENTILE: {
    name: 'AbsPercentile',
    of: (x, q) => kth(abs(x), highRank(q.highPercentileQ, lastAxis(x))),
    reads: ['highPercentileQ'],
  },
  PERCENTILE_INTERVAL: {
    name: 'PercentileInterval',
    of: (x, q) => abs(x.kit.emit('sub', [kth(x, highRank(q.highPercentileQ, lastAxis(x))), lowPercentile(x, q)])),
    reads: ['highPercentileQ', 'lowPercentileQ'],
  },
  MAX: { name: 'AbsMax', of: (x) => largest(abs(x)) },
  MIN_MAX: { name: 'AbsMinMax', of: (x) => abs(x.kit.emit('sub', [largest(x), smallestAtMostZero(x)])) },
  ZERO_MIN_MAX: {
    name: 'ZeroMinMax',
    of: (x) => x.kit.emit('sub', [x.kit.emit('clamp', [largest(x)], { min: 0, max: null }), smallestAtMostZero(x)]),
  },
  AVE: { name: 'AbsAve', of: (x) => overLast('mean', abs(x)) },
  MAX_AVE: { name: 'AbsMaxAve', of: (x) => overLast('mean', x.kit.emit('maxLast', [abs(x)])), overChannels: true },
  MAX_L2: { name: 'AbsMaxL2', of: (x) => rootMeanSquare(x.kit.emit('maxLast', [abs(x)])), overChannels: true },
} satisfies { readonly [name: string]: BuiltIn }

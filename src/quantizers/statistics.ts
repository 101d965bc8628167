/** Statistics S(x) of a tensor, and how the channel axis is brought to the front (SEMANTICS 4). */
import type { Value } from '../graph/op.js'
import { sizeOf, type Shape } from '../data/shape.js'
import type { Quantizer, Statistic, StatsOp } from './quantizer.js'

/** x as rows: `[n]` over the whole tensor, `[channels, n]` per channel. */
export const rowsOf = (x: Value, dims: readonly number[] | null): Value => {
  const { kit } = x
  if (dims === null) return kit.emit('reshape', [x], { shape: [sizeOf(x.shape)] })
  if (dims.length !== x.shape.length)
    return kit.fail({
      op: 'scalingStatsPermuteDims',
      tag: 'ConfigError',
      refuse: `[${dims.join()}] permutes ${dims.length} axes, but the input has ${x.shape.length}`,
      fix: 'give one entry per axis of the input, the channel axis first',
    })
  const p = kit.emit('permute', [x], { dims })
  const channels = p.shape[0] ?? 1
  return kit.emit('reshape', [p], { shape: [channels, sizeOf(p.shape) / Math.max(1, channels)] })
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
export const lowPercentile = (rows: Value, q: Quantizer): Value =>
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

/** The built-in statistics, under the names of their modules in Brevitas. */
export const STATISTICS: { readonly [S in StatsOp]: Statistic } = {
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
}

/** The statistic of a quantizer: one of the table, or the user's own. */
export const statisticOf = (q: Quantizer): Statistic =>
  typeof q.scalingStatsOp === 'string' ? STATISTICS[q.scalingStatsOp] : q.scalingStatsOp

/** Is the statistic taken of channels, one scale for all or not? */
export const overChannels = (q: Quantizer): boolean => q.scalingPerOutputChannel || statisticOf(q).overChannels === true

/** The statistic of rows: a scalar for `[n]`, one number per row for `[rows, n]`. */
export const statistic = (rows: Value, q: Quantizer): Value => statisticOf(q).of(rows, q)

/** The axes that a quantizer's statistic permutes: none unless it looks at channels. */
export const statisticDims = (q: Quantizer): readonly number[] | null =>
  overChannels(q) ? q.scalingStatsPermuteDims : null

/** A statistic of rows, viewed in the shape in which it is broadcast over the tensor. */
export const viewAs = (stat: Value, shape: Shape): Value => {
  if (sizeOf(stat.shape) === sizeOf(shape)) return stat.kit.emit('reshape', [stat], { shape })
  return stat.kit.fail({
    op: 'perChannelBroadcastableShape',
    tag: 'ConfigError',
    refuse: `[${shape.join()}] holds ${sizeOf(shape)} scales, but the input has ${sizeOf(stat.shape)} channels`,
    fix: 'make the channel entry equal to the number of channels of the input',
  })
}

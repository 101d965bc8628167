/** Statistics S(x) of a tensor, and how the channel axis is brought to the front (SEMANTICS 4). */
import type { Value } from '../graph/op.js'
import { sizeOf, type Shape } from '../data/shape.js'
import type { Quantizer } from './quantizer.js'

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

/** The statistic of rows: a scalar for `[n]`, one number per channel for `[channels, n]`. */
export const statistic = (rows: Value, q: Quantizer): Value => {
  const { kit } = rows
  const high = highRank(q.highPercentileQ, lastAxis(rows))
  switch (q.scalingStatsOp) {
    case 'PERCENTILE':
      return kth(abs(rows), high)
    case 'PERCENTILE_INTERVAL':
      return abs(kit.emit('sub', [kth(rows, high), lowPercentile(rows, q)]))
    case 'MAX':
      return largest(abs(rows))
    case 'MIN_MAX':
      return abs(kit.emit('sub', [largest(rows), smallestAtMostZero(rows)]))
    case 'ZERO_MIN_MAX':
      return kit.emit('sub', [kit.emit('clamp', [largest(rows)], { min: 0, max: null }), smallestAtMostZero(rows)])
    case 'AVE':
      return kit.emit('mean', [abs(rows)], { dims: [rows.shape.length - 1], keepdim: false })
    case 'MAX_AVE':
      return kit.emit('mean', [kit.emit('maxLast', [abs(rows)])], { dims: [0], keepdim: false })
  }
}

/** The axes that a quantizer's statistic permutes: none unless it looks at channels. */
export const statisticDims = (q: Quantizer): readonly number[] | null =>
  q.scalingPerOutputChannel || q.scalingStatsOp === 'MAX_AVE' ? q.scalingStatsPermuteDims : null

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

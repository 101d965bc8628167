/** Statistics S(x) of a tensor, and how the channel axis is brought to the front (SEMANTICS 4). */
import type { Value } from '../graph/op.js'
import { sizeOf, type Shape } from '../data/shape.js'
import { STATISTICS } from './builtIns.js'
import type { Quantizer, Statistic } from './quantizer.js'

export { highRank, lowPercentile, lowRank, smallestAtMostZero, STATISTICS } from './builtIns.js'

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

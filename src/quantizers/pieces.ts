/** The pieces of which presets are composed: each says a few fields of a quantizer (Brevitas' mixins). */
import { plainQuantizer, type MinifloatFamily, type Quantizer } from './quantizer.js'

/** Part of a preset. */
export type Piece = Partial<Quantizer>

/** A preset under its name, composed of pieces: later ones win. */
export const preset = (name: string, ...pieces: readonly Piece[]): Quantizer =>
  Object.freeze(Object.assign({}, plainQuantizer, ...pieces, { name }))

export const Int: Piece = { signed: true }
export const NarrowInt: Piece = { signed: true, narrowRange: true }
export const Uint: Piece = { signed: false }
export const Shifted: Piece = { signed: false, zeroPointImpl: 'stats' }
export const Float: Piece = { restrictScalingType: 'FP' }
export const PoT: Piece = { restrictScalingType: 'POWER_OF_TWO', restrictValueFloatToIntImpl: 'CEIL' }
export const RuntimePercentile: Piece = {
  scalingImplType: 'PARAMETER_FROM_STATS',
  scalingStatsOp: 'PERCENTILE',
  scalingMinVal: 1e-10,
}
export const RuntimePercentileInterval: Piece = { ...RuntimePercentile, scalingStatsOp: 'PERCENTILE_INTERVAL' }
export const MinMaxInit: Piece = { scalingImplType: 'PARAMETER' }
export const MaxInit: Piece = { ...MinMaxInit, minVal: 0 }
export const MSE: Piece = { search: 'MSE', scalingImplType: 'PARAMETER_FROM_STATS' }
export const batchQuant = (dims: readonly number[]): Piece => ({
  scalingImplType: 'STATS',
  scalingStatsOp: 'MAX_AVE',
  scalingStatsMomentum: null,
  scalingStatsPermuteDims: Object.freeze([...dims]),
  scalingMinVal: 1e-10,
})
export const BatchQuant1d = batchQuant([1, 0, 2])
export const BatchQuant2d = batchQuant([1, 0, 2, 3])
export const Weight: Piece = { use: 'weight', scalingImplType: 'STATS', scalingStatsOp: 'MAX', scalingMinVal: 1e-10 }
export const PerChannel: Piece = { scalingPerOutputChannel: true }
export const ShiftedWeight: Piece = { ...Weight, ...Shifted, scalingStatsOp: 'MIN_MAX' }
export const bias = (bitWidth: number | null): Piece => ({ use: 'bias', bitWidth, biasScale: 'external' })
export const InternalBias: Piece = {
  use: 'bias',
  biasScale: 'internal',
  scalingImplType: 'STATS',
  scalingStatsOp: 'MAX',
  scalingMinVal: 1e-10,
}
/** One scale per group of `groupSize` elements, which may have to be given. */
export const grouped = (groupSize: number | null): Piece => ({ scalingOver: 'GROUP', groupSize })
export const PerRow: Piece = { scalingOver: 'ROW' }
export const HQO: Piece = { search: 'HQO', scalingImplType: 'PARAMETER_FROM_STATS' }
export const ShiftedMSE: Piece = { ...MSE, zeroPointImpl: 'MSE' }
export const ShiftedHQO: Piece = { zeroPointImpl: 'HQO' }
/** The statistic of this very input, without state. */
export const Dynamic: Piece = { scalingImplType: 'DYNAMIC', scalingStatsOp: 'MAX', scalingMinVal: 1e-10 }
export const ShiftedDynamic: Piece = { ...Shifted, ...Dynamic, scalingStatsOp: 'MIN_MAX' }
/** Powers of two that are rounded down: dynamic and MX presets clip the largest numbers (surprise). */
export const PoTDown: Piece = { restrictScalingType: 'POWER_OF_TWO', restrictValueFloatToIntImpl: 'FLOOR' }
export const MX: Piece = { ...PoTDown, ...grouped(32) }
/** A learned norm per channel, which a log2 scale accompanies. */
export const WeightNorm: Piece = {
  ...Weight,
  ...PerChannel,
  preScaling: 'WEIGHT_NORM',
  scalingImplType: 'PARAMETER_FROM_STATS',
  restrictScalingType: 'LOG_FP',
}
export const Decoupled: Piece = {
  preScaling: 'DECOUPLED',
  scalingImplType: 'PARAMETER_FROM_STATS',
  scalingMinVal: null,
}

/** A minifloat format as a piece of presets; null widths must be given by options. */
const format = (
  minifloat: MinifloatFamily,
  exponentBitWidth: number | null = null,
  mantissaBitWidth: number | null = null,
): Piece => ({
  quantType: 'FLOAT',
  signed: true,
  minifloat,
  bitWidth: exponentBitWidth === null ? null : 8,
  exponentBitWidth,
  mantissaBitWidth,
})

export const e4m3 = format('PLAIN', 4, 3)
export const e5m2 = format('PLAIN', 5, 2)
export const e4m3ocp = format('OCP', 4, 3)
export const e5m2ocp = format('OCP', 5, 2)
export const e4m3fnuz = format('FNUZ', 4, 3)
export const e5m2fnuz = format('FNUZ', 5, 2)
export const anyOcp = format('OCP')
export const anyFnuz = format('FNUZ')

/** A quantizer as plain data, composed of the pieces of Brevitas' presets. Knows no values and no layers. */
import type { STATISTICS } from './builtIns.js'
import { demandArguments, record, required, shaped, text, type Field } from '../data/fields.js'
import type { Value } from '../graph/op.js'
import type { Rounding } from '../ops/rounding.js'

/**
 * Where a scale comes from (Brevitas `ScalingImplType`). `DYNAMIC`: the statistic of this very input, in training and evaluation, without
 * state. `UNIT`: the constant scale 1, of minifloats that are taken as they are.
 */
export type ScalingImplType = 'PARAMETER_FROM_STATS' | 'PARAMETER' | 'CONST' | 'STATS' | 'DYNAMIC' | 'UNIT'
/** Name of a statistic of a tensor that becomes its threshold (Brevitas `StatsOp`), of the table in `builtIns.ts`. */
export type StatsOp = keyof typeof STATISTICS
/**
 * A statistic of anyone's own, which may stand wherever a `StatsOp` may: it collects, switches over and learns like those.
 * @example
 * const mean: Statistic = { name: 'MeanPlus2Abs', of: (rows) => mul(mean(abs(rows), -1), 2) }
 */
export type Statistic = {
  /** Names it in prints. */
  readonly name: string
  /** From rows, `[n]` or one of `[scales, n]` per scale, to their thresholds: a scalar, or `[scales]`. Gradients flow through it. */
  readonly of: (rows: Value, quantizer: Quantizer) => Value
  /** Is it taken of channels even where there is one scale for all? */
  readonly overChannels?: boolean
  /** Fields of the quantizer that it reads; prints show them. */
  readonly reads?: readonly (keyof Quantizer)[]
}
/** A search that replaces a statistic: for the least squared error on a grid of 20, or by half-quadratic steps (Brevitas `MSE`, `HQO`). */
export type Search = 'MSE' | 'HQO'
/**
 * How weights are scaled before they are rounded, where not by their scale: by one of the current weight beside a learned one that gives the
 * numbers back (`DECOUPLED`); by a learned norm (`WEIGHT_NORM`), which bounds what an accumulator sums (`A2Q`, `A2Q_PLUS`: centered).
 */
export type PreScaling = 'DECOUPLED' | 'WEIGHT_NORM' | 'A2Q' | 'A2Q_PLUS'
/** Codes of a minifloat for infinity and NaN: none; as the Open Compute Project has it; none, and a bias of one more (`FNUZ`). */
export type MinifloatFamily = 'PLAIN' | 'OCP' | 'FNUZ'
/** Which thresholds are allowed (Brevitas `RestrictValueType`). */
export type RestrictScalingType = 'FP' | 'LOG_FP' | 'POWER_OF_TWO'

/**
 * An immutable quantizer. Every field can be overridden by a layer option of the same name, or by `withOptions`.
 * Field names are Brevitas' keyword arguments in camelCase.
 */
export type Quantizer = {
  /** The preset's name; errors quote it. */
  readonly name: string
  readonly use: 'act' | 'weight' | 'bias'
  /** `INT`: integer grid. `BINARY`: two levels. `FLOAT`: minifloats. */
  readonly quantType: 'INT' | 'BINARY' | 'FLOAT'
  /** 1 … 32; null: must be given (IntBias). */
  readonly bitWidth: number | null
  /** `PARAMETER`: the bit width is learned, `round(|offset| + minBitWidth)`, from `bitWidth` on. */
  readonly bitWidthImplType: 'CONST' | 'PARAMETER'
  readonly minBitWidth: number
  /** Bounds of a learned bit width itself; the upper one counts only beside a lower one (as in Brevitas). */
  readonly bitWidthOffsetMinVal: number | null
  readonly bitWidthOffsetMaxVal: number | null
  /** Of minifloats. Null: must be given (FpOCP…, FpFNUZ…). */
  readonly exponentBitWidth: number | null
  readonly mantissaBitWidth: number | null
  readonly minifloat: MinifloatFamily
  /** Of minifloats with codes for infinity or NaN: are numbers beyond the largest clipped to it (true), or become that code? */
  readonly saturating: boolean
  readonly signed: boolean
  /** Leaves out the lowest integer (signed) or the highest (unsigned). */
  readonly narrowRange: boolean
  readonly floatToIntImplType: Rounding
  readonly scalingImplType: ScalingImplType
  readonly scalingStatsOp: StatsOp | Statistic
  /** Replaces the statistic by a search for the threshold. */
  readonly search: Search | null
  readonly preScaling: PreScaling | null
  /** Of accumulator-aware weights: the width of the accumulator that must not overflow. */
  readonly accumulatorBitWidth: number
  readonly restrictScalingType: RestrictScalingType
  /** How a power of two is found from a logarithm: FixedPoint presets round up, the bare option to the nearest. */
  readonly restrictValueFloatToIntImpl: 'CEIL' | 'ROUND' | 'FLOOR'
  /** Lower bound of threshold or scale (SEMANTICS 3); null: none. */
  readonly scalingMinVal: number | null
  /** Training calls that collect statistics. The tutorial says 30; Brevitas' code ships 300. */
  readonly collectStatsSteps: number
  /** Momentum of the running average; null: the plain mean of all calls. */
  readonly scalingStatsMomentum: number | null
  readonly zeroPointStatsMomentum: number | null
  /** Percentage, 0 … 100. */
  readonly highPercentileQ: number
  readonly lowPercentileQ: number
  /** Range of MinMaxInit and constant scales; null: not given. */
  readonly minVal: number | null
  readonly maxVal: number | null
  readonly scalingInit: number | null
  readonly scalingConst: number | null
  readonly scalingPerOutputChannel: boolean
  /** Scales that are finer than a tensor's or a channel's: one per row of the last axis, or one per group of `groupSize` along an axis. */
  readonly scalingOver: 'TENSOR' | 'ROW' | 'GROUP'
  readonly groupSize: number | null
  /** The axis that is cut into groups, of activations (weights: the input channels); -1 is the last one. */
  readonly groupDim: number | null
  readonly scalingStatsPermuteDims: readonly number[] | null
  readonly perChannelBroadcastableShape: readonly number[] | null
  /** `zero`: 0. `stats`: from the smallest value, quantized (Shifted). `MSE`: searched, quantized. `HQO`: searched, a fraction. */
  readonly zeroPointImpl: 'zero' | 'stats' | Search
  /** Biases: `external` scale (input times weight) or a scale of their own. */
  readonly biasScale: 'external' | 'internal' | null
  readonly quantDelaySteps: number
}

/** A quantizer of no kind: what presets are composed on. */
export const plainQuantizer: Quantizer = {
  name: '',
  use: 'act',
  quantType: 'INT',
  bitWidth: 8,
  bitWidthImplType: 'CONST',
  minBitWidth: 2,
  bitWidthOffsetMinVal: null,
  bitWidthOffsetMaxVal: null,
  exponentBitWidth: null,
  mantissaBitWidth: null,
  minifloat: 'PLAIN',
  saturating: true,
  signed: true,
  narrowRange: false,
  floatToIntImplType: 'ROUND',
  scalingImplType: 'CONST',
  scalingStatsOp: 'MAX',
  search: null,
  preScaling: null,
  accumulatorBitWidth: 32,
  restrictScalingType: 'FP',
  restrictValueFloatToIntImpl: 'ROUND',
  scalingMinVal: null,
  collectStatsSteps: 30,
  scalingStatsMomentum: 0.1,
  zeroPointStatsMomentum: 0.1,
  highPercentileQ: 99.999,
  lowPercentileQ: 0.001,
  minVal: null,
  maxVal: null,
  scalingInit: null,
  scalingConst: null,
  scalingPerOutputChannel: false,
  scalingOver: 'TENSOR',
  groupSize: null,
  groupDim: null,
  scalingStatsPermuteDims: null,
  perChannelBroadcastableShape: null,
  zeroPointImpl: 'zero',
  biasScale: null,
  quantDelaySteps: 0,
}

/** What a layer option, or `withOptions`, may override. */
export type QuantizerOptions = Partial<
  Omit<
    Quantizer,
    'name' | 'use' | 'quantType' | 'minifloat' | 'search' | 'preScaling' | 'scalingOver' | 'biasScale' | 'zeroPointImpl'
  >
>

/** Names of the fields that options may override. */
export const quantizerOptionNames = [
  'bitWidth',
  'bitWidthImplType',
  'minBitWidth',
  'bitWidthOffsetMinVal',
  'bitWidthOffsetMaxVal',
  'exponentBitWidth',
  'mantissaBitWidth',
  'saturating',
  'signed',
  'narrowRange',
  'floatToIntImplType',
  'scalingImplType',
  'scalingStatsOp',
  'restrictScalingType',
  'restrictValueFloatToIntImpl',
  'scalingMinVal',
  'collectStatsSteps',
  'scalingStatsMomentum',
  'zeroPointStatsMomentum',
  'highPercentileQ',
  'lowPercentileQ',
  'minVal',
  'maxVal',
  'scalingInit',
  'scalingConst',
  'scalingPerOutputChannel',
  'accumulatorBitWidth',
  'groupSize',
  'groupDim',
  'scalingStatsPermuteDims',
  'perChannelBroadcastableShape',
  'quantDelaySteps',
] as const satisfies readonly (keyof QuantizerOptions)[]

/** A quantizer, as an argument; its fields are looked at where it is used. */
export const quantizerField: Field = {
  ...shaped('a quantizer', { use: required(text), quantType: required(text), name: required(text) }),
  like: 'Int8ActPerTensorFloat',
}

/** A quantizer with some fields replaced; for `pipe`. */
export const withOptions =
  (options: QuantizerOptions) =>
  (q: Quantizer): Quantizer => {
    demandArguments(
      'withOptions',
      { options, quantizer: q },
      { options: required(record), quantizer: required(quantizerField) },
    )
    return { ...q, ...options }
  }

/** A quantizer under a name of its own; errors and prints show it. */
export const named =
  (name: string) =>
  (q: Quantizer): Quantizer => {
    demandArguments('named', { name, quantizer: q }, { name: required(text), quantizer: required(quantizerField) })
    return { ...q, name }
  }

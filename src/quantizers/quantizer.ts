/** A quantizer as plain data, composed of the pieces of Brevitas' presets. Knows no values and no layers. */
import { demandArguments, record, required, shaped, text, type Field } from '../data/fields.js'
import type { Rounding } from '../ops/rounding.js'

/** Where a scale comes from (Brevitas `ScalingImplType`). */
export type ScalingImplType = 'PARAMETER_FROM_STATS' | 'PARAMETER' | 'CONST' | 'STATS'
/**
 * Statistic of a tensor that becomes its threshold (Brevitas `StatsOp`). `ZERO_MIN_MAX` is ours: `max(max, 0) - min(min, 0)`,
 * which spans all-negative weights where Brevitas' `MIN_MAX` cuts them (a quirk).
 */
export type StatsOp = 'PERCENTILE' | 'PERCENTILE_INTERVAL' | 'MAX' | 'MIN_MAX' | 'ZERO_MIN_MAX' | 'AVE' | 'MAX_AVE'
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
  /** `INT`: integer grid. `BINARY`: two levels. */
  readonly quantType: 'INT' | 'BINARY'
  /** 1 … 32; null: must be given (IntBias). */
  readonly bitWidth: number | null
  readonly signed: boolean
  /** Leaves out the lowest integer (signed) or the highest (unsigned). */
  readonly narrowRange: boolean
  readonly floatToIntImplType: Rounding
  readonly scalingImplType: ScalingImplType
  readonly scalingStatsOp: StatsOp
  /** Replaces the statistic by a search for the threshold with the least squared error. */
  readonly mse: boolean
  readonly restrictScalingType: RestrictScalingType
  /** How a power of two is found from a logarithm: FixedPoint presets round up, the bare option to the nearest. */
  readonly restrictValueFloatToIntImpl: 'CEIL' | 'ROUND'
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
  readonly scalingStatsPermuteDims: readonly number[] | null
  readonly perChannelBroadcastableShape: readonly number[] | null
  /** `zero`: 0. `stats`: from the smallest value, quantized (Shifted). */
  readonly zeroPointImpl: 'zero' | 'stats'
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
  signed: true,
  narrowRange: false,
  floatToIntImplType: 'ROUND',
  scalingImplType: 'CONST',
  scalingStatsOp: 'MAX',
  mse: false,
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
  scalingStatsPermuteDims: null,
  perChannelBroadcastableShape: null,
  zeroPointImpl: 'zero',
  biasScale: null,
  quantDelaySteps: 0,
}

/** What a layer option, or `withOptions`, may override. */
export type QuantizerOptions = Partial<
  Omit<Quantizer, 'name' | 'use' | 'quantType' | 'mse' | 'biasScale' | 'zeroPointImpl'>
>

/** Names of the fields that options may override. */
export const quantizerOptionNames = [
  'bitWidth',
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

/** Checks a quantizer's fields before anything is traced; every problem is a typed error that names the field. */
import type { QuantError } from '../data/error.js'
import {
  either,
  fieldProblems,
  flag,
  func,
  isShape,
  list,
  oneOf,
  orNull,
  required,
  shaped,
  text,
  type Field,
  type Fields,
} from '../data/fields.js'
import { LEARNED } from './collection.js'
import {
  accumulatorProblems,
  config,
  formatProblems,
  groupProblems,
  learnedProblems,
  widthlessProblems,
} from './gridChecks.js'
import type { Quantizer } from './quantizer.js'
import { overChannels, STATISTICS } from './statistics.js'

/** Brevitas' words for a field that nobody gave. */
const missing = (q: Quantizer, field: string, brevitasName: string, fix: string): QuantError =>
  config(field, `'${q.name}' can not resolve attribute '${brevitasName}' while building 'scaling_init_impl'`, fix)

const bitProblems = (q: Quantizer): readonly QuantError[] => {
  const b = q.bitWidth
  if (b === null)
    return [
      config('bitWidth', `'${q.name}' can not resolve attribute 'bit_width'`, 'give the bit width: biasBitWidth: 16'),
    ]
  if (!Number.isInteger(b) || b < 1 || b > 32)
    return [
      config(
        'bitWidth',
        `${q.name}: a bit width of ${b} was asked for; it must be a whole number from 1 to 32`,
        'give bitWidth: 8, for instance',
      ),
    ]
  if (b === 1 && q.quantType === 'INT' && q.signed && q.narrowRange)
    return [
      config(
        'bitWidth',
        `${q.name}: one signed bit without its lowest integer leaves only 0, and its scale would be divided by 0`,
        'use a binary quantizer (SignedBinaryWeightPerTensorConst), or 2 bits',
      ),
    ]
  if (b === 1 && q.quantType === 'INT' && !q.signed && q.narrowRange)
    return [
      config(
        'narrowRange',
        `${q.name}: one unsigned bit without its highest integer leaves only 0, and its scale would be divided by 0`,
        'leave narrowRange out, or give 2 bits',
      ),
    ]
  return []
}

const percentProblems = (q: Quantizer): readonly QuantError[] =>
  (
    [
      ['highPercentileQ', q.highPercentileQ],
      ['lowPercentileQ', q.lowPercentileQ],
    ] as const
  )
    .filter(([, p]) => !(p >= 0 && p <= 100))
    .map(([name, p]) =>
      config(
        name,
        `${q.name}: q has to be a percentage, from 0 to 100; ${name} is ${p}`,
        `give ${name} as a percentage: 99.999`,
      ),
    )

/** Does the scale collect a statistic over channels? */
const collectsPerChannel = (q: Quantizer): boolean =>
  q.scalingPerOutputChannel && (q.scalingImplType === 'PARAMETER_FROM_STATS' || q.scalingImplType === 'STATS')

const channelProblems = (q: Quantizer): readonly QuantError[] => {
  if (
    q.use === 'act' &&
    q.quantType !== 'BINARY' &&
    !q.scalingPerOutputChannel &&
    overChannels(q) &&
    q.scalingStatsPermuteDims === null
  )
    return [
      config(
        'scalingStatsPermuteDims',
        `${q.name}: ${typeof q.scalingStatsOp === 'string' ? q.scalingStatsOp : q.scalingStatsOp.name} is taken of channels and needs scaling_stats_permute_dims, which puts the channel axis first`,
        'give scalingStatsPermuteDims: [1, 0, 2, 3] for inputs [N, C, H, W]',
      ),
    ]
  if (q.use !== 'act' || !q.scalingPerOutputChannel || q.quantType === 'BINARY') return []
  const out: QuantError[] = []
  if (collectsPerChannel(q) && q.scalingStatsPermuteDims === null)
    out.push(
      config(
        'scalingStatsPermuteDims',
        `${q.name}: per-channel statistics need scaling_stats_permute_dims, which puts the channel axis first`,
        'give scalingStatsPermuteDims: [1, 0, 2, 3] for inputs [N, C, H, W]',
      ),
    )
  if (q.perChannelBroadcastableShape === null && q.scalingImplType !== 'CONST')
    out.push(
      config(
        'perChannelBroadcastableShape',
        `'${q.name}' can not resolve attribute 'per_channel_broadcastable_shape'`,
        'give perChannelBroadcastableShape: [1, C, 1, 1] for inputs [N, C, H, W]',
      ),
    )
  return out
}

/** A weight's threshold that is given, or is missing under the name that Brevitas has for it. */
const thresholdProblems = (q: Quantizer): readonly QuantError[] => {
  const isConst = q.scalingImplType === 'CONST'
  const given = isConst ? (q.scalingConst ?? q.scalingInit) : (q.scalingInit ?? q.scalingConst)
  if (given !== null) return []
  const [option, name] = isConst
    ? (['weightScalingConst', 'scaling_const'] as const)
    : (['weightScalingInit', 'scaling_init'] as const)
  return [missing(q, option, name, `give ${option}: 0.5, the threshold of the weights`)]
}

const rangeProblems = (q: Quantizer): readonly QuantError[] => {
  if (q.use === 'bias' || (q.scalingImplType !== 'PARAMETER' && q.scalingImplType !== 'CONST')) return []
  if (q.use === 'weight') return thresholdProblems(q)
  if (q.scalingInit !== null || q.scalingConst !== null) return []
  if (q.maxVal === null) return [missing(q, 'maxVal', 'max_val', 'give the range: maxVal: 1 and minVal: -1')]
  if (q.minVal === null && q.signed)
    return [missing(q, 'minVal', 'min_val', 'give the range: maxVal: 1 and minVal: -1')]
  if (q.minVal !== null && q.minVal > q.maxVal)
    return [config('maxVal', `${q.name}: max_val ${q.maxVal} is below min_val ${q.minVal}`, 'swap them')]
  if (q.maxVal === 0 && (q.minVal ?? 0) === 0)
    return [
      config(
        'maxVal',
        `${q.name}: the range from 0 to 0 holds 0 alone, and numbers would be divided by a scale of 0`,
        'give the range that numbers lie in: maxVal: 1, for instance',
      ),
    ]
  return []
}

const stepProblems = (q: Quantizer): readonly QuantError[] => {
  const out: QuantError[] = []
  if (
    q.scalingImplType === 'PARAMETER_FROM_STATS' &&
    q.use === 'act' &&
    !(Number.isInteger(q.collectStatsSteps) && q.collectStatsSteps > 0 && q.collectStatsSteps < LEARNED)
  )
    out.push(
      config(
        'collectStatsSteps',
        `${q.name}: Steps should be more than 0, and below ${LEARNED}; collectStatsSteps is ${q.collectStatsSteps}`,
        'give collectStatsSteps: 30, or a quantizer with a fixed range (Int8ActPerTensorFloatMinMaxInit)',
      ),
    )
  if (!(Number.isInteger(q.quantDelaySteps) && q.quantDelaySteps >= 0))
    out.push(
      config(
        'quantDelaySteps',
        `${q.name}: quantDelaySteps is ${q.quantDelaySteps}; it counts calls`,
        'give a whole number, 0 for no delay',
      ),
    )
  if (q.use === 'bias' && q.quantDelaySteps > 0)
    out.push(config('quantDelaySteps', `${q.name}: a bias can not be delayed`, 'leave biasQuantDelaySteps out'))
  for (const [name, m] of [
    ['scalingStatsMomentum', q.scalingStatsMomentum],
    ['zeroPointStatsMomentum', q.zeroPointStatsMomentum],
  ] as const)
    if (m !== null && !(m >= 0 && m <= 1))
      out.push(
        config(
          name,
          `${q.name}: ${name} is ${m}; a momentum lies between 0 and 1`,
          'give 0.1, or null for the plain mean',
        ),
      )
  return out
}

/** Ranges of numbers are checked with the rest of the quantizer. */
const aNumber: Field = { says: 'a number', like: '1', holds: (x) => typeof x === 'number' }
const numeric: Field = { says: 'a finite number', like: '1', holds: (x) => Number.isFinite(x) }
const sizes: Field = { says: 'a list of whole numbers from 0 on', like: '[1, 0, 2, 3]', holds: isShape }
const rounding = oneOf('ROUND', 'FLOOR', 'CEIL', 'ROUND_TO_ZERO', 'DPU')

/** A statistic of the user's own. */
const ownStatistic: Field = {
  ...shaped('a statistic of your own, { name, of }', {
    name: required(text),
    of: required(func),
    overChannels: flag,
    reads: list,
  }),
  like: "{ name: 'MyStatistic', of: (rows) => max(abs(rows)) }",
}

/** What each field of a quantizer may hold. */
const KINDS: Fields<Quantizer> = {
  name: text,
  use: oneOf('act', 'weight', 'bias'),
  quantType: oneOf('INT', 'BINARY', 'FLOAT'),
  bitWidth: orNull(aNumber),
  bitWidthImplType: oneOf('CONST', 'PARAMETER'),
  minBitWidth: aNumber,
  bitWidthOffsetMinVal: orNull(aNumber),
  bitWidthOffsetMaxVal: orNull(aNumber),
  exponentBitWidth: orNull(aNumber),
  mantissaBitWidth: orNull(aNumber),
  minifloat: oneOf('PLAIN', 'OCP', 'FNUZ'),
  saturating: flag,
  signed: flag,
  narrowRange: flag,
  floatToIntImplType: rounding,
  scalingImplType: oneOf('PARAMETER_FROM_STATS', 'PARAMETER', 'CONST', 'STATS', 'DYNAMIC', 'UNIT'),
  scalingStatsOp: either(oneOf(...Object.keys(STATISTICS)), ownStatistic),
  search: oneOf('MSE', 'HQO', null),
  preScaling: oneOf('DECOUPLED', 'WEIGHT_NORM', 'A2Q', 'A2Q_PLUS', null),
  accumulatorBitWidth: aNumber,
  restrictScalingType: oneOf('FP', 'LOG_FP', 'POWER_OF_TWO'),
  restrictValueFloatToIntImpl: oneOf('CEIL', 'ROUND', 'FLOOR'),
  scalingMinVal: orNull(numeric),
  collectStatsSteps: aNumber,
  scalingStatsMomentum: orNull(aNumber),
  zeroPointStatsMomentum: orNull(aNumber),
  highPercentileQ: aNumber,
  lowPercentileQ: aNumber,
  minVal: orNull(numeric),
  maxVal: orNull(numeric),
  scalingInit: orNull(numeric),
  scalingConst: orNull(numeric),
  scalingPerOutputChannel: flag,
  scalingOver: oneOf('TENSOR', 'ROW', 'GROUP'),
  groupSize: orNull(aNumber),
  groupDim: orNull(aNumber),
  scalingStatsPermuteDims: orNull(sizes),
  perChannelBroadcastableShape: orNull(sizes),
  zeroPointImpl: oneOf('zero', 'stats', 'MSE', 'HQO'),
  biasScale: oneOf('external', 'internal', null),
  quantDelaySteps: aNumber,
}

const NEEDED = Object.fromEntries(Object.entries(KINDS).map(([name, field]) => [name, required(field)]))

/** Values of the wrong kind, which only JavaScript or stored configurations can bring here, and fields that nobody knows. */
const kindProblems = (q: Quantizer): readonly QuantError[] => fieldProblems(q.name, q, NEEDED)

/** Everything that is wrong with a quantizer; empty if nothing is. */
export const quantizerProblems = (q: Quantizer): readonly QuantError[] => {
  const kinds = kindProblems(q)
  if (kinds.length > 0) return kinds
  if (q.quantType === 'BINARY') return rangeProblems(q)
  return [
    ...(q.quantType === 'FLOAT'
      ? [...formatProblems(q), ...widthlessProblems(q)]
      : [...bitProblems(q), ...learnedProblems(q)]),
    ...groupProblems(q),
    ...accumulatorProblems(q),
    ...percentProblems(q),
    ...channelProblems(q),
    ...rangeProblems(q),
    ...stepProblems(q),
  ]
}

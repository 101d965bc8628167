/** Presets of integers whose scales, norms or zero points are searched or learned apart from the weight (SEMANTICS-2 sections 2 to 5). */
import {
  Decoupled,
  Float,
  HQO,
  NarrowInt,
  PerChannel,
  PoT,
  preset,
  RuntimePercentileInterval,
  Shifted,
  ShiftedHQO,
  ShiftedMSE,
  ShiftedWeight,
  Weight,
  WeightNorm,
} from '../pieces.js'

/** 4-bit weights that are rounded by the root mean square of the channels' maxima, and given back by a scale that is learned. */
export const Int4WeightPerTensorFloatDecoupled = preset(
  'Int4WeightPerTensorFloatDecoupled',
  NarrowInt,
  Weight,
  Float,
  Decoupled,
  { bitWidth: 4, scalingStatsOp: 'MAX_L2' },
)
/** As Int4WeightPerTensorFloatDecoupled, both scales are powers of two. */
export const Int4WeightPerTensorFixedPointDecoupled = preset(
  'Int4WeightPerTensorFixedPointDecoupled',
  NarrowInt,
  Weight,
  PoT,
  Decoupled,
  { bitWidth: 4, scalingStatsOp: 'MAX_L2' },
)
/** 8-bit weights that are rounded by the largest magnitude of their channel, and given back by a scale that is learned. */
export const Int8WeightPerChannelFloatDecoupled = preset(
  'Int8WeightPerChannelFloatDecoupled',
  NarrowInt,
  Weight,
  Float,
  PerChannel,
  Decoupled,
)
/** Weights over a learned L2 norm per channel; the scales are floats, in spite of the name. */
export const Int8WeightNormL2PerChannelFixedPoint = preset(
  'Int8WeightNormL2PerChannelFixedPoint',
  NarrowInt,
  WeightNorm,
)
/** Weights whose L1 norm per channel is bounded so that an accumulator of `accumulatorBitWidth` bits can't overflow (A2Q). */
export const Int8AccumulatorAwareWeightQuant = preset('Int8AccumulatorAwareWeightQuant', NarrowInt, WeightNorm, {
  preScaling: 'A2Q',
  floatToIntImplType: 'ROUND_TO_ZERO',
})
/** As Int8AccumulatorAwareWeightQuant, of centered weights, whose bound is twice as wide (A2Q+). */
export const Int8AccumulatorAwareZeroCenterWeightQuant = preset(
  'Int8AccumulatorAwareZeroCenterWeightQuant',
  NarrowInt,
  WeightNorm,
  { preScaling: 'A2Q_PLUS', floatToIntImplType: 'ROUND_TO_ZERO' },
)

/** Unsigned 8-bit weights; range and zero point with the least squared error at the first call, then learned. */
export const ShiftedUint8WeightPerTensorFloatMSE = preset(
  'ShiftedUint8WeightPerTensorFloatMSE',
  ShiftedWeight,
  Float,
  ShiftedMSE,
)
/** As ShiftedUint8WeightPerTensorFloatMSE, one scale and zero point per output channel. */
export const ShiftedUint8WeightPerChannelFloatMSE = preset(
  'ShiftedUint8WeightPerChannelFloatMSE',
  ShiftedWeight,
  Float,
  PerChannel,
  ShiftedMSE,
)
/** Unsigned 8-bit activations; range and zero point with the least squared error, then learned. */
export const ShiftedUint8ActPerTensorFloatMSE = preset(
  'ShiftedUint8ActPerTensorFloatMSE',
  Shifted,
  RuntimePercentileInterval,
  Float,
  ShiftedMSE,
)
/** As ShiftedUint8ActPerTensorFloatMSE, scales are powers of two. */
export const ShiftedUint8ActPerTensorFixedPointMSE = preset(
  'ShiftedUint8ActPerTensorFixedPointMSE',
  Shifted,
  RuntimePercentileInterval,
  PoT,
  ShiftedMSE,
)

/** Weights; the threshold is found by half-quadratic steps at the first call, then learned. */
export const Int8WeightPerTensorFloatHQO = preset('Int8WeightPerTensorFloatHQO', NarrowInt, Weight, Float, HQO)
/** As Int8WeightPerTensorFloatHQO, one scale per output channel. */
export const Int8WeightPerChannelFloatHQO = preset(
  'Int8WeightPerChannelFloatHQO',
  NarrowInt,
  Weight,
  Float,
  PerChannel,
  HQO,
)
/** Unsigned 8-bit weights whose zero point, a fraction, is found by half-quadratic steps at the first call, then learned. */
export const ShiftedUint8WeightPerTensorFloatHQO = preset(
  'ShiftedUint8WeightPerTensorFloatHQO',
  ShiftedWeight,
  Float,
  ShiftedHQO,
)
/** As ShiftedUint8WeightPerTensorFloatHQO, one scale and zero point per output channel. */
export const ShiftedUint8WeightPerChannelFloatHQO = preset(
  'ShiftedUint8WeightPerChannelFloatHQO',
  ShiftedWeight,
  Float,
  PerChannel,
  ShiftedHQO,
)
/** Unsigned 8-bit activations; the scale is an interval of percentiles, the zero point, a fraction, found by half-quadratic steps; then learned. */
export const ShiftedUint8ActPerTensorFloatHQO = preset(
  'ShiftedUint8ActPerTensorFloatHQO',
  Shifted,
  RuntimePercentileInterval,
  Float,
  ShiftedHQO,
)

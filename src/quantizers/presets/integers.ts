/** Presets of integers: activations, weights and biases (SEMANTICS 2). */
import {
  preset,
  BatchQuant1d,
  BatchQuant2d,
  Float,
  Int,
  InternalBias,
  MSE,
  MaxInit,
  MinMaxInit,
  NarrowInt,
  PerChannel,
  PoT,
  RuntimePercentile,
  RuntimePercentileInterval,
  Shifted,
  ShiftedWeight,
  Uint,
  Weight,
  bias,
} from '../pieces.js'

/** Signed 8-bit activations; the scale is a percentile, then learned. */
export const Int8ActPerTensorFloat = preset('Int8ActPerTensorFloat', Int, RuntimePercentile, Float)
/** Unsigned 8-bit activations; the scale is a percentile, then learned. */
export const Uint8ActPerTensorFloat = preset('Uint8ActPerTensorFloat', Uint, RuntimePercentile, Float)
/** Signed 8-bit activations over the range `minVal … maxVal`, then learned. */
export const Int8ActPerTensorFloatMinMaxInit = preset('Int8ActPerTensorFloatMinMaxInit', Int, MinMaxInit, Float)
/** Unsigned 8-bit activations up to `maxVal`, then learned. */
export const Uint8ActPerTensorFloatMaxInit = preset('Uint8ActPerTensorFloatMaxInit', Uint, MaxInit, Float)
/** As Int8ActPerTensorFloat, scales are powers of two. */
export const Int8ActPerTensorFixedPoint = preset('Int8ActPerTensorFixedPoint', Int, RuntimePercentile, PoT)
/** As Uint8ActPerTensorFloat, scales are powers of two. */
export const Uint8ActPerTensorFixedPoint = preset('Uint8ActPerTensorFixedPoint', Uint, RuntimePercentile, PoT)
/** As Int8ActPerTensorFloatMinMaxInit, scales are powers of two. */
export const Int8ActPerTensorFixedPointMinMaxInit = preset('Int8ActPerTensorFixedPointMinMaxInit', Int, MinMaxInit, PoT)
/** As Uint8ActPerTensorFloatMaxInit, scales are powers of two. */
export const Uint8ActPerTensorFixedPointMaxInit = preset('Uint8ActPerTensorFixedPointMaxInit', Uint, MaxInit, PoT)
/** Signed 8-bit activations; the threshold with the least squared error, then learned. */
export const Int8ActPerTensorFloatMSE = preset('Int8ActPerTensorFloatMSE', Int, RuntimePercentile, Float, MSE)
/** Unsigned 8-bit activations; the threshold with the least squared error, then learned. */
export const Uint8ActPerTensorFloatMSE = preset('Uint8ActPerTensorFloatMSE', Uint, RuntimePercentile, Float, MSE)
/** As Int8ActPerTensorFloatMSE, scales are powers of two. */
export const Int8ActPerTensorFixedPointMSE = preset('Int8ActPerTensorFixedPointMSE', Int, RuntimePercentile, PoT, MSE)
/** As Uint8ActPerTensorFloatMSE, scales are powers of two. */
export const Uint8ActPerTensorFixedPointMSE = preset(
  'Uint8ActPerTensorFixedPointMSE',
  Uint,
  RuntimePercentile,
  PoT,
  MSE,
)
/** Unsigned 8-bit activations with a zero point, so that negative numbers fit. */
export const ShiftedUint8ActPerTensorFloat = preset(
  'ShiftedUint8ActPerTensorFloat',
  Shifted,
  RuntimePercentileInterval,
  Float,
)
/** As ShiftedUint8ActPerTensorFloat, scales are powers of two. */
export const ShiftedUint8ActPerTensorFixedPoint = preset(
  'ShiftedUint8ActPerTensorFixedPoint',
  Shifted,
  RuntimePercentileInterval,
  PoT,
)
/** Signed 8 bits by running statistics for ever, of inputs of rank 3. */
export const Int8ActPerTensorFloatBatchQuant1d = preset('Int8ActPerTensorFloatBatchQuant1d', Int, BatchQuant1d, Float)
/** Signed 8 bits by running statistics for ever, of inputs of rank 4. */
export const Int8ActPerTensorFloatBatchQuant2d = preset('Int8ActPerTensorFloatBatchQuant2d', Int, BatchQuant2d, Float)
/** Unsigned 8 bits by running statistics for ever, of inputs of rank 3. */
export const Uint8ActPerTensorFloatBatchQuant1d = preset(
  'Uint8ActPerTensorFloatBatchQuant1d',
  Uint,
  BatchQuant1d,
  Float,
)
/** Unsigned 8 bits by running statistics for ever, of inputs of rank 4. */
export const Uint8ActPerTensorFloatBatchQuant2d = preset(
  'Uint8ActPerTensorFloatBatchQuant2d',
  Uint,
  BatchQuant2d,
  Float,
)
/** Activations of -1 and 1. */
export const SignedBinaryActPerTensorConst = preset('SignedBinaryActPerTensorConst', {
  quantType: 'BINARY',
  bitWidth: 1,
  minVal: -1,
  maxVal: 1,
})
/** Activations of -1, 0 and 1 (2-bit narrow integers with a constant scale). */
export const SignedTernaryActPerTensorConst = preset('SignedTernaryActPerTensorConst', NarrowInt, {
  bitWidth: 2,
  minVal: -1,
  maxVal: 1,
})

/** Signed narrow 8-bit weights; the scale is the largest magnitude. The default of layers with weights. */
export const Int8WeightPerTensorFloat = preset('Int8WeightPerTensorFloat', NarrowInt, Weight, Float)
/** As Int8WeightPerTensorFloat, one scale per output channel. */
export const Int8WeightPerChannelFloat = preset('Int8WeightPerChannelFloat', NarrowInt, Weight, Float, PerChannel)
/** As Int8WeightPerTensorFloat, scales are powers of two. */
export const Int8WeightPerTensorFixedPoint = preset('Int8WeightPerTensorFixedPoint', NarrowInt, Weight, PoT)
/** As Int8WeightPerTensorFixedPoint, one scale per output channel. */
export const Int8WeightPerChannelFixedPoint = preset(
  'Int8WeightPerChannelFixedPoint',
  NarrowInt,
  Weight,
  PoT,
  PerChannel,
)
/** Weights; the threshold with the least squared error at the first call, then learned. */
export const Int8WeightPerTensorFloatMSE = preset('Int8WeightPerTensorFloatMSE', NarrowInt, Weight, Float, MSE)
/** As Int8WeightPerTensorFloatMSE, one scale per output channel. */
export const Int8WeightPerChannelFloatMSE = preset(
  'Int8WeightPerChannelFloatMSE',
  NarrowInt,
  Weight,
  Float,
  PerChannel,
  MSE,
)
/** As Int8WeightPerTensorFloatMSE, scales are powers of two. */
export const Int8WeightPerTensorFixedPointMSE = preset('Int8WeightPerTensorFixedPointMSE', NarrowInt, Weight, PoT, MSE)
/** As Int8WeightPerTensorFixedPointMSE, one scale per output channel. */
export const Int8WeightPerChannelFixedPointMSE = preset(
  'Int8WeightPerChannelFixedPointMSE',
  NarrowInt,
  Weight,
  PoT,
  PerChannel,
  MSE,
)
/** Unsigned 8-bit weights with a zero point. */
export const ShiftedUint8WeightPerTensorFloat = preset('ShiftedUint8WeightPerTensorFloat', ShiftedWeight, Float)
/** As ShiftedUint8WeightPerTensorFloat, one scale per output channel. */
export const ShiftedUint8WeightPerChannelFloat = preset(
  'ShiftedUint8WeightPerChannelFloat',
  ShiftedWeight,
  Float,
  PerChannel,
)
/** Weights of -0.1 and 0.1; the float weights are clamped to that range by each forward. */
export const SignedBinaryWeightPerTensorConst = preset('SignedBinaryWeightPerTensorConst', {
  use: 'weight',
  quantType: 'BINARY',
  bitWidth: 1,
  scalingConst: 0.1,
})
/** Weights of -0.1, 0 and 0.1. */
export const SignedTernaryWeightPerTensorConst = preset('SignedTernaryWeightPerTensorConst', NarrowInt, {
  use: 'weight',
  bitWidth: 2,
  scalingConst: 0.1,
})

/** Biases of the accumulator's scale, 8 bits. */
export const Int8Bias = preset('Int8Bias', Int, bias(8))
/** Biases of the accumulator's scale, 16 bits. */
export const Int16Bias = preset('Int16Bias', Int, bias(16))
/** Biases of the accumulator's scale, 24 bits. */
export const Int24Bias = preset('Int24Bias', Int, bias(24))
/** Biases of the accumulator's scale, 32 bits. */
export const Int32Bias = preset('Int32Bias', Int, bias(32))
/** Biases of the accumulator's scale; the bit width must be given. */
export const IntBias = preset('IntBias', Int, bias(null))
/** 8-bit biases with a scale of their own. */
export const Int8BiasPerTensorFloatInternalScaling = preset(
  'Int8BiasPerTensorFloatInternalScaling',
  Int,
  InternalBias,
  Float,
)
/** 8-bit biases with a scale of their own, a power of two. */
export const Int8BiasPerTensorFixedPointInternalScaling = preset(
  'Int8BiasPerTensorFixedPointInternalScaling',
  Int,
  InternalBias,
  PoT,
)

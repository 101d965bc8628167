/** Scales per group of elements along an axis, and the MX formats, whose scales are powers of two (SEMANTICS-2 sections 9 and 10). */
import {
  Dynamic,
  Float,
  grouped,
  Int,
  MSE,
  MX,
  NarrowInt,
  preset,
  ShiftedHQO,
  ShiftedMSE,
  ShiftedWeight,
  Weight,
  e4m3,
  e4m3ocp,
} from '../pieces.js'

/** Signed narrow weights, one scale per group of `groupSize` input channels. */
export const IntWeightSymmetricGroupQuant = preset(
  'IntWeightSymmetricGroupQuant',
  NarrowInt,
  Weight,
  Float,
  grouped(null),
)
/** As IntWeightSymmetricGroupQuant; the thresholds with the least squared error at the first call, then learned. */
export const IntWeightSymmetricGroupQuantMSE = preset(
  'IntWeightSymmetricGroupQuantMSE',
  NarrowInt,
  Weight,
  Float,
  grouped(null),
  MSE,
)
/** Unsigned weights with a zero point, one of each per group of `groupSize` input channels. */
export const ShiftedUint8WeightGroupQuantFloat = preset(
  'ShiftedUint8WeightGroupQuantFloat',
  ShiftedWeight,
  Float,
  grouped(null),
)
/** As ShiftedUint8WeightGroupQuantFloat; range and zero point with the least squared error at the first call, then learned. */
export const ShiftedUint8WeightGroupQuantFloatMSE = preset(
  'ShiftedUint8WeightGroupQuantFloatMSE',
  ShiftedWeight,
  Float,
  grouped(null),
  ShiftedMSE,
)
/** Unsigned weights in groups of 32 whose zero points, fractions, are found by half-quadratic steps at the first call, then learned. */
export const ShiftedUint8WeightPerGroupFloatHQO = preset(
  'ShiftedUint8WeightPerGroupFloatHQO',
  ShiftedWeight,
  Float,
  grouped(32),
  ShiftedHQO,
)
/** e4m3 weights, one scale per group of `groupSize` input channels. */
export const Fp8e4m3WeightSymmetricGroupQuant = preset(
  'Fp8e4m3WeightSymmetricGroupQuant',
  e4m3,
  Weight,
  Float,
  grouped(null),
)
/** As Fp8e4m3WeightSymmetricGroupQuant, with OCP codes. */
export const Fp8e4m3OCPWeightSymmetricGroupQuant = preset(
  'Fp8e4m3OCPWeightSymmetricGroupQuant',
  e4m3ocp,
  Weight,
  Float,
  grouped(null),
)

/** 8-bit weights in groups of 32, whose scales are powers of two, rounded down. */
export const MXInt8Weight = preset('MXInt8Weight', Int, Weight, MX)
/** As MXInt8Weight; the scales with the least squared error at the first call, then learned. */
export const MXInt8WeightMSE = preset('MXInt8WeightMSE', Int, Weight, MX, MSE)
/** 8-bit activations in groups of 32 along `groupDim`, whose scales are powers of two of this input, rounded down. */
export const MXInt8Act = preset('MXInt8Act', Int, Dynamic, MX)
/** Unsigned weights with a zero point in groups of 32, whose scales are powers of two, rounded down. */
export const ShiftedMXUInt8Weight = preset('ShiftedMXUInt8Weight', ShiftedWeight, MX)
/** As ShiftedMXUInt8Weight; range and zero point with the least squared error at the first call, then learned. */
export const ShiftedMXUInt8WeightMSE = preset('ShiftedMXUInt8WeightMSE', ShiftedWeight, MX, ShiftedMSE)
/** e4m3 weights in groups of 32, whose scales are powers of two, rounded down; other formats by their widths. */
export const MXFloat8e4m3Weight = preset('MXFloat8e4m3Weight', e4m3ocp, Weight, MX)
/** As MXFloat8e4m3Weight; the scales with the least squared error at the first call, then learned. */
export const MXFloat8e4m3WeightMSE = preset('MXFloat8e4m3WeightMSE', e4m3ocp, Weight, MX, MSE)
/** e4m3 activations in groups of 32 along `groupDim`, whose scales are powers of two of this input, rounded down. */
export const MXFloat8e4m3Act = preset('MXFloat8e4m3Act', e4m3ocp, Dynamic, MX)

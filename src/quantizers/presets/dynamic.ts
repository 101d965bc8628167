/** Dynamic activations: the scale is a function of the input, in training and evaluation, without state (SEMANTICS-2 section 8). */
import {
  Dynamic,
  Float,
  grouped,
  Int,
  PerRow,
  PoTDown,
  preset,
  ShiftedDynamic,
  e4m3,
  e4m3fnuz,
  e4m3ocp,
} from '../pieces.js'

/** Signed 8-bit activations by the largest magnitude of this input. */
export const Int8DynamicActPerTensorFloat = preset('Int8DynamicActPerTensorFloat', Int, Dynamic, Float)
/** As Int8DynamicActPerTensorFloat, one scale per row of the last axis. */
export const Int8DynamicActPerRowFloat = preset('Int8DynamicActPerRowFloat', Int, Dynamic, Float, PerRow)
/** As Int8DynamicActPerRowFloat, scales are powers of two, rounded down. */
export const Int8DynamicActPerRowFixedPoint = preset('Int8DynamicActPerRowFixedPoint', Int, Dynamic, PoTDown, PerRow)
/** As Int8DynamicActPerTensorFloat, one scale per group of `groupSize` elements along `groupDim`. */
export const Int8DynamicActPerGroupFloat = preset('Int8DynamicActPerGroupFloat', Int, Dynamic, Float, grouped(null))
/** Unsigned 8-bit activations with a zero point, by the range of this input. */
export const ShiftedUint8DynamicActPerTensorFloat = preset(
  'ShiftedUint8DynamicActPerTensorFloat',
  ShiftedDynamic,
  Float,
)
/** As ShiftedUint8DynamicActPerTensorFloat, one scale and zero point per row of the last axis. */
export const ShiftedUint8DynamicActPerRowFloat = preset(
  'ShiftedUint8DynamicActPerRowFloat',
  ShiftedDynamic,
  Float,
  PerRow,
)

/** e4m3 minifloats with OCP codes, by the largest magnitude of this input. */
export const Fp8e4m3OCPDynamicActPerTensorFloat = preset('Fp8e4m3OCPDynamicActPerTensorFloat', e4m3ocp, Dynamic, Float)
/** As Fp8e4m3OCPDynamicActPerTensorFloat, one scale per row of the last axis. */
export const FP8e4m3OCPDynamicActPerRowFloat = preset(
  'FP8e4m3OCPDynamicActPerRowFloat',
  e4m3ocp,
  Dynamic,
  Float,
  PerRow,
)
/** As FP8e4m3OCPDynamicActPerRowFloat, scales are powers of two, rounded down. */
export const FP8e4m3OCPDynamicActPerRowFixedPoint = preset(
  'FP8e4m3OCPDynamicActPerRowFixedPoint',
  e4m3ocp,
  Dynamic,
  PoTDown,
  PerRow,
)
/** e4m3 minifloats with the FNUZ bias, by the largest magnitude of this input. */
export const Fp8e4m3FNUZDynamicActPerTensorFloat = preset(
  'Fp8e4m3FNUZDynamicActPerTensorFloat',
  e4m3fnuz,
  Dynamic,
  Float,
)
/** As Fp8e4m3FNUZDynamicActPerTensorFloat, one scale per row of the last axis. */
export const FP8e4m3FNUZDynamicActPerRowFloat = preset(
  'FP8e4m3FNUZDynamicActPerRowFloat',
  e4m3fnuz,
  Dynamic,
  Float,
  PerRow,
)
/** e4m3 minifloats, one scale per group of `groupSize` elements along `groupDim`. */
export const Fp8e4m3DynamicActPerGroupFloat = preset(
  'Fp8e4m3DynamicActPerGroupFloat',
  e4m3,
  Dynamic,
  Float,
  grouped(null),
)
/** As Fp8e4m3DynamicActPerGroupFloat, with OCP codes. */
export const Fp8e4m3OCPDynamicActPerGroupFloat = preset(
  'Fp8e4m3OCPDynamicActPerGroupFloat',
  e4m3ocp,
  Dynamic,
  Float,
  grouped(null),
)

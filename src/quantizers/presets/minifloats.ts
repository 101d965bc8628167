/** Presets of minifloats (SEMANTICS-2 section 6): each format in each kind of scale. A new format is one line of widths and one of names. */
import {
  anyFnuz,
  anyOcp,
  e4m3,
  e4m3fnuz,
  e4m3ocp,
  e5m2,
  e5m2fnuz,
  e5m2ocp,
  Float,
  MSE,
  preset,
  Weight,
  type Piece,
} from '../pieces.js'
import type { Quantizer } from '../quantizer.js'

const Unit: Piece = { scalingImplType: 'UNIT' }
const UnitWeight: Piece = { ...Unit, use: 'weight' }
const Channels: Piece = { scalingPerOutputChannel: true }
const Collected: Piece = {
  scalingImplType: 'PARAMETER_FROM_STATS',
  scalingStatsOp: 'MAX',
  scalingMinVal: 1e-10,
  collectStatsSteps: 30,
}
const Channels2d: Piece = { ...Channels, scalingStatsPermuteDims: Object.freeze([1, 0, 2, 3]) }

/** In which ways a format is scaled, by the ends of the presets' names. */
const SCALED = {
  Weight: [UnitWeight],
  WeightPerTensorFloat: [Weight, Float],
  WeightPerChannelFloat: [Weight, Float, Channels],
  WeightPerTensorFloatMSE: [Weight, Float, MSE],
  WeightPerChannelFloatMSE: [Weight, Float, Channels, MSE],
  Act: [Unit],
  ActPerTensorFloat: [Collected, Float],
  ActPerTensorFloatMSE: [Collected, Float, MSE],
  ActPerChannelFloat2d: [Collected, Float, Channels2d],
  ActPerChannelFloat2dMSE: [Collected, Float, Channels2d, MSE],
} as const satisfies { readonly [end: string]: readonly Piece[] }

/** The presets of one format, by name. */
const family = <N extends string>(name: N, of: Piece): { readonly [K in `${N}${keyof typeof SCALED}`]: Quantizer } =>
  Object.fromEntries(
    Object.entries(SCALED).map(([end, pieces]) => [name + end, preset(name + end, of, ...pieces)]),
  ) as { readonly [K in `${N}${keyof typeof SCALED}`]: Quantizer }

/** Presets of plain e4m3. */
export const {
  Fp8e4m3Weight,
  Fp8e4m3WeightPerTensorFloat,
  Fp8e4m3WeightPerChannelFloat,
  Fp8e4m3WeightPerTensorFloatMSE,
  Fp8e4m3WeightPerChannelFloatMSE,
  Fp8e4m3Act,
  Fp8e4m3ActPerTensorFloat,
  Fp8e4m3ActPerTensorFloatMSE,
  Fp8e4m3ActPerChannelFloat2d,
  Fp8e4m3ActPerChannelFloat2dMSE,
} = family('Fp8e4m3', e4m3)
/** Presets of plain e5m2. */
export const {
  Fp8e5m2Weight,
  Fp8e5m2WeightPerTensorFloat,
  Fp8e5m2WeightPerChannelFloat,
  Fp8e5m2Act,
  Fp8e5m2ActPerTensorFloat,
  Fp8e5m2ActPerTensorFloatMSE,
  Fp8e5m2ActPerChannelFloat2d,
  Fp8e5m2ActPerChannelFloat2dMSE,
} = family('Fp8e5m2', e5m2)
/** Presets of e4m3 with OCP codes. */
export const {
  Fp8e4m3OCPWeight,
  Fp8e4m3OCPWeightPerTensorFloat,
  Fp8e4m3OCPWeightPerChannelFloat,
  Fp8e4m3OCPWeightPerTensorFloatMSE,
  Fp8e4m3OCPWeightPerChannelFloatMSE,
  Fp8e4m3OCPAct,
  Fp8e4m3OCPActPerTensorFloat,
  Fp8e4m3OCPActPerTensorFloatMSE,
} = family('Fp8e4m3OCP', e4m3ocp)
/** Presets of e5m2 with OCP codes. */
export const {
  Fp8e5m2OCPWeight,
  Fp8e5m2OCPWeightPerTensorFloat,
  Fp8e5m2OCPWeightPerChannelFloat,
  Fp8e5m2OCPWeightPerTensorFloatMSE,
  Fp8e5m2OCPWeightPerChannelFloatMSE,
  Fp8e5m2OCPAct,
  Fp8e5m2OCPActPerTensorFloat,
  Fp8e5m2OCPActPerTensorFloatMSE,
} = family('Fp8e5m2OCP', e5m2ocp)
/** Presets of e4m3 with the FNUZ bias. */
export const {
  Fp8e4m3FNUZWeight,
  Fp8e4m3FNUZWeightPerTensorFloat,
  Fp8e4m3FNUZWeightPerChannelFloat,
  Fp8e4m3FNUZWeightPerTensorFloatMSE,
  Fp8e4m3FNUZWeightPerChannelFloatMSE,
  Fp8e4m3FNUZAct,
  Fp8e4m3FNUZActPerTensorFloat,
  Fp8e4m3FNUZActPerTensorFloatMSE,
} = family('Fp8e4m3FNUZ', e4m3fnuz)
/** Presets of e5m2 with the FNUZ bias. */
export const {
  Fp8e5m2FNUZWeight,
  Fp8e5m2FNUZWeightPerTensorFloat,
  Fp8e5m2FNUZWeightPerChannelFloat,
  Fp8e5m2FNUZWeightPerTensorFloatMSE,
  Fp8e5m2FNUZWeightPerChannelFloatMSE,
  Fp8e5m2FNUZAct,
  Fp8e5m2FNUZActPerTensorFloat,
  Fp8e5m2FNUZActPerTensorFloatMSE,
} = family('Fp8e5m2FNUZ', e5m2fnuz)
/** Presets of OCP minifloats whose three widths must be given. */
export const {
  FpOCPWeight,
  FpOCPWeightPerTensorFloat,
  FpOCPWeightPerChannelFloat,
  FpOCPWeightPerTensorFloatMSE,
  FpOCPWeightPerChannelFloatMSE,
  FpOCPAct,
  FpOCPActPerTensorFloat,
  FpOCPActPerTensorFloatMSE,
  FpOCPActPerChannelFloat2d,
  FpOCPActPerChannelFloat2dMSE,
} = family('FpOCP', anyOcp)
/** Presets of FNUZ minifloats whose three widths must be given. */
export const {
  FpFNUZWeight,
  FpFNUZWeightPerTensorFloat,
  FpFNUZWeightPerChannelFloat,
  FpFNUZWeightPerTensorFloatMSE,
  FpFNUZWeightPerChannelFloatMSE,
  FpFNUZAct,
  FpFNUZActPerTensorFloat,
  FpFNUZActPerTensorFloatMSE,
  FpFNUZActPerChannelFloat2d,
  FpFNUZActPerChannelFloat2dMSE,
} = family('FpFNUZ', anyFnuz)

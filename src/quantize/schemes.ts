/**
 * Named schemes: rules that serve most networks, to begin with. A scheme is nothing but a list of rules: spread it and
 * add your own.
 */
import * as presets from '../quantizers/presets.js'
import type { Choice, Rule } from './rules.js'

const scheme = (to: Choice): readonly Rule[] => Object.freeze([{ to: Object.freeze(to) }])

/** Percentiles of activations, as Brevitas collects them. */
const activations = {
  actQuant: presets.Int8ActPerTensorFloat,
  unsignedActQuant: presets.Uint8ActPerTensorFloat,
} as const
const perChannel = { weightQuant: presets.Int8WeightPerChannelFloat } as const

/**
 * Rules by name. Integers: weights with a scale per output channel, activations with a percentile; `w4a8` has 4 bits of
 * weights and 8 of activations.
 * `int4Weights` leaves activations float. `fixedPoint` has powers of two for scales. `e4m3` and `e5m2` are OCP's 8-bit
 * floats, `mxint8` groups of 32 that share an exponent.
 */
export const schemes = Object.freeze({
  int8: scheme({ ...perChannel, ...activations }),
  w4a8: scheme({ ...perChannel, ...activations, weightBitWidth: 4 }),
  w4a4: scheme({ ...perChannel, ...activations, weightBitWidth: 4, actBitWidth: 4 }),
  w3a8: scheme({ ...perChannel, ...activations, weightBitWidth: 3 }),
  w2a8: scheme({ ...perChannel, ...activations, weightBitWidth: 2 }),
  int8Weights: scheme(perChannel),
  int4Weights: scheme({ ...perChannel, weightBitWidth: 4 }),
  fixedPoint: scheme({
    weightQuant: presets.Int8WeightPerChannelFixedPoint,
    actQuant: presets.Int8ActPerTensorFixedPoint,
    unsignedActQuant: presets.Uint8ActPerTensorFixedPoint,
  }),
  e4m3: scheme({
    weightQuant: presets.Fp8e4m3OCPWeightPerChannelFloat,
    actQuant: presets.Fp8e4m3OCPActPerTensorFloat,
  }),
  e5m2: scheme({
    weightQuant: presets.Fp8e5m2OCPWeightPerChannelFloat,
    actQuant: presets.Fp8e5m2OCPActPerTensorFloat,
  }),
  mxint8: scheme({ weightQuant: presets.MXInt8Weight, actQuant: presets.MXInt8Act }),
})

/** The name of a scheme. */
export type SchemeName = keyof typeof schemes

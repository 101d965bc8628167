/** fast-check arbitraries for quantizers: every preset, and compositions of their options. */
import fc from 'fast-check'
import { demand, demandArguments, fieldProblems, flag, oneOf, required } from '../data/fields.js'
import { ROUNDING_OPS } from '../ops/rounding.js'
import * as presets from '../quantizers/presets.js'
import { withOptions, type Quantizer, type QuantizerOptions } from '../quantizers/quantizer.js'
import { quantizerProblems } from '../quantizers/resolve.js'

/** Which quantizers may be drawn. */
export type QuantizerArbOptions = {
  /** Presets alone, with nothing but the options that they ask for (default false). */
  readonly presets?: boolean
  /** Integers alone: no minifloats (default false). */
  readonly integers?: boolean
}

const OPTIONS = { presets: flag, integers: flag }

/** A drawn quantizer, and the code that makes it. */
export type DrawnQuantizer = { readonly quantizer: Quantizer; readonly code: string }

const isPreset = (x: unknown): x is Quantizer =>
  typeof x === 'object' && x !== null && 'quantType' in x && 'scalingImplType' in x

/** Scales per channel of an activation, and statistics along its axes, need a shape that is not known here. */
const isPlain = (p: Quantizer): boolean =>
  p.use !== 'act' || (!p.scalingPerOutputChannel && p.scalingStatsPermuteDims === null)

const PRESETS: readonly Quantizer[] = Object.values<unknown>(presets).filter(isPreset).filter(isPlain)

/** What a preset leaves to whoever uses it. */
const asked = (p: Quantizer): QuantizerOptions => ({
  ...(p.quantType === 'FLOAT' && p.exponentBitWidth === null
    ? { bitWidth: 6, exponentBitWidth: 3, mantissaBitWidth: 2 }
    : {}),
  ...(p.scalingOver === 'GROUP' ? { groupSize: 2 } : {}),
  ...(p.scalingImplType === 'PARAMETER' || (p.scalingImplType === 'CONST' && p.use === 'act')
    ? { minVal: -1, maxVal: 1, scalingInit: 1 }
    : {}),
})

const ROUNDINGS = Object.keys(ROUNDING_OPS)

/** Options of integer quantizers that go with most presets; those that do not are drawn again. */
const composed = (p: Quantizer): fc.Arbitrary<QuantizerOptions> => {
  if (p.quantType !== 'INT') return fc.constant({})
  const learns = p.use === 'act' && p.scalingImplType === 'PARAMETER_FROM_STATS'
  return fc.record(
    {
      bitWidth: fc.integer({ min: 2, max: 8 }),
      narrowRange: fc.boolean(),
      floatToIntImplType: fc.constantFrom(...ROUNDINGS),
      ...(p.restrictScalingType === 'FP' ? { restrictScalingType: fc.constantFrom('FP', 'LOG_FP') } : {}),
      ...(learns
        ? {
            scalingStatsOp: fc.constantFrom('MAX', 'PERCENTILE', 'AVE'),
            collectStatsSteps: fc.integer({ min: 1, max: 4 }),
          }
        : {}),
    },
    { requiredKeys: [] },
  ) as fc.Arbitrary<QuantizerOptions>
}

const codeOf = (p: Quantizer, options: QuantizerOptions): string =>
  Object.keys(options).length === 0
    ? p.name
    : `withOptions({ ${Object.entries(options)
        .map(([k, v]) => `${k}: ${typeof v === 'string' ? `'${v}'` : JSON.stringify(v)}`)
        .join(', ')} })(${p.name})`

/** Quantizers with the code that makes them. */
export const drawnQuantizerArb = (
  use: Quantizer['use'],
  { presets: bare = false, integers = false }: QuantizerArbOptions = {},
): fc.Arbitrary<DrawnQuantizer> =>
  fc
    .constantFrom(...PRESETS.filter((p) => p.use === use && (!integers || p.quantType === 'INT')))
    .chain((p) => fc.tuple(fc.constant(p), bare ? fc.constant({}) : composed(p)))
    .map(([p, more]) => {
      const options = { ...asked(p), ...more }
      return { quantizer: withOptions(options)(p), code: codeOf(p, options) }
    })
    .filter(({ quantizer }) => quantizerProblems(quantizer).length === 0)

/**
 * A quantizer that a layer accepts: any preset for activations, weights or biases, with the options that it asks for (groups are of 2, minifloats 3
 * and 2 bits wide, ranges -1 … 1) and, unless `presets` is set, others drawn beside them: bit width, narrow range, rounding, restriction of the
 * scale, statistic, steps of collection. Accumulator-aware ones need a layer whose input is quantized. Those with a scale per channel of an activation are left out, because they need the layer's shape.
 * Throws on options that it does not know.
 * @example
 * fc.assert(fc.property(quantizerArb('act'), tensorArb([6]), (quantizer, x) => …))
 */
export const quantizerArb = (use: Quantizer['use'], options: QuantizerArbOptions = {}): fc.Arbitrary<Quantizer> => {
  demandArguments('quantizerArb', { use }, { use: required(oneOf('act', 'weight', 'bias')) })
  demand(fieldProblems('quantizerArb', options, OPTIONS))
  return drawnQuantizerArb(use, options).map(({ quantizer }) => quantizer)
}

/** What multi-head attention is made of: its options, its projections, its parameters and state (SEMANTICS-3, 4). */
import type { QuantError } from '../../data/error.js'
import { byDefault, count, flag, fraction, required, type OptionsOf } from '../../data/fields.js'
import { normal, xavierUniform, type Generator } from '../../data/random.js'
import type { Tensor } from '../../data/tensor.js'
import type { Value } from '../../graph/op.js'
import { Int32Bias, Int8ActPerTensorFloat, Int8WeightPerTensorFloat } from '../../quantizers/presets.js'
import { PLACES, type AttendingState } from './attending.js'
import { constantLeaf, type LeafSpec, type SpecTree } from './layer.js'
import { recordOf, type Given } from './options.js'
import { behindPlaces, placeFields, type PlaceOptions, type Quantizers } from './places.js'
import type { Inside } from './quantizedLayer.js'
import type { WeightLayer, WeightParams, WeightState } from './weightLayer.js'
import { QuantLinear } from './weightLayers.js'

/** The layer's name. */
export const NAME = 'QuantMultiheadAttention'

const act = { fallback: Int8ActPerTensorFloat, use: 'act' } as const
const weight = { fallback: Int8WeightPerTensorFloat, use: 'weight' } as const
const bias = { fallback: Int32Bias, use: 'bias' } as const
/** Quantizers of the projections, as QuantLinear has them, behind `inProj` and `outProj`; they stand in these layers. */
const PROJECTIONS = {
  /** Of query, key and value. Default Int8ActPerTensorFloat. */
  inProjInputQuant: { ...act, prefix: 'inProjInput' },
  /** Default Int8WeightPerTensorFloat. */
  inProjWeightQuant: { ...weight, prefix: 'inProjWeight' },
  /** Default Int32Bias. */
  inProjBiasQuant: { ...bias, prefix: 'inProjBias' },
  /** Of what the heads give. Default Int8ActPerTensorFloat. */
  outProjInputQuant: { ...act, prefix: 'outProjInput' },
  /** Default Int8WeightPerTensorFloat. */
  outProjWeightQuant: { ...weight, prefix: 'outProjWeight' },
  /** Default Int32Bias. */
  outProjBiasQuant: { ...bias, prefix: 'outProjBias' },
  /** None by default. */
  outProjOutputQuant: { fallback: null, use: 'act', prefix: 'outProjOutput' },
} as const
/** Options of the projections. */
export const PROJECTION_FIELDS = {
  ...placeFields(Object.entries(PROJECTIONS)),
  ...behindPlaces(Object.entries(PROJECTIONS)),
}

const CALL = {
  /** Give the weights too (default true). */
  needWeights: flag,
  /** Their mean over the heads (default), or one matrix per head. */
  averageAttnWeights: flag,
}
/** What a call gives beside the result. */
export interface MultiheadCall extends OptionsOf<typeof CALL> {}
/**
 * Operands of multi-head attention: `[L, N, E]` (`batchFirst`: `[N, L, E]`), or `[L, E]` without a batch. Without key and value they are the query.
 * Masks: true (or a float, which is added) hides; `attnMask [L, S]` or `[N*heads, L, S]`, `keyPaddingMask [N, S]`.
 */
export type MultiheadInput = MultiheadCall & {
  readonly query: Value
  readonly key?: Value
  readonly value?: Value
  readonly keyPaddingMask?: Value
  readonly attnMask?: Value
}
/** The result, and the quantized weights where they were asked for. */
export type MultiheadOutput = { readonly y: Value; readonly weights?: Value }

const { sdpaOutputQuant: _none, ...HERE } = PLACES
/** Quantizers between the projections. */
export { HERE }

/** Options of its own. */
export const OWN = {
  embedDim: required(count),
  numHeads: required(count),
  /** Probability with which weights are dropped in training (default 0). */
  dropout: byDefault(fraction, 0),
  /** Biases of the projections (default true). */
  bias: byDefault(flag, true),
  /** A learned key and value behind the others (default false). */
  addBiasKv: byDefault(flag, false),
  /** A key and a value of zeros behind the others (default false). */
  addZeroAttn: byDefault(flag, false),
  /** Features of the keys (default: embedDim). */
  kdim: count,
  /** Features of the values (default: embedDim). */
  vdim: count,
  /** One projection for query, key and value, which must then be one tensor (default true). */
  packedInProj: byDefault(flag, true),
  /** Operands and result are `[N, L, E]` instead of `[L, N, E]` (default false). */
  batchFirst: byDefault(flag, false),
  /** Give a quant tensor (default false). */
  returnQuantTensor: byDefault(flag, false),
  ...CALL,
}
/** Options of QuantMultiheadAttention. */
export interface MultiheadOptions
  extends OptionsOf<typeof OWN>, PlaceOptions<typeof HERE>, PlaceOptions<typeof PROJECTIONS> {}

/** Parameters: of `inProj`, or of `qProj`, `kProj`, `vProj`; of `outProj`; and the added key and value. */
export type MultiheadParams = {
  readonly inProj?: WeightParams
  readonly qProj?: WeightParams
  readonly kProj?: WeightParams
  readonly vProj?: WeightParams
  readonly outProj: WeightParams
  readonly biasK?: Tensor
  readonly biasV?: Tensor
}
/** State of the projections and of the attention's own quantizers. */
export type MultiheadState = Omit<AttendingState, 'sdpaOutputQuant'> & {
  readonly inProj?: WeightState
  readonly qProj?: WeightState
  readonly kProj?: WeightState
  readonly vProj?: WeightState
  readonly outProj: WeightState
}

/** Options behind a prefix, without it: `inProjWeightBitWidth` is `weightBitWidth` of `inProj`. */
const behind = (given: Given, prefix: string): Given =>
  Object.fromEntries(
    Object.entries(given).flatMap(([k, v]) => {
      const rest = k.startsWith(prefix) ? k.slice(prefix.length) : ''
      return /^[A-Z]/.test(rest) ? [[rest.charAt(0).toLowerCase() + rest.slice(1), v] as const] : []
    }),
  )

/** A QuantLinear whose options stand behind a prefix; what is wrong with them is told by their full names. */
const projection = (
  given: Given,
  prefix: 'inProj' | 'outProj',
  sizes: { readonly inFeatures: number; readonly outFeatures: number; readonly returnQuantTensor: boolean },
  weight: LeafSpec['init'] | null,
): WeightLayer => {
  const layer = QuantLinear({
    inputQuant: Int8ActPerTensorFloat,
    weightQuant: Int8WeightPerTensorFloat,
    biasQuant: Int32Bias,
    ...behind(given, prefix),
    ...sizes,
    bias: given.bias !== false,
  })
  const problems = layer.problems.map((p) =>
    p.tag === 'ConfigError' ? { ...p, option: `${prefix}${p.option.charAt(0).toUpperCase()}${p.option.slice(1)}` } : p,
  )
  const { inFeatures, outFeatures } = sizes
  const drawn = weight === null ? {} : { weight: { shape: [outFeatures, inFeatures], learned: true, init: weight } }
  const redrawn = (tree: SpecTree): SpecTree => ({
    ...tree,
    ...('weight' in tree ? drawn : {}),
    ...('bias' in tree ? { bias: constantLeaf([outFeatures], 0, true) } : {}),
  })
  return {
    ...layer,
    problems,
    params: redrawn(layer.params),
    state: 'weight' in layer.state ? redrawn(layer.state) : layer.state,
  }
}

/** Heads that the features can't be split among. */
export const headProblems = ({ embedDim, numHeads }: MultiheadOptions): readonly QuantError[] =>
  embedDim % numHeads === 0
    ? []
    : [
        {
          tag: 'ConfigError',
          option: 'numHeads',
          path: '',
          message: `${NAME}: embed_dim must be divisible by num_heads, but ${embedDim} features can't be split among ${numHeads} heads`,
          fix: 'choose a number of heads that divides embedDim',
        },
      ]

/** Names of projections. */
export type ProjectionName = 'inProj' | 'qProj' | 'kProj' | 'vProj' | 'outProj'
/** Projections by name. */
export type Projections = { readonly [name in ProjectionName]?: WeightLayer }

/** Is there one projection for query, key and value? */
export const isPacked = (o: MultiheadOptions): boolean =>
  o.packedInProj !== false && [o.kdim, o.vdim].every((n) => n === undefined || n === o.embedDim)

/** The projections that the options ask for. */
export const projectionsOf = (o: MultiheadOptions): Projections => {
  const given = recordOf(o)
  const xavier = (inFeatures: number, outFeatures: number) => (g: Generator) => {
    const [t, next] = xavierUniform()([outFeatures, inFeatures])(g)
    return [t, next] as const
  }
  const into = (inFeatures: number, outFeatures: number): WeightLayer =>
    projection(given, 'inProj', { inFeatures, outFeatures, returnQuantTensor: false }, xavier(inFeatures, outFeatures))
  const e = o.embedDim
  return {
    ...(isPacked(o)
      ? { inProj: into(e, 3 * e) }
      : { qProj: into(e, e), kProj: into(o.kdim ?? e, e), vProj: into(o.vdim ?? e, e) }),
    outProj: projection(
      given,
      'outProj',
      { inFeatures: e, outFeatures: e, returnQuantTensor: o.returnQuantTensor === true },
      null,
    ),
  }
}

/** The layers of the projections, and all quantizers by where they stand. */
export const insideOf = (layers: Projections, found: Quantizers<typeof HERE>): Inside => ({
  quantizers: {
    ...found,
    ...Object.fromEntries(
      Object.entries(layers).flatMap(([name, l]) =>
        Object.entries(l.source?.quantizers ?? {}).map(([place, q]) => [`${name}.${place}`, q] as const),
      ),
    ),
  },
  layers: Object.fromEntries(Object.entries(layers).map(([name, l]) => [name, l.config] as const)),
})

/** Xavier normal: the standard deviation of a key or value that is added. */
export const addedLeaf = (e: number): LeafSpec => ({
  shape: [1, 1, e],
  learned: true,
  init: (g) => {
    const [t, next] = normal(0, Math.fround(Math.sqrt(2 / (e + e))), [1, 1, e])(g)
    return [t, next]
  },
})

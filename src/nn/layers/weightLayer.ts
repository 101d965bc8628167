/** What all layers with weights share: their options, places, state, and what is wrong with them. */
import { failure, type QuantError } from '../../data/error.js'
import { byDefault, flag, resolvedBy, type OptionsOf, type Resolved } from '../../data/fields.js'
import { sizeOf, type Shape } from '../../data/shape.js'
import type { Kit, Value } from '../../graph/op.js'
import { searchProblem } from '../../quantizers/gridChecks.js'
import { groupProblem } from '../../quantizers/layout.js'
import { Int8WeightPerTensorFloat } from '../../quantizers/presets.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import { absorbing } from './absorb.js'
import { brokenLayer } from './checks.js'
import type { Layer, LeafSpec, SpecTree, Traced } from './layer.js'
import { recordOf, type Schema } from './options.js'
import { assembled, type Built, type Place, type PlaceOptions, type ReturnOption } from './quantizedLayer.js'
import { actSpec } from './quantizing.js'
import { isBinary, uniformLeaf, weightSpec } from './weighing.js'
import { forward, weighed, type Kind, type Weighted, type WeightParams, type WeightState } from './weightForward.js'

export type { Kind, WeightParams, WeightState } from './weightForward.js'

/** Where a layer with weights has quantizers. */
export const WEIGHT_PLACES = {
  /** The input; none by default. */
  inputQuant: { fallback: null, prefix: 'input', use: 'act' },
  /** Default Int8WeightPerTensorFloat; null disables it. */
  weightQuant: { fallback: Int8WeightPerTensorFloat, prefix: 'weight', use: 'weight' },
  /** None by default: the bias is a float. */
  biasQuant: { fallback: null, prefix: 'bias', use: 'bias' },
  /** The output; none by default. */
  outputQuant: { fallback: null, prefix: 'output', use: 'act' },
} as const

type WeightPlaces = { readonly [P in keyof typeof WEIGHT_PLACES]: Place | null }

const NO_PLACES: WeightPlaces = { inputQuant: null, weightQuant: null, biasQuant: null, outputQuant: null }

/** The options of all layers with weights, beside their geometry. */
export const BIAS = {
  /** Add a learned bias (default true). */
  bias: byDefault(flag, true),
}
const QUANTIZED = {
  /**
   * Right metadata where Brevitas' is a quirk (default false): a per-channel quantized bias keeps the zero point 0, and a
   * transposed convolution counts its products for the bit width by multiplying over the axes instead of adding.
   */
  correctMetadata: byDefault(flag, false),
}

/** Options of the quantizers of a layer with weights. */
export interface WeightQuantizers
  extends PlaceOptions<typeof WEIGHT_PLACES>, ReturnOption, OptionsOf<typeof QUANTIZED> {}

/** A layer whose quantized weight can be asked for. */
export interface WeightLayer extends Layer<WeightParams, WeightState> {
  /** The quantized weight as a forward sees it. */
  quantWeight(params: Traced<WeightParams>, state: Traced<WeightState>, kit: Kit): Value
  /**
   * One forward of the weight quantizer alone: the quantized weight and the layer's state after it. `input` is a quant input for
   * accumulator-aware weights, of which only bit width and sign matter.
   */
  forwardWeight(
    params: Traced<WeightParams>,
    state: Traced<WeightState>,
    kit: Kit,
    input?: Value,
  ): readonly [Value, Traced<WeightState>]
}

/** A layer with weights before its options are known. */
export type Made<F extends Schema> = {
  readonly name: string
  /** Has it quantizers? torch's own have none. */
  readonly quantized: boolean
  /** The axis of its input that is cut into groups where groups are asked for: that of the input channels. */
  readonly inputAxis: number
  /** Options of its own. */
  readonly own: F
  /** What only several options together can do wrong; asked of options that are right one by one. */
  readonly problems: (options: Resolved<F>) => readonly QuantError[]
  /** `correct`: with right metadata where Brevitas' is a quirk. */
  readonly kindOf: (options: Resolved<F>, correct: boolean) => Kind
}

type WeightBuilt = Built<WeightParams, WeightState, Value, Value> &
  Pick<WeightLayer, 'quantWeight' | 'forwardWeight' | 'absorb'>

/** The layer that its options ask for; options that it does not know, and values out of range, are errors of its configuration. */
export const weightLayer = <F extends Schema>(made: Made<F>, options: object): WeightLayer => {
  const given = recordOf(options)
  const own = resolvedBy(given, made.own)
  const { correctMetadata: correct } = resolvedBy(given, QUANTIZED)
  const decides = { groupDim: made.inputAxis }
  const quantized = { ...WEIGHT_PLACES, inputQuant: { ...WEIGHT_PLACES.inputQuant, decides } }
  const done = assembled<Schema, WeightPlaces, WeightParams, WeightState, Value, Value, WeightBuilt>({
    name: made.name,
    options,
    own: { ...made.own, ...(made.quantized ? QUANTIZED : {}) },
    places: made.quantized ? quantized : NO_PLACES,
    problems: ({ weightQuant }) => {
      const wrong = made.problems(own)
      return wrong.length > 0 || weightQuant === null
        ? wrong
        : weightProblems(made.name, weightQuant, made.kindOf(own, correct))
    },
    ...(made.quantized ? {} : { twin: { layer: `Quant${made.name}`, options: given } }),
    build: (quantizers, _own, returnQuantTensor) => {
      const kind = made.kindOf(own, correct)
      const { weightQuant: weight, inputQuant: input, outputQuant: output } = quantizers
      const absorb = absorbing({
        kind,
        quantizers: { input, weight, output },
        weightState: weightSpec(weight, kind.weightShape, kind.axis),
        withBias: () => weightLayer(made, { ...options, bias: true }),
        self: () => weightLayer(made, options),
      })
      const layer = { name: made.name, kind, quantizers, correct, returnQuantTensor }
      return { ...builtLayer(layer, given.bias !== false), absorb }
    },
  })
  if ('layer' in done) return done.layer
  const fails = (): never => {
    throw failure(done.problems)
  }
  return { ...brokenLayer(made.name, done.problems), quantWeight: fails, forwardWeight: fails }
}

/** What is wrong with a weight quantizer for a weight of this shape: groups that are longer than the axis, searches that don't know the rank. */
const weightProblems = (layer: string, q: Quantizer, kind: Kind): readonly QuantError[] => {
  const inGroups = q.scalingOver === 'GROUP'
  const group = inGroups ? groupProblem({ ...q, groupDim: 1 - kind.axis }, { shape: kind.weightShape }) : null
  const search = searchProblem(q, kind.weightShape.length)
  const said = (option: string, { refuse, fix }: { readonly refuse: string; readonly fix: string }): QuantError => ({
    tag: 'ConfigError',
    option,
    path: '',
    message: `${layer}: ${refuse}`,
    fix: fix.replace('groupSize', 'weightGroupSize'),
  })
  return [
    ...(group === null ? [] : [said('weightGroupSize', group)]),
    ...(search === null ? [] : [said('weightQuant', search)]),
  ]
}

const leafOf = (shape: Shape, fanIn: number): LeafSpec => uniformLeaf(shape, fanIn > 0 ? 1 / Math.sqrt(fanIn) : 0)

/** Parameters, state and forwards of a layer with weights. */
const builtLayer = (layer: Weighted, hasBias: boolean): Omit<WeightBuilt, 'absorb'> => {
  const { kind, quantizers: q } = layer
  const fanIn = sizeOf(kind.weightShape.slice(1))
  const weight = leafOf(kind.weightShape, fanIn)
  const params: SpecTree = {
    ...(isBinary(q.weightQuant) ? {} : { weight }),
    ...(hasBias ? { bias: leafOf([kind.biasSize], fanIn) } : {}),
  }
  const state: SpecTree = {
    ...(isBinary(q.weightQuant) ? { weight } : {}),
    inputQuant: actSpec(q.inputQuant),
    outputQuant: actSpec(q.outputQuant),
    weightQuant: weightSpec(q.weightQuant, kind.weightShape, kind.axis),
  }
  return {
    params,
    state,
    quantWeight: (p, s, kit) => weighed(layer, p, s, kit, null)[0],
    forwardWeight: (p, s, kit, input) => {
      const [w, weightQuant, clamped] = weighed(layer, p, s, kit, input ?? null)
      return [w, { ...s, weightQuant, ...(clamped === undefined ? {} : { weight: clamped }) }]
    },
    apply: forward(layer),
  }
}

/** What all layers with weights share: quantizers of input, weight, bias and output around one product (SEMANTICS 9 and 12). */
import { failure, type QuantError } from '../../data/error.js'
import { flag } from '../../data/fields.js'
import { gridOf, integersOf, quantOf } from '../../data/quant.js'
import { sizeOf, type Shape } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import { isInvalid } from '../../graph/builder.js'
import type { Kit, Value } from '../../graph/op.js'
import { searchProblem } from '../../quantizers/gridChecks.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import { quantizeBias } from '../../quantizers/weight.js'
import type { QuantizerState } from '../../quantizers/activation.js'
import { groupProblem } from '../../quantizers/layout.js'
import { NOT_CONFIGURED } from './activationLayers.js'
import { dequantize, isQuantValue, reshape } from '../functions/index.js'
import { demandValue } from '../functions/support.js'
import { absorbing } from './absorb.js'
import { brokenLayer } from './checks.js'
import type { Layer, LeafSpec, SpecTree, Traced } from './layer.js'
import { recordOf, type Given, type Prefixed } from './options.js'
import { assembled, bare, type Built, type Place, type Quantizers, type Schema } from './quantizedLayer.js'
import { actSpec, throughQuantizer, type QuantState } from './quantizing.js'
import { isBinary, uniformLeaf, weigh, weightSpec } from './weighing.js'

/** Quantizers of a layer with weights. */
export type WeightQuantizers = Prefixed<'weight'> &
  Prefixed<'bias'> &
  Prefixed<'input'> &
  Prefixed<'output'> & {
    /** Default Int8WeightPerTensorFloat; null disables it. */
    readonly weightQuant?: Quantizer | null
    /** None by default: the bias is a float. */
    readonly biasQuant?: Quantizer | null
    readonly inputQuant?: Quantizer | null
    readonly outputQuant?: Quantizer | null
    /** Give a quant tensor instead of its plain value (default false). */
    readonly returnQuantTensor?: boolean
    /**
     * Right metadata where Brevitas' is a quirk (default false): a per-channel quantized bias keeps the zero point 0, and a
     * transposed convolution counts its products for the bit width by multiplying over the axes instead of adding.
     */
    readonly correctMetadata?: boolean
  }
/** Float parameters; a binary layer keeps its weight in state, because each forward clamps it. */
export type WeightParams = { readonly weight?: Tensor; readonly bias?: Tensor }
/** State of the quantizers. */
export type WeightState = {
  readonly inputQuant: QuantState
  readonly weightQuant: QuantState
  readonly outputQuant: QuantState
  readonly weight?: Tensor
}

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
export type Made<O> = {
  readonly name: string
  readonly fallback: Quantizer | null
  /** The axis of its input that is cut into groups where groups are asked for: that of the input channels. */
  readonly inputAxis: number
  /** Options of its geometry. */
  readonly geometry: Schema
  /** What only several options together can do wrong; asked of options that are right one by one. */
  readonly problems: (options: O) => readonly QuantError[]
  readonly kindOf: (options: O) => Kind
}

/** What tells the layers with weights apart. */
export type Kind = {
  readonly weightShape: Shape
  readonly biasSize: number
  /** Axis of the output channels in the weight. */
  readonly axis: number
  readonly groups: number
  /** Does each output element see each weight of its kernel exactly once (nothing padded with zeros, nothing left out)? */
  readonly whole: boolean
  readonly channelLast: boolean
  /** Spatial axes of a convolution; an input of one axis less than [N, C, …] is a single sample. Null: a linear layer. */
  readonly spatial: number | null
  readonly compute: (x: Value, w: Value) => Value
}

const leafOf = (shape: Shape, fanIn: number): LeafSpec => uniformLeaf(shape, fanIn > 0 ? 1 / Math.sqrt(fanIn) : 0)

type PlaceName = 'inputQuant' | 'weightQuant' | 'biasQuant' | 'outputQuant'

/** The scale of the accumulator y of x and w as a flat list, or null where input or weight is plain. */
export const accumulatorScale = (x: Value, w: Value, y: Value, kit: Kit): Value | null => {
  const [qx, qw, qy] = [x, w, y].map((v) => integersOf(v.carried))
  if (qx === null || qw === null) return null
  const s =
    qy !== null
      ? kit.value(qy.scale)
      : kit.emit('mul', [
          kit.emit('reshape', [kit.value(qx.scale)], { shape: [sizeOf(kit.value(qx.scale).shape)] }),
          kit.emit('reshape', [kit.value(qw.scale)], { shape: [sizeOf(kit.value(qw.scale).shape)] }),
        ])
  return kit.emit('reshape', [s], { shape: [sizeOf(s.shape)] })
}

/** Has each row of the last axis a scale of its own, and are they several? */
const isPerRow = (x: Value): boolean => {
  const q = integersOf(x.carried)
  const scale = q === null ? [] : x.kit.value(q.scale).shape
  return scale.length === x.shape.length && scale[scale.length - 1] === 1 && sizeOf(scale) > 1
}

const withBias = (
  kind: Kind,
  q: Quantizer | null,
  correct: boolean,
  bias: Value | undefined,
  x: Value,
  w: Value,
  y: Value,
): Value => {
  const { kit } = y
  if (bias === undefined || isInvalid(y)) return y
  if (kind.channelLast && integersOf(w.carried) !== null && isPerRow(x))
    return kit.fail({
      op: 'bias',
      tag: 'ConfigError',
      refuse:
        'a bias is added to what has a scale per row of the input: its rows would be compared with the channels of the bias',
      fix: 'give bias: false and add a bias to the result, or quantize the input with one scale',
    })
  const axis = kind.channelLast ? y.shape.length - 1 : 1
  if (q === null)
    return kit.emit('add', [
      y,
      kit.emit('reshape', [bias], { shape: y.shape.map((_, i) => (i === axis ? kind.biasSize : 1)) }),
    ])
  const s = q.biasScale === 'external' ? accumulatorScale(x, w, y, kit) : null
  const b = kit.scoped('biasQuant', () => quantizeBias(q, kit, bias, s, () => plainOperand(kit, x, w) ?? ''))
  const sameScale = s !== null && (correct || kind.channelLast || sizeOf(s.shape) === 1)
  return kit.emit('addBias', [y, b], { axis, sameScale })
}

/** Which operand of a product is plain, and where it lost its metadata; null where both are quant tensors. */
export const plainOperand = (kit: Kit, x: Value, w: Value): string | null => {
  const plain = [[x, 'the input'] as const, [w, 'the weight'] as const].find(([v]) => !isQuantValue(v))
  return plain === undefined ? null : `${plain[1]} is a plain tensor: ${kit.whyPlain(plain[0])}`
}

/** The kit with which to say what is wrong: one that keeps silent where an operand failed already. */
export const sayingOf = (kit: Kit, ...values: readonly Value[]): Kit => values.find(isInvalid)?.kit ?? kit

/** What a layer that was asked for a quant tensor says when it can't give one. */
const refusal = (name: string, kit: Kit, x: Value, w: Value, y: Value): Value =>
  sayingOf(kit, x, w, y).failWith({
    tag: 'LayerError',
    layer: name,
    path: kit.path(),
    message: `${NOT_CONFIGURED}: ${name} was asked for a quant tensor (returnQuantTensor: true), but ${plainOperand(kit, x, w) ?? `the result is a plain tensor: ${kit.whyPlain(y)}`}`,
    fix: 'give it an outputQuant, quantize input and weight with zero point 0, or drop returnQuantTensor',
  })

/**
 * The input of a layer that must give a quant tensor of its product. Whether a quantized bias on per-channel scales made its
 * zero point 0 only numbers tell (`TracedZeroPoint`): a check, which fails the run as Brevitas does.
 */
const withZeroPointOf0 = (name: string, x: Value, w: Value): Value => {
  const [qx, qw] = [quantOf(x.carried), quantOf(w.carried)]
  return qx?.zero !== 'equalScales' || qw?.zero !== 'zero'
    ? x
    : x.kit.emit('checkZero', [x, x.kit.value(qx.zeroPoint)], {
        message: `${NOT_CONFIGURED}: ${name} was asked for a quant tensor (returnQuantTensor: true), but its input's zero point is not 0: its channels have different scales, on which a quantized bias lies`,
      })
}

/** A result without its batch axis; metadata per channel would have to lose that axis too, and is dropped. */
const oneSample = (y: Value, kit: Kit): Value => {
  if (isInvalid(y)) return y
  const q = gridOf(y.carried)
  const perChannel = q !== null && [q.scale, q.zeroPoint].some((id) => sizeOf(kit.value(id).shape) > 1)
  return reshape(
    perChannel
      ? dequantize(y, 'a single sample has no batch axis, but its per-channel metadata has one; give it a batch of 1')
      : y,
    y.shape.slice(1),
  )
}

type WeightBuilt = Built<WeightParams, WeightState, Value, Value> &
  Pick<WeightLayer, 'quantWeight' | 'forwardWeight' | 'absorb'>

/** The quantizers of a layer with weights; none in torch's own. */
const placesOf = ({ fallback, inputAxis }: Made<never>): { readonly [P in PlaceName]: Place | null } =>
  fallback === null
    ? { inputQuant: null, weightQuant: null, biasQuant: null, outputQuant: null }
    : {
        inputQuant: { fallback: null, prefix: 'input', use: 'act', decides: { groupDim: inputAxis } },
        weightQuant: { fallback, prefix: 'weight', use: 'weight' },
        biasQuant: { fallback: null, prefix: 'bias', use: 'bias' },
        outputQuant: { fallback: null, prefix: 'output', use: 'act' },
      }

/** The layer that its options ask for; options that it does not know, and values out of range, are errors of its configuration. */
export const weightLayer = <O extends object>(made: Made<O>, options: O): WeightLayer => {
  const kindOf = (): Kind => made.kindOf(options)
  const done = assembled<PlaceName, WeightParams, WeightState, Value, Value, WeightBuilt>({
    name: made.name,
    options,
    own: { ...made.geometry, bias: flag, ...(made.fallback === null ? {} : { correctMetadata: flag }) },
    places: placesOf(made),
    problems: ({ weightQuant }) => {
      const wrong = made.problems(options)
      return wrong.length > 0 || weightQuant === null ? wrong : weightProblems(made.name, weightQuant, kindOf())
    },
    ...(made.fallback === null ? { twin: { layer: `Quant${made.name}`, options: recordOf(options) } } : {}),
    build: (q, returnQuantTensor) => {
      const kind = kindOf()
      const absorb = absorbing({
        kind,
        quantizers: { input: q.inputQuant, weight: q.weightQuant, output: q.outputQuant },
        weightState: weightSpec(q.weightQuant, kind.weightShape, kind.axis),
        withBias: () => weightLayer(made, { ...options, bias: true }),
        self: () => weightLayer(made, options),
      })
      return { ...builtLayer(made.name, q, recordOf(options), kind, returnQuantTensor), absorb }
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
  const group = groupProblem({ ...q, groupDim: 1 - kind.axis }, { shape: kind.weightShape })
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

const builtLayer = (
  name: string,
  q: Quantizers<PlaceName>,
  options: Given,
  kind: Kind,
  returnQuantTensor: boolean,
): Omit<WeightBuilt, 'absorb'> => {
  const fanIn = sizeOf(kind.weightShape.slice(1))
  const weight = leafOf(kind.weightShape, fanIn)
  const params: SpecTree = {
    ...(isBinary(q.weightQuant) ? {} : { weight }),
    ...(options.bias === false ? {} : { bias: leafOf([kind.biasSize], fanIn) }),
  }
  const state: SpecTree = {
    ...(isBinary(q.weightQuant) ? { weight } : {}),
    inputQuant: actSpec(q.inputQuant),
    outputQuant: actSpec(q.outputQuant),
    weightQuant: weightSpec(q.weightQuant, kind.weightShape, kind.axis),
  }
  /** The quantized weight, the state of its quantizer, and the clamped float weight of a binary layer. */
  const weighed = (
    p: Traced<WeightParams>,
    s: Traced<WeightState>,
    kit: Kit,
    input: Value | null = null,
  ): readonly [Value, QuantizerState, Value | undefined] => {
    const stored = p.weight ?? s.weight
    if (stored === undefined)
      return [
        kit.failWith({
          tag: 'InputError',
          input: 'weight',
          path: kit.path(),
          message: `${name} was called without a weight`,
          fix: 'pass params and state of this layer',
        }),
        {},
        undefined,
      ]
    const place = kit.path() === '' ? '' : `${kit.path()}.`
    const own = { value: stored, leaf: `${place}weight` }
    const at = { axis: kind.axis, leaf: `${place}weightQuant`, input }
    const done = weigh(q.weightQuant, kit, s.weightQuant, [own], at)
    return [done.weights[0], done.state, done.clamped?.[0]]
  }
  return {
    params,
    state,
    quantWeight: (p, s, kit) => weighed(p, s, kit)[0],
    forwardWeight: (p, s, kit, input) => {
      const [w, weightQuant, clamped] = weighed(p, s, kit, input ?? null)
      return [w, { ...s, weightQuant, ...(clamped === undefined ? {} : { weight: clamped }) }]
    },
    apply: (p, s, x, kit) => {
      demandValue(name, x)
      const [x1, inputQuant] = throughQuantizer(q.inputQuant, kit, s.inputQuant, x, 'inputQuant')
      const [w, weightQuant, clamped] = weighed(p, s, kit, x1)
      const single = kind.spatial !== null && x1.shape.length === kind.spatial + 1
      const whole = single ? reshape(x1, [1, ...x1.shape]) : x1
      const batch = returnQuantTensor && q.outputQuant === null ? withZeroPointOf0(name, whole, w) : whole
      const sums = withBias(
        kind,
        q.biasQuant,
        options.correctMetadata === true,
        p.bias,
        batch,
        w,
        kind.compute(batch, w),
      )
      const y = single ? oneSample(sums, kit) : sums
      const [out, outputQuant] = throughQuantizer(q.outputQuant, kit, s.outputQuant, y, 'outputQuant')
      const after: Traced<WeightState> = {
        inputQuant,
        weightQuant,
        outputQuant,
        ...(clamped === undefined ? {} : { weight: clamped }),
      }
      if (!returnQuantTensor) return [bare(name, out), after]
      return [isQuantValue(out) ? out : refusal(name, kit, x1, w, y), after]
    },
  }
}

/** Layers with weights: QuantLinear, QuantConv1d/2d/3d, QuantConvTranspose1d/2d/3d and torch's float ones (SEMANTICS 9 and 12). */
import type { QuantError } from '../data/error.js'
import { quantOf } from '../data/quant.js'
import { uniform } from '../data/random.js'
import { sizeOf, type Shape } from '../data/shape.js'
import type { Tensor } from '../data/tensor.js'
import { isInvalid } from '../graph/builder.js'
import type { Kit, Value } from '../graph/op.js'
import { Int8WeightPerTensorFloat } from '../quantizers/presets.js'
import type { Quantizer } from '../quantizers/quantizer.js'
import { quantizeBias, quantizeWeight, weightState } from '../quantizers/weight.js'
import type { QuantizerState } from '../quantizers/activation.js'
import { NOT_CONFIGURED } from './activationLayers.js'
import { dequantize, isQuantValue, pad, reshape, type PadMode } from './functions.js'
import type { Layer, LeafSpec, SpecTree, Traced } from './layer.js'
import { chosen, optionsOf, unknownOptions, type Given, type Prefixed } from './options.js'
import { actSpec, optionalConfig, quantizerSpec, throughQuantizer, type QuantState } from './quantizing.js'

/** Quantizers of a layer with weights. */
export type WeightQuantizers = Prefixed<'weight'> & Prefixed<'bias'> & Prefixed<'input'> & Prefixed<'output'> & {
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
/** QuantLinear. */
export type LinearOptions = { readonly inFeatures: number; readonly outFeatures: number; readonly bias?: boolean }
type PerAxis = number | readonly number[]
/** Convolutions. `padding: 'same'` gives `ceil(L/stride)` elements per axis. */
export type ConvOptions = {
  readonly inChannels: number; readonly outChannels: number; readonly kernelSize: PerAxis; readonly stride?: PerAxis; readonly padding?: PerAxis | 'same'
  readonly dilation?: PerAxis; readonly groups?: number; readonly bias?: boolean; readonly paddingMode?: 'zeros' | 'reflect' | 'replicate' | 'circular'
}
/** Transposed convolutions. */
export type ConvTransposeOptions = Omit<ConvOptions, 'padding' | 'paddingMode'> & { readonly padding?: PerAxis; readonly outputPadding?: PerAxis }

/** Float parameters; a binary layer keeps its weight in state, because each forward clamps it. */
export type WeightParams = { readonly weight?: Tensor; readonly bias?: Tensor }
/** State of the quantizers. */
export type WeightState = { readonly inputQuant: QuantState; readonly weightQuant: QuantState; readonly outputQuant: QuantState; readonly weight?: Tensor }

/** A layer whose quantized weight can be asked for. */
export interface WeightLayer extends Layer<WeightParams, WeightState> {
  /** The quantized weight as a forward sees it. */
  quantWeight(params: Traced<WeightParams>, state: Traced<WeightState>, kit: Kit): Value
}

/** What tells the layers with weights apart. */
type Kind = {
  readonly name: string
  readonly weightShape: Shape
  readonly biasSize: number
  /** Axis of the output channels in the weight. */
  readonly axis: number
  readonly channelLast: boolean
  /** Spatial axes of a convolution; an input of one axis less than [N, C, …] is a single sample. Null: a linear layer. */
  readonly spatial: number | null
  readonly compute: (x: Value, w: Value) => Value
  readonly geometry: readonly string[]
  readonly problems: readonly QuantError[]
  readonly fallback: Quantizer | null
}

const leafOf = (shape: Shape, fanIn: number): LeafSpec => {
  const bound = fanIn > 0 ? 1 / Math.sqrt(fanIn) : 0
  return { shape, learned: true, init: (g) => { const [t, next] = uniform(-bound, bound, shape)(g); return [t, next] } }
}

type Places = { readonly input: Quantizer | null; readonly weight: Quantizer | null; readonly bias: Quantizer | null; readonly output: Quantizer | null }

const isBinary = (q: Quantizer | null): boolean => q?.quantType === 'BINARY'

/** The scale of the accumulator as a flat list, or null where input or weight is plain. */
const accumulatorScale = (x: Value, w: Value, y: Value, kit: Kit): Value | null => {
  const [qx, qw, qy] = [x, w, y].map((v) => quantOf(v.carried))
  if (qx === null || qw === null) return null
  const s = qy !== null ? kit.value(qy.scale) : kit.emit('mul', [kit.emit('reshape', [kit.value(qx.scale)], { shape: [sizeOf(kit.value(qx.scale).shape)] }), kit.emit('reshape', [kit.value(qw.scale)], { shape: [sizeOf(kit.value(qw.scale).shape)] })])
  return kit.emit('reshape', [s], { shape: [sizeOf(s.shape)] })
}

const withBias = (kind: Kind, q: Quantizer | null, correct: boolean, bias: Value | undefined, x: Value, w: Value, y: Value): Value => {
  const { kit } = y
  if (bias === undefined || isInvalid(y)) return y
  const axis = kind.channelLast ? y.shape.length - 1 : 1
  if (q === null) return kit.emit('add', [y, kit.emit('reshape', [bias], { shape: y.shape.map((_, i) => (i === axis ? kind.biasSize : 1)) })])
  const s = q.biasScale === 'external' ? accumulatorScale(x, w, y, kit) : null
  const b = kit.scoped('biasQuant', () => quantizeBias(q, kit, bias, s))
  const sameScale = s !== null && (correct || kind.channelLast || sizeOf(s.shape) === 1)
  return kit.emit('addBias', [y, b], { axis, sameScale })
}

/** What a layer that was asked for a quant tensor says when it can't give one. */
const refusal = (kind: Kind, kit: Kit, x: Value, w: Value, y: Value): Value => {
  const plain = (v: Value, name: string): string => `${name} is a plain tensor${v.carried.tag === 'stripped' ? ` (${v.carried.why})` : ''}`
  const why = !isQuantValue(x) ? plain(x, 'the input') : !isQuantValue(w) ? plain(w, 'the weight') : y.carried.tag === 'stripped' ? y.carried.why : 'the result came out plain'
  return kit.failWith({ tag: 'LayerError', layer: kind.name, path: kit.path(), message: `${NOT_CONFIGURED}: ${kind.name} was asked for a quant tensor (returnQuantTensor: true), but ${why}`, fix: 'give it an outputQuant, quantize input and weight with zero point 0, or drop returnQuantTensor' })
}

/** A result without its batch axis; metadata per channel would have to lose that axis too, and is dropped. */
const oneSample = (y: Value, kit: Kit): Value => {
  if (isInvalid(y)) return y
  const q = quantOf(y.carried)
  const perChannel = q !== null && [q.scale, q.zeroPoint].some((id) => sizeOf(kit.value(id).shape) > 1)
  return reshape(perChannel ? dequantize(y, 'a single sample has no batch axis, but its per-channel metadata has one; give it a batch of 1') : y, y.shape.slice(1))
}

const weightLayer = (kind: Kind, options: Given): WeightLayer => {
  const pick = (place: string, fallback: Quantizer | null, prefix: string, use: Quantizer['use']) => chosen(kind.name, options, place, fallback, prefix, use)
  const found = { input: pick('inputQuant', null, 'input', 'act'), weight: pick('weightQuant', kind.fallback, 'weight', 'weight'), bias: pick('biasQuant', null, 'bias', 'bias'), output: pick('outputQuant', null, 'output', 'act') }
  const q: Places = { input: found.input.quantizer, weight: found.weight.quantizer, bias: found.bias.quantizer, output: found.output.quantizer }
  const known = [...kind.geometry, 'bias', 'weightQuant', 'biasQuant', 'inputQuant', 'outputQuant', 'returnQuantTensor', 'correctMetadata', ...['input', 'weight', 'bias', 'output'].flatMap(optionsOf)]
  const returnQuantTensor = options.returnQuantTensor === true
  const fanIn = sizeOf(kind.weightShape.slice(1))
  const weight = leafOf(kind.weightShape, fanIn)
  const params: SpecTree = { ...(isBinary(q.weight) ? {} : { weight }), ...(options.bias === false ? {} : { bias: leafOf([kind.biasSize], fanIn) }) }
  const state: SpecTree = {
    ...(isBinary(q.weight) ? { weight } : {}),
    inputQuant: actSpec(q.input), outputQuant: actSpec(q.output),
    weightQuant: q.weight === null ? {} : quantizerSpec(weightState(q.weight, kind.weightShape, kind.axis)),
  }
  /** The quantized weight, the state of its quantizer, and the clamped float weight of a binary layer. */
  const weigh = (p: Traced<WeightParams>, s: Traced<WeightState>, kit: Kit): readonly [Value, QuantizerState, Value | undefined] => {
    const stored = p.weight ?? s.weight
    if (stored === undefined) return [kit.failWith({ tag: 'InputError', input: 'weight', path: kit.path(), message: `${kind.name} was called without a weight`, fix: 'pass params and state of this layer' }), {}, undefined]
    if (q.weight === null) return [stored, {}, undefined]
    const quantizer = q.weight
    const path = kit.path()
    const place = path === '' ? '' : `${path}.`
    const bound = quantizer.scalingConst ?? 1
    const w = isBinary(quantizer) ? kit.emit('assign', [kit.emit('clamp', [stored], { min: -bound, max: bound })], { leaf: `${place}weight` }) : stored
    const [qw, after] = kit.scoped('weightQuant', () => quantizeWeight(quantizer, kit, s.weightQuant as QuantizerState, w, kind.axis, `${place}weightQuant`))
    return [qw, after, isBinary(quantizer) ? w : undefined]
  }
  return {
    layer: kind.name,
    params,
    state,
    problems: [...kind.problems, ...unknownOptions(kind.name, options, known), ...Object.values(found).flatMap((f) => f.problems)],
    config: { name: kind.name, parts: [...kind.geometry.filter((g) => options[g] !== undefined).map((g) => [g, JSON.stringify(options[g])] as const), ['inputQuant', optionalConfig(q.input)], ['weightQuant', optionalConfig(q.weight)], ['biasQuant', optionalConfig(q.bias)], ['outputQuant', optionalConfig(q.output)], ['returnQuantTensor', String(returnQuantTensor)]] },
    quantWeight: (p, s, kit) => weigh(p, s, kit)[0],
    apply: (p, s, x, kit) => {
      const [x1, inputQuant] = throughQuantizer(q.input, kit, s.inputQuant, x, 'inputQuant')
      const [w, weightQuant, clamped] = weigh(p, s, kit)
      const single = kind.spatial !== null && x1.shape.length === kind.spatial + 1
      const batch = single ? reshape(x1, [1, ...x1.shape]) : x1
      const sums = withBias(kind, q.bias, options.correctMetadata === true, p.bias, batch, w, kind.compute(batch, w))
      const y = single ? oneSample(sums, kit) : sums
      const [out, outputQuant] = throughQuantizer(q.output, kit, s.outputQuant, y, 'outputQuant')
      const after: Traced<WeightState> = { inputQuant, weightQuant, outputQuant, ...(clamped === undefined ? {} : { weight: clamped }) }
      if (!returnQuantTensor) return [dequantize(out, `${kind.name} does not return quant tensors; set returnQuantTensor: true`), after]
      return [isQuantValue(out) ? out : refusal(kind, kit, x1, w, y), after]
    },
  }
}

const REQUIRED: readonly string[] = ['inFeatures', 'outFeatures', 'inChannels', 'outChannels', 'kernelSize']

const positive = (layer: string, options: Given, names: readonly string[]): readonly QuantError[] =>
  names.filter((n) => { const v = options[n]; return (v !== undefined || REQUIRED.includes(n)) && !(typeof v === 'number' ? Number.isInteger(v) && v > 0 : Array.isArray(v) && v.every((k) => Number.isInteger(k) && k > 0)) })
    .map((n) => ({ tag: 'ConfigError', option: n, path: '', message: `${layer}: ${n} is ${options[n] === undefined ? 'missing' : JSON.stringify(options[n])}; it must be a positive whole number`, fix: `give ${n}: 3, for instance` }))

const linearKind = (name: string, o: LinearOptions, fallback: Quantizer | null): Kind => ({
  name, weightShape: [o.outFeatures, o.inFeatures], biasSize: o.outFeatures, axis: 0, channelLast: true, spatial: null,
  compute: (x, w) => x.kit.emit('linear', [x, w]),
  geometry: ['inFeatures', 'outFeatures'], problems: positive(name, o, ['inFeatures', 'outFeatures']), fallback,
})

const spread = (n: PerAxis | undefined, fallback: number, count: number): readonly number[] => (n === undefined ? new Array<number>(count).fill(fallback) : typeof n === 'number' ? new Array<number>(count).fill(n) : [...n])

/** Zeros in front and behind so that `ceil(L/stride)` elements come out. */
const samePadding = (length: number, k: number, stride: number, dilation: number): readonly [number, number] => {
  const total = Math.max((Math.ceil(length / stride) - 1) * stride + (k - 1) * dilation + 1 - length, 0)
  return [Math.floor(total / 2), total - Math.floor(total / 2)]
}

/** Padding that is no count, or a mode that nobody knows. */
const paddingProblems = (name: string, o: Pick<ConvOptions, 'padding' | 'paddingMode'>): readonly QuantError[] => {
  const bad = (option: string, message: string, fix: string): QuantError => ({ tag: 'ConfigError', option, path: '', message: `${name}: ${message}`, fix })
  const counts = o.padding === undefined || o.padding === 'same' ? [] : typeof o.padding === 'object' ? o.padding : [o.padding]
  return [
    ...(counts.every((p) => Number.isInteger(p) && p >= 0) ? [] : [bad('padding', `padding is ${JSON.stringify(o.padding)}; it counts elements`, "give padding: 1, or 'same'")]),
    ...(o.paddingMode === undefined || o.paddingMode === 'zeros' || Object.hasOwn(PAD_MODES, o.paddingMode) ? [] : [bad('paddingMode', `paddingMode is ${JSON.stringify(o.paddingMode)}`, "give 'zeros', 'reflect', 'replicate' or 'circular'")]),
  ]
}

/** A transposed convolution knows counts only. */
const transposedPadding = (name: string, padding: unknown): readonly QuantError[] =>
  typeof padding === 'string' ? [{ tag: 'ConfigError', option: 'padding', path: '', message: `${name}: padding is ${JSON.stringify(padding)}; a transposed convolution takes counts only`, fix: 'give padding: 1, for instance' }] : []

const groupProblems = (name: string, o: { readonly inChannels: number; readonly outChannels: number; readonly groups?: number }): readonly QuantError[] => {
  const groups = o.groups ?? 1
  return o.inChannels % groups === 0 && o.outChannels % groups === 0 ? [] : [{ tag: 'ConfigError', option: 'groups', path: '', message: `${name}: ${o.inChannels} input and ${o.outChannels} output channels can't be split into ${groups} groups`, fix: 'choose groups that divide both' }]
}

const PAD_MODES: { readonly [mode: string]: PadMode } = { reflect: 'reflect', replicate: 'replicate', circular: 'circular' }

const convKind = (name: string, n: number, o: ConvOptions, fallback: Quantizer | null): Kind => {
  const [kernel, stride, dilation] = [spread(o.kernelSize, 1, n), spread(o.stride, 1, n), spread(o.dilation, 1, n)]
  const groups = o.groups ?? 1
  const compute = (x: Value, w: Value): Value => {
    const padding = kernel.map((k, i) => {
      if (o.padding === 'same') return samePadding(x.shape[i + x.shape.length - n] ?? 1, k, stride[i], dilation[i])
      const p = spread(o.padding, 0, n)[i]
      return [p, p] as const
    })
    const mode = PAD_MODES[o.paddingMode ?? 'zeros']
    if (mode === undefined) return x.kit.emit('conv', [x, w], { stride, padding, dilation, groups })
    const padded = pad(x, [...padding].reverse().flat(), 0, mode)
    return x.kit.emit('conv', [padded, w], { stride, padding: padding.map(() => [0, 0]), dilation, groups })
  }
  return {
    name, weightShape: [o.outChannels, o.inChannels / groups, ...kernel], biasSize: o.outChannels, axis: 0, channelLast: false, spatial: n, compute,
    geometry: ['inChannels', 'outChannels', 'kernelSize', 'stride', 'padding', 'dilation', 'groups', 'paddingMode'],
    problems: [...positive(name, o, ['inChannels', 'outChannels', 'kernelSize', 'stride', 'dilation', 'groups']), ...groupProblems(name, o), ...paddingProblems(name, o)], fallback,
  }
}

const convTransposeKind = (name: string, n: number, o: ConvTransposeOptions & Pick<WeightQuantizers, 'correctMetadata'>, fallback: Quantizer | null): Kind => {
  const groups = o.groups ?? 1
  const attrs = { stride: spread(o.stride, 1, n), padding: spread(o.padding, 0, n), outputPadding: spread(o.outputPadding, 0, n), dilation: spread(o.dilation, 1, n), groups, ...(o.correctMetadata === true ? { correct: true } : {}) }
  return {
    name, weightShape: [o.inChannels, o.outChannels / groups, ...spread(o.kernelSize, 1, n)], biasSize: o.outChannels, axis: 1, channelLast: false, spatial: n,
    compute: (x, w) => x.kit.emit('convTranspose', [x, w], attrs),
    geometry: ['inChannels', 'outChannels', 'kernelSize', 'stride', 'padding', 'outputPadding', 'dilation', 'groups'],
    problems: [...positive(name, o, ['inChannels', 'outChannels', 'kernelSize', 'stride', 'dilation', 'groups']), ...groupProblems(name, o), ...transposedPadding(name, o.padding)], fallback,
  }
}

const W = Int8WeightPerTensorFloat

/** `x Wᵀ + b` with quantized weights (brevitas.nn.QuantLinear). Input `[…, inFeatures]`. */
export const QuantLinear = (o: LinearOptions & WeightQuantizers): WeightLayer => weightLayer(linearKind('QuantLinear', o, W), o)
/** Convolution over one axis with quantized weights (brevitas.nn.QuantConv1d). Input `[N, C, L]`. */
export const QuantConv1d = (o: ConvOptions & WeightQuantizers): WeightLayer => weightLayer(convKind('QuantConv1d', 1, o, W), o)
/** Convolution over two axes with quantized weights (brevitas.nn.QuantConv2d). Input `[N, C, H, W]`. */
export const QuantConv2d = (o: ConvOptions & WeightQuantizers): WeightLayer => weightLayer(convKind('QuantConv2d', 2, o, W), o)
/** Convolution over three axes with quantized weights (brevitas.nn.QuantConv3d). Input `[N, C, D, H, W]`. */
export const QuantConv3d = (o: ConvOptions & WeightQuantizers): WeightLayer => weightLayer(convKind('QuantConv3d', 3, o, W), o)
/** Transposed convolution over one axis (brevitas.nn.QuantConvTranspose1d). */
export const QuantConvTranspose1d = (o: ConvTransposeOptions & WeightQuantizers): WeightLayer => weightLayer(convTransposeKind('QuantConvTranspose1d', 1, o, W), o)
/** Transposed convolution over two axes (brevitas.nn.QuantConvTranspose2d). */
export const QuantConvTranspose2d = (o: ConvTransposeOptions & WeightQuantizers): WeightLayer => weightLayer(convTransposeKind('QuantConvTranspose2d', 2, o, W), o)
/** Transposed convolution over three axes (brevitas.nn.QuantConvTranspose3d). */
export const QuantConvTranspose3d = (o: ConvTransposeOptions & WeightQuantizers): WeightLayer => weightLayer(convTransposeKind('QuantConvTranspose3d', 3, o, W), o)
/** torch.nn.Linear: float weights, so a quant tensor comes out plain. */
export const Linear = (o: LinearOptions): WeightLayer => weightLayer(linearKind('Linear', o, null), o)
/** torch.nn.Conv1d. */
export const Conv1d = (o: ConvOptions): WeightLayer => weightLayer(convKind('Conv1d', 1, o, null), o)
/** torch.nn.Conv2d. */
export const Conv2d = (o: ConvOptions): WeightLayer => weightLayer(convKind('Conv2d', 2, o, null), o)
/** torch.nn.Conv3d. */
export const Conv3d = (o: ConvOptions): WeightLayer => weightLayer(convKind('Conv3d', 3, o, null), o)

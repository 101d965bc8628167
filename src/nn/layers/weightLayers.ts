/** Layers with weights: QuantLinear, QuantConv1d/2d/3d, QuantConvTranspose1d/2d/3d and torch's float ones (SEMANTICS 9 and 12). */
import type { QuantError } from '../../data/error.js'
import { byDefault, count, either, oneOf, required, whole, type OptionsOf, type Resolved } from '../../data/fields.js'
import type { Value } from '../../graph/op.js'
import { pad } from '../functions/index.js'
import { perAxis } from '../functions/fields.js'
import { BIAS, weightLayer, type Kind, type Made, type WeightLayer, type WeightQuantizers } from './weightLayer.js'

export type { WeightLayer, WeightParams, WeightQuantizers, WeightState } from './weightLayer.js'

type PerAxis = number | readonly number[]

const LINEAR = {
  inFeatures: required(count),
  outFeatures: required(count),
  ...BIAS,
}
/** QuantLinear. */
export interface LinearOptions extends OptionsOf<typeof LINEAR> {}

const linear = (name: string, quantized: boolean): Made<typeof LINEAR> => ({
  name,
  quantized,
  inputAxis: -1,
  own: LINEAR,
  problems: () => [],
  kindOf: (o) => ({
    weightShape: [o.outFeatures, o.inFeatures],
    biasSize: o.outFeatures,
    axis: 0,
    groups: 1,
    whole: true,
    channelLast: true,
    spatial: null,
    compute: (x, w) => x.kit.emit('linear', [x, w]),
  }),
})

const spread = (n: PerAxis, count: number): readonly number[] =>
  typeof n === 'number' ? new Array<number>(count).fill(n) : [...n]

/** Zeros in front and behind so that `ceil(L/stride)` elements come out. */
const samePadding = (length: number, k: number, stride: number, dilation: number): readonly [number, number] => {
  const total = Math.max((Math.ceil(length / stride) - 1) * stride + (k - 1) * dilation + 1 - length, 0)
  return [Math.floor(total / 2), total - Math.floor(total / 2)]
}

const groupProblems = (
  name: string,
  o: { readonly inChannels: number; readonly outChannels: number; readonly groups: number },
): readonly QuantError[] =>
  o.inChannels % o.groups === 0 && o.outChannels % o.groups === 0
    ? []
    : [
        {
          tag: 'ConfigError',
          option: 'groups',
          path: '',
          message: `${name}: ${o.inChannels} input and ${o.outChannels} output channels can't be split into ${o.groups} groups`,
          fix: 'choose groups that divide both',
        },
      ]

const common = (n: number) => ({
  inChannels: required(count),
  outChannels: required(count),
  kernelSize: required(perAxis(n, count)),
  /** Default 1. */
  stride: byDefault(perAxis(n, count), 1),
  /** Default 1. */
  dilation: byDefault(perAxis(n, count), 1),
  /** Default 1. */
  groups: byDefault(count, 1),
  ...BIAS,
})

/** Convolutions. */
const convolution = (n: number) => ({
  ...common(n),
  /** Default 0; `'same'` gives `ceil(L/stride)` elements per axis. */
  padding: byDefault(either(perAxis(n, whole), oneOf('same')), 0),
  /** What is padded with (default zeros). */
  paddingMode: byDefault(oneOf('zeros', 'reflect', 'replicate', 'circular'), 'zeros'),
})
/** By the number of axes. */
const CONVOLUTIONS = [1, 2, 3].map(convolution)
type Convolution = ReturnType<typeof convolution>
/** Convolutions. `padding: 'same'` gives `ceil(L/stride)` elements per axis. */
export interface ConvOptions extends OptionsOf<ReturnType<typeof convolution>> {}

/** How each axis is padded, of an input so long. */
const paddingOf = (o: Resolved<Convolution>, n: number, x: Value): readonly (readonly [number, number])[] => {
  const [kernel, stride, dilation] = [o.kernelSize, o.stride, o.dilation].map((v) => spread(v, n))
  const { padding } = o
  if (padding === 'same')
    return kernel.map((k, i) => samePadding(x.shape[i + x.shape.length - n] ?? 1, k, stride[i], dilation[i]))
  return spread(padding, n).map((p) => [p, p] as const)
}

const convKindOf = (n: number, o: Resolved<Convolution>): Kind => {
  const [kernel, stride, dilation] = [o.kernelSize, o.stride, o.dilation].map((v) => spread(v, n))
  const { groups, paddingMode } = o
  const compute = (x: Value, w: Value): Value => {
    const padding = paddingOf(o, n, x)
    if (paddingMode === 'zeros') return x.kit.emit('conv', [x, w], { stride, padding, dilation, groups })
    const padded = pad(x, [...padding].reverse().flat(), 0, paddingMode)
    return x.kit.emit('conv', [padded, w], { stride, padding: padding.map(() => [0, 0] as const), dilation, groups })
  }
  const pads = o.padding === 'same' ? kernel.some((k) => k > 1) : spread(o.padding, n).some((p) => p > 0)
  return {
    weightShape: [o.outChannels, o.inChannels / groups, ...kernel],
    biasSize: o.outChannels,
    axis: 0,
    groups,
    whole: !pads || paddingMode !== 'zeros',
    channelLast: false,
    spatial: n,
    compute,
  }
}

const conv = (name: string, n: number, quantized: boolean): Made<Convolution> => ({
  name,
  quantized,
  inputAxis: 1,
  own: CONVOLUTIONS[n - 1],
  problems: (o) => groupProblems(name, o),
  kindOf: (o) => convKindOf(n, o),
})

const transposed = (n: number) => ({
  ...common(n),
  /** Default 0. */
  padding: byDefault(perAxis(n, whole), 0),
  /** Elements more on one side, where several lengths of an output have one input (default 0). */
  outputPadding: byDefault(perAxis(n, whole), 0),
})
/** By the number of axes. */
const TRANSPOSED = [1, 2, 3].map(transposed)
type Transposed = ReturnType<typeof transposed>
/** Transposed convolutions. */
export interface ConvTransposeOptions extends OptionsOf<ReturnType<typeof transposed>> {}

const convTransposeKindOf = (n: number, o: Resolved<Transposed>, correct: boolean): Kind => {
  const { groups } = o
  const attrs = {
    stride: spread(o.stride, n),
    padding: spread(o.padding, n),
    outputPadding: spread(o.outputPadding, n),
    dilation: spread(o.dilation, n),
    groups,
    ...(correct ? { correct: true } : {}),
  }
  const kernel = spread(o.kernelSize, n)
  const { stride, padding, outputPadding } = attrs
  return {
    weightShape: [o.inChannels, o.outChannels / groups, ...kernel],
    biasSize: o.outChannels,
    axis: 1,
    groups,
    whole: [...kernel, ...stride].every((k) => k === 1) && [...padding, ...outputPadding].every((p) => p === 0),
    channelLast: false,
    spatial: n,
    compute: (x, w) => x.kit.emit('convTranspose', [x, w], attrs),
  }
}

const convTranspose = (name: string, n: number): Made<Transposed> => ({
  name,
  quantized: true,
  inputAxis: 1,
  own: TRANSPOSED[n - 1],
  problems: (o) => groupProblems(name, o),
  kindOf: (o, correct) => convTransposeKindOf(n, o, correct),
})

/** `x Wᵀ + b` with quantized weights (brevitas.nn.QuantLinear). Input `[…, inFeatures]`. */
export const QuantLinear = (o: LinearOptions & WeightQuantizers): WeightLayer =>
  weightLayer(linear('QuantLinear', true), o)
/** Convolution over one axis with quantized weights (brevitas.nn.QuantConv1d). Input `[N, C, L]`. */
export const QuantConv1d = (o: ConvOptions & WeightQuantizers): WeightLayer =>
  weightLayer(conv('QuantConv1d', 1, true), o)
/** Convolution over two axes with quantized weights (brevitas.nn.QuantConv2d). Input `[N, C, H, W]`. */
export const QuantConv2d = (o: ConvOptions & WeightQuantizers): WeightLayer =>
  weightLayer(conv('QuantConv2d', 2, true), o)
/** Convolution over three axes with quantized weights (brevitas.nn.QuantConv3d). Input `[N, C, D, H, W]`. */
export const QuantConv3d = (o: ConvOptions & WeightQuantizers): WeightLayer =>
  weightLayer(conv('QuantConv3d', 3, true), o)
/** Transposed convolution over one axis (brevitas.nn.QuantConvTranspose1d). */
export const QuantConvTranspose1d = (o: ConvTransposeOptions & WeightQuantizers): WeightLayer =>
  weightLayer(convTranspose('QuantConvTranspose1d', 1), o)
/** Transposed convolution over two axes (brevitas.nn.QuantConvTranspose2d). */
export const QuantConvTranspose2d = (o: ConvTransposeOptions & WeightQuantizers): WeightLayer =>
  weightLayer(convTranspose('QuantConvTranspose2d', 2), o)
/** Transposed convolution over three axes (brevitas.nn.QuantConvTranspose3d). */
export const QuantConvTranspose3d = (o: ConvTransposeOptions & WeightQuantizers): WeightLayer =>
  weightLayer(convTranspose('QuantConvTranspose3d', 3), o)
/** torch.nn.Linear: float weights, so a quant tensor comes out plain. */
export const Linear = (o: LinearOptions): WeightLayer => weightLayer(linear('Linear', false), o)
/** torch.nn.Conv1d. */
export const Conv1d = (o: ConvOptions): WeightLayer => weightLayer(conv('Conv1d', 1, false), o)
/** torch.nn.Conv2d. */
export const Conv2d = (o: ConvOptions): WeightLayer => weightLayer(conv('Conv2d', 2, false), o)
/** torch.nn.Conv3d. */
export const Conv3d = (o: ConvOptions): WeightLayer => weightLayer(conv('Conv3d', 3, false), o)

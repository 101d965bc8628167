/** Layers with weights: QuantLinear, QuantConv1d/2d/3d, QuantConvTranspose1d/2d/3d and torch's float ones (SEMANTICS 9 and 12). */
import type { QuantError } from '../../data/error.js'
import { count, either, oneOf, required, whole, type Field } from '../../data/fields.js'
import type { Value } from '../../graph/op.js'
import { Int8WeightPerTensorFloat } from '../../quantizers/presets.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import { pad, type PadMode } from '../functions/index.js'
import { perAxis } from '../functions/fields.js'
import { weightLayer, type Kind, type Made, type WeightLayer, type WeightQuantizers } from './weightLayer.js'

export type { WeightLayer, WeightParams, WeightQuantizers, WeightState } from './weightLayer.js'

/** QuantLinear. */
export type LinearOptions = { readonly inFeatures: number; readonly outFeatures: number; readonly bias?: boolean }
type PerAxis = number | readonly number[]
/** Convolutions. `padding: 'same'` gives `ceil(L/stride)` elements per axis. */
export type ConvOptions = {
  readonly inChannels: number
  readonly outChannels: number
  readonly kernelSize: PerAxis
  readonly stride?: PerAxis
  readonly padding?: PerAxis | 'same'
  readonly dilation?: PerAxis
  readonly groups?: number
  readonly bias?: boolean
  readonly paddingMode?: 'zeros' | 'reflect' | 'replicate' | 'circular'
}
/** Transposed convolutions. */
export type ConvTransposeOptions = Omit<ConvOptions, 'padding' | 'paddingMode'> & {
  readonly padding?: PerAxis
  readonly outputPadding?: PerAxis
}

const linear = (name: string, fallback: Quantizer | null): Made<LinearOptions> => ({
  name,
  fallback,
  inputAxis: -1,
  geometry: { inFeatures: required(count), outFeatures: required(count) },
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

const spread = (n: PerAxis | undefined, fallback: number, count: number): readonly number[] => {
  if (n === undefined) return new Array<number>(count).fill(fallback)
  return typeof n === 'number' ? new Array<number>(count).fill(n) : [...n]
}

/** Zeros in front and behind so that `ceil(L/stride)` elements come out. */
const samePadding = (length: number, k: number, stride: number, dilation: number): readonly [number, number] => {
  const total = Math.max((Math.ceil(length / stride) - 1) * stride + (k - 1) * dilation + 1 - length, 0)
  return [Math.floor(total / 2), total - Math.floor(total / 2)]
}

const groupProblems = (
  name: string,
  o: { readonly inChannels: number; readonly outChannels: number; readonly groups?: number },
): readonly QuantError[] => {
  const groups = o.groups ?? 1
  return o.inChannels % groups === 0 && o.outChannels % groups === 0
    ? []
    : [
        {
          tag: 'ConfigError',
          option: 'groups',
          path: '',
          message: `${name}: ${o.inChannels} input and ${o.outChannels} output channels can't be split into ${groups} groups`,
          fix: 'choose groups that divide both',
        },
      ]
}

const PAD_MODES: { readonly [mode: string]: PadMode } = {
  reflect: 'reflect',
  replicate: 'replicate',
  circular: 'circular',
}

const convolution = (n: number): { readonly [name: string]: Field } => ({
  inChannels: required(count),
  outChannels: required(count),
  kernelSize: required(perAxis(n, count)),
  stride: perAxis(n, count),
  padding: perAxis(n, whole),
  dilation: perAxis(n, count),
  groups: count,
})

const convKindOf = (n: number, o: ConvOptions): Kind => {
  const [kernel, stride, dilation] = [spread(o.kernelSize, 1, n), spread(o.stride, 1, n), spread(o.dilation, 1, n)]
  const groups = o.groups ?? 1
  const compute = (x: Value, w: Value): Value => {
    const padding = kernel.map((k, i): readonly [number, number] => {
      if (o.padding === 'same') return samePadding(x.shape[i + x.shape.length - n] ?? 1, k, stride[i], dilation[i])
      const p = spread(o.padding, 0, n)[i]
      return [p, p] as const
    })
    const mode = PAD_MODES[o.paddingMode ?? 'zeros']
    if (mode === undefined) return x.kit.emit('conv', [x, w], { stride, padding, dilation, groups })
    const padded = pad(x, [...padding].reverse().flat(), 0, mode)
    return x.kit.emit('conv', [padded, w], { stride, padding: padding.map(() => [0, 0] as const), dilation, groups })
  }
  const pads = o.padding === 'same' ? kernel.some((k) => k > 1) : spread(o.padding, 0, n).some((p) => p > 0)
  return {
    weightShape: [o.outChannels, o.inChannels / groups, ...kernel],
    biasSize: o.outChannels,
    axis: 0,
    groups,
    whole: !pads || (o.paddingMode ?? 'zeros') !== 'zeros',
    channelLast: false,
    spatial: n,
    compute,
  }
}

const conv = (name: string, n: number, fallback: Quantizer | null): Made<ConvOptions> => ({
  name,
  fallback,
  inputAxis: 1,
  geometry: {
    ...convolution(n),
    padding: either(perAxis(n, whole), oneOf('same')),
    paddingMode: oneOf('zeros', ...Object.keys(PAD_MODES)),
  },
  problems: (o) => groupProblems(name, o),
  kindOf: (o) => convKindOf(n, o),
})

const convTransposeKindOf = (n: number, o: ConvTransposeOptions & Pick<WeightQuantizers, 'correctMetadata'>): Kind => {
  const groups = o.groups ?? 1
  const attrs = {
    stride: spread(o.stride, 1, n),
    padding: spread(o.padding, 0, n),
    outputPadding: spread(o.outputPadding, 0, n),
    dilation: spread(o.dilation, 1, n),
    groups,
    ...(o.correctMetadata === true ? { correct: true } : {}),
  }
  const kernel = spread(o.kernelSize, 1, n)
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

const convTranspose = (name: string, n: number): Made<ConvTransposeOptions & WeightQuantizers> => ({
  name,
  fallback: W,
  inputAxis: 1,
  geometry: { ...convolution(n), outputPadding: perAxis(n, whole) },
  problems: (o) => groupProblems(name, o),
  kindOf: (o) => convTransposeKindOf(n, o),
})

const W = Int8WeightPerTensorFloat

/** `x Wᵀ + b` with quantized weights (brevitas.nn.QuantLinear). Input `[…, inFeatures]`. */
export const QuantLinear = (o: LinearOptions & WeightQuantizers): WeightLayer =>
  weightLayer(linear('QuantLinear', W), o)
/** Convolution over one axis with quantized weights (brevitas.nn.QuantConv1d). Input `[N, C, L]`. */
export const QuantConv1d = (o: ConvOptions & WeightQuantizers): WeightLayer => weightLayer(conv('QuantConv1d', 1, W), o)
/** Convolution over two axes with quantized weights (brevitas.nn.QuantConv2d). Input `[N, C, H, W]`. */
export const QuantConv2d = (o: ConvOptions & WeightQuantizers): WeightLayer => weightLayer(conv('QuantConv2d', 2, W), o)
/** Convolution over three axes with quantized weights (brevitas.nn.QuantConv3d). Input `[N, C, D, H, W]`. */
export const QuantConv3d = (o: ConvOptions & WeightQuantizers): WeightLayer => weightLayer(conv('QuantConv3d', 3, W), o)
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
export const Linear = (o: LinearOptions): WeightLayer => weightLayer(linear('Linear', null), o)
/** torch.nn.Conv1d. */
export const Conv1d = (o: ConvOptions): WeightLayer => weightLayer(conv('Conv1d', 1, null), o)
/** torch.nn.Conv2d. */
export const Conv2d = (o: ConvOptions): WeightLayer => weightLayer(conv('Conv2d', 2, null), o)
/** torch.nn.Conv3d. */
export const Conv3d = (o: ConvOptions): WeightLayer => weightLayer(conv('Conv3d', 3, null), o)

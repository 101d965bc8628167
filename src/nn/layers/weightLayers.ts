/** Layers with weights: QuantLinear, QuantConv1d/2d/3d, QuantConvTranspose1d/2d/3d and torch's float ones (SEMANTICS 9 and 12). */
import type { QuantError } from '../../data/error.js'
import type { Value } from '../../graph/op.js'
import { Int8WeightPerTensorFloat } from '../../quantizers/presets.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import { pad, type PadMode } from '../functions/index.js'
import type { Given } from './options.js'
import { weightLayer, type Kind, type WeightLayer, type WeightQuantizers } from './weightLayer.js'

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

const REQUIRED: readonly string[] = ['inFeatures', 'outFeatures', 'inChannels', 'outChannels', 'kernelSize']

const positive = (layer: string, options: Given, names: readonly string[]): readonly QuantError[] =>
  names
    .filter((n) => {
      const v = options[n]
      return (
        (v !== undefined || REQUIRED.includes(n)) &&
        !(typeof v === 'number'
          ? Number.isInteger(v) && v > 0
          : Array.isArray(v) && v.every((k) => Number.isInteger(k) && k > 0))
      )
    })
    .map((n) => ({
      tag: 'ConfigError',
      option: n,
      path: '',
      message: `${layer}: ${n} is ${options[n] === undefined ? 'missing' : JSON.stringify(options[n])}; it must be a positive whole number`,
      fix: `give ${n}: 3, for instance`,
    }))

const linearKind = (name: string, o: LinearOptions, fallback: Quantizer | null): Kind => ({
  name,
  weightShape: [o.outFeatures, o.inFeatures],
  biasSize: o.outFeatures,
  axis: 0,
  channelLast: true,
  spatial: null,
  compute: (x, w) => x.kit.emit('linear', [x, w]),
  geometry: ['inFeatures', 'outFeatures'],
  problems: positive(name, o, ['inFeatures', 'outFeatures']),
  fallback,
})

const spread = (n: PerAxis | undefined, fallback: number, count: number): readonly number[] =>
  n === undefined
    ? new Array<number>(count).fill(fallback)
    : typeof n === 'number'
      ? new Array<number>(count).fill(n)
      : [...n]

/** Zeros in front and behind so that `ceil(L/stride)` elements come out. */
const samePadding = (length: number, k: number, stride: number, dilation: number): readonly [number, number] => {
  const total = Math.max((Math.ceil(length / stride) - 1) * stride + (k - 1) * dilation + 1 - length, 0)
  return [Math.floor(total / 2), total - Math.floor(total / 2)]
}

/** Padding that is no count, or a mode that nobody knows. */
const paddingProblems = (name: string, o: Pick<ConvOptions, 'padding' | 'paddingMode'>): readonly QuantError[] => {
  const bad = (option: string, message: string, fix: string): QuantError => ({
    tag: 'ConfigError',
    option,
    path: '',
    message: `${name}: ${message}`,
    fix,
  })
  const counts =
    o.padding === undefined || o.padding === 'same' ? [] : typeof o.padding === 'object' ? o.padding : [o.padding]
  return [
    ...(counts.every((p) => Number.isInteger(p) && p >= 0)
      ? []
      : [bad('padding', `padding is ${JSON.stringify(o.padding)}; it counts elements`, "give padding: 1, or 'same'")]),
    ...(o.paddingMode === undefined || o.paddingMode === 'zeros' || Object.hasOwn(PAD_MODES, o.paddingMode)
      ? []
      : [
          bad(
            'paddingMode',
            `paddingMode is ${JSON.stringify(o.paddingMode)}`,
            "give 'zeros', 'reflect', 'replicate' or 'circular'",
          ),
        ]),
  ]
}

/** A transposed convolution knows counts only. */
const transposedPadding = (name: string, padding: unknown): readonly QuantError[] =>
  typeof padding === 'string'
    ? [
        {
          tag: 'ConfigError',
          option: 'padding',
          path: '',
          message: `${name}: padding is ${JSON.stringify(padding)}; a transposed convolution takes counts only`,
          fix: 'give padding: 1, for instance',
        },
      ]
    : []

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
    name,
    weightShape: [o.outChannels, o.inChannels / groups, ...kernel],
    biasSize: o.outChannels,
    axis: 0,
    channelLast: false,
    spatial: n,
    compute,
    geometry: ['inChannels', 'outChannels', 'kernelSize', 'stride', 'padding', 'dilation', 'groups', 'paddingMode'],
    problems: [
      ...positive(name, o, ['inChannels', 'outChannels', 'kernelSize', 'stride', 'dilation', 'groups']),
      ...groupProblems(name, o),
      ...paddingProblems(name, o),
    ],
    fallback,
  }
}

const convTransposeKind = (
  name: string,
  n: number,
  o: ConvTransposeOptions & Pick<WeightQuantizers, 'correctMetadata'>,
  fallback: Quantizer | null,
): Kind => {
  const groups = o.groups ?? 1
  const attrs = {
    stride: spread(o.stride, 1, n),
    padding: spread(o.padding, 0, n),
    outputPadding: spread(o.outputPadding, 0, n),
    dilation: spread(o.dilation, 1, n),
    groups,
    ...(o.correctMetadata === true ? { correct: true } : {}),
  }
  return {
    name,
    weightShape: [o.inChannels, o.outChannels / groups, ...spread(o.kernelSize, 1, n)],
    biasSize: o.outChannels,
    axis: 1,
    channelLast: false,
    spatial: n,
    compute: (x, w) => x.kit.emit('convTranspose', [x, w], attrs),
    geometry: ['inChannels', 'outChannels', 'kernelSize', 'stride', 'padding', 'outputPadding', 'dilation', 'groups'],
    problems: [
      ...positive(name, o, ['inChannels', 'outChannels', 'kernelSize', 'stride', 'dilation', 'groups']),
      ...groupProblems(name, o),
      ...transposedPadding(name, o.padding),
    ],
    fallback,
  }
}

const W = Int8WeightPerTensorFloat

/** `x Wᵀ + b` with quantized weights (brevitas.nn.QuantLinear). Input `[…, inFeatures]`. */
export const QuantLinear = (o: LinearOptions & WeightQuantizers): WeightLayer =>
  weightLayer(linearKind('QuantLinear', o, W), o)
/** Convolution over one axis with quantized weights (brevitas.nn.QuantConv1d). Input `[N, C, L]`. */
export const QuantConv1d = (o: ConvOptions & WeightQuantizers): WeightLayer =>
  weightLayer(convKind('QuantConv1d', 1, o, W), o)
/** Convolution over two axes with quantized weights (brevitas.nn.QuantConv2d). Input `[N, C, H, W]`. */
export const QuantConv2d = (o: ConvOptions & WeightQuantizers): WeightLayer =>
  weightLayer(convKind('QuantConv2d', 2, o, W), o)
/** Convolution over three axes with quantized weights (brevitas.nn.QuantConv3d). Input `[N, C, D, H, W]`. */
export const QuantConv3d = (o: ConvOptions & WeightQuantizers): WeightLayer =>
  weightLayer(convKind('QuantConv3d', 3, o, W), o)
/** Transposed convolution over one axis (brevitas.nn.QuantConvTranspose1d). */
export const QuantConvTranspose1d = (o: ConvTransposeOptions & WeightQuantizers): WeightLayer =>
  weightLayer(convTransposeKind('QuantConvTranspose1d', 1, o, W), o)
/** Transposed convolution over two axes (brevitas.nn.QuantConvTranspose2d). */
export const QuantConvTranspose2d = (o: ConvTransposeOptions & WeightQuantizers): WeightLayer =>
  weightLayer(convTransposeKind('QuantConvTranspose2d', 2, o, W), o)
/** Transposed convolution over three axes (brevitas.nn.QuantConvTranspose3d). */
export const QuantConvTranspose3d = (o: ConvTransposeOptions & WeightQuantizers): WeightLayer =>
  weightLayer(convTransposeKind('QuantConvTranspose3d', 3, o, W), o)
/** torch.nn.Linear: float weights, so a quant tensor comes out plain. */
export const Linear = (o: LinearOptions): WeightLayer => weightLayer(linearKind('Linear', o, null), o)
/** torch.nn.Conv1d. */
export const Conv1d = (o: ConvOptions): WeightLayer => weightLayer(convKind('Conv1d', 1, o, null), o)
/** torch.nn.Conv2d. */
export const Conv2d = (o: ConvOptions): WeightLayer => weightLayer(convKind('Conv2d', 2, o, null), o)
/** torch.nn.Conv3d. */
export const Conv3d = (o: ConvOptions): WeightLayer => weightLayer(convKind('Conv3d', 3, o, null), o)

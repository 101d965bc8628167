/** torch's own layers without parameters, where a quant tensor meets them. Each is the function of the same name. */
import {
  below1,
  byDefault,
  count,
  finite,
  required,
  type Field,
  type OptionsOf,
  type Resolved,
} from '../../data/fields.js'
import type { Tensor } from '../../data/tensor.js'
import type { Kit, Value } from '../../graph/op.js'
import * as f from '../functions/index.js'
import { Uint8ActPerTensorFloatMaxInit } from '../../quantizers/presets.js'
import { demandValue } from '../functions/support.js'
import { averageFields, poolFields, sizeFields } from '../functions/fields.js'
import { constantLeaf, type Layer, type None, type Source, type Traced } from './layer.js'
import type { Schema } from './options.js'
import { quantizedLayer } from './quantizedLayer.js'
import { seedLeaf } from './seed.js'

type Plain = Layer<None, None>
const layer = <F extends Schema>(
  name: string,
  options: object,
  own: F,
  apply: (x: Value, o: Resolved<F>) => Value,
  twin?: Source['twin'],
): Plain =>
  quantizedLayer({
    name,
    options,
    own,
    places: {},
    ...(twin === undefined ? {} : { twin }),
    build: (_q, o) => ({
      params: {},
      state: {},
      apply: (_params: Traced<None>, state: Traced<None>, x: Value) => [apply(x, o), state] as const,
    }),
  })

type NoOptions = { readonly [option: string]: never }
const NONE = {}
const bound: Field<number> = { says: 'a number', like: '1', holds: (x) => typeof x === 'number' && !Number.isNaN(x) }
const zeroPad: Field<number | readonly number[]> = {
  says: 'a whole number, or a list of four: left, right, top, bottom',
  like: '1',
  holds: (x) => (Array.isArray(x) ? x.length % 2 === 0 && x.every(Number.isSafeInteger) : Number.isSafeInteger(x)),
}
const axis: Field<number> = { says: 'a whole number, negative from the back', like: '1', holds: Number.isSafeInteger }

/** torch.nn.ReLU; keeps metadata. */
export const ReLU = (o: NoOptions = {}): Plain => layer('ReLU', o, NONE, f.relu, { layer: 'QuantReLU', options: {} })
/** torch.nn.ReLU6; claims metadata. */
export const ReLU6 = (o: NoOptions = {}): Plain =>
  // A quantizer from 0 to 6 cuts where ReLU6 does.
  layer('ReLU6', o, NONE, f.relu6, {
    layer: 'QuantHardTanh',
    options: { actQuant: Uint8ActPerTensorFloatMaxInit, minVal: 0, maxVal: 6 },
  })
const HARDTANH = {
  /** Default -1. */
  minVal: byDefault(bound, -1),
  /** Default 1. */
  maxVal: byDefault(bound, 1),
}
/** torch.nn.Hardtanh; claims metadata. */
export const Hardtanh = (o: OptionsOf<typeof HARDTANH> = {}): Plain =>
  layer('Hardtanh', o, HARDTANH, (x, { minVal, maxVal }) => f.hardtanh(x, minVal, maxVal), {
    layer: 'QuantHardTanh',
    options: {
      // From 0 on there is nothing for a sign to say.
      ...((o?.minVal ?? -1) >= 0 ? { actQuant: Uint8ActPerTensorFloatMaxInit } : {}),
      minVal: o?.minVal ?? -1,
      maxVal: o?.maxVal ?? 1,
    },
  })

const LEAKY = { /** Default 0.01. */ negativeSlope: byDefault(finite, 0.01) }
/** torch.nn.LeakyReLU; strips. */
export const LeakyReLU = (o: OptionsOf<typeof LEAKY> = {}): Plain =>
  layer('LeakyReLU', o, LEAKY, (x, { negativeSlope }) => f.leakyRelu(x, negativeSlope))
const EXPONENTIAL = { /** Default 1. */ alpha: byDefault(finite, 1) }
/** torch.nn.ELU; strips. */
export const ELU = (o: OptionsOf<typeof EXPONENTIAL> = {}): Plain =>
  layer('ELU', o, EXPONENTIAL, (x, { alpha }) => f.elu(x, alpha))
/** torch.nn.GELU; strips. */
export const GELU = (o: NoOptions = {}): Plain => layer('GELU', o, NONE, f.gelu)
/** torch.nn.Sigmoid; strips. */
export const Sigmoid = (o: NoOptions = {}): Plain =>
  layer('Sigmoid', o, NONE, f.sigmoid, { layer: 'QuantSigmoid', options: {} })
/** torch.nn.Tanh; strips. */
export const Tanh = (o: NoOptions = {}): Plain => layer('Tanh', o, NONE, f.tanh, { layer: 'QuantTanh', options: {} })

const ALONG = { dim: required(axis) }
/** torch.nn.Softmax; strips. */
export const Softmax = (o: OptionsOf<typeof ALONG>): Plain =>
  layer('Softmax', o, ALONG, (x, { dim }) => f.softmax(x, dim))
/** torch.nn.LogSoftmax; strips. */
export const LogSoftmax = (o: OptionsOf<typeof ALONG>): Plain =>
  layer('LogSoftmax', o, ALONG, (x, { dim }) => f.logSoftmax(x, dim))
/** torch.nn.Identity; keeps metadata. */
export const Identity = (o: NoOptions = {}): Plain => layer('Identity', o, NONE, f.identity)

const FLATTEN = {
  /** The first axis that is joined (default 1). */
  startDim: byDefault(axis, 1),
  /** The last one (default: the last). */
  endDim: axis,
}
/** torch.nn.Flatten, from axis 1 on; keeps metadata. */
export const Flatten = (o: OptionsOf<typeof FLATTEN> = {}): Plain =>
  layer('Flatten', o, FLATTEN, (x, { startDim, endDim }) => f.flatten(x, startDim, endDim))

const SHUFFLE = { upscaleFactor: required(count) }
/** torch.nn.PixelShuffle; keeps metadata. */
export const PixelShuffle = (o: OptionsOf<typeof SHUFFLE>): Plain =>
  layer('PixelShuffle', o, SHUFFLE, (x, { upscaleFactor }) => f.pixelShuffle(x, upscaleFactor))
const UNSHUFFLE = { downscaleFactor: required(count) }
/** torch.nn.PixelUnshuffle; keeps metadata. */
export const PixelUnshuffle = (o: OptionsOf<typeof UNSHUFFLE>): Plain =>
  layer('PixelUnshuffle', o, UNSHUFFLE, (x, { downscaleFactor }) => f.pixelUnshuffle(x, downscaleFactor))
const ZERO_PAD = { padding: required(zeroPad) }
/** torch.nn.ZeroPad2d: one number, or left, right, top, bottom; keeps metadata. */
export const ZeroPad2d = (o: OptionsOf<typeof ZERO_PAD>): Plain =>
  layer('ZeroPad2d', o, ZERO_PAD, (x, { padding }) =>
    f.pad(x, typeof padding === 'number' ? [padding, padding, padding, padding] : padding),
  )

type Size = OptionsOf<ReturnType<typeof sizeFields>>

const maxPool = (name: string, n: number, o: f.PoolOptions): Plain =>
  layer(name, o, poolFields(n), (x) => f.maxPool(x, o, n))
const avgPool = (name: string, n: number, o: f.AvgPoolOptions): Plain =>
  layer(name, o, averageFields(n), (x) => f.avgPool(x, o, n))
const adaptiveMax = (name: string, n: number, o: Size): Plain =>
  layer(name, o, sizeFields(n), (x, { outputSize }) => f.adaptiveMaxPool(x, outputSize, n))

/** torch.nn.MaxPool1d; keeps metadata. */
export const MaxPool1d = (o: f.PoolOptions): Plain => maxPool('MaxPool1d', 1, o)
/** torch.nn.MaxPool2d; keeps metadata. */
export const MaxPool2d = (o: f.PoolOptions): Plain => maxPool('MaxPool2d', 2, o)
/** torch.nn.MaxPool3d; keeps metadata. */
export const MaxPool3d = (o: f.PoolOptions): Plain => maxPool('MaxPool3d', 3, o)
/** torch.nn.AvgPool1d; strips. */
export const AvgPool1d = (o: f.AvgPoolOptions): Plain => avgPool('AvgPool1d', 1, o)
/** torch.nn.AvgPool2d; keeps metadata: scale/k, more bits. */
export const AvgPool2d = (o: f.AvgPoolOptions): Plain => avgPool('AvgPool2d', 2, o)
/** torch.nn.AdaptiveAvgPool2d; keeps metadata, right where all windows have one size. */
export const AdaptiveAvgPool2d = (o: Size): Plain =>
  layer('AdaptiveAvgPool2d', o, sizeFields(2), (x, { outputSize }) => f.adaptiveAvgPool(x, outputSize, 2))
/** torch.nn.AdaptiveMaxPool1d; keeps metadata. */
export const AdaptiveMaxPool1d = (o: Size): Plain => adaptiveMax('AdaptiveMaxPool1d', 1, o)
/** torch.nn.AdaptiveMaxPool2d; keeps metadata. */
export const AdaptiveMaxPool2d = (o: Size): Plain => adaptiveMax('AdaptiveMaxPool2d', 2, o)

/** State of a dropout: the seed of its masks, and how many it has drawn. */
export type DropoutState = { readonly seed: Tensor; readonly step: Tensor }

const DROPOUT = {
  /** With which probability an element is dropped (default 0.5). */
  p: byDefault(below1, 0.5),
}
type DropoutOptions = OptionsOf<typeof DROPOUT>

const dropout = (
  name: string,
  options: DropoutOptions,
  maskShape: (x: Value) => readonly number[],
): Layer<None, DropoutState> =>
  quantizedLayer({
    name,
    options,
    own: DROPOUT,
    places: {},
    printed: ({ p }) => ({ p: String(p) }),
    build: (_q, { p }) => ({
      params: {},
      state: { seed: seedLeaf, step: constantLeaf([], 0, false) },
      apply: (_params: Traced<None>, s: Traced<DropoutState>, x: Value, kit: Kit) => {
        demandValue(name, x)
        if (kit.mode === 'eval' || p === 0) return [f.identity(x), s] as const
        const key = f.cat([f.reshape(s.seed, [1]), f.reshape(s.step, [1])], 0)
        const mask = kit.emit('bernoulliMask', [key], { p, shape: maskShape(x) })
        return [kit.emit('dropout', [x, mask], { p }), { seed: s.seed, step: f.add(s.step, 1) }] as const
      },
    }),
  })

/** torch.nn.Dropout: in training each element is dropped with probability p; the masks come from threaded state. */
export const Dropout = (o: DropoutOptions = {}): Layer<None, DropoutState> => dropout('Dropout', o, (x) => x.shape)
/** torch.nn.Dropout2d: drops whole channels of `[N, C, H, W]`. */
export const Dropout2d = (o: DropoutOptions = {}): Layer<None, DropoutState> =>
  dropout('Dropout2d', o, (x) => x.shape.map((n, i) => (i < 2 ? n : 1)))

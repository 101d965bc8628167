/** torch's own layers without parameters, where a quant tensor meets them. Each is the function of the same name. */
import { below1, count, finite, required, type Field, type Fields } from '../../data/fields.js'
import type { Tensor } from '../../data/tensor.js'
import type { Kit, Value } from '../../graph/op.js'
import * as f from '../functions/index.js'
import { Uint8ActPerTensorFloatMaxInit } from '../../quantizers/presets.js'
import { demandValue } from '../functions/support.js'
import { averageFields, poolFields, sizeFields } from '../functions/fields.js'
import { brokenLayer } from './checks.js'
import { functionLayer } from './functionLayer.js'
import { constantLeaf, type Layer, type None, type Source } from './layer.js'
import { optionProblems, recordOf } from './options.js'
import { seedLeaf } from './seed.js'

type Plain = Layer<None, None>
const layer = <O extends object>(
  name: string,
  o: O,
  fields: Fields<O>,
  apply: (x: Value, kit: Kit) => Value,
  twin?: Source['twin'],
): Plain => {
  const problems = optionProblems(name, o, fields)
  if (problems.length > 0) return brokenLayer(name, problems)
  const options = recordOf(o)
  return functionLayer(name, apply, options, [], {
    layer: name,
    options,
    takes: Object.keys(fields),
    ...(twin === undefined ? {} : { twin }),
  })
}

type NoOptions = { readonly [option: string]: never }
const NONE: { readonly [option: string]: Field } = {}
const bound: Field = { says: 'a number', like: '1', holds: (x) => typeof x === 'number' && !Number.isNaN(x) }
const zeroPad: Field = {
  says: 'a whole number, or a list of four: left, right, top, bottom',
  like: '1',
  holds: (x) => (Array.isArray(x) ? x.length % 2 === 0 && x.every(Number.isSafeInteger) : Number.isSafeInteger(x)),
}
const axis: Field = { says: 'a whole number, negative from the back', like: '1', holds: Number.isSafeInteger }

/** torch.nn.ReLU; keeps metadata. */
export const ReLU = (o: NoOptions = {}): Plain => layer('ReLU', o, NONE, f.relu, { layer: 'QuantReLU', options: {} })
/** torch.nn.ReLU6; claims metadata. */
export const ReLU6 = (o: NoOptions = {}): Plain =>
  // A quantizer from 0 to 6 cuts where ReLU6 does.
  layer('ReLU6', o, NONE, f.relu6, {
    layer: 'QuantHardTanh',
    options: { actQuant: Uint8ActPerTensorFloatMaxInit, minVal: 0, maxVal: 6 },
  })
/** torch.nn.Hardtanh; claims metadata. */
export const Hardtanh = (o: { readonly minVal?: number; readonly maxVal?: number } = {}): Plain =>
  layer('Hardtanh', o, { minVal: bound, maxVal: bound }, (x) => f.hardtanh(x, o.minVal, o.maxVal), {
    layer: 'QuantHardTanh',
    options: {
      // From 0 on there is nothing for a sign to say.
      ...((o?.minVal ?? -1) >= 0 ? { actQuant: Uint8ActPerTensorFloatMaxInit } : {}),
      minVal: o?.minVal ?? -1,
      maxVal: o?.maxVal ?? 1,
    },
  })
/** torch.nn.LeakyReLU; strips. */
export const LeakyReLU = (o: { readonly negativeSlope?: number } = {}): Plain =>
  layer('LeakyReLU', o, { negativeSlope: finite }, (x) => f.leakyRelu(x, o.negativeSlope))
/** torch.nn.ELU; strips. */
export const ELU = (o: { readonly alpha?: number } = {}): Plain =>
  layer('ELU', o, { alpha: finite }, (x) => f.elu(x, o.alpha))
/** torch.nn.GELU; strips. */
export const GELU = (o: NoOptions = {}): Plain => layer('GELU', o, NONE, f.gelu)
/** torch.nn.Sigmoid; strips. */
export const Sigmoid = (o: NoOptions = {}): Plain =>
  layer('Sigmoid', o, NONE, f.sigmoid, { layer: 'QuantSigmoid', options: {} })
/** torch.nn.Tanh; strips. */
export const Tanh = (o: NoOptions = {}): Plain => layer('Tanh', o, NONE, f.tanh, { layer: 'QuantTanh', options: {} })
/** torch.nn.Softmax; strips. */
export const Softmax = (o: { readonly dim: number }): Plain =>
  layer('Softmax', o, { dim: required(axis) }, (x) => f.softmax(x, o.dim))
/** torch.nn.LogSoftmax; strips. */
export const LogSoftmax = (o: { readonly dim: number }): Plain =>
  layer('LogSoftmax', o, { dim: required(axis) }, (x) => f.logSoftmax(x, o.dim))
/** torch.nn.Identity; keeps metadata. */
export const Identity = (o: NoOptions = {}): Plain => layer('Identity', o, NONE, f.identity)
/** torch.nn.Flatten, from axis 1 on; keeps metadata. */
export const Flatten = (o: { readonly startDim?: number; readonly endDim?: number } = {}): Plain =>
  layer('Flatten', o, { startDim: axis, endDim: axis }, (x) => f.flatten(x, o.startDim ?? 1, o.endDim))
/** torch.nn.PixelShuffle; keeps metadata. */
export const PixelShuffle = (o: { readonly upscaleFactor: number }): Plain =>
  layer('PixelShuffle', o, { upscaleFactor: required(count) }, (x) => f.pixelShuffle(x, o.upscaleFactor))
/** torch.nn.PixelUnshuffle; keeps metadata. */
export const PixelUnshuffle = (o: { readonly downscaleFactor: number }): Plain =>
  layer('PixelUnshuffle', o, { downscaleFactor: required(count) }, (x) => f.pixelUnshuffle(x, o.downscaleFactor))
/** torch.nn.ZeroPad2d: one number, or left, right, top, bottom; keeps metadata. */
export const ZeroPad2d = (o: { readonly padding: number | readonly number[] }): Plain =>
  layer('ZeroPad2d', o, { padding: required(zeroPad) }, (x) =>
    f.pad(x, typeof o.padding === 'number' ? [o.padding, o.padding, o.padding, o.padding] : o.padding),
  )

type Size = { readonly outputSize: number | readonly number[] }

const maxPool = (name: string, n: number, o: f.PoolOptions): Plain =>
  layer(name, o, poolFields(n), (x) => f.maxPool(x, o, n))
const avgPool = (name: string, n: number, o: f.AvgPoolOptions): Plain =>
  layer(name, o, averageFields(n), (x) => f.avgPool(x, o, n))
const adaptiveMax = (name: string, n: number, o: Size): Plain =>
  layer(name, o, sizeFields(n), (x) => f.adaptiveMaxPool(x, o.outputSize, n))

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
  layer('AdaptiveAvgPool2d', o, sizeFields(2), (x) => f.adaptiveAvgPool(x, o.outputSize, 2))
/** torch.nn.AdaptiveMaxPool1d; keeps metadata. */
export const AdaptiveMaxPool1d = (o: Size): Plain => adaptiveMax('AdaptiveMaxPool1d', 1, o)
/** torch.nn.AdaptiveMaxPool2d; keeps metadata. */
export const AdaptiveMaxPool2d = (o: Size): Plain => adaptiveMax('AdaptiveMaxPool2d', 2, o)

/** State of a dropout: the seed of its masks, and how many it has drawn. */
export type DropoutState = { readonly seed: Tensor; readonly step: Tensor }

type DropoutOptions = { readonly p?: number }

const dropout = (
  name: string,
  o: DropoutOptions,
  maskShape: (x: Value) => readonly number[],
): Layer<None, DropoutState> => {
  const problems = optionProblems(name, o, { p: below1 })
  if (problems.length > 0) return brokenLayer(name, problems)
  const p = o.p ?? 0.5
  return {
    layer: name,
    params: {},
    state: { seed: seedLeaf, step: constantLeaf([], 0, false) },
    problems,
    source: { layer: name, options: o, takes: ['p'] },
    config: { name, parts: [['p', String(p)]] },
    apply: (_params, s, x, kit) => {
      demandValue(name, x)
      if (kit.mode === 'eval' || p === 0) return [f.identity(x), s]
      const key = f.cat([f.reshape(s.seed, [1]), f.reshape(s.step, [1])], 0)
      const mask = kit.emit('bernoulliMask', [key], { p, shape: maskShape(x) })
      return [kit.emit('dropout', [x, mask], { p }), { seed: s.seed, step: f.add(s.step, 1) }]
    },
  }
}

/** torch.nn.Dropout: in training each element is dropped with probability p; the masks come from threaded state. */
export const Dropout = (o: DropoutOptions = {}): Layer<None, DropoutState> => dropout('Dropout', o, (x) => x.shape)
/** torch.nn.Dropout2d: drops whole channels of `[N, C, H, W]`. */
export const Dropout2d = (o: DropoutOptions = {}): Layer<None, DropoutState> =>
  dropout('Dropout2d', o, (x) => x.shape.map((n, i) => (i < 2 ? n : 1)))

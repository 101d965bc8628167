/** torch's own layers without parameters, where a quant tensor meets them. Each is the function of the same name. */
import { randint } from '../../data/random.js'
import type { Tensor } from '../../data/tensor.js'
import type { Kit, Value } from '../../graph/op.js'
import * as f from '../functions/index.js'
import { constantLeaf, functionLayer, type Layer, type LeafSpec, type None, type Source } from './layer.js'
import { Uint8ActPerTensorFloatMaxInit } from '../../quantizers/presets.js'
import { unknownOptions } from './options.js'

type Plain = Layer<None, None>
const layer = (
  name: string,
  o: { readonly [k: string]: unknown },
  known: readonly string[],
  apply: (x: Value, kit: Kit) => Value,
  twin?: Source['twin'],
): Plain =>
  functionLayer(name, apply, o, unknownOptions(name, o, known), {
    layer: name,
    options: o,
    takes: known,
    ...(twin === undefined ? {} : { twin }),
  })

type NoOptions = { readonly [option: string]: never }

/** torch.nn.ReLU; keeps metadata. */
export const ReLU = (o: NoOptions = {}): Plain => layer('ReLU', o, [], f.relu, { layer: 'QuantReLU', options: {} })
/** torch.nn.ReLU6; claims metadata. */
export const ReLU6 = (o: NoOptions = {}): Plain =>
  // A quantizer from 0 to 6 cuts where ReLU6 does.
  layer('ReLU6', o, [], f.relu6, {
    layer: 'QuantHardTanh',
    options: { actQuant: Uint8ActPerTensorFloatMaxInit, minVal: 0, maxVal: 6 },
  })
/** torch.nn.Hardtanh; claims metadata. */
export const Hardtanh = (o: { readonly minVal?: number; readonly maxVal?: number } = {}): Plain =>
  layer('Hardtanh', o, ['minVal', 'maxVal'], (x) => f.hardtanh(x, o.minVal, o.maxVal), {
    layer: 'QuantHardTanh',
    options: { minVal: o.minVal ?? -1, maxVal: o.maxVal ?? 1 },
  })
/** torch.nn.LeakyReLU; strips. */
export const LeakyReLU = (o: { readonly negativeSlope?: number } = {}): Plain =>
  layer('LeakyReLU', o, ['negativeSlope'], (x) => f.leakyRelu(x, o.negativeSlope))
/** torch.nn.ELU; strips. */
export const ELU = (o: { readonly alpha?: number } = {}): Plain => layer('ELU', o, ['alpha'], (x) => f.elu(x, o.alpha))
/** torch.nn.GELU; strips. */
export const GELU = (o: NoOptions = {}): Plain => layer('GELU', o, [], f.gelu)
/** torch.nn.Sigmoid; strips. */
export const Sigmoid = (o: NoOptions = {}): Plain =>
  layer('Sigmoid', o, [], f.sigmoid, { layer: 'QuantSigmoid', options: {} })
/** torch.nn.Tanh; strips. */
export const Tanh = (o: NoOptions = {}): Plain => layer('Tanh', o, [], f.tanh, { layer: 'QuantTanh', options: {} })
/** torch.nn.Softmax; strips. */
export const Softmax = (o: { readonly dim: number }): Plain => layer('Softmax', o, ['dim'], (x) => f.softmax(x, o.dim))
/** torch.nn.LogSoftmax; strips. */
export const LogSoftmax = (o: { readonly dim: number }): Plain =>
  layer('LogSoftmax', o, ['dim'], (x) => f.logSoftmax(x, o.dim))
/** torch.nn.Identity; keeps metadata. */
export const Identity = (o: NoOptions = {}): Plain => layer('Identity', o, [], f.identity)
/** torch.nn.Flatten, from axis 1 on; keeps metadata. */
export const Flatten = (o: { readonly startDim?: number; readonly endDim?: number } = {}): Plain =>
  layer('Flatten', o, ['startDim', 'endDim'], (x) => f.flatten(x, o.startDim ?? 1, o.endDim))
/** torch.nn.PixelShuffle; keeps metadata. */
export const PixelShuffle = (o: { readonly upscaleFactor: number }): Plain =>
  layer('PixelShuffle', o, ['upscaleFactor'], (x) => f.pixelShuffle(x, o.upscaleFactor))
/** torch.nn.PixelUnshuffle; keeps metadata. */
export const PixelUnshuffle = (o: { readonly downscaleFactor: number }): Plain =>
  layer('PixelUnshuffle', o, ['downscaleFactor'], (x) => f.pixelUnshuffle(x, o.downscaleFactor))
/** torch.nn.ZeroPad2d: one number, or left, right, top, bottom; keeps metadata. */
export const ZeroPad2d = (o: { readonly padding: number | readonly number[] }): Plain =>
  layer('ZeroPad2d', o, ['padding'], (x) =>
    f.pad(x, typeof o.padding === 'number' ? [o.padding, o.padding, o.padding, o.padding] : o.padding),
  )

const POOL = ['kernelSize', 'stride', 'padding', 'dilation', 'ceilMode'] as const
const AVERAGE = ['kernelSize', 'stride', 'padding', 'ceilMode', 'countIncludePad', 'divisorOverride'] as const
const maxPool =
  (name: string, n: number) =>
  (o: f.PoolOptions): Plain =>
    layer(name, o, POOL, (x) => f.maxPool(x, o, n))
const avgPool =
  (name: string, n: number) =>
  (o: f.AvgPoolOptions): Plain =>
    layer(name, o, AVERAGE, (x) => f.avgPool(x, o, n))
type Size = { readonly outputSize: number | readonly number[] }
const adaptiveAvg =
  (name: string, n: number) =>
  (o: Size): Plain =>
    layer(name, o, ['outputSize'], (x) => f.adaptiveAvgPool(x, o.outputSize, n))
const adaptiveMax =
  (name: string, n: number) =>
  (o: Size): Plain =>
    layer(name, o, ['outputSize'], (x) => f.adaptiveMaxPool(x, o.outputSize, n))

/** torch.nn.MaxPool1d; keeps metadata. */
export const MaxPool1d = maxPool('MaxPool1d', 1)
/** torch.nn.MaxPool2d; keeps metadata. */
export const MaxPool2d = maxPool('MaxPool2d', 2)
/** torch.nn.MaxPool3d; keeps metadata. */
export const MaxPool3d = maxPool('MaxPool3d', 3)
/** torch.nn.AvgPool1d; strips. */
export const AvgPool1d = avgPool('AvgPool1d', 1)
/** torch.nn.AvgPool2d; keeps metadata: scale/k, more bits. */
export const AvgPool2d = avgPool('AvgPool2d', 2)
/** torch.nn.AdaptiveAvgPool2d; keeps metadata, right where all windows have one size. */
export const AdaptiveAvgPool2d = adaptiveAvg('AdaptiveAvgPool2d', 2)
/** torch.nn.AdaptiveMaxPool1d; keeps metadata. */
export const AdaptiveMaxPool1d = adaptiveMax('AdaptiveMaxPool1d', 1)
/** torch.nn.AdaptiveMaxPool2d; keeps metadata. */
export const AdaptiveMaxPool2d = adaptiveMax('AdaptiveMaxPool2d', 2)

/** State of a dropout: the seed of its masks, and how many it has drawn. */
export type DropoutState = { readonly seed: Tensor; readonly step: Tensor }

const SEEDS = 2 ** 24
const seedLeaf: LeafSpec = {
  shape: [],
  learned: false,
  init: (g) => {
    const [t, next] = randint(0, SEEDS, [])(g)
    return [t, next]
  },
}

const dropout =
  (name: string, maskShape: (x: Value) => readonly number[]) =>
  (o: { readonly p?: number } = {}): Layer<None, DropoutState> => {
    const p = o.p ?? 0.5
    const bad = !(p >= 0 && p < 1)
    return {
      layer: name,
      params: {},
      state: { seed: seedLeaf, step: constantLeaf([], 0, false) },
      problems: [
        ...unknownOptions(name, o, ['p']),
        ...(bad
          ? [
              {
                tag: 'ConfigError',
                option: 'p',
                path: '',
                message: `${name}: p is ${p}; it is a probability from 0 to below 1`,
                fix: 'give p: 0.5',
              } as const,
            ]
          : []),
      ],
      source: { layer: name, options: o, takes: ['p'] },
      config: { name, parts: [['p', String(p)]] },
      apply: (_params, s, x, kit) => {
        if (kit.mode === 'eval' || p === 0) return [f.identity(x), s]
        const key = f.cat([f.reshape(s.seed, [1]), f.reshape(s.step, [1])], 0)
        const mask = kit.emit('bernoulliMask', [key], { p, shape: maskShape(x) })
        return [kit.emit('dropout', [x, mask], { p }), { seed: s.seed, step: f.add(s.step, 1) }]
      },
    }
  }

/** torch.nn.Dropout: in training each element is dropped with probability p; the masks come from threaded state. */
export const Dropout = dropout('Dropout', (x) => x.shape)
/** torch.nn.Dropout2d: drops whole channels of `[N, C, H, W]`. */
export const Dropout2d = dropout('Dropout2d', (x) => x.shape.map((n, i) => (i < 2 ? n : 1)))

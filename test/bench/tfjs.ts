/**
 * tfjs-backend-wasm: one thread in Node. It has no fake quantizer (`clip(round(x/s))·s` from its own operations, gradients
 * by `customGrad`) and no gradient of a convolution to its weights: that is written here as a convolution over the batch axis.
 */
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type * as Tf from '@tensorflow/tfjs-core'
import { BATCHES, CONVS, type Case } from './cases.js'
import type { Received } from './handover.js'
import { ready, unable, type Peer, type Prepared } from './peer.js'
import { lastAxis } from './layouts.js'

const require = createRequire(import.meta.url)
type T = Tf.Tensor
type T4 = Tf.Tensor4D

/** Straight-through rule of a learned scale, of which only the gradient to the input is compared. */
const fakeQuantizer = (tf: typeof Tf) => {
  const quantize = (x: T, s: T, low: number, high: number): T =>
    tf.mul(tf.clipByValue(tf.round(tf.div(x, s)), low, high), s)
  const learned = (low: number, high: number) =>
    tf.customGrad((x, s, save) => {
      const [value, scale] = [x as T, s as T]
      if (typeof save === 'function') save([value, scale])
      const gradFunc = (dy: T, saved: T[]): T[] => {
        const r = tf.div(saved[0], saved[1])
        const q = tf.round(r)
        const inside = tf.cast(tf.logicalAnd(tf.greaterEqual(q, low), tf.lessEqual(q, high)), 'float32')
        const steps = tf.mul(dy, tf.sub(tf.clipByValue(q, low, high), tf.mul(r, inside)))
        return [tf.mul(dy, inside), saved[1].rank === 0 ? tf.sum(steps) : tf.sum(steps, [0, 2, 3], true)]
      }
      return { value: quantize(value, scale, low, high), gradFunc }
    })
  return { quantize, learned }
}

const convolutionOf = (tf: typeof Tf) =>
  tf.customGrad((x, k, save) => {
    const [value, kernel] = [x as T4, k as T4]
    if (typeof save === 'function') save([value, kernel])
    const gradFunc = (dy: T, saved: T[]): T[] => {
      const [a, b, d] = [saved[0] as T4, saved[1] as T4, dy as T4]
      return [
        tf.conv2dTranspose(d, b, a.shape, 1, 'same'),
        tf.transpose(tf.conv2d(tf.transpose(a, [3, 1, 2, 0]), tf.transpose(d, [1, 2, 0, 3]), 1, 1), [1, 2, 0, 3]),
      ]
    }
    return { value: tf.conv2d(value, kernel, 1, 'same'), gradFunc }
  })

const elementwise = (tf: typeof Tf, c: Case, from: Received): Prepared => {
  const { quantize, learned } = fakeQuantizer(tf)
  const [low, high] = c.workload === 'W1' ? [-128, 127] : [0, 255]
  const act = (x: T): T => (c.workload === 'W1' ? x : tf.relu(x))
  const given = from.given('x')
  const x = tf.tensor(given.data, [...given.shape])
  const scale = from.given('scale')
  const s = tf.tensor(scale.data, [...scale.shape])
  if (c.phase === 'learned-fwd') {
    tf.tidy(() => from.check('y', quantize(act(x), s, low, high).dataSync()))
    return ready(() => tf.tidy(() => void quantize(act(x), s, low, high)))
  }
  const cotangent = from.given('g')
  const g = tf.tensor(cotangent.data, [...cotangent.shape])
  const q = learned(low, high)
  const grads = tf.grads((...[a, b]) => q(act(a), b))
  tf.tidy(() => from.check('gx', grads([x, s], g)[0].dataSync()))
  return ready(() => tf.tidy(() => void grads([x, s], g)))
}

const convolution = (tf: typeof Tf, c: Case, from: Received): Prepared => {
  const { cout, shape } = CONVS[c.size]
  const [n, , h, w] = shape
  const { learned } = fakeQuantizer(tf)
  const tensorOf = (name: string, shapeOf: readonly number[]): T => tf.tensor(lastAxis(from.given(name)), [...shapeOf])
  const x = tensorOf('x', [n, h, w, shape[1]])
  const weight = from.given('weight')
  const k = tf.transpose(tf.tensor(weight.data, [...weight.shape]), [2, 3, 1, 0])
  const bias = tf.tensor(from.given('bias').data)
  const scale = (name: string): T => tf.scalar(from.given(name).data[0])
  const [si, sw, so] = [scale('inScale'), scale('weightScale'), scale('outScale')]
  const [act, narrow, conv] = [learned(-128, 127), learned(-127, 127), convolutionOf(tf)]
  const forward = (...[a, b, u, v]: T[]): T => act(tf.add(conv(act(a, u), narrow(b, sw)), bias), v)
  const channelFirst = (t: T): Float32Array => tf.transpose(t, [0, 3, 1, 2]).dataSync<'float32'>()
  tf.tidy(() => from.check('y', channelFirst(forward(x, k, si, so))))
  if (c.phase === 'fwd') return ready(() => tf.tidy(() => void forward(x, k, si, so)))
  const g = tensorOf('g', [n, h, w, cout])
  const grads = tf.grads(forward)
  tf.tidy(() => from.check('gx', channelFirst(grads([x, k, si, so], g)[0])))
  return ready(() => tf.tidy(() => void grads([x, k, si, so], g)))
}

const PARAMS = [
  'conv1.weight',
  'conv1.bias',
  'conv2.weight',
  'conv2.bias',
  'fc1.weight',
  'fc1.bias',
  'fc2.weight',
  'fc2.bias',
] as const

/** The float twin, images first, then rows, columns, channels; the first linear layer's inputs are put in that order. */
const twin = (tf: typeof Tf, from: Received, batch: number) => {
  const kernel = (name: string): T => {
    const w = from.given(name)
    return tf.transpose(tf.tensor(w.data, [...w.shape]), w.shape.length === 4 ? [2, 3, 1, 0] : [1, 0])
  }
  const first = (): T => {
    const w = from.given('fc1.weight')
    return tf.reshape(
      tf.transpose(tf.reshape(tf.tensor(w.data, [128, 1568]), [128, 32, 7, 7]), [2, 3, 1, 0]),
      [1568, 128],
    )
  }
  const params = PARAMS.map((name) =>
    tf.variable(
      name.endsWith('bias') ? tf.tensor(from.given(name).data) : name === 'fc1.weight' ? first() : kernel(name),
    ),
  )
  const conv = convolutionOf(tf)
  const x = tf.tensor(from.given('x').data, [batch, 28, 28, 1])
  const net = (trains: boolean): T => {
    const layer = (a: T, i: number): T => {
      const y = tf.relu(
        tf.add(
          trains ? conv(a, params[i]) : tf.conv2d(a as T4, params[i] as Tf.Tensor as T4, 1, 'same'),
          params[i + 1],
        ),
      ) as T4
      return tf.maxPool(y, 2, 2, 'valid')
    }
    const flat = tf.reshape(layer(layer(x, 0), 2), [batch, 1568])
    return tf.add(tf.matMul(tf.relu(tf.add(tf.matMul(flat, params[4]), params[5])), params[6]), params[7])
  }
  return { params, net }
}

const step = (tf: typeof Tf, c: Case, from: Received): Prepared => {
  const { params, net } = twin(tf, from, BATCHES[c.size])
  const target = tf.oneHot(tf.tensor1d(from.given('target').data, 'int32'), 10)
  const loss = (): Tf.Scalar => tf.losses.softmaxCrossEntropy(target, net(true))
  tf.tidy(() => from.check('float.loss', loss().dataSync()))
  const optimizer = tf.train.momentum(1e-4, 0.9)
  return ready(() => tf.tidy(() => void optimizer.minimize(loss, false, [...params])))
}

const inference = (tf: typeof Tf, c: Case, from: Received): Prepared => {
  const { net } = twin(tf, from, BATCHES[c.size])
  tf.tidy(() => from.check('float.y', net(false).dataSync()))
  return ready(() => tf.tidy(() => void net(false).dataSync()))
}

/** Opens tfjs on its WebAssembly backend. */
export const tfjs = async (): Promise<Peer> => {
  const tf: typeof Tf = require('@tensorflow/tfjs-core')
  // The registry of gradients is global; the package's main file leaves it empty.
  require('@tensorflow/tfjs-core/dist/register_all_gradients')
  const wasm: { readonly setWasmPaths: (folder: string) => void } = require('@tensorflow/tfjs-backend-wasm')
  wasm.setWasmPaths(`${join(dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json')), 'dist')}/`)
  tf.enableProdMode()
  await tf.setBackend('wasm')
  await tf.ready()
  if (tf.getBackend() !== 'wasm') throw new Error(`tfjs chose the backend ${tf.getBackend()}`)
  const prepare = async (c: Case, numbers: () => Received): Promise<Prepared> => {
    switch (c.workload) {
      case 'W1':
      case 'W2':
      case 'W3':
        return elementwise(tf, c, numbers())
      case 'W4':
        return convolution(tf, c, numbers())
      case 'W5':
        return step(tf, c, numbers())
      case 'W6':
        return inference(tf, c, numbers())
      case 'W7':
      case 'W8':
      case 'W9':
      case 'W10':
      case 'W11':
      case 'W12':
        return unable('not written')
    }
  }
  return { prepare, close: () => {} }
}

/** The networks that the proof is made for: one of each kind whose numbers could go astray on the way. */
import * as q from '../../src/index.js'
import { loadDigits } from '../digits/data.js'
import { quantNet } from '../digits/network.js'

/** A network with one batch of data. */
export type Case = {
  readonly name: string
  readonly net: q.Layer
  readonly x: q.Tensor
  readonly target: q.Tensor
  readonly loss: 'crossEntropy' | 'mse'
}

const SAMPLES = 16
const pictures = (channels: number, size: number): q.Tensor =>
  q.randn([SAMPLES, channels, size, size])(q.manualSeed(1))[0]
const classes = (n: number): q.Tensor =>
  q.tensorOf(
    [SAMPLES],
    Array.from({ length: SAMPLES }, (_, i) => (i * 7) % n),
  )

const input = () => q.QuantIdentity({ returnQuantTensor: true })
const act = (bitWidth = 8) => q.QuantReLU({ bitWidth, returnQuantTensor: true })
const head = (inFeatures: number, weightBitWidth = 8) => q.QuantLinear({ inFeatures, outFeatures: 3, weightBitWidth })
const conv = (inChannels: number, outChannels: number, more: Partial<Parameters<typeof q.QuantConv2d>[0]> = {}) =>
  q.QuantConv2d({ inChannels, outChannels, kernelSize: 3, padding: 1, ...more })

const perChannel = () =>
  q.chain({
    input: q.QuantIdentity({
      returnQuantTensor: true,
      scalingPerOutputChannel: true,
      scalingStatsPermuteDims: [1, 0, 2, 3],
      perChannelBroadcastableShape: [1, 2, 1, 1],
    }),
    conv: conv(2, 4, { weightQuant: q.Int8WeightPerChannelFloat, inputQuant: q.Int8ActPerTensorFloat }),
    act: act(),
    flatten: q.Flatten(),
    fc: head(4 * 64),
  })

const fourBit = () =>
  q.chain({
    input: input(),
    conv: conv(2, 4, { weightBitWidth: 4, biasQuant: q.Int16Bias }),
    act: act(4),
    pool: q.AvgPool2d({ kernelSize: 2 }),
    flatten: q.Flatten(),
    fc: head(4 * 16, 4),
  })

const residualNet = () =>
  q.chain({
    input: input(),
    conv: conv(2, 4),
    act: act(),
    // A plain sum: two quant tensors of two scales can't be added in evaluation, here as in Brevitas.
    block: q.residual(q.chain({ conv: conv(4, 4), act: q.QuantReLU() })),
    flatten: q.Flatten(),
    fc: head(4 * 64),
  })

/** A forward by hand: two branches, joined by QuantEltwiseAdd, and functions between them. */
const branches = () =>
  q.model(
    {
      input: input(),
      left: conv(2, 4),
      right: conv(2, 4),
      add: q.QuantEltwiseAdd({ returnQuantTensor: true }),
      fc: head(4),
    },
    (layers, params, state, x: q.Value) => {
      const [a, input] = layers.input(params.input, state.input, x)
      const [l, left] = layers.left(params.left, state.left, a)
      const [r, right] = layers.right(params.right, state.right, q.relu(a))
      const [sum, add] = layers.add(params.add, state.add, [l, q.mul(r, 0.5)])
      const [y, fc] = layers.fc(params.fc, state.fc, q.mean(sum, [2, 3]))
      return [y, { input, left, right, add, fc }]
    },
  )

const depthwise = () =>
  q.chain({
    input: input(),
    expand: conv(2, 6, { kernelSize: 1, padding: 0 }),
    act: act(),
    depthwise: conv(6, 6, { groups: 6, stride: 2, weightQuant: q.Int8WeightPerChannelFloat }),
    act2: act(),
    flatten: q.Flatten(),
    fc: head(6 * 16),
  })

const fixedPoint = () =>
  q.chain({
    input: q.QuantIdentity({ actQuant: q.Int8ActPerTensorFixedPoint, returnQuantTensor: true }),
    conv: conv(2, 4, { weightQuant: q.Int8WeightPerTensorFixedPoint }),
    act: q.QuantReLU({ actQuant: q.Uint8ActPerTensorFixedPoint, returnQuantTensor: true }),
    flatten: q.Flatten(),
    fc: q.QuantLinear({ inFeatures: 4 * 64, outFeatures: 3, weightQuant: q.Int8WeightPerTensorFixedPoint }),
  })

const batchNorm = () =>
  q.chain({
    input: input(),
    conv: conv(2, 4, { bias: false }),
    bn: q.BatchNorm2d({ numFeatures: 4 }),
    act: q.QuantReLU({ actQuant: q.ShiftedUint8ActPerTensorFloat, returnQuantTensor: true }),
    flatten: q.Flatten(),
    fc: head(4 * 64),
  })

const transposed = () =>
  q.chain({
    input: input(),
    down: conv(2, 4, { stride: 2 }),
    act: act(),
    up: q.QuantConvTranspose2d({ inChannels: 4, outChannels: 2, kernelSize: 2, stride: 2 }),
    out: q.QuantTanh(),
  })

const digits = (): Case => {
  const { train } = loadDigits(64, 0)
  return { name: 'digits', net: quantNet(8), x: train.images, target: train.labels, loss: 'crossEntropy' }
}

/** All cases. */
export const cases = (): readonly Case[] => {
  const x = pictures(2, 8)
  const classifier = (name: string, net: q.Layer): Case => ({ name, net, x, target: classes(3), loss: 'crossEntropy' })
  return [
    digits(),
    classifier('per-channel', perChannel()),
    classifier('4-bit', fourBit()),
    classifier('residual', residualNet()),
    classifier('branches', branches()),
    classifier('depthwise', depthwise()),
    classifier('fixed-point', fixedPoint()),
    classifier('batch-norm', batchNorm()),
    { name: 'transposed', net: transposed(), x, target: q.randn(x.shape)(q.manualSeed(2))[0], loss: 'mse' },
  ]
}

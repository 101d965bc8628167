/** Scales per channel before a depthwise convolution, as Brevitas' MobileNet has them: each output channel sums over its own input channel alone. */
import * as q from '../../src/index.js'
import { get, same, says } from './support.js'
import { suite } from '../support/suite.js'

const test = suite('nn: scales per channel before a depthwise convolution')

const act = (channels: number) =>
  q.QuantReLU({
    bitWidth: 4,
    collectStatsSteps: 1,
    scalingPerOutputChannel: true,
    perChannelBroadcastableShape: [1, channels, 1, 1],
    scalingStatsPermuteDims: [1, 0, 2, 3],
    returnQuantTensor: true,
  })
const weight = { weightBitWidth: 4, weightQuant: q.Int8WeightPerChannelFloat, bias: false, returnQuantTensor: true }
const conv = (groups: number, outChannels = 4) =>
  q.QuantConv2d({ inChannels: 4, outChannels, kernelSize: 3, padding: 1, groups, ...weight })
const transposed = (groups: number) =>
  q.QuantConvTranspose2d({ inChannels: 4, outChannels: 4, kernelSize: 3, stride: 2, groups, ...weight })

const input = q.tensorInput([2, 4, 5, 5])
const some = (): q.Tensor => q.randn([2, 4, 5, 5])(q.manualSeed(3))[0]
const claimsOf = (second: q.Layer) => {
  const net = q.chain({ act: act(4), conv: second })
  return q.lossesOf(get(q.trace(net, input, { mode: 'eval' }))).map((l) => [l.path, l.op, l.tag, l.why] as const)
}

test('a depthwise convolution carries the product of both scales, channel by channel', () => {
  for (const second of [conv(4), transposed(4)] as readonly q.Layer[]) {
    same(claimsOf(second), [])
    const net = q.chain({ act: act(4), conv: second })
    const { params, state } = get(q.init(net, 0))
    const x = some()
    // Channels of very different sizes: one scale for all would put three of them off the grid.
    for (let i = 0; i < x.data.length; i++) x.data[i] *= 7 ** (Math.floor(i / 25) % 4)
    const { outputs } = get(q.run(get(q.trace(net, input, { mode: 'train' })), { params, state, inputs: x }))
    if (!q.isQuantTensor(outputs)) throw new Error('the convolution gave no quant tensor')
    same(outputs.scale.shape, [1, 4, 1, 1])
    same(q.isValidQuantTensor(outputs), true)
    const ints = q.intRepr(outputs)
    const plane = ints.data.length / 8
    const far = ints.data.map((n, i) => {
      const s = outputs.scale.data[Math.floor(i / plane) % 4]
      return Math.abs(outputs.value.data[i] / s - n)
    })
    same(Math.max(...far) < 1e-3, true)
    same(
      ints.data.some((n) => n !== 0),
      true,
    )
  }
})

test('several channels in a group meet in one sum: claimed, with what a sum adds up', () => {
  for (const second of [conv(1), conv(2), transposed(1), transposed(2)] as readonly q.Layer[]) {
    const [[path, , tag, why]] = claimsOf(second)
    same([path, tag], ['conv', 'claimed'])
    says(why, /sums over \d of them/)
    says(why, /a scale per tensor, or groups: 4/)
  }
})

test.run()

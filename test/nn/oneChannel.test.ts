/** With a single channel a scale per channel is the scale of the tensor, and a row of one element has its own. */
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('one channel')

type Net = q.Layer<unknown, unknown>
const computed = (net: Net, x: q.Tensor): readonly number[] => {
  const program = q.orThrow(q.trace(net, q.tensorInput(x.shape), { mode: 'train' }))
  const { outputs } = q.orThrow(q.run(program, { ...q.orThrow(q.init(net, 1)), inputs: x }))
  return [...q.valueOf(outputs as q.Output).data]
}
const linear = (weightQuant: q.Quantizer, inFeatures: number): Net =>
  q.QuantLinear({ inFeatures, outFeatures: 1, bias: false, weightQuant }) as Net

const PAIRS: readonly (readonly [string, q.Quantizer, q.Quantizer])[] = [
  ['symmetric', q.Int8WeightPerChannelFloat, q.Int8WeightPerTensorFloat],
  ['shifted', q.ShiftedUint8WeightPerChannelFloat, q.ShiftedUint8WeightPerTensorFloat],
  ['fixed point', q.Int8WeightPerChannelFixedPoint, q.Int8WeightPerTensorFixedPoint],
]

for (const [name, perChannel, perTensor] of PAIRS)
  for (const inFeatures of [1, 5])
    test(`${name}, ${inFeatures} inputs: per channel is per tensor`, () => {
      const [x] = q.randn([4, inFeatures])(q.manualSeed(3))
      assert.equal(computed(linear(perChannel, inFeatures), x), computed(linear(perTensor, inFeatures), x))
    })

test('a row of one element is quantized by itself', () => {
  const net = q.QuantIdentity({ actQuant: q.Int8DynamicActPerRowFloat }) as Net
  const column = q.tensorOf([3, 1], [0.5, -7, 100])
  assert.equal(
    computed(net, column),
    [...column.data].flatMap((v) => computed(net, q.tensorOf([1, 1], [v]))),
  )
})

test.run()

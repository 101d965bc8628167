/** HadamardClassifier: its sums may be more than the width holds that Brevitas gives it, and are not clipped. */
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('HadamardClassifier')

const INPUT = { bits: 8, signed: false, training: true }

test('sums that its width does not hold: the value, the width and the gradients are those of Brevitas 0.13.4', () => {
  const layer = q.HadamardClassifier({ inChannels: 3, outChannels: 4, returnQuantTensor: true })
  const program = q.orThrow(q.trace(layer, q.quantInput([2, 3], INPUT), { mode: 'train' }))
  const back = q.orThrow(q.vjp(program, { inputs: true }))
  const { params, state } = q.orThrow(q.init(layer, 0))
  const scale = 0.09217580407857895
  const x: q.QuantTensor = {
    kind: 'quant',
    value: q.tensorOf(
      [2, 3],
      [213, 127, 231, 35, 70, 6].map((i) => i * scale),
    ),
    scale: q.scalar(scale),
    zeroPoint: q.scalar(0),
    bitWidth: q.scalar(8),
    signed: false,
    training: true,
  }
  const cotangent = q.tensorOf(
    [2, 4],
    [
      0.3551838994026184, 0.06414550542831421, -0.49658501148223877, -1.0271998643875122, -0.6282472014427185,
      2.5124430656433105, -0.15662984549999237, -0.7696393728256226,
    ],
  )
  const { outputs, grads } = q.orThrow(q.run(back, { params, state, inputs: { inputs: x, cotangent } as never }))
  const y = outputs as q.QuantTensor
  const close = (a: q.Tensor | undefined, b: readonly number[]): void => {
    assert.is(a?.data.length, b.length)
    b.forEach((v, i) => assert.ok(Math.abs((a?.data[i] ?? NaN) - v) <= 1e-6, `${i}: ${a?.data[i]} for ${v}`))
  }
  close(
    y.value,
    [
      -0.820686936378479, -0.455617755651474, -0.15666350722312927, 0.20840564370155334, -0.15953809022903442,
      0.04168112576007843, -0.14229074120521545, 0.058928482234478,
    ],
  )
  assert.is(y.bitWidth.data[0], 10)
  assert.ok(Math.round(y.value.data[0] / y.scale.data[0]) < -512)
  close(
    grads.inputs as q.Tensor,
    [
      0.02247469872236252, -0.009679736569523811, -0.024601560086011887, -0.01407357957214117, 0.041140034794807434,
      -0.043675076216459274,
    ],
  )
  close((grads.params as { readonly scale: q.Tensor }).scale, [-0.5502279996871948])
})

for (const [what, signed, bits, inChannels, tag] of [
  ['signed integers that fit', true, 8, 3, 'carries'],
  ['unsigned ones, which need a bit more', false, 8, 3, 'claimed'],
  ['signed ones, of which one sum is a step too large', true, 8, 4, 'claimed'],
] as const)
  test(`what it says of its metadata: ${what}`, () => {
    const layer = q.HadamardClassifier({ inChannels, outChannels: 4, returnQuantTensor: true })
    const x = q.quantInput([2, inChannels], { bits, signed, training: false })
    const { graph, outputs } = q.orThrow(q.trace(layer, x, { mode: 'eval' }))
    assert.is(graph.nodes[outputs[0].node].carried.tag, tag)
  })

test.run()

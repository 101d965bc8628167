/** Learned bit widths through the ops that make widths of widths; the expected numbers were measured in Brevitas 0.13.4. */
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('learned bit widths')

const learned = (bitWidth: number) =>
  q.QuantIdentity({ bitWidthImplType: 'PARAMETER', bitWidth, returnQuantTensor: true, collectStatsSteps: 1 })

/** What is made of two quant tensors of 5 and 6 learned bits, the second of which has twice the numbers; bits and scale in Brevitas. */
const MADE: readonly (readonly [string, (a: q.Value, b: q.Value) => q.Value, number, number])[] = [
  ['a product', q.mul, 11, 0.00390625],
  ['a quotient', q.div, 11, 0.03125],
  ['an average', (a) => q.avgPool(a, { kernelSize: 2 }), 7, 0.015625],
  ['an average of nine', (a) => q.avgPool(a, { kernelSize: 3, stride: 1 }), 9, 0.0069444444961845875],
  ['an average over all', (a) => q.adaptiveAvgPool(a, [1, 1]), 9, 0.00390625],
]

const x = q.tensorOf(
  [1, 1, 4, 4],
  Array.from({ length: 16 }, (_, i) => -1 + (2 * i) / 15),
)

/** Runs a network in eval, after its quantizers have learned. */
const settled = <P, S>(net: q.Layer<P, S, q.Value, q.Value>): q.Output => {
  let trees = q.orThrow(q.init(net, 0))
  const program = q.orThrow(q.trace(net, q.tensorInput(x.shape), { mode: 'train' }))
  for (let i = 0; i < 3; i++) trees = { ...trees, state: q.orThrow(q.run(program, { ...trees, inputs: x })).state }
  const evaluated = q.orThrow(q.trace(net, q.tensorInput(x.shape), { mode: 'eval' }))
  return q.orThrow(q.run(evaluated, { ...trees, inputs: x })).outputs as q.Output
}

const says = (y: q.Output, bits: number, scale: number | null): void => {
  assert.ok(q.isQuantTensor(y))
  if (!q.isQuantTensor(y)) return
  assert.is(y.bitWidth.data[0], bits)
  if (scale !== null) assert.is(y.scale.data[0], scale)
}

for (const [what, make, bits, scale] of MADE)
  test(`${what} of learned widths has ${bits} bits, as in Brevitas`, () => {
    const net = q.model({ a: learned(5), b: learned(6) }, (layers, params, state, v: q.Value) => {
      const [a, sa] = layers.a(params.a, state.a, v)
      const [b, sb] = layers.b(params.b, state.b, q.mul(v, 2))
      return [make(a, b), { a: sa, b: sb }]
    })
    says(settled(net), bits, scale)
  })

test('a quantized bias adds a bit to the wider of accumulator and bias', () => {
  const conv = q.QuantConv2d({
    inChannels: 1,
    outChannels: 2,
    kernelSize: 3,
    weightBitWidth: 4,
    biasQuant: q.Int16Bias,
    returnQuantTensor: true,
  })
  says(settled(q.chain({ a: learned(5), conv })), 17, null)
})

test('different scales of learned widths can not be added in eval', () => {
  const net = q.model({ a: learned(5), b: learned(6) }, (layers, params, state, v: q.Value) => {
    const [a, sa] = layers.a(params.a, state.a, v)
    const [b, sb] = layers.b(params.b, state.b, q.mul(v, 3))
    return [q.add(a, b), { a: sa, b: sb }]
  })
  assert.throws(() => settled(net), /Scaling factors are different/)
})

test.run()

/** Where Brevitas' metadata is a quirk, the corrected variant exists under its own name and is right. */
import * as assert from 'uvu/assert'
import fc from 'fast-check'
import { quantOf } from '../../src/data/quant.js'
import * as q from '../../src/index.js'
import { quantTensorArb } from '../../src/testing/index.js'
import { suite } from '../support/suite.js'

const test = suite('quirks')

const shifted = { bits: 5, signed: false, zero: 'integer' } as const
const applied = (f: (x: q.Value) => q.Value, x: q.QuantTensor): { readonly out: q.Output; readonly tag: string } => {
  const program = q.orThrow(
    q.trace(
      q.functionLayer('f', f),
      q.quantInput(x.value.shape, { bits: 5, signed: x.signed, zeroPoint: 'integer', training: true }),
      { mode: 'train' },
    ),
  )
  return {
    out: q.orThrow(q.run(program, { params: {}, state: {}, inputs: x })).outputs,
    tag: program.graph.nodes[program.outputs[0].node].carried.tag,
  }
}
const valid = (out: q.Output): boolean => q.isQuantTensor(out) && q.isValidQuantTensor(out)
const near = (a: q.Tensor, b: Float32Array): boolean =>
  a.data.every((v, i) => Math.abs(v - b[i]) <= 1e-5 * (1 + Math.abs(v)))

test('negCorrect and absCorrect are -x and |x| for any zero point, and valid', () =>
  fc.assert(
    fc.property(quantTensorArb([6], shifted), (x) => {
      const [minus, size] = [applied(q.negCorrect, x), applied(q.absCorrect, x)]
      if (
        !near(
          q.valueOf(minus.out),
          x.value.data.map((v) => -v),
        ) ||
        !valid(minus.out)
      )
        throw new Error('negCorrect is not -x')
      if (!near(q.valueOf(size.out), x.value.data.map(Math.abs))) throw new Error('absCorrect is not |x|')
    }),
  ))

test('avgPoolCorrect multiplies the zero point too', () =>
  fc.assert(
    fc.property(quantTensorArb([1, 1, 4, 4], shifted), (x) => {
      const { out, tag } = applied((v) => q.avgPoolCorrect(v, { kernelSize: 2 }), x)
      if (tag === 'carries' && !valid(out)) throw new Error('it carries, but is not valid')
      if (!valid(out)) throw new Error('it is not valid')
    }),
  ))

test('uneven adaptive windows strip instead of claiming', () => {
  const trace = (f: (x: q.Value) => q.Value) =>
    q.orThrow(q.trace(q.functionLayer('f', f), q.quantInput([1, 1, 5, 4], { bits: 5, signed: true }), { mode: 'eval' }))
  const tagOf = (p: q.Program) => p.graph.nodes[p.outputs[0].node].carried.tag
  assert.is(tagOf(trace((x) => q.adaptiveAvgPool(x, [3, 2])) as q.Program), 'claimed')
  assert.is(tagOf(trace((x) => q.adaptiveAvgPoolCorrect(x, [3, 2])) as q.Program), 'stripped')
})

test('ZERO_MIN_MAX spans all-negative weights, which MIN_MAX cuts', () => {
  const error = (stats: q.StatsOp): number => {
    const layer = q.QuantLinear({
      inFeatures: 2,
      outFeatures: 1,
      bias: false,
      weightQuant: q.ShiftedUint8WeightPerTensorFloat,
      weightScalingStatsOp: stats,
    })
    const { state } = q.orThrow(q.init(layer, 0))
    const weight = q.tensorOf([1, 2], [-1, -3])
    const w = q.orThrow(q.integerWeights(layer, { weight }, state)).value
    return Math.max(...w.data.map((v, i) => Math.abs(v - weight.data[i])))
  }
  assert.ok(error('MIN_MAX') > 0.9)
  assert.ok(error('ZERO_MIN_MAX') < 0.02)
})

test('correctMetadata: a per-channel bias keeps the zero point 0; a transposed convolution counts its bits by multiplying', () => {
  const trace = <P, S>(layer: q.Layer<P, S>) =>
    q.orThrow(q.trace(layer, q.quantInput([1, 2, 4, 4], { bits: 8, signed: true }), { mode: 'eval' })) as q.Program
  const resultOf = (p: q.Program) => {
    const { carried } = p.graph.nodes[p.outputs[0].node]
    return quantOf(carried)
  }
  const conv = {
    inChannels: 2,
    outChannels: 3,
    kernelSize: 2,
    weightQuant: q.Int8WeightPerChannelFloat,
    biasQuant: q.Int8Bias,
    returnQuantTensor: true,
  }
  assert.is(resultOf(trace(q.QuantConv2d(conv)))?.zero, 'equalScales')
  assert.is(resultOf(trace(q.QuantConv2d({ ...conv, correctMetadata: true })))?.zero, 'zero')
  const up = { inChannels: 2, outChannels: 3, kernelSize: 5, bias: false, returnQuantTensor: true }
  const [counted, right] = [
    resultOf(trace(q.QuantConvTranspose2d(up))),
    resultOf(trace(q.QuantConvTranspose2d({ ...up, correctMetadata: true }))),
  ]
  assert.ok((right?.bits ?? 0) > (counted?.bits ?? 0))
})

test.run()

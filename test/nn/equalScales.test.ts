/**
 * A quantized bias on per-channel scales: Brevitas' zero point is a single 0 where all channels turn out to have one scale, else
 * a number of steps per channel; and whoever needs a zero point of 0 asks the numbers.
 */
import * as E from 'fp-ts/lib/Either.js'
import * as assert from 'uvu/assert'
import { quantOf } from '../../src/data/quant.js'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('equal scales')
const backends = [q.reference, q.wasm]

const first = (bits: typeof q.Int16Bias = q.Int16Bias) =>
  q.QuantConv1d({
    inChannels: 1,
    outChannels: 2,
    kernelSize: 1,
    weightQuant: q.Int8WeightPerChannelFixedPoint,
    biasQuant: bits,
    returnQuantTensor: true,
  })
const second = (returnQuantTensor: boolean) =>
  q.QuantConv1d({ inChannels: 2, outChannels: 2, kernelSize: 1, bias: false, returnQuantTensor })
const declared = q.quantInput([1, 1, 2], { bits: 4, signed: false })
const x: q.QuantTensor = {
  kind: 'quant',
  value: q.tensorOf([1, 1, 2], [1, 2]),
  scale: q.scalar(1),
  zeroPoint: q.scalar(0),
  bitWidth: q.scalar(4),
  signed: false,
  training: false,
}
/** Weights 1 and 0.9 have the power-of-two scale 2^-7 both, 1 and 0.4 have two. */
const paramsOf = (w: number, bias: readonly number[] = [0.5, -0.25]) => ({
  weight: q.tensorOf([2, 1, 1], [1, w]),
  bias: q.tensorOf([2], bias),
})
const inner = { weight: q.tensorOf([2, 2, 1], [0.5, -0.25, 0.125, 1]) }

/** The output of a chain, or the words of the error, on each backend. */
const outcomes = (
  next: q.AnyLayer | null,
  w: number,
  bias?: readonly number[],
): readonly (q.QuantTensor | string)[] => {
  const net = next === null ? q.chain({ m: first() }) : q.chain({ m: first(), n: next as never })
  const traced = q.trace(net as never, declared as never, { mode: 'eval' })
  if (E.isLeft(traced)) return [q.explainAll(traced.left)]
  const { params, state } = q.orThrow(q.init(net as never, 0)) as { readonly params: object; readonly state: object }
  return backends.map((backend) => {
    const ran = q.orThrow(q.compile(traced.right, backend)).run({
      params: {
        ...params,
        m: paramsOf(w, bias),
        ...(next === null ? {} : { n: { ...(params as { n: object }).n, ...inner } }),
      },
      state,
      inputs: x,
    } as never)
    return E.isLeft(ran) ? q.explainAll(ran.left) : (ran.right.outputs as q.QuantTensor)
  })
}

test('one scale for all channels gives a single zero point 0, several give one per channel', () => {
  for (const y of outcomes(null, 0.9)) {
    assert.ok(typeof y !== 'string')
    if (typeof y === 'string') continue
    assert.equal([y.zeroPoint.shape, [...y.zeroPoint.data]], [[1], [0]])
    // Recorded from Brevitas 0.13.4.
    assert.equal([...q.intRepr(y).data], [191, 318, 83, 198])
  }
  for (const y of outcomes(null, 0.4))
    assert.equal(typeof y === 'string' ? y : [y.zeroPoint.shape, [...y.zeroPoint.data]], [
      [1, 2, 1],
      [-64, 64],
    ])
})

test('steps that are 0 are not taken for the single 0', () => {
  for (const y of outcomes(null, 0.4, [0, -0]))
    assert.equal(typeof y === 'string' ? y : [y.zeroPoint.shape, [...y.zeroPoint.data].map((z) => z + 0)], [
      [1, 2, 1],
      [0, 0],
    ])
})

test('the next convolution takes it where the scales are equal, and fails the run where they are not', () => {
  for (const y of outcomes(second(true), 0.9))
    assert.equal(typeof y === 'string' ? y : [y.zeroPoint.shape, [...y.zeroPoint.data]], [[1], [0]])
  for (const said of outcomes(second(true), 0.4)) {
    assert.type(said, 'string')
    assert.match(String(said), /QuantLayer is not correctly configured.*its input's zero point is not 0/)
  }
  for (const w of [0.9, 0.4])
    for (const y of outcomes(second(false), w)) assert.ok(typeof y !== 'string' && !q.isQuantTensor(y))
})

test('a sum with itself, a ReLU and a product keep it a single 0; stored programs too', () => {
  const after = (f: (h: q.Value) => q.Value) => q.functionLayer<q.Value>('f', f)
  for (const f of [
    q.relu,
    (h: q.Value) => q.add(h, h),
    (h: q.Value) => q.mul(h, h),
    (h: q.Value) => q.permute(h, [1, 0, 2]),
  ])
    for (const y of outcomes(after(f), 0.9))
      assert.equal(typeof y === 'string' ? y : [y.zeroPoint.shape, [...y.zeroPoint.data]], [[1], [0]])
  const program = q.orThrow(q.trace(first(), declared, { mode: 'eval' }))
  const stored = q.orThrow(q.parseProgram(q.ops)(q.programToJSON(program)))
  const state = q.orThrow(q.init(first(), 0)).state
  const ran = q.orThrow(q.run(stored, { params: paramsOf(0.9), state, inputs: x } as never))
  assert.equal((ran.outputs as q.QuantTensor).zeroPoint.shape, [1])
})

test('a program for given weights has the single 0, and the kind of what is known', () => {
  const act = q.withOptions({ minVal: -2, maxVal: 2 })(q.Int8ActPerTensorFloatMinMaxInit)
  const net = q.chain({ i: q.QuantIdentity({ actQuant: act, returnQuantTensor: true }), m: first() })
  const program = q.orThrow(q.trace(net, q.tensorInput([1, 1, 2]), { mode: 'eval' }))
  const start = q.orThrow(q.init(net, 0))
  const inputs = q.tensorOf([1, 1, 2], [1, 2])
  for (const [w, kind] of [
    [0.9, 'zero'],
    [0.4, 'integer'],
  ] as const) {
    const given = { params: { ...start.params, m: paramsOf(w) }, state: start.state }
    const { program: fixed, constants } = q.orThrow(q.specialize(program, given))
    const { carried } = fixed.graph.nodes[fixed.outputs[0].node]
    assert.is(quantOf(carried)?.zero ?? carried.tag, kind)
    assert.equal(
      q.orThrow(q.run(fixed, { params: constants, state: {}, inputs })).outputs,
      q.orThrow(q.run(program, { ...given, inputs })).outputs,
    )
  }
})

test.run()

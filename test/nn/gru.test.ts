/** QuantGRU against torch.nn.GRU (2.13) in float; its loop against the same program unrolled; quantized layer norm against torch's formula. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import type { Tensor } from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('QuantGRU and QuantLayerNorm')
const [T, B, I, H] = [4, 2, 3, 2]

/** The numbers with which torch was run. */
const filled = (shape: readonly number[], k: number): Tensor => {
  const n = shape.reduce((a, b) => a * b, 1)
  return q.tensorOf(
    shape,
    Array.from({ length: n }, (_, i) => ((((i * 7 + 3) % 11) - 5) / 8) * k),
  )
}
const rows = (t: Tensor, gate: number): Tensor => {
  const each = t.data.length / 3
  return q.tensorOf([H, ...t.shape.slice(1)], t.data.slice(gate * each, (gate + 1) * each))
}
const sum = (a: Tensor, b: Tensor): Tensor =>
  q.tensorOf(
    a.shape,
    a.data.map((v, i) => v + b.data[i]),
  )

/** torch's parameters of one direction, which come behind `before` others. */
const direction = (before: number) => {
  const [wi, wh, bi, bh] = [[3 * H, I], [3 * H, H], [3 * H], [3 * H]].map((s, i) => filled(s, 1 - 0.1 * (before + i)))
  const gate = (k: number, ownBias: boolean) => ({
    inputWeight: { weight: rows(wi, k) },
    hiddenWeight: { weight: rows(wh, k) },
    bias: ownBias ? rows(bi, k) : sum(rows(bi, k), rows(bh, k)),
    ...(ownBias ? { hiddenBias: rows(bh, k) } : {}),
  })
  return { resetGateParams: gate(0, false), updateGateParams: gate(1, false), newGateParams: gate(2, true) }
}

const FLOAT = {
  weightQuant: null,
  biasQuant: null,
  ioQuant: null,
  gateAccQuant: null,
  sigmoidQuant: null,
  tanhQuant: null,
}
const near = (t: Tensor, expected: readonly number[]): void => {
  assert.is(t.data.length, expected.length)
  t.data.forEach((v, i) => assert.ok(Math.abs(v - expected[i]) < 2e-6, `[${i}]: ${v} and ${expected[i]}`))
}

const Y_FORWARD = [
  0.027778, -0.013167, 0.156782, -0.210123, 0.097622, -0.135246, 0.172467, -0.209971, 0.506025, 0.450828, 0.518283,
  0.431039, 0.638932, 0.581301, 0.382292, -0.103629,
]
const Y_BOTH = [
  0.027778, -0.013167, 0.257043, -0.020918, 0.156782, -0.210123, 0.161573, -0.049341, 0.097622, -0.135246, 0.330346,
  0.116665, 0.172467, -0.209971, 0.193178, 0.054465, 0.506025, 0.450828, 0.512583, 0.369722, 0.518283, 0.431039,
  0.30889, 0.236671, 0.638932, 0.581301, 0.413655, 0.263694, 0.382292, -0.103629, -0.026834, -0.051492,
]
const H_BOTH = [0.638932, 0.581301, 0.382292, -0.103629, 0.257043, -0.020918, 0.161573, -0.049341]

for (const both of [false, true])
  test(`without quantizers it computes what torch.nn.GRU does, ${both ? 'both directions' : 'one direction'}`, () => {
    const net = q.QuantGRU({ inputSize: I, hiddenSize: H, bidirectional: both, ...FLOAT })
    const { state } = q.orThrow(q.init(net, 0))
    const params = { layers: { 0: both ? { 0: direction(0), 1: direction(4) } : { 0: direction(0) } } }
    const inputs = { x: q.tensorInput([T, B, I]), hx: q.tensorInput([both ? 2 : 1, B, H]) }
    const program = q.orThrow(q.trace(net, inputs as never, { mode: 'eval' }))
    const data = { x: filled([T, B, I], 1.5), hx: filled([both ? 2 : 1, B, H], 0.5) }
    const { outputs } = q.orThrow(q.run(program, { params, state, inputs: data } as never))
    near(q.valueOf(outputs.y), both ? Y_BOTH : Y_FORWARD)
    near(q.valueOf(outputs.h), both ? H_BOTH : Y_FORWARD.slice(-4))
  })

const x = q.randn([T, B, I])(q.manualSeed(1))[0]
const inputs = { x: q.tensorInput([T, B, I]) } as never

test('quantized, its loop is what the same program gives step by step; quantizers collect once or three times a step', () => {
  const net = q.QuantGRU({ inputSize: I, hiddenSize: H, returnQuantTensor: true, sharedIntraLayerWeightQuant: true })
  const start = q.orThrow(q.init(net, 0))
  const training = q.orThrow(q.trace(net, inputs, { mode: 'train' }))
  const trained = q.orThrow(q.run(training, { ...start, inputs: { x } } as never))
  const counters = trained.state as unknown as {
    layers: { 0: { 0: { cell: { [name: string]: { scale: { counter: Tensor } } } } } }
  }
  const { cell } = counters.layers[0][0]
  assert.is(cell.outputQuant.scale.counter.data[0], 1 + 3 * T)
  assert.is(cell.updateSigmoidQuant.scale.counter.data[0], 2 * T)
  assert.is(cell.newHiddenAccQuant.scale.counter.data[0], T)
  const own = { params: start.params, state: trained.state }
  const program = q.orThrow(q.trace(net, inputs, { mode: 'eval' }))
  const [loop, steps] = [false, true].map((unroll) => q.orThrow(q.specialize(program, own, { unroll })))
  assert.ok(loop.program.graph.nodes.some((n) => n.op.name === 'scan'))
  assert.not.ok(steps.program.graph.nodes.some((n) => n.op.name === 'scan'))
  const [a, b] = [loop, steps].map(
    (s) =>
      q.orThrow(q.run(s.program as never, { params: s.constants, state: {}, inputs: { x } } as never)).outputs as {
        y: q.Output
      },
  )
  assert.equal(q.valueOf(a.y).data, q.valueOf(b.y).data)
  assert.ok(q.isQuantTensor(a.y) && q.isValidQuantTensor(a.y))
})

test('all its parameters get gradients, and it learns', () => {
  const gru = q.QuantGRU({ inputSize: I, hiddenSize: H, gateAccCollectStatsSteps: 2, ioCollectStatsSteps: 2 })
  const net = q.model({ gru }, (layers, params, state, given: q.Value) => {
    const [out, next] = layers.gru(params.gru, state.gru, { x: given })
    return [{ loss: q.mean(q.mul(q.sub(out.y, 0.25), q.sub(out.y, 0.25))) }, { gru: next }]
  })
  const program = q.orThrow(
    q.grad(q.orThrow(q.trace(net, q.tensorInput([T, B, I]), { mode: 'train' })), { output: 'loss' }),
  )
  const optimizer = q.adam({ lr: 0.05 })
  const steps = q.orThrow(q.trainer(program, optimizer, q.startTraining(q.orThrow(q.init(net, 0)), optimizer)))
  const losses = Array.from({ length: 40 }, () => q.valueOf(q.orThrow(steps.step(x)).outputs.loss).data[0])
  const { params } = steps.training()
  steps.dispose()
  assert.ok(losses[39] < 0.3 * losses[0], `${losses[0]} became ${losses[39]}`)
  const before = q.orThrow(q.init(net, 0)).params
  const leaves = (tree: unknown): readonly Tensor[] =>
    typeof tree !== 'object' || tree === null
      ? []
      : 'data' in tree
        ? [tree as Tensor]
        : Object.values(tree).flatMap(leaves)
  const old = leaves(before)
  leaves(params).forEach((t, i) => assert.not.equal(t.data, old[i].data))
})

test('misspelt and impossible options are named', () => {
  const bad = q.trace(q.QuantGRU({ inputSize: I, hidenSize: H } as never), inputs, { mode: 'eval' })
  assert.ok(E.isLeft(bad) && q.explainAll(bad.left).includes('did you mean hiddenSize'))
  const none = q.QuantGRU({ inputSize: I, hiddenSize: H, ioQuant: null, returnQuantTensor: true })
  assert.match(none.problems[0].message, /requires io_quant/)
  const given = { ...q.tensorInput([T, B, I + 1]) }
  const odd = q.trace(q.QuantGRU({ inputSize: I, hiddenSize: H }), { x: given } as never, { mode: 'eval' })
  assert.ok(E.isLeft(odd) && odd.left[0].message.includes('has 4 features, but inputSize is 3'))
})

test('a quantized layer norm without quantizers is a layer norm; with them its result lies on a grid', () => {
  const [given] = q.randn([2, 3, 4])(q.manualSeed(2))
  const params = { weight: filled([4], 1), bias: filled([4], 2) }
  const outputsOf = (net: q.Layer<never, never>, state: unknown) =>
    q.orThrow(
      q.run(q.orThrow(q.trace(net, q.tensorInput([2, 3, 4]), { mode: 'eval' })), {
        params,
        state,
        inputs: given,
      } as never),
    ).outputs as q.Output
  const plain = outputsOf(q.LayerNorm({ normalizedShape: 4 }) as never, {})
  const none = q.QuantLayerNorm({ normalizedShape: 4, weightQuant: null })
  assert.equal(outputsOf(none as never, q.orThrow(q.init(none, 0)).state), plain)
  const all = q.QuantLayerNorm({
    normalizedShape: [4],
    normQuant: q.Int8ActPerTensorFloat,
    biasQuant: q.Int32Bias,
    outputQuant: q.Int8ActPerTensorFloat,
    returnQuantTensor: true,
  })
  const train = q.orThrow(q.trace(all, q.tensorInput([2, 3, 4]), { mode: 'train' }))
  const trained = q.orThrow(q.run(train, { params, state: q.orThrow(q.init(all, 0)).state, inputs: given }))
  const got = outputsOf(all as never, trained.state)
  assert.ok(q.isQuantTensor(got) && q.isValidQuantTensor(got))
  q.valueOf(got).data.forEach((v, i) => assert.ok(Math.abs(v - q.valueOf(plain).data[i]) < 0.05))
  const odd = q.trace(all, q.tensorInput([2, 3, 5]), { mode: 'eval' })
  assert.ok(E.isLeft(odd) && odd.left[0].message.includes('does not end in [4]'))
})

test.run()

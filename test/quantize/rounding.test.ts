/** Rounding: its linear algebra, that it is never worse than plain rounding, and that what is stored lies on the quantizer's grid. */
import fc from 'fast-check'
import * as E from 'fp-ts/lib/Either.js'
import * as assert from 'uvu/assert'
import {
  chain,
  Conv2d,
  explainAll,
  Flatten,
  init,
  Int8WeightPerTensorFloat,
  Linear,
  model,
  MXInt8Weight,
  orThrow,
  relu,
  ReLU,
  run,
  tensorInput,
  trace,
  type Tensor,
  type Value,
} from '../../src/index.js'
import type { TensorTree } from '../../src/nn/layers/layer.js'
import {
  calibrate,
  correctBias,
  layerErrors,
  quantize,
  roundWeights,
  schemes,
  type Rule,
} from '../../src/quantize/index.js'
import { bestWeights, descend, judgeOf, nearestPlane, slopeOf } from '../../src/quantize/rounding/grid.js'
import { cholesky, solve } from '../../src/quantize/rounding/linalg.js'
import { roundRow, type Row } from '../../src/quantize/rounding/rows.js'
import { suite } from '../support/suite.js'

const test = suite('quantize: rounding')

const numbers = (n: number) => fc.array(fc.double({ min: -2, max: 2, noNaN: true }), { minLength: n, maxLength: n })

/** Second moments of a few samples, which correlate. */
const momentsOf = (samples: readonly number[], n: number): Float64Array => {
  const m = new Float64Array(n * n)
  for (let s = 0; s + n <= samples.length; s += n)
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) m[i * n + j] += samples[s + i] * samples[s + j]
  return m
}

const times = (a: Float64Array, n: number, v: ArrayLike<number>): Float64Array =>
  Float64Array.from({ length: n }, (_, j) => Array.from(v).reduce((sum, x, i) => sum + x * a[i * n + j], 0))

const error = (a: Float64Array, n: number, off: ArrayLike<number>): number =>
  times(a, n, off).reduce((sum, x, i) => sum + x * off[i], 0)

test('a Cholesky factor solves what it was made of', () => {
  fc.assert(
    fc.property(numbers(5 * 8), numbers(5), (samples, b) => {
      const a = momentsOf(samples, 5)
      for (let i = 0; i < 5; i++) a[i * 6] += 0.5
      const r = a.slice()
      assert.is(cholesky(r, 5), true)
      const x = Float64Array.from(b)
      solve(r, 5, x)
      times(a, 5, x).forEach((y, i) => assert.ok(Math.abs(y - b[i]) < 1e-6 * (1 + Math.abs(b[i]))))
    }),
  )
  assert.is(cholesky(Float64Array.of(1, 2, 2, 1), 2), false)
  // Larger than the rows that are taken together, and no multiple of them.
  const n = 75
  const a = Float64Array.from(
    { length: n * n },
    (_, i) => Math.cos(Math.floor(i / n) - (i % n)) / (1 + Math.abs(Math.floor(i / n) - (i % n))),
  )
  for (let i = 0; i < n; i++) a[i * (n + 1)] += 2
  const r = a.slice()
  assert.is(cholesky(r, n), true)
  const b = Float64Array.from({ length: n }, (_, i) => Math.sin(i))
  const x = b.slice()
  solve(r, n, x)
  times(a, n, x).forEach((y, i) => assert.ok(Math.abs(y - b[i]) < 1e-9))
})

const row = (samples: readonly number[], target: readonly number[]): Row | null => {
  const n = target.length
  const judge = judgeOf(momentsOf(samples, n), n, 0.01)
  if (judge === null) return null
  const b = times(judge.a, n, target)
  return { judge, target: bestWeights(judge, b), b }
}

test('descent from the nearest plane is never worse than it, and on the grid', () => {
  fc.assert(
    fc.property(numbers(4 * 6), numbers(4), fc.constantFrom(1, 3, 7), (samples, target, hi) => {
      const r = row(samples, target)
      if (r === null) return
      const grid = { lo: -hi, hi }
      const step = 2 / hi
      const q = new Float64Array(4)
      nearestPlane(r.judge, r.target, step, grid, q)
      const before = error(
        r.judge.a,
        4,
        q.map((x, i) => x * step - r.target[i]),
      )
      descend(r.judge, slopeOf(r.judge, r.b, q, step), q, step, { grid, sweeps: 20 })
      const after = error(
        r.judge.a,
        4,
        q.map((x, i) => x * step - r.target[i]),
      )
      assert.ok(after <= before + 1e-9 * (1 + before))
      assert.ok(q.every((x) => Number.isInteger(x) && Math.abs(x) <= hi))
    }),
  )
})

test('without clipping the nearest plane finds what is there to find in one dimension, and most of it in two', () => {
  fc.assert(
    fc.property(numbers(2 * 6), numbers(2), (samples, target) => {
      const r = row(samples, target)
      if (r === null) return
      const grid = { lo: -8, hi: 8 }
      const found = roundRow(r, 0.5, { grid, stored: (s) => s, shrinks: [], tries: 1, sweeps: 20 })
      let least = Infinity
      for (let i = -8; i <= 8; i++)
        for (let j = -8; j <= 8; j++)
          least = Math.min(least, error(r.judge.a, 2, [i * 0.5 - r.target[0], j * 0.5 - r.target[1]]))
      // Babai's plane is within 1/(1 - 3/4)… of the least in two dimensions; descent does not leave it.
      assert.ok(found.error <= 4 * least + 1e-9, `${found.error} ${least}`)
    }),
  )
})

test('a searched step is never worse than the widest', () => {
  fc.assert(
    fc.property(numbers(4 * 6), numbers(4), (samples, target) => {
      const r = row(samples, target)
      if (r === null) return
      const widest = Math.max(...r.target.map(Math.abs), 1e-6)
      const search = { grid: { lo: -1, hi: 1 }, stored: Math.fround, tries: 9, sweeps: 8 }
      const shrinks = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]
      const plain = roundRow(r, widest, { ...search, shrinks: [] })
      assert.ok(roundRow(r, widest, { ...search, shrinks }).error <= plain.error + 1e-12)
    }),
  )
})

const net = chain({
  conv: Conv2d({ inChannels: 2, outChannels: 6, kernelSize: 3, padding: 1, groups: 2 }),
  relu: ReLU(),
  flat: Flatten(),
  fc: Linear({ inFeatures: 6 * 16, outFeatures: 5, bias: false }),
})
const inputs = tensorInput([8, 2, 4, 4])
const trained = orThrow(init(net, 5))
const samples: Tensor = {
  shape: [64, 2, 4, 4],
  data: Float32Array.from({ length: 2048 }, (_, i) => Math.sin(i * 1.3) + Math.cos(i * 0.11)),
}
const calibrated = (rules: readonly Rule[]) =>
  orThrow(calibrate(orThrow(quantize(net, inputs, trained, rules)), samples))
const out = (n: ReturnType<typeof calibrated>['float']): Float32Array =>
  (
    orThrow(run(orThrow(trace(n.net, tensorInput([64, 2, 4, 4]), { mode: 'eval' })), { ...n, inputs: samples }))
      .outputs as Tensor
  ).data
const distance = (a: Float32Array, b: Float32Array): number => a.reduce((sum, x, i) => sum + (x - b[i]) ** 2, 0)

test('results come closer to the float network, in groups and with a bias that was not there', () => {
  for (const rules of [
    schemes.w3a8,
    schemes.w2a8,
    [...schemes.w3a8, { to: { weightQuant: Int8WeightPerTensorFloat } }],
    [...schemes.fixedPoint, { to: { weightBitWidth: 4 } }],
  ]) {
    const q = calibrated(rules)
    const wanted = out(q.float)
    const rounded = orThrow(roundWeights(q, q.float, samples))
    assert.ok(distance(out(rounded), wanted) < 0.7 * distance(out(q), wanted))
    for (const l of rounded.rounded) assert.ok((l.after ?? 1) < (l.before ?? 0), `${l.path} ${l.before} ${l.after}`)
    // The stored weights are what the quantizer makes of them: rounding again changes nothing.
    const weights = (n: typeof q) =>
      Object.entries(n.params).map(([, p]) => ('weight' in p ? (p.weight as Tensor).data : new Float32Array()))
    const again = orThrow(
      roundWeights(rounded, { ...q.float, params: rounded.params }, samples, { scales: 'keep', target: 'own' }),
    )
    assert.equal(again.rounded.length, 2)
    assert.ok(weights(rounded).every((w) => w.every(Number.isFinite)))
  }
})

test('mean errors of channels are gone after a correction', () => {
  const q = calibrated(schemes.w2a8)
  const corrected = orThrow(correctBias(q, q.float, samples))
  const means = (n: typeof q.float) => {
    const y = out(n)
    return Float64Array.from({ length: 5 }, (_, c) => y.reduce((sum, x, i) => (i % 5 === c ? sum + x / 64 : sum), 0))
  }
  const wanted = means(q.float)
  means(corrected).forEach((m, c) => assert.ok(Math.abs(m - wanted[c]) < 1e-4))
  assert.ok(means(q).some((m, c) => Math.abs(m - wanted[c]) > 1e-3))
})

/** Rows of the samples. */
const part = (from: number, to: number): Tensor => ({
  shape: [to - from, 2, 4, 4],
  data: samples.data.subarray(from * 32, to * 32),
})
const biasesOf = (n: { readonly params: TensorTree }): readonly number[] =>
  Object.values(n.params).flatMap((p) => ('bias' in p ? [...(p.bias as Tensor).data] : []))
const near = (a: readonly number[], b: readonly number[], tolerance: number): void => {
  assert.is(a.length, b.length)
  a.forEach((x, i) => assert.ok(Math.abs(x - b[i]) <= tolerance, `${x} and ${b[i]}`))
}

test('the order of batches of several sizes says nothing, and a correction of few samples is near that of all', () => {
  const q = calibrated(schemes.w2a8)
  const cut = [part(0, 24), part(24, 32), part(32, 56), part(56, 64)]
  const other = [cut[1], cut[0], cut[3], cut[2]]
  const [once, again] = [cut, other].map((batches) => orThrow(roundWeights(q, q.float, batches)))
  near(biasesOf(once), biasesOf(again), 1e-5)
  const [a, b, whole] = [cut, other, samples].map((data) => biasesOf(orThrow(correctBias(q, q.float, data))))
  near(a, b, 1e-6)
  const plain = biasesOf(orThrow(correctBias(q, q.float, [part(0, 64)])))
  near(plain, whole, 0)
  const size = Math.max(...whole.map(Math.abs))
  near(a, whole, 0.5 * size)
})

test('a layer that is called twice is corrected by the mean of both calls', () => {
  const twice = model({ fc: Linear({ inFeatures: 4, outFeatures: 4, bias: false }) }, (l, params, state, x: Value) => {
    const [y, s] = l.fc(params.fc, state.fc, x)
    const [z, last] = l.fc(params.fc, s, relu(y))
    return [z, { fc: last }]
  })
  const data: Tensor = { shape: [16, 4], data: Float32Array.from({ length: 64 }, (_, i) => Math.sin(i * 1.7)) }
  const made = orThrow(quantize(twice, tensorInput([16, 4]), orThrow(init(twice, 1)), schemes.w2a8))
  const q = orThrow(calibrate(made, data))
  const corrected = orThrow(correctBias(q, q.float, data))
  const errorOf = (n: typeof q): number =>
    orThrow(layerErrors(n, q.float, data)).reduce((sum, { error: e }) => sum + e, 0)
  assert.is(biasesOf(corrected).length, 4)
  assert.ok(errorOf(corrected) < errorOf(q), `${errorOf(corrected)} and ${errorOf(q)}`)
})

test('a correction behind a rounding, or a second one, moves no mean error twice', () => {
  const q = calibrated(schemes.w2a8)
  const error = (n: typeof q): number =>
    orThrow(layerErrors(n, q.float, samples)).find((e) => e.path === '')?.error ?? 0
  const rounded = orThrow(roundWeights(q, q.float, samples))
  const both = orThrow(correctBias(rounded, q.float, samples))
  assert.ok(error(both) < error(rounded) * 1.001, `${error(both)} ${error(rounded)}`)
  const once = orThrow(correctBias(q, q.float, samples))
  const twice = orThrow(correctBias(once, q.float, samples))
  const biases = (n: typeof q): readonly number[] =>
    ['conv', 'fc'].flatMap((l) => [...((n.params[l] as { readonly bias: Tensor }).bias.data ?? [])])
  biases(twice).forEach((b, i) => assert.ok(Math.abs(b - biases(once)[i]) < 1e-5))
})

test('what can not be rounded is told, what does not fit refused', () => {
  const q = calibrated([...schemes.int8Weights, { layer: 'Linear', to: { weightQuant: MXInt8Weight } }])
  const { rounded } = orThrow(roundWeights(q, q.float, samples))
  assert.match(rounded.find((l) => l.path === 'fc')?.kept ?? '', 'one per tensor or channel')
  const wrong = (options: unknown): string => {
    const got = roundWeights(q, q.float, samples, options as never)
    return E.isLeft(got) ? explainAll(got.left) : ''
  }
  assert.match(wrong({ sweep: 3 }), 'did you mean sweeps?')
  assert.match(wrong({ damping: -1 }), 'from 0 on')
  assert.match(wrong({ target: 'quant' }), '"float", "own"')
})

test.run()

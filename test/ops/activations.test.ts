/** Activations: their values against plain formulas, torch's kinks, NaN, gradients by finite differences, metadata. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { NodeId } from '../../src/data/quant.js'
import { quantOf } from '../../src/data/quant.js'
import type { Shape } from '../../src/data/shape.js'
import { full, scalar, type Tensor, tensorOf } from '../../src/data/tensor.js'
import { newBuilder } from '../../src/graph/builder.js'
import type { Node } from '../../src/graph/graph.js'
import { type Attrs, hasVjp, type Op } from '../../src/graph/op.js'
import { constantOf } from '../../src/graph/structural.js'
import { elu, gelu, hardswish, leakyRelu, sigmoid, tanh } from '../../src/ops/activations.js'
import { exp, exp2, log, log2, sqrt } from '../../src/ops/exponentials.js'
import { ops } from '../../src/ops/index.js'
import { maxAll, maxLast } from '../../src/ops/largest.js'
import { hardtanh, relu, relu6 } from '../../src/ops/relu.js'
import { logSoftmax, softmax } from '../../src/ops/softmax.js'
import { softsign } from '../../src/ops/softsign.js'
import { suite } from '../support/suite.js'
import { builderWith, evaluate, isClose, quantInput, randomTensor, seeds, tagOf } from './direct.js'

const test = suite('activations')

/** The gradient of a unary op for cotangent g: its rule is traced and its nodes evaluated, one after the other. */
const gradient = <A extends Attrs>(op: Op<A>, x: Tensor, g: Tensor, attrs: A): Tensor => {
  if (!hasVjp(op)) throw new Error(`${op.name} has no gradient`)
  const b = newBuilder({ table: ops, mode: 'eval', metadata: false })
  const [vx, vg] = [b.input('data', 'x', x.shape), b.input('data', 'g', g.shape)]
  const [result] = op.vjp({
    g: vg,
    args: [vx],
    attrs,
    out: () => b.apply(op as Op, [vx], attrs),
    needs: [true],
    kit: b,
  })
  if (result === null || result === undefined) throw new Error('no path')
  assert.deepEqual(b.errors, [])
  const values = new Map<NodeId, Tensor>([
    [vx.id, x],
    [vg.id, g],
  ])
  const valueOf = (id: NodeId): Tensor => values.get(id) ?? scalar(NaN)
  const evaluated = (node: Node): Tensor =>
    node.op.name === 'const'
      ? full(node.shape, constantOf(node.attrs))
      : evaluate(node.op, node.inputs.map(valueOf), node.attrs)
  for (const node of b.finish([result]).nodes) if (!values.has(node.id)) values.set(node.id, evaluated(node))
  return valueOf(result.id)
}

const ones = (shape: Shape): Tensor => full(shape, 1)
/** The slopes of an element-wise op at some points. */
const slopes = <A extends Attrs>(op: Op<A>, xs: readonly number[], attrs: A): readonly number[] =>
  [...gradient(op, tensorOf([xs.length], xs), ones([xs.length]), attrs).data].map((v) => (v === 0 ? 0 : v))
const values = <A extends Attrs>(op: Op<A>, xs: readonly number[], attrs: A): readonly number[] => [
  ...evaluate(op, [tensorOf([xs.length], xs)], attrs).data,
]

const NONE: Attrs = {}
const INF = Infinity

test('values are those of the plain formulas', () => {
  const naive: readonly (readonly [Op, (x: number) => number, boolean?])[] = [
    [relu, (x) => Math.max(x, 0)],
    [relu6, (x) => Math.min(Math.max(x, 0), 6)],
    [sigmoid, (x) => 1 / (1 + Math.exp(-x))],
    [tanh, Math.tanh],
    [hardswish, (x) => (x * Math.min(Math.max(x + 3, 0), 6)) / 6],
    [softsign, (x) => x / (1 + Math.abs(x))],
    [exp, Math.exp],
    [exp2, (x) => 2 ** x],
    [log, Math.log, true],
    [log2, Math.log2, true],
    [sqrt, Math.sqrt, true],
  ]
  for (const [op, f, positive = false] of naive)
    fc.assert(
      fc.property(seeds, (seed) => {
        const x = tensorOf(
          [20],
          randomTensor([20], seed).data.map((v) => (positive ? Math.abs(v) * 9 + 0.01 : v * 9)),
        )
        const y = evaluate(op, [x], NONE)
        assert.ok(
          y.data.every((v, i) => Math.abs(v - f(x.data[i])) <= 1e-7 + 1e-7 * Math.abs(f(x.data[i]))),
          op.name,
        )
      }),
      { numRuns: 10 },
    )
  const xs = [-7, -1, -0.5, 0, 0.5, 1, 7]
  assert.ok(
    isClose(
      tensorOf([7], values(elu, xs, { alpha: 2 })),
      xs.map((x) => (x > 0 ? x : 2 * Math.expm1(x))),
    ),
  )
  assert.deepEqual(values(leakyRelu, [-4, 0, 4], { negativeSlope: 0.25 }), [-1, 0, 4])
  assert.deepEqual(values(hardtanh, [-4, -0.5, 4], { minVal: -1, maxVal: 2 }), [-1, -0.5, 2])
  // torch.nn.functional.gelu of -2, -1, 0, 1, 2.
  assert.ok(
    isClose(tensorOf([5], values(gelu, [-2, -1, 0, 1, 2], NONE)), [-0.04550026, -0.15865526, 0, 0.84134474, 1.9544997]),
  )
})

test('NaN stays NaN, infinities go to the limits', () => {
  const limits: readonly (readonly [Op, number, number])[] = [
    [relu, 0, INF],
    [relu6, 0, 6],
    [sigmoid, 0, 1],
    [tanh, -1, 1],
    [hardswish, NaN, INF],
    [exp, 0, INF],
    [exp2, 0, INF],
    [log, NaN, INF],
    [log2, NaN, INF],
    [sqrt, NaN, INF],
  ]
  for (const [op, low, high] of limits) assert.deepEqual(values(op, [-INF, INF, NaN], NONE), [low, high, NaN], op.name)
  assert.deepEqual(values(elu, [-INF, NaN], { alpha: 0.5 }), [-0.5, NaN])
  assert.deepEqual(values(leakyRelu, [-INF, NaN], { negativeSlope: 0.5 }), [-INF, NaN])
  assert.deepEqual(values(hardtanh, [-INF, INF, NaN], { minVal: -1, maxVal: 1 }), [-1, 1, NaN])
  assert.deepEqual([...values(gelu, [NaN], NONE), ...values(softsign, [NaN], NONE)], [NaN, NaN])
  assert.deepEqual(values(log, [0], NONE), [-INF])
})

test("kinks are torch's", () => {
  assert.deepEqual(slopes(relu, [-1, 0, 1], NONE), [0, 0, 1])
  assert.deepEqual(slopes(relu6, [-1, 0, 3, 6, 7], NONE), [0, 0, 1, 0, 0])
  assert.deepEqual(slopes(hardtanh, [-2, -1, 0, 2, 3], { minVal: -1, maxVal: 2 }), [0, 0, 1, 0, 0])
  assert.deepEqual(slopes(leakyRelu, [-1, 0, 1], { negativeSlope: 0.25 }), [0.25, 0.25, 1])
  assert.deepEqual(slopes(elu, [0, 1], { alpha: 0.5 }), [0.5, 1])
  assert.deepEqual(slopes(hardswish, [-4, -3, 0, 3, 4], NONE), [0, 0, 0.5, 1, 1])
})

test('masks choose: no NaN of the cotangent comes through', () => {
  const x = tensorOf([2], [-1, 1])
  const g = tensorOf([2], [NaN, 2])
  for (const op of [relu, relu6]) assert.deepEqual([...gradient(op, x, g, NONE).data], [0, 2])
  assert.deepEqual([...gradient(hardtanh, tensorOf([2], [-1, 0.5]), g, { minVal: -1, maxVal: 1 }).data], [0, 2])
})

/** The slope by central differences of a formula in double. */
const slopeOf = (f: (x: number) => number, x: number): number => (f(x + 1e-5) - f(x - 1e-5)) / 2e-5

test('gradients are the derivatives', () => {
  const smooth: readonly (readonly [Op, (x: number) => number])[] = [
    [sigmoid, (x) => 1 / (1 + Math.exp(-x))],
    [tanh, Math.tanh],
    [softsign, (x) => x / (1 + Math.abs(x))],
    [exp, Math.exp],
    [exp2, (x) => 2 ** x],
    [log, Math.log],
    [log2, Math.log2],
    [sqrt, Math.sqrt],
    [hardswish, (x) => (x * Math.min(Math.max(x + 3, 0), 6)) / 6],
  ]
  const xs = [0.25, 0.5, 1.5, 2.75]
  for (const [op, f] of smooth)
    slopes(op, xs, NONE).forEach((s, i) =>
      assert.ok(Math.abs(s - slopeOf(f, xs[i])) < 1e-5, `${op.name} at ${xs[i]}: ${s}`),
    )
  const eluOf = (x: number): number => (x > 0 ? x : 0.5 * Math.expm1(x))
  slopes(elu, [-2, -0.5, 2], { alpha: 0.5 }).forEach((s, i) =>
    assert.ok(Math.abs(s - slopeOf(eluOf, [-2, -0.5, 2][i])) < 1e-5),
  )
  // Phi(x) + x*phi(x) at -1, 0, 1.
  slopes(gelu, [-1, 0, 1], NONE).forEach((s, i) => assert.ok(Math.abs(s - [-0.08331547, 0.5, 1.08331547][i]) < 1e-6))
})

const column = (x: Tensor, c: number): readonly number[] => [...x.data].filter((_, i) => i % x.shape[1] === c)

test('softmax and logSoftmax: shares of the whole, along any axis, without overflow', () => {
  fc.assert(
    fc.property(seeds, (seed) => {
      const x = randomTensor([3, 4], seed)
      const [p, logs] = [evaluate(softmax, [x], { dim: 0 }), evaluate(logSoftmax, [x], { dim: 0 })]
      for (let c = 0; c < 4; c++) {
        const total = column(x, c).reduce((s, v) => s + Math.exp(v), 0)
        column(x, c).forEach((v, r) =>
          assert.ok(
            Math.abs(p.data[r * 4 + c] - Math.exp(v) / total) < 1e-6 &&
              Math.abs(logs.data[r * 4 + c] - (v - Math.log(total))) < 1e-6,
          ),
        )
      }
    }),
    { numRuns: 30 },
  )
  assert.deepEqual(values(softmax, [1e4, 1e4, -1e4], { dim: 0 }), [0.5, 0.5, 0])
  assert.deepEqual(values(logSoftmax, [1e4, 0], { dim: 0 }), [0, -1e4])
  assert.deepEqual(values(softmax, [0, NaN], { dim: 0 }), [NaN, NaN])
  assert.deepEqual(values(softmax, [0, -INF], { dim: 0 }), [1, 0])
})

test('gradients of softmax and logSoftmax', () => {
  const [x, g] = [randomTensor([2, 3], 4), randomTensor([2, 3], 5)]
  const row = (t: Tensor, r: number): readonly number[] => Array.from(t.data.subarray(3 * r, 3 * r + 3))
  const softmaxOf = (v: readonly number[]): readonly number[] =>
    v.map((a) => Math.exp(a) / v.reduce((s, b) => s + Math.exp(b), 0))
  for (const [op, f] of [
    [softmax, softmaxOf],
    [logSoftmax, (v: readonly number[]) => softmaxOf(v).map(Math.log)],
  ] as const) {
    const dx = gradient(op, x, g, { dim: 1 })
    for (let r = 0; r < 2; r++)
      for (let i = 0; i < 3; i++) {
        const along = (h: number): number =>
          f(row(x, r).map((v, k) => (k === i ? h : v))).reduce((s, v, k) => s + v * row(g, r)[k], 0)
        assert.ok(Math.abs(dx.data[3 * r + i] - slopeOf(along, row(x, r)[i])) < 1e-5)
      }
  }
})

test('the largest: NaN wins; equals share over all, the first takes it along an axis', () => {
  const x = tensorOf([2, 3], [1, 5, 5, 5, 2, 5])
  assert.deepEqual([...evaluate(maxAll, [x], NONE).data], [5])
  assert.deepEqual([...gradient(maxAll, x, scalar(1), NONE).data], [0, 0.25, 0.25, 0.25, 0, 0.25])
  assert.deepEqual([...evaluate(maxLast, [x], NONE).data], [5, 5])
  assert.deepEqual([...gradient(maxLast, x, tensorOf([2], [1, 2]), NONE).data], [0, 1, 0, 2, 0, 0])
  assert.deepEqual(values(maxAll, [1, NaN, 2], NONE), [NaN])
  assert.deepEqual([...evaluate(maxLast, [tensorOf([2, 2], [NaN, 1, -INF, -INF])], NONE).data], [NaN, -INF])
})

test('metadata: relu keeps, bounds claim, the others strip', () => {
  const b = builderWith([])
  const q = quantInput(b, 'q', [4], 4, true)
  const shifted = quantInput(b, 'z', [4], 4, false, [], { zero: 'integer' })
  const fraction = quantInput(b, 'f', [4], 4, true, [], { zero: 'any' })
  const positive = b.emit('relu', [q]).carried
  assert.equal(positive.tag, 'carries')
  assert.deepEqual([quantOf(positive)?.lo, quantOf(positive)?.hi, quantOf(positive)?.signed], [0, 7, true])
  assert.equal(quantOf(b.emit('relu', [shifted]).carried)?.lo, 0)
  assert.match(tagOf(b.emit('relu', [fraction]).carried), /^claimed: its zero point/)
  assert.match(tagOf(b.emit('relu6', [q]).carried), /^claimed: 6 is off the grid/)
  assert.match(tagOf(b.emit('hardtanh', [q], { minVal: -1, maxVal: 1 }).carried), /^claimed: the bounds/)
  for (const name of [
    'sigmoid',
    'tanh',
    'gelu',
    'hardswish',
    'softsign',
    'exp',
    'log',
    'sqrt',
    'maxAll',
    'maxLast',
  ] as const)
    assert.match(tagOf(b.emit(name, [q]).carried), /^stripped: ./, name)
  assert.match(tagOf(b.emit('softmax', [q], { dim: 0 }).carried), /^stripped/)
})

test.run()

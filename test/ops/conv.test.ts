/** Convolutions against their definition, their gradients against each other, and what they do to metadata. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { quantOf } from '../../src/data/quant.js'
import type { Shape } from '../../src/data/shape.js'
import { sizeOf } from '../../src/data/shape.js'
import type { Tensor } from '../../src/data/tensor.js'
import { hasVjp, isRefusal, type Attrs, type Op, type Value } from '../../src/graph/op.js'
import { conv } from '../../src/ops/conv.js'
import { convInputGrad } from '../../src/ops/convInputGrad.js'
import { convTranspose } from '../../src/ops/convTranspose.js'
import { convWeightGrad } from '../../src/ops/convWeightGrad.js'
import type { ConvAttrs, ConvTransposeAttrs } from '../../src/ops/support/convShape.js'
import { suite } from '../support/suite.js'
import {
  at,
  builderWith,
  dot,
  evaluate,
  indices,
  isClose,
  quantInput,
  randomIntegers,
  randomTensor,
  refusalOf,
  seeds,
  tagOf,
} from './direct.js'

const test = suite('conv')

type Case = { readonly x: Shape; readonly w: Shape; readonly attrs: ConvAttrs; readonly seed: number }

const axis = fc.record({
  size: fc.integer({ min: 1, max: 5 }),
  kernel: fc.integer({ min: 1, max: 3 }),
  stride: fc.integer({ min: 1, max: 3 }),
  before: fc.integer({ min: -1, max: 2 }),
  after: fc.integer({ min: -1, max: 2 }),
  dilation: fc.integer({ min: 1, max: 2 }),
})

const cases: fc.Arbitrary<Case> = fc
  .record({
    axes: fc.array(axis, { minLength: 1, maxLength: 3 }),
    n: fc.integer({ min: 1, max: 2 }),
    groups: fc.integer({ min: 1, max: 2 }),
    c: fc.integer({ min: 1, max: 3 }),
    o: fc.integer({ min: 1, max: 5 }),
    seed: seeds,
  })
  .map(({ axes, n, groups, c, o, seed }) => ({
    x: [n, c * groups, ...axes.map((a) => a.size)],
    w: [o * groups, c, ...axes.map((a) => a.kernel)],
    attrs: {
      stride: axes.map((a) => a.stride),
      padding: axes.map((a) => [a.before, a.after] as const),
      dilation: axes.map((a) => a.dilation),
      groups,
    },
    seed,
  }))
  .filter(({ x, w, attrs }) => !isRefusal(conv.shape([x, w], attrs)))

/** The definition. */
const naiveConv = (
  x: Tensor,
  w: Tensor,
  out: Shape,
  { stride, padding, dilation, groups }: ConvAttrs,
): readonly number[] =>
  indices(out).map(([n, o, ...p]) => {
    const first = Math.floor(o / (w.shape[0] / groups)) * w.shape[1]
    return indices(w.shape.slice(1)).reduce((sum, [c, ...k]) => {
      const s = k.map((kd, d) => p[d] * stride[d] + kd * dilation[d] - padding[d][0])
      return s.every((i, d) => i >= 0 && i < x.shape[d + 2])
        ? sum + at(x, [n, first + c, ...s]) * at(w, [o, c, ...k])
        : sum
    }, 0)
  })

test('is its definition, over 1, 2 and 3 axes', () => {
  fc.assert(
    fc.property(cases, ({ x, w, attrs, seed }) => {
      const [a, b] = [randomTensor(x, seed), randomTensor(w, seed + 1)]
      const y = evaluate(conv, [a, b], attrs)
      assert.ok(isClose(y, naiveConv(a, b, y.shape, attrs)))
    }),
    { numRuns: 150 },
  )
})

test('its gradients are its adjoints', () => {
  fc.assert(
    fc.property(cases, ({ x, w, attrs, seed }) => {
      const [a, b] = [randomTensor(x, seed), randomTensor(w, seed + 1)]
      const y = evaluate(conv, [a, b], attrs)
      const g = randomTensor(y.shape, seed + 2)
      const expected = dot(y, g)
      const toX = dot(a, evaluate(convInputGrad, [g, b], { ...attrs, inputShape: x }))
      const toW = dot(b, evaluate(convWeightGrad, [a, g], { ...attrs, weightShape: w }))
      const size = 1e-6 * (1 + sizeOf(y.shape) * sizeOf(w.slice(1)))
      assert.ok(Math.abs(expected - toX) <= size && Math.abs(expected - toW) <= size, `${expected} ${toX} ${toW}`)
    }),
    { numRuns: 150 },
  )
})

type TransposeCase = { readonly x: Shape; readonly w: Shape; readonly attrs: ConvTransposeAttrs; readonly seed: number }

const transposeAxis = fc.record({
  size: fc.integer({ min: 1, max: 4 }),
  kernel: fc.integer({ min: 1, max: 3 }),
  stride: fc.integer({ min: 1, max: 3 }),
  padding: fc.integer({ min: 0, max: 1 }),
  outputPadding: fc.integer({ min: 0, max: 2 }),
  dilation: fc.integer({ min: 1, max: 3 }),
})

const transposeCases: fc.Arbitrary<TransposeCase> = fc
  .record({
    axes: fc.array(transposeAxis, { minLength: 1, maxLength: 3 }),
    n: fc.integer({ min: 1, max: 2 }),
    groups: fc.integer({ min: 1, max: 2 }),
    c: fc.integer({ min: 1, max: 5 }),
    o: fc.integer({ min: 1, max: 3 }),
    seed: seeds,
  })
  .map(({ axes, n, groups, c, o, seed }) => ({
    x: [n, c * groups, ...axes.map((a) => a.size)],
    w: [c * groups, o, ...axes.map((a) => a.kernel)],
    attrs: {
      stride: axes.map((a) => a.stride),
      padding: axes.map((a) => a.padding),
      outputPadding: axes.map((a) => a.outputPadding),
      dilation: axes.map((a) => a.dilation),
      groups,
    },
    seed,
  }))
  .filter(({ x, w, attrs }) => !isRefusal(convTranspose.shape([x, w], attrs)))

/** The definition: every input element adds a kernel to the output. */
const naiveTranspose = (
  x: Tensor,
  w: Tensor,
  out: Shape,
  { stride, padding, dilation, groups }: ConvTransposeAttrs,
): readonly number[] => {
  const perIn = x.shape[1] / groups
  const all = indices(out)
  const index = new Map(all.map((p, i) => [p.join(), i]))
  const sums = new Array<number>(all.length).fill(0)
  for (const [n, c, ...s] of indices(x.shape))
    for (const [o, ...k] of indices(w.shape.slice(1))) {
      const p = s.map((i, d) => i * stride[d] + k[d] * dilation[d] - padding[d])
      const to = index.get([n, Math.floor(c / perIn) * w.shape[1] + o, ...p].join())
      if (to !== undefined) sums[to] += at(x, [n, c, ...s]) * at(w, [c, o, ...k])
    }
  return sums
}

test('transposed: is its definition, and sums no more terms than its metadata rule says', () => {
  fc.assert(
    fc.property(transposeCases, ({ x, w, attrs, seed }) => {
      const [a, b] = [randomTensor(x, seed), randomTensor(w, seed + 1)]
      const y = evaluate(convTranspose, [a, b], attrs)
      assert.ok(isClose(y, naiveTranspose(a, b, y.shape, attrs)))
      const most = evaluate(convTranspose, [randomIntegers(x, 1, 1, 0), randomIntegers(w, 1, 1, 0)], attrs).data.reduce(
        (m, v) => Math.max(m, v),
        0,
      )
      const graph = builderWith([convTranspose])
      const v = graph.apply(
        convTranspose,
        [quantInput(graph, 'x', x, 2, false), quantInput(graph, 'w', w, 2, false)],
        attrs,
      )
      assert.ok(most * 9 <= (quantOf(v.carried)?.hi ?? -1))
    }),
    { numRuns: 150 },
  )
})

test('the gradients of the gradients are emitted with shapes that fit', () => {
  fc.assert(
    fc.property(cases, transposeCases, (p, q) => {
      const graph = builderWith([conv, convInputGrad, convWeightGrad, convTranspose])
      const input = (shape: Shape): Value => graph.input('data', 'x', shape)
      const check = (op: Op, args: readonly Value[], attrs: Attrs): Value => {
        const out = graph.apply(op, args, attrs)
        assert.ok(hasVjp(op))
        const grads = op.vjp({
          g: input(out.shape),
          args,
          attrs,
          out: () => out,
          needs: args.map(() => true),
          kit: graph,
        })
        grads.forEach((g, i) => assert.deepEqual(g?.shape, args[i].shape))
        return out
      }
      const [x, w] = [input(p.x), input(p.w)]
      const g = input(check(conv, [x, w], p.attrs).shape)
      check(convInputGrad, [g, w], { ...p.attrs, inputShape: p.x })
      check(convWeightGrad, [x, g], { ...p.attrs, weightShape: p.w })
      check(convTranspose, [input(q.x), input(q.w)], q.attrs)
      assert.deepEqual(graph.errors, [])
    }),
    { numRuns: 60 },
  )
})

const plain: ConvAttrs = {
  stride: [1, 1],
  padding: [
    [0, 0],
    [0, 0],
  ],
  dilation: [1, 1],
  groups: 1,
}

test('refuses shapes in words that name both', () => {
  assert.match(
    refusalOf(
      conv,
      [
        [1, 3, 4, 4],
        [2, 2, 3, 3],
      ],
      plain,
    ) ?? '',
    /\[1,3,4,4\] has 3 channels.*\[2,2,3,3\]/,
  )
  assert.match(
    refusalOf(
      conv,
      [
        [1, 2, 2, 2],
        [2, 2, 3, 3],
      ],
      plain,
    ) ?? '',
    /larger than the padded input/,
  )
  assert.match(
    refusalOf(
      conv,
      [
        [2, 4, 4],
        [2, 2, 3, 3],
      ],
      plain,
    ) ?? '',
    /2 spatial axes does not fit/,
  )
  assert.match(
    refusalOf(
      conv,
      [
        [1, 3, 4, 4],
        [2, 1, 3, 3],
      ],
      { ...plain, groups: 3 },
    ) ?? '',
    /do not divide/,
  )
})

test('carries the product of the scales, one per output channel', () => {
  const graph = builderWith([conv])
  const x = quantInput(graph, 'x', [1, 2, 4, 4], 4, false)
  const w = quantInput(graph, 'w', [3, 2, 2, 2], 3, true, [3, 1, 1, 1])
  const y = graph.apply(conv, [x, w], plain)
  const q = quantOf(y.carried)
  assert.equal(y.carried.tag, 'carries')
  assert.ok(q !== null)
  assert.deepEqual(
    [graph.value(q.scale).shape, graph.value(q.zeroPoint).shape, q.bits, q.signed, q.lo, q.hi],
    [[1, 3, 1, 1], [1], 10, true, -480, 360],
  )
})

test('strips and claims for stated reasons', () => {
  const graph = builderWith([conv, convTranspose])
  const x = quantInput(graph, 'x', [1, 2, 4, 4], 4, false)
  const w = quantInput(graph, 'w', [2, 2, 2, 2], 3, true)
  const on = (a: typeof x, b: typeof x): string => tagOf(graph.apply(conv, [a, b], plain).carried)
  assert.match(on(x, graph.input('param', 'f', [2, 2, 2, 2])), /^stripped: the weight is a plain tensor/)
  assert.match(on(graph.input('data', 'g', [1, 2, 4, 4]), w), /^stripped: the input is a plain tensor/)
  assert.match(
    on(quantInput(graph, 'z', [1, 2, 4, 4], 4, false, [], { zero: 'integer' }), w),
    /^stripped: the input has a zero point/,
  )
  assert.match(on(quantInput(graph, 'c', [1, 2, 4, 4], 4, false, [1, 2, 1, 1]), w), /^claimed: the input has 2 scales/)
  assert.match(
    on(quantInput(graph, 'd', [1, 2, 4, 4], 4, false, [1, 2, 1, 1]), quantInput(graph, 'v', [3, 2, 2, 2], 3, true)),
    /^stripped: .*do not broadcast/,
  )
  assert.match(
    on(quantInput(graph, 'b', [1, 2, 4, 4], 12, false), quantInput(graph, 'u', [2, 2, 2, 2], 12, true)),
    /^claimed: .*float32/,
  )
  assert.match(on(x, quantInput(graph, 'i', [2, 2, 2, 2], 3, true, [1, 2, 1, 1])), /^claimed: the weight's scale/)
})

test('transposed: too few bits are claimed, scales of groups are repeated', () => {
  const graph = builderWith([convTranspose])
  const attrs = { stride: [1, 1], padding: [0, 0], outputPadding: [0, 0], dilation: [1, 1], groups: 1 }
  const few = graph.apply(
    convTranspose,
    [quantInput(graph, 'x', [1, 8, 3, 3], 4, false), quantInput(graph, 'w', [8, 1, 3, 3], 4, false)],
    attrs,
  )
  assert.match(tagOf(few.carried), /^claimed: 72 products reach 0 … 16200, which does not fit 11 unsigned bits/)
  const grouped = graph.apply(
    convTranspose,
    [quantInput(graph, 'a', [1, 4, 2, 2], 3, true), quantInput(graph, 'b', [4, 3, 1, 1], 3, true, [1, 3, 1, 1])],
    { ...attrs, groups: 2 },
  )
  const q = quantOf(grouped.carried)
  assert.ok(q !== null && grouped.carried.tag === 'carries', tagOf(grouped.carried))
  assert.deepEqual(graph.value(q.scale).shape, [1, 6, 1, 1])
})

test.run()

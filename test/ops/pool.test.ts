/** Pools against their definition, their gradients, and what they do to metadata. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { quantOf } from '../../src/data/quant.js'
import type { Shape } from '../../src/data/shape.js'
import { tensor, tensorOf, type Tensor } from '../../src/data/tensor.js'
import { isRefusal } from '../../src/graph/op.js'
import { adaptiveAvgPool } from '../../src/ops/adaptiveAvgPool.js'
import { adaptiveAvgPoolGrad } from '../../src/ops/adaptiveAvgPoolGrad.js'
import { adaptiveMaxPool } from '../../src/ops/adaptiveMaxPool.js'
import { adaptiveMaxPoolGrad } from '../../src/ops/adaptiveMaxPoolGrad.js'
import { avgPool } from '../../src/ops/avgPool.js'
import { avgPoolGrad } from '../../src/ops/avgPoolGrad.js'
import { maxPool, type MaxPoolAttrs } from '../../src/ops/maxPool.js'
import { maxPoolGrad } from '../../src/ops/maxPoolGrad.js'
import type { AvgPoolAttrs } from '../../src/ops/support/averages.js'
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

const test = suite('pool')

const axis = fc.record({
  size: fc.integer({ min: 1, max: 6 }),
  kernel: fc.integer({ min: 1, max: 3 }),
  stride: fc.integer({ min: 1, max: 3 }),
  padding: fc.integer({ min: 0, max: 1 }),
  dilation: fc.integer({ min: 1, max: 2 }),
})

type Case = { readonly x: Shape; readonly max: MaxPoolAttrs; readonly avg: AvgPoolAttrs; readonly seed: number }

const cases: fc.Arbitrary<Case> = fc
  .record({
    axes: fc.array(axis, { minLength: 1, maxLength: 3 }),
    lead: fc.constantFrom([2], [1, 2], [2, 3]),
    ceilMode: fc.boolean(),
    countIncludePad: fc.boolean(),
    divisorOverride: fc.constantFrom(null, null, 3),
    seed: seeds,
  })
  .map(({ axes, lead, ceilMode, countIncludePad, divisorOverride, seed }) => {
    const common = {
      kernel: axes.map((a) => a.kernel),
      stride: axes.map((a) => a.stride),
      padding: axes.map((a) => a.padding),
      ceilMode,
    }
    return {
      x: [...lead, ...axes.map((a) => a.size)],
      max: { ...common, dilation: axes.map((a) => a.dilation) },
      avg: { ...common, countIncludePad, divisorOverride },
      seed,
    }
  })

/** Indices that a window reads, outside ones included, per output index. */
const windowAt = (
  p: readonly number[],
  { kernel, stride, padding }: MaxPoolAttrs | AvgPoolAttrs,
  dilation: readonly number[],
): readonly (readonly number[])[] => {
  const lead = p.slice(0, p.length - kernel.length)
  const last = p.slice(p.length - kernel.length)
  return indices(kernel).map((k) => [...lead, ...k.map((kd, d) => last[d] * stride[d] - padding[d] + kd * dilation[d])])
}

const inside = (shape: Shape, i: readonly number[]): boolean => i.every((n, d) => n >= 0 && n < shape[d])

test('maxPool is its definition; its gradient goes to one largest element of each window', () => {
  fc.assert(
    fc.property(cases, ({ x, max, seed }) => {
      fc.pre(!isRefusal(maxPool.shape([x], max)))
      const a = randomTensor(x, seed)
      const y = evaluate(maxPool, [a], max)
      const expected = indices(y.shape).map((p) =>
        Math.max(
          ...windowAt(p, max, max.dilation)
            .filter((i) => inside(x, i))
            .map((i) => at(a, i)),
        ),
      )
      assert.deepEqual([...y.data], expected)
      const g = tensor(
        y.shape,
        randomTensor(y.shape, seed + 1).data.map((v, i) => (y.data[i] === -Infinity ? 0 : v)),
      )
      const finite = tensor(
        y.shape,
        y.data.map((v) => (v === -Infinity ? 0 : v)),
      )
      assert.ok(Math.abs(dot(finite, g) - dot(a, evaluate(maxPoolGrad, [g, a], max))) < 1e-5)
    }),
    { numRuns: 150 },
  )
})

/** How torch counts a window for its average. */
const divisor = (
  p: readonly number[],
  x: Shape,
  { kernel, stride, padding, countIncludePad, divisorOverride }: AvgPoolAttrs,
): number => {
  const lead = p.length - kernel.length
  return (
    divisorOverride ??
    kernel.reduce((n, k, d) => {
      const start = p[lead + d] * stride[d] - padding[d]
      const end = Math.min(start + k, x[lead + d] + padding[d])
      return n * (countIncludePad ? end - start : Math.min(end, x[lead + d]) - Math.max(start, 0))
    }, 1)
  )
}

test('avgPool is its definition, and avgPoolGrad its adjoint', () => {
  fc.assert(
    fc.property(cases, ({ x, avg, seed }) => {
      fc.pre(!isRefusal(avgPool.shape([x], avg)))
      const a = randomTensor(x, seed)
      const y = evaluate(avgPool, [a], avg)
      const ones = avg.kernel.map(() => 1)
      const expected = indices(y.shape).map(
        (p) =>
          windowAt(p, avg, ones)
            .filter((i) => inside(x, i))
            .reduce((s, i) => s + at(a, i), 0) / divisor(p, x, avg),
      )
      assert.ok(isClose(y, expected))
      const g = randomTensor(y.shape, seed + 1)
      assert.ok(Math.abs(dot(y, g) - dot(a, evaluate(avgPoolGrad, [g], { ...avg, inputShape: x }))) < 1e-5)
    }),
    { numRuns: 150 },
  )
})

const adaptiveCases = fc
  .record({
    axes: fc.array(fc.record({ size: fc.integer({ min: 1, max: 6 }), out: fc.integer({ min: 1, max: 4 }) }), {
      minLength: 1,
      maxLength: 3,
    }),
    seed: seeds,
  })
  .map(({ axes, seed }) => ({ x: [2, 2, ...axes.map((a) => a.size)], outputSize: axes.map((a) => a.out), seed }))

const adaptiveWindow = (x: Shape, p: readonly number[], outputSize: readonly number[], a: Tensor): readonly number[] =>
  indices(x.slice(2))
    .filter((s) =>
      s.every((i, d) => {
        const [n, m] = [x[d + 2], outputSize[d]]
        return i >= Math.floor((p[d + 2] * n) / m) && i < Math.ceil(((p[d + 2] + 1) * n) / m)
      }),
    )
    .map((s) => at(a, [p[0], p[1], ...s]))

test('adaptive pools are their definitions, and their gradients adjoint', () => {
  fc.assert(
    fc.property(adaptiveCases, ({ x, outputSize, seed }) => {
      const a = randomTensor(x, seed)
      const [most, mean] = [
        evaluate(adaptiveMaxPool, [a], { outputSize }),
        evaluate(adaptiveAvgPool, [a], { outputSize }),
      ]
      const windows = indices(most.shape).map((p) => adaptiveWindow(x, p, outputSize, a))
      assert.deepEqual(
        [...most.data],
        windows.map((w) => Math.max(...w)),
      )
      assert.ok(
        isClose(
          mean,
          windows.map((w) => w.reduce((s, v) => s + v, 0) / w.length),
        ),
      )
      const g = randomTensor(mean.shape, seed + 1)
      assert.ok(
        Math.abs(dot(mean, g) - dot(a, evaluate(adaptiveAvgPoolGrad, [g], { outputSize, inputShape: x }))) < 1e-5,
      )
      assert.ok(Math.abs(dot(most, g) - dot(a, evaluate(adaptiveMaxPoolGrad, [g, a], { outputSize }))) < 1e-5)
    }),
    { numRuns: 150 },
  )
})

const max1: MaxPoolAttrs = { kernel: [2], stride: [2], padding: [0], dilation: [1], ceilMode: false }

test('of equal elements the first wins; NaN wins over all', () => {
  const x = tensorOf([1, 4], [3, 3, 1, NaN])
  assert.deepEqual([...evaluate(maxPool, [x], max1).data], [3, NaN])
  assert.deepEqual([...evaluate(maxPoolGrad, [tensorOf([1, 2], [5, 7]), x], max1).data], [5, 0, 0, 7])
  const low = tensorOf([1, 2], [-Infinity, -Infinity])
  assert.deepEqual([...evaluate(maxPoolGrad, [tensorOf([1, 1], [5]), low], max1).data], [5, 0])
})

const avg2: AvgPoolAttrs = {
  kernel: [2, 2],
  stride: [2, 2],
  padding: [0, 0],
  ceilMode: false,
  countIncludePad: true,
  divisorOverride: null,
}

test('sizes with ceilMode: a last window must start inside the input', () => {
  const lengthOf = (n: number, padding: number): number =>
    evaluate(maxPool, [randomTensor([1, n], 1)], {
      ...max1,
      kernel: [2],
      stride: [3],
      padding: [padding],
      ceilMode: true,
    }).shape[1]
  assert.deepEqual([lengthOf(6, 0), lengthOf(7, 0), lengthOf(4, 1), lengthOf(5, 1)], [2, 3, 2, 2])
})

test('refuses windows that fit nowhere', () => {
  assert.match(refusalOf(maxPool, [[1, 1]], max1) ?? '', /window \[2\] is larger than the padded input \[1,1\]/)
  assert.match(refusalOf(avgPool, [[1, 4, 4]], { ...avg2, padding: [2, 0] }) ?? '', /more than half/)
  assert.match(refusalOf(avgPool, [[4, 4]], avg2) ?? '', /\[4,4\]/)
  assert.match(refusalOf(avgPool, [[1, 4, 4]], { ...avg2, divisorOverride: 0 }) ?? '', /divisorOverride is 0/)
  assert.match(refusalOf(adaptiveAvgPool, [[1, 0, 4]], { outputSize: [1, 1] }) ?? '', /empty/)
})

const all = [
  avgPool,
  avgPoolGrad,
  maxPool,
  maxPoolGrad,
  adaptiveAvgPool,
  adaptiveAvgPoolGrad,
  adaptiveMaxPool,
  adaptiveMaxPoolGrad,
]

test('averages over two axes carry scale s/k; others do not', () => {
  const graph = builderWith(all)
  const x = quantInput(graph, 'x', [1, 2, 5, 5], 4, false, [1, 2, 1, 1])
  const y = graph.apply(avgPool, [x], avg2)
  const q = quantOf(y.carried)
  assert.deepEqual([y.carried.tag, q?.bits, q?.hi], ['carries', 6, 60])
  const on = (attrs: object, v = x): string => tagOf(graph.apply(avgPool, [v], { ...avg2, ...attrs }).carried)
  assert.equal(on({ padding: [1, 1] }), 'carries')
  assert.match(on({ padding: [1, 1], countIncludePad: false }), /^claimed: a window at the border is divided by 1/)
  assert.match(on({ ceilMode: true }), /^claimed: a window at the border is divided by 2 \(ceilMode/)
  assert.equal(on({ ceilMode: true, divisorOverride: 5 }), 'carries')
  assert.match(on({ divisorOverride: 2 }), /^claimed: 4 elements sum to 0 … 60, which does not fit 5/)
  assert.match(
    on({}, quantInput(graph, 'z', [1, 2, 5, 5], 4, false, [], { zero: 'integer' })),
    /^claimed: the zero point/,
  )
  assert.match(
    on({}, quantInput(graph, 'h', [1, 2, 5, 5], 4, false, [5, 1])),
    /^claimed: the scale \[5,1\] varies along pooled axis 2/,
  )
  const line = quantInput(graph, 'l', [1, 2, 6], 4, false)
  assert.match(on({ kernel: [2], stride: [2], padding: [0] }, line), /^stripped/)
})

test('adaptive averages are claimed where windows differ; maxima keep what they have', () => {
  const graph = builderWith(all)
  const x = quantInput(graph, 'x', [1, 2, 5, 4], 4, true)
  const on = (outputSize: readonly number[]): string => tagOf(graph.apply(adaptiveAvgPool, [x], { outputSize }).carried)
  assert.equal(on([2, 2]), 'carries')
  assert.match(on([3, 2]), /^claimed: \[5,4\] does not divide evenly into \[3,2\]/)
  const line = quantInput(graph, 'l', [1, 2, 6], 4, true)
  assert.match(tagOf(graph.apply(adaptiveAvgPool, [line], { outputSize: [2] }).carried), /^stripped/)
  // Brevitas misses the first spatial axis of a single sample.
  const single = quantInput(graph, 's', [2, 4, 4], 4, true)
  assert.match(
    tagOf(graph.apply(adaptiveAvgPool, [single], { outputSize: [2, 2] }).carried),
    /^claimed: Brevitas divides the scale of a single sample \[2,4,4\] by 2, but a window has 4 elements/,
  )
  assert.deepEqual(graph.apply(adaptiveMaxPool, [x], { outputSize: [3, 3] }).carried, x.carried)
  assert.deepEqual(
    graph.apply(maxPool, [x], { ...max1, kernel: [3, 3], stride: [1, 1], padding: [1, 1], dilation: [1, 1] }).carried,
    x.carried,
  )
  assert.match(
    tagOf(graph.apply(maxPool, [quantInput(graph, 'h', [1, 2, 4], 4, true, [1, 4])], max1).carried),
    /^claimed: the scale/,
  )
})

test('averages that are carried lie on their grid, inside the stated range', () => {
  fc.assert(
    fc.property(cases, fc.boolean(), ({ x: wide, avg, seed }, signed) => {
      fc.pre(avg.kernel.length === 2 && !isRefusal(avgPool.shape([wide], avg)))
      const graph = builderWith(all)
      const v = graph.apply(avgPool, [quantInput(graph, 'x', wide, 4, signed)], avg)
      const q = quantOf(v.carried)
      if (v.carried.tag !== 'carries' || q === null) return
      const ints = randomIntegers(wide, signed ? -8 : 0, signed ? 7 : 15, seed)
      const k = avg.divisorOverride ?? avg.kernel[0] * avg.kernel[1]
      const y = evaluate(
        avgPool,
        [
          tensor(
            wide,
            ints.data.map((i) => i * 0.1),
          ),
        ],
        avg,
      )
      for (const value of y.data) {
        const n = value / Math.fround(Math.fround(0.1) / k)
        assert.ok(Math.abs(n - Math.round(n)) < 0.2 && Math.round(n) >= q.lo && Math.round(n) <= q.hi)
      }
    }),
    { numRuns: 100 },
  )
})

test.run()

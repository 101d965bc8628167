/** Matrix products and linear layers against their definition, their gradients, and what they do to metadata. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { quantOf } from '../../src/data/quant.js'
import { broadcastShapes, type Shape } from '../../src/data/shape.js'
import type { Tensor } from '../../src/data/tensor.js'
import { hasVjp, type Op, type Value } from '../../src/graph/op.js'
import { linear } from '../../src/ops/linear.js'
import { linearWeightGrad } from '../../src/ops/linearWeightGrad.js'
import { matmul } from '../../src/ops/matmul.js'
import { suite } from '../support/suite.js'
import {
  at,
  builderWith,
  dot,
  evaluate,
  indices,
  isClose,
  quantInput,
  randomTensor,
  refusalOf,
  seeds,
  tagOf,
} from './direct.js'

const test = suite('matmul')

const size = fc.integer({ min: 1, max: 6 })
const sizes = fc.record({ m: size, k: size, n: size })

/** Pairs of shapes that matmul takes: vectors, matrices, and batches that broadcast. */
const pairs: fc.Arbitrary<readonly [Shape, Shape]> = fc
  .tuple(sizes, fc.constantFrom('vv', 'vm', 'mv', 'mm', 'bm', 'bb', 'vb', 'bv'))
  .map(([{ m, k, n }, kind]) => {
    const shapes: { readonly [kind: string]: readonly [Shape, Shape] } = {
      vv: [[k], [k]],
      vm: [[k], [k, n]],
      mv: [[m, k], [k]],
      mm: [
        [m, k],
        [k, n],
      ],
      bm: [
        [2, m, k],
        [k, n],
      ],
      bb: [
        [2, 1, m, k],
        [3, k, n],
      ],
      vb: [[k], [3, k, n]],
      bv: [[3, m, k], [k]],
    }
    return shapes[kind]
  })

const naiveMatmul = (a: Tensor, b: Tensor): readonly number[] => {
  const [p, q] = [a.shape.length === 1 ? [1, ...a.shape] : a.shape, b.shape.length === 1 ? [...b.shape, 1] : b.shape]
  const batch = broadcastShapes(p.slice(0, -2), q.slice(0, -2)) ?? []
  const pick = (t: Tensor, s: Shape, lead: readonly number[], last: readonly number[]): number => {
    const own = s.slice(0, -2).map((n, i) => (n === 1 ? 0 : lead[lead.length - s.length + 2 + i]))
    return at({ shape: s, data: t.data }, [...own, ...last])
  }
  return indices([...batch, p[p.length - 2], q[q.length - 1]]).map((index) => {
    const [lead, r, c] = [index.slice(0, -2), index[index.length - 2], index[index.length - 1]]
    return Array.from(
      { length: p[p.length - 1] },
      (_, k) => pick(a, p, lead, [r, k]) * pick(b, q, lead, [k, c]),
    ).reduce((s, v) => s + v, 0)
  })
}

test('matmul is its definition', () => {
  fc.assert(
    fc.property(pairs, seeds, ([p, q], seed) => {
      const [a, b] = [randomTensor(p, seed), randomTensor(q, seed + 1)]
      assert.ok(isClose(evaluate(matmul, [a, b], {}), naiveMatmul(a, b)))
    }),
    { numRuns: 150 },
  )
})

test('the gradients of matmul, linear and linearWeightGrad have the shapes of their operands', () => {
  fc.assert(
    fc.property(pairs, sizes, ([p, q], { m, k, n }) => {
      const graph = builderWith([matmul, linear, linearWeightGrad])
      const input = (shape: Shape): Value => graph.input('data', 'x', shape)
      const check = (op: Op, args: readonly Value[]): void => {
        const out = graph.apply(op, args, {})
        assert.ok(hasVjp(op))
        const grads = op.vjp({ g: input(out.shape), args, attrs: {}, out: () => out, needs: [true, true], kit: graph })
        grads.forEach((g, i) => assert.deepEqual(g?.shape, args[i].shape))
      }
      check(matmul, [input(p), input(q)])
      for (const lead of [[], [m], [2, m]]) {
        check(linear, [input([...lead, k]), input([n, k])])
        check(linearWeightGrad, [input([...lead, k]), input([...lead, n])])
      }
      assert.deepEqual(graph.errors, [])
    }),
    { numRuns: 60 },
  )
})

const rows = fc.record({
  lead: fc.constantFrom<Shape>([], [3], [2, 3], [0]),
  i: fc.integer({ min: 1, max: 9 }),
  o: fc.integer({ min: 1, max: 9 }),
  seed: seeds,
})

test('linear is its definition, its gradients adjoint', () => {
  fc.assert(
    fc.property(rows, ({ lead, i, o, seed }) => {
      const [x, w] = [randomTensor([...lead, i], seed), randomTensor([o, i], seed + 1)]
      const y = evaluate(linear, [x, w], {})
      assert.deepEqual(y.shape, [...lead, o])
      assert.ok(
        isClose(
          y,
          indices(y.shape).map((p) =>
            Array.from({ length: i }, (_, j) => at(x, [...p.slice(0, -1), j]) * at(w, [p[p.length - 1], j])).reduce(
              (s, v) => s + v,
              0,
            ),
          ),
        ),
      )
      const g = randomTensor(y.shape, seed + 2)
      const [toX, toW] = [evaluate(matmul, [g, w], {}), evaluate(linearWeightGrad, [x, g], {})]
      assert.ok(Math.abs(dot(y, g) - dot(x, toX)) < 1e-4 && Math.abs(dot(y, g) - dot(w, toW)) < 1e-4)
    }),
    { numRuns: 150 },
  )
})

test('refuses shapes in words that name both', () => {
  assert.match(
    refusalOf(
      linear,
      [
        [2, 3],
        [4, 5],
      ],
      {},
    ) ?? '',
    /\[2,3\] has 3 features.*\[4,5\] reads 5/,
  )
  assert.match(
    refusalOf(
      matmul,
      [
        [2, 3],
        [4, 5],
      ],
      {},
    ) ?? '',
    /\[2,3\] and \[4,5\]/,
  )
  assert.match(
    refusalOf(
      matmul,
      [
        [2, 1, 3],
        [3, 3, 5],
      ],
      {},
    ) ?? '',
    /batch axes/,
  )
  assert.match(refusalOf(matmul, [[], [3]], {}) ?? '', /scalar/)
  assert.match(
    refusalOf(
      linearWeightGrad,
      [
        [2, 3],
        [4, 5],
      ],
      {},
    ) ?? '',
    /differ before/,
  )
})

test('linear carries its scale on the last axis; matmul strips', () => {
  const graph = builderWith([matmul, linear, linearWeightGrad])
  const on = (x: Shape, scale: Shape): readonly [string, Shape | null] => {
    const y = graph.apply(
      linear,
      [quantInput(graph, `x${x.join()}`, x, 4, false), quantInput(graph, `w${scale.join()}`, [5, 4], 4, true, scale)],
      {},
    )
    const q = quantOf(y.carried)
    return [tagOf(y.carried), q === null ? null : graph.value(q.scale).shape]
  }
  assert.deepEqual(on([3, 4], []), ['carries', [1, 1]])
  assert.deepEqual(on([3, 4], [5, 1]), ['carries', [1, 5]])
  assert.deepEqual(on([2, 3, 4], [5, 1]), ['carries', [1, 1, 5]])
  assert.deepEqual(on([4], [5, 1]), ['carries', [5]])
  const q = quantInput(graph, 'q', [2, 2], 4, true)
  assert.match(tagOf(graph.apply(matmul, [q, q], {}).carried), /^stripped: torch.matmul/)
})

test.run()

/** Rows of a table, and sums of rows, against their references: to the bit, in the order of the indices; wrong indices fail as there. */
import assert from 'node:assert/strict'
import * as E from 'fp-ts/lib/Either.js'
import fc from 'fast-check'
import * as q from '../../src/index.js'
import { newMath } from '../../src/evaluator/wasm/kernels/math.js'
import { planOf } from '../../src/evaluator/wasm/planning.js'
import type { Program } from '../../src/graph/program.js'
import { suite } from '../support/suite.js'
import { numbers, seeds } from './support/kernels.js'
import { assertSame, programOfBody, runBoth, runOn } from './support/programs.js'

const test = suite('kernels: rows')

const taken = (rows: number, n: number, count: number): Program =>
  programOfBody([[rows, n], [count]], ([table, indices], kit) => [
    kit.emit('gatherRows', [table, indices], { paddingIdx: null, scaleGradByFreq: false }),
  ])
const added = (rows: number, n: number, count: number): Program =>
  programOfBody([[count, n], [count]], ([g, indices], kit) => [kit.emit('scatterRows', [g, indices], { rows })])

const sizes = fc.record({
  rows: fc.integer({ min: 1, max: 9 }),
  n: fc.integer({ min: 1, max: 11 }),
  count: fc.integer({ min: 1, max: 40 }),
})

test('rows that are taken, and added to, have the bits of the reference', () => {
  fc.assert(
    fc.property(
      sizes,
      seeds,
      fc.array(fc.nat(), { minLength: 40, maxLength: 40 }),
      ({ rows, n, count }, seed, picks) => {
        const indices = q.tensorOf(
          [count],
          picks.slice(0, count).map((k) => k % rows),
        )
        for (const [program, first] of [
          [taken(rows, n, count), [rows, n]],
          [added(rows, n, count), [count, n]],
        ] as const) {
          const x = { shape: first, data: numbers(first[0] * first[1], seed, 'wild') }
          for (const [a, b] of runBoth(q.wasm, program, [x, indices])) assertSame(b, a, String(first))
        }
      },
    ),
    { numRuns: 60 },
  )
})

test('only the look at the indices is left to the host', () => {
  for (const program of [taken(5, 8, 6), added(5, 8, 6)]) {
    const plan = planOf(program, () => new Float32Array(48), [], newMath())
    assert.deepEqual(
      plan.steps.flatMap((s) => (s.kernel === null ? [s.label] : [])),
      ['checkRows'],
    )
  }
})

test('a wrong index fails, whatever stands in the table', () => {
  for (const bad of [5, -1, 0.5, NaN, Infinity, 1e30])
    for (const [program, shape] of [
      [taken(5, 4, 3), [5, 4]],
      [added(5, 4, 3), [3, 4]],
    ] as const)
      for (const backend of [q.wasm, q.reference]) {
        const ran = runOn(backend, program, [q.zeros(shape), q.tensorOf([3], [0, bad, 1])])
        assert.ok(E.isLeft(ran), `${bad} was taken`)
        assert.match(ran.left[0].message, /index out of range in self: index 1 is/)
      }
})

test.run()

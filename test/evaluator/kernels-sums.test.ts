/** Sums against the reference: within a rounding of it, and the same however they are split. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import type { Shape } from '../../src/data/shape.js'
import { sumKernel } from '../../src/evaluator/wasm/kernels/sums.js'
import type { Attrs } from '../../src/graph/op.js'
import { suite } from '../support/suite.js'
import { checkOp, kinds, numbers, seeds, type Kind } from './support/kernels.js'
import { sizeOf } from '../../src/data/shape.js'

const test = suite('kernels of sums')

/** Both add in double, so they differ by the last bit of a float and by what doubles lose of the sum of magnitudes. */
const close = (op: string, x: Shape, attrs: Attrs, kind: Kind, seed: number): void => {
  const magnitude = numbers(sizeOf(x), seed, kind).reduce((s, v) => s + (Number.isFinite(v) ? Math.abs(v) : 0), 0)
  checkOp(sumKernel, op, [x], attrs, kind, seed, (got, wanted, what) => {
    assert.equal(got.length, wanted.length)
    wanted.forEach((w, i) => {
      const same = Object.is(got[i], w) || Math.abs(got[i] - w) <= 2 ** -23 * Math.abs(w) + 1e-13 * magnitude
      assert.ok(same, `${what}: element ${i} is ${got[i]}, expected ${w}`)
    })
  })
}

const shapes = fc.array(fc.oneof(fc.integer({ min: 1, max: 4 }), fc.constantFrom(1, 7, 16, 19, 40)), {
  minLength: 0,
  maxLength: 4,
})

test('over any axes', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('sum', 'mean'),
      shapes,
      fc.integer({ min: 0, max: 15 }),
      fc.boolean(),
      kinds,
      seeds,
      (op, shape, mask, keepdim, kind, seed) => {
        close(op, shape, { dims: shape.map((_, d) => d).filter((d) => (mask >> d) & 1), keepdim }, kind, seed)
      },
    ),
    { numRuns: 200 },
  )
})

test('down to a shape', () => {
  fc.assert(
    fc.property(
      shapes,
      fc.integer({ min: 0, max: 15 }),
      fc.nat({ max: 4 }),
      kinds,
      seeds,
      (shape, mask, drop, kind, seed) => {
        close(
          'sumTo',
          shape,
          { shape: shape.map((n, d) => ((mask >> d) & 1 ? 1 : n)).slice(Math.min(drop, shape.length)) },
          kind,
          seed,
        )
      },
    ),
    { numRuns: 200 },
  )
})

test('large sums, in parts', () => {
  for (const [shape, dims] of [
    [[200001], [0]],
    [[70000, 3], [0]],
    [[5000, 33], [0]],
    [
      [40, 3, 1000],
      [0, 2],
    ],
    [[3, 50000], [1]],
    [
      [2, 3, 50, 400],
      [0, 2],
    ],
  ] as const)
    for (const kind of ['plain', 'wild'] as const) close('sum', shape, { dims, keepdim: false }, kind, 5)
})

test.run()

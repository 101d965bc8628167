/** Selection kernels against the reference: every bit, every kind of number, however the work is split. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { sizeOf, type Shape } from '../../src/data/shape.js'
import { tensor } from '../../src/data/tensor.js'
import { extremeKernel } from '../../src/evaluator/wasm/kernels/extreme.js'
import { kthKernel } from '../../src/evaluator/wasm/kernels/selection.js'
import { kthValue } from '../../src/ops/kthValue.js'
import { maxAll, maxLast } from '../../src/ops/largest.js'
import { evaluate } from '../ops/direct.js'
import { suite } from '../support/suite.js'
import {
  assertSameBits,
  backwards,
  kinds,
  numbers,
  runKernel,
  seeds,
  third,
  whole,
  type Split,
} from './support/kernels.js'

const test = suite('kernels of selection')

const splits: readonly Split[] = [whole, backwards, third]

const indexOfFirst = (row: Float32Array, v: number): number => row.findIndex((x) => x === v || (v !== v && x !== x))

/** Runs the kernel of a case in each way, with and without the index. */
const check = (shape: Shape, k: number, abs: boolean, x: Float32Array): void => {
  const kernel = kthKernel({ op: 'kthValue', attrs: { k }, shapes: [shape], shape: shape.slice(0, -1) }, { abs })
  if (kernel === null) return assert.fail('no kernel')
  const seen = abs ? x.map(Math.abs) : x
  const expected = evaluate(kthValue, [tensor(shape, seen)], { k }).data
  const [rows, n] = [expected.length, shape[shape.length - 1] ?? 1]
  const indices = Array.from(expected, (v, r) => indexOfFirst(seen.subarray(r * n, (r + 1) * n), v))
  for (const split of splits) {
    const [values, chosen] = runKernel(kernel, [x], [rows, rows], split)
    assertSameBits(values, expected, `${kernel.name} of ${shape.join('x')}, k ${k}`)
    assert.deepEqual([...new Int32Array(chosen.buffer)], indices, `indices of ${kernel.name}`)
    assertSameBits(runKernel(kernel, [x], [rows], split)[0], expected, `${kernel.name} without indices`)
  }
}

const ranks = fc.constantFrom(0, 0.001, 0.01, 0.3, 0.5, 0.9, 0.99, 0.999, 1)
const rankOf = (n: number, q: number): number => Math.min(n, 1 + Math.floor(q * (n - 1)))

test('short rows', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 40 }),
      ranks,
      fc.boolean(),
      kinds,
      seeds,
      (rows, n, q, abs, kind, seed) => {
        check([rows, n], rankOf(n, q), abs, numbers(rows * n, seed, kind))
      },
    ),
    { numRuns: 150 },
  )
})

test('rows that are sampled', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 1025, max: 6000 }),
      ranks,
      fc.boolean(),
      kinds,
      seeds,
      (rows, n, q, abs, kind, seed) => {
        check([rows, n], rankOf(n, q), abs, numbers(rows * n, seed, kind))
      },
    ),
    { numRuns: 60 },
  )
})

test(
  'long rows, in chunks',
  () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2 }),
        fc.integer({ min: 65536, max: 150000 }),
        ranks,
        fc.boolean(),
        kinds,
        seeds,
        (rows, n, q, abs, kind, seed) => {
          check([rows, n], rankOf(n, q), abs, numbers(rows * n, seed, kind))
        },
      ),
      { numRuns: 12 },
    )
  },
  { timeout: 60000 },
)

/** Numbers that the samples say nothing of: they are taken at fixed places, so these can be met or missed on purpose. */
const adversaries: Readonly<Record<string, (n: number) => Float32Array>> = {
  rising: (n) => Float32Array.from({ length: n }, (_, i) => i),
  falling: (n) => Float32Array.from({ length: n }, (_, i) => -i),
  'outliers in one place': (n) =>
    Float32Array.from({ length: n }, (_, i) => (i > n - n / 50 ? 1000 + (i % 97) : i % 13)),
  'half NaN': (n) => Float32Array.from({ length: n }, (_, i) => (i % 2 === 0 ? NaN : Math.fround(Math.sin(i)))),
  'all NaN': (n) => new Float32Array(n).fill(NaN),
  'all infinite': (n) => Float32Array.from({ length: n }, (_, i) => (i % 3 === 0 ? -Infinity : Infinity)),
  'zeros of both signs': (n) => Float32Array.from({ length: n }, (_, i) => (i % 3 === 0 ? -0 : 0)),
  'one value': (n) => new Float32Array(n).fill(-2.5),
}

test(
  'numbers that mislead',
  () => {
    for (const [name, make] of Object.entries(adversaries))
      for (const n of [1, 16, 1500, 65601])
        for (const q of [0.001, 0.5, 0.999])
          for (const abs of [false, true]) assert.doesNotThrow(() => check([n], rankOf(n, q), abs, make(n)), name)
  },
  { timeout: 60000 },
)

test('NaN with the sign bit sorts last too', () => {
  const x = new Float32Array(3000).fill(1)
  new Uint32Array(x.buffer).fill(0xffc00000, 100, 200)
  for (const k of [1, 2900, 2901, 3000]) check([3000], k, false, x)
})

test(
  'maxima, of x and of |x|',
  () => {
    const sizes = fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 65500, max: 140000 }))
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), sizes, fc.boolean(), kinds, seeds, (rows, n, abs, kind, seed) => {
        const x = numbers(rows * n, seed, kind)
        const seen = abs ? x.map(Math.abs) : x
        for (const [op, shape, out] of [
          [maxAll, [rows, n], []],
          [maxLast, [rows, n], [rows]],
        ] as const) {
          const kernel = extremeKernel({ op: op.name, attrs: {}, shapes: [shape], shape: out }, { abs })
          if (kernel === null) return assert.fail('no kernel')
          for (const split of splits)
            assertSameBits(
              runKernel(kernel, [x], [sizeOf(out)], split)[0],
              evaluate(op, [tensor(shape, seen)], {}).data,
              `${op.name} of ${rows}x${n}`,
            )
        }
      }),
      { numRuns: 30 },
    )
  },
  { timeout: 60000 },
)

test('sizes', () => {
  assert.equal(sizeOf([]), 1)
  check([], 1, false, Float32Array.of(3))
  check([5, 1], 1, true, numbers(5, 1, 'wild'))
  check([200, 3], 2, false, numbers(600, 1, 'ties'))
})

test.run()

/** The search for the threshold of least squared error against its reference: every bit, every rounding and restriction, however the work is split. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { tensor } from '../../src/data/tensor.js'
import { newMath } from '../../src/evaluator/wasm/kernels/math.js'
import { mseKernel } from '../../src/evaluator/wasm/kernels/mse.js'
import { mseThreshold, type MseAttrs } from '../../src/ops/mseThreshold.js'
import { evaluate } from '../ops/direct.js'
import { suite } from '../support/suite.js'
import { assertSameBits, backwards, kinds, numbers, runKernel, seeds, third, whole } from './support/kernels.js'

const test = suite('kernel of the MSE search')

const attributes: fc.Arbitrary<MseAttrs> = fc
  .record({
    bits: fc.integer({ min: 2, max: 16 }),
    signed: fc.boolean(),
    rounding: fc.constantFrom('ROUND', 'FLOOR', 'CEIL', 'ROUND_TO_ZERO', 'DPU' as const),
    restriction: fc.constantFrom('none', 'FP', 'LOG_FP', 'CEIL', 'ROUND' as const),
    minVal: fc.constantFrom(0, 0, 1e-10, 0.3),
  })
  .map(({ bits, signed, ...rest }) => ({
    ...rest,
    lo: signed ? -(2 ** (bits - 1)) : 0,
    hi: signed ? 2 ** (bits - 1) - 1 : 2 ** bits - 1,
    threshold: signed ? 2 ** (bits - 1) : 2 ** bits - 1,
  }))

const check = (rows: number, n: number, x: Float32Array, attrs: MseAttrs): void => {
  const kernel = mseKernel({ op: 'mseThreshold', attrs, shapes: [[rows, n]], shape: [rows] }, newMath())
  if (kernel === null) return assert.fail('no kernel')
  const expected = evaluate(mseThreshold, [tensor([rows, n], x)], attrs).data
  for (const split of [whole, backwards, third]) {
    const [found] = runKernel(kernel, [x], [rows], split)
    assertSameBits(found, expected, `${kernel.name}, ${rows} rows, ${JSON.stringify(attrs)}`)
  }
}

test('any rows, any numbers', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 41, max: 700 })),
      attributes,
      kinds,
      seeds,
      (rows, n, attrs, kind, seed) => check(rows, n, numbers(rows * n, seed, kind), attrs),
    ),
    { numRuns: 150 },
  )
})

test('a long row', () => {
  const attrs = { lo: -128, hi: 127, threshold: 128, rounding: 'ROUND', restriction: 'none', minVal: 0 } as const
  check(1, 30_011, numbers(30_011, 1, 'plain'), attrs)
})

test('bounds that float32 does not hold are left to the reference', () => {
  const attrs = { lo: -(2 ** 31), hi: 2 ** 31 - 1, threshold: 2 ** 31, rounding: 'ROUND', restriction: 'FP', minVal: 0 }
  assert.equal(mseKernel({ op: 'mseThreshold', attrs, shapes: [[2, 9]], shape: [2] }, newMath()), null)
})

test.run()

/** Numbers at which float32 arithmetic parts, small first, so that counterexamples shrink to 0, 1 and halves. */
import fc from 'fast-check'
import { demandArguments, fieldProblems, demand, flag, shapeField, required } from '../../data/fields.js'
import { sizeOf, type Shape } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'

/** Which numbers may be drawn. */
export type NumberOptions = {
  /** Also numbers near the largest float32: sums of them overflow, in an order of their own on each engine (default false). */
  readonly huge?: boolean
  /** Also NaN and infinities (default false). */
  readonly nonFinite?: boolean
}

const OPTIONS = { huge: flag, nonFinite: flag }
const MOST = 2 ** 16
const smallShape = {
  ...shapeField,
  says: `a shape of at most ${MOST} elements`,
  holds: (x: unknown) => shapeField.holds(x) && Array.isArray(x) && sizeOf(x) <= MOST,
}

/** Whole numbers, ties at .5, eighths, floats, zeros of both signs and subnormals; huge ones, infinities and NaN on request. */
export const numberArb = (options: NumberOptions = {}): fc.Arbitrary<number> => {
  demand(fieldProblems('numberArb', options, OPTIONS))
  const { huge = false, nonFinite = false } = options
  return fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: -9, max: 9 }) },
    { weight: 4, arbitrary: fc.integer({ min: -9, max: 9 }).map((n) => n + 0.5) },
    { weight: 4, arbitrary: fc.integer({ min: -64, max: 64 }).map((n) => n / 8) },
    { weight: 4, arbitrary: fc.double({ min: -4, max: 4, noNaN: true }).map(Math.fround) },
    { weight: 2, arbitrary: fc.constantFrom(-0, 1e-40, -1e-40, 2 ** -149, 2 ** -126, 300, -1000) },
    ...(huge ? [{ weight: 2, arbitrary: fc.constantFrom(1e30, -1e30, 3.4e38, -3.4e38, 2 ** 24, 16777217) }] : []),
    ...(nonFinite ? [{ weight: 2, arbitrary: fc.constantFrom(NaN, Infinity, -Infinity) }] : []),
  )
}

/** A tensor of such numbers. */
export const hardTensorArb = (shape: Shape, options: NumberOptions = {}): fc.Arbitrary<Tensor> => {
  demandArguments('hardTensorArb', { shape }, { shape: required(smallShape) })
  const n = sizeOf(shape)
  return fc
    .array(numberArb(options), { minLength: n, maxLength: n })
    .map((xs) => ({ shape, data: Float32Array.from(xs) }))
}

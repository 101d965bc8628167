/**
 * Dense float32 tensors as plain values. Knows shapes and storage; knows nothing of graphs.
 * The contents of `data` are immutable by convention: JavaScript can't freeze a typed array.
 */
import type { Shape } from './shape.js'
import { sizeOf } from './shape.js'

/** A dense row-major float32 tensor; `data.length` is the product of `shape` (1 for a scalar, shape `[]`). */
export type Tensor = { readonly shape: Shape; readonly data: Float32Array }

/** A tensor of the given shape around existing storage, which it does not copy. */
export const tensor = (shape: Shape, data: Float32Array): Tensor => ({ shape, data })

/** A tensor from any array of numbers, each rounded to float32. */
export const tensorOf = (shape: Shape, values: ArrayLike<number>): Tensor => ({
  shape,
  data: Float32Array.from(values),
})

/** A scalar (shape `[]`). */
export const scalar = (value: number): Tensor => ({ shape: [], data: Float32Array.of(value) })

/** A tensor with every element equal to `value`. */
export const full = (shape: Shape, value: number): Tensor => ({
  shape,
  data: new Float32Array(sizeOf(shape)).fill(value),
})

/** A tensor of zeros. */
export const zeros = (shape: Shape): Tensor => ({ shape, data: new Float32Array(sizeOf(shape)) })

/** Is it a tensor? */
export const isTensor = (x: unknown): x is Tensor =>
  typeof x === 'object' && x !== null && 'data' in x && x.data instanceof Float32Array

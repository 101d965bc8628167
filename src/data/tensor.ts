/**
 * Dense float32 tensors as plain values. Knows shapes and storage; knows nothing of graphs.
 * The contents of `data` are immutable by convention: JavaScript can't freeze a typed array.
 */
import { failure, type QuantError } from './error.js'
import { demandArguments, isNumbers, isShape, numbers, required, showGiven, type Field } from './fields.js'
import type { Shape } from './shape.js'
import { bytesOf, MOST_BYTES, showBytes, showShape, sizeOf } from './shape.js'

/** A dense row-major float32 tensor; `data.length` is the product of `shape` (1 for a scalar, shape `[]`). */
export type Tensor = { readonly shape: Shape; readonly data: Float32Array }

const storage: Field = {
  says: 'a Float32Array; tensorOf makes one of other numbers',
  like: 'Float32Array.of(1, 2)',
  holds: (x) => x instanceof Float32Array,
}
const anyNumber: Field = { says: 'a number', like: '0', holds: (x) => typeof x === 'number' }

const shapeError = (message: string, fix: string): QuantError => ({
  tag: 'InputError',
  input: 'shape',
  path: '',
  message,
  fix,
})

const demandSize = (asker: string, shape: Shape, given: number): void => {
  const size = sizeOf(shape)
  if (size !== given)
    throw failure([
      shapeError(
        `${asker}: shape ${showShape(shape)} has ${size} elements, but ${given} numbers were given`,
        `give ${size} numbers, or the shape of ${given}`,
      ),
    ])
}

/** Zeroed storage for a shape, or a `QuantFailure` where it would be larger than any tensor, or than what the engine has left. */
export const allocate = (asker: string, shape: Shape): Float32Array => {
  const refuse = (why: string): Error =>
    failure([
      shapeError(
        `${asker}: shape ${showShape(shape)} has ${sizeOf(shape)} elements, which take ${showBytes(bytesOf(shape))}, more than ${why}`,
        'give a smaller shape',
      ),
    ])
  if (!(bytesOf(shape) <= MOST_BYTES)) throw refuse(`the ${showBytes(MOST_BYTES)} that a tensor may have`)
  try {
    return new Float32Array(sizeOf(shape))
  } catch {
    throw refuse('this engine can hold')
  }
}

/** A shape as it must be given, in one list: says so where sizes stand alone (`zeros(2, 4)`). */
export const demandShape = (asker: string, shape: unknown, others: readonly unknown[] = []): void => {
  if (isShape(shape) && others.length === 0) return
  const sizes = [shape, ...others]
  const meant = sizes.every((n) => typeof n === 'number') ? sizes.join(', ') : '2, 4'
  throw failure([
    shapeError(
      `${asker} takes a shape, a list of whole numbers from 0 on, and was given ${sizes.map(showGiven).join(', ')}`,
      `give the shape as one list: [${meant}], for instance`,
    ),
  ])
}

/**
 * A tensor of the given shape around existing storage, which it does not copy. Throws a `QuantFailure` where the storage is
 * no Float32Array, or holds more or fewer numbers than the shape.
 */
export const tensor = (shape: Shape, data: Float32Array): Tensor => {
  demandShape('tensor', shape)
  if (!(data instanceof Float32Array)) demandArguments('tensor', { data }, { data: required(storage) })
  demandSize('tensor', shape, data.length)
  return { shape, data }
}

/** A tensor from any list of numbers, each rounded to float32. Throws a `QuantFailure` where there are more or fewer than the shape has. */
export const tensorOf = (shape: Shape, values: ArrayLike<number>): Tensor => {
  demandShape('tensorOf', shape)
  if (!isNumbers(values)) demandArguments('tensorOf', { values }, { values: required(numbers) })
  demandSize('tensorOf', shape, values.length)
  return { shape, data: Float32Array.from(values) }
}

/** A scalar (shape `[]`). */
export const scalar = (value: number): Tensor => {
  if (typeof value !== 'number') demandArguments('scalar', { value }, { value: required(anyNumber) })
  return { shape: [], data: Float32Array.of(value) }
}

/** A tensor with every element equal to `value`. */
export const full = (shape: Shape, value: number): Tensor => {
  demandShape('full', shape)
  if (typeof value !== 'number') demandArguments('full', { value }, { value: required(anyNumber) })
  return { shape, data: allocate('full', shape).fill(value) }
}

/** A tensor of zeros. */
export const zeros = (shape: Shape, ...others: readonly never[]): Tensor => {
  demandShape('zeros', shape, others)
  return { shape, data: allocate('zeros', shape) }
}

/** Is it a tensor? */
export const isTensor = (x: unknown): x is Tensor =>
  typeof x === 'object' &&
  x !== null &&
  'data' in x &&
  x.data instanceof Float32Array &&
  'shape' in x &&
  Array.isArray(x.shape)

/** A tensor, as an argument. */
export const tensorField: Field = {
  says: 'a tensor whose numbers fill its shape',
  like: 'tensorOf([2], [1, 2])',
  holds: (x) => isTensor(x) && isShape(x.shape) && x.data.length === sizeOf(x.shape),
}

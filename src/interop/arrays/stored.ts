/** Stored arrays by name, and the checks of what is handed to readers and writers of files of them. */
import { isEither, record, type Field } from '../../data/fields.js'
import { sizeOfElement, type StoredArray } from './element.js'

/** Arrays by name. */
export type StoredArrays = { readonly [name: string]: StoredArray }

/** Axes that an array may have; numpy allows as many. */
export const MOST_AXES = 64

/** Is it a size: a whole number from 0 on? */
export const isCount = (x: unknown): x is number => Number.isSafeInteger(x) && Number(x) >= 0

const isArray = (x: unknown): boolean =>
  typeof x === 'object' &&
  x !== null &&
  'type' in x &&
  typeof x.type === 'string' &&
  Object.hasOwn(sizeOfElement, x.type) &&
  'shape' in x &&
  Array.isArray(x.shape) &&
  x.shape.every(isCount) &&
  'data' in x &&
  x.data instanceof Float32Array &&
  x.data.length === x.shape.reduce<number>((n, k: number) => n * k, 1)

/** A stored array, as an argument. */
export const arrayField: Field = {
  says: 'a stored array, { shape, data, type } with as many numbers as its shape says',
  like: "{ shape: [2], data: Float32Array.of(1, 2), type: 'F32' }",
  holds: (x) => !isEither(x) && isArray(x),
}

/** Arrays by name, as an argument. */
export const arraysField: Field = {
  says: 'a record of stored tensors by name, each { shape, data, type } with as many numbers as its shape says',
  like: 'orThrow(parseSafetensors(bytes))',
  holds: (x) => record.holds(x) && !isEither(x) && Object.values(Object(x)).every(isArray),
}

/** The bytes of a file, as an argument. */
export const bytesField: Field = {
  says: 'the bytes of a file (a Uint8Array)',
  like: "orThrow(readFileBytes('net.safetensors'))",
  holds: (x) => x instanceof Uint8Array,
}

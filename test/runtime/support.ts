/** What the tests of precompiled programs share. */
import { isTensor, type Tensor } from '../../src/data/tensor.js'

const words = (t: Tensor): Uint32Array => new Uint32Array(t.data.buffer, t.data.byteOffset, t.data.length)

/** The same structure, shapes and flags, and the same bits in each tensor. */
export const sameBits = (a: unknown, b: unknown): boolean => {
  if (isTensor(a) && isTensor(b)) {
    const [x, y] = [words(a), words(b)]
    return a.shape.join() === b.shape.join() && x.length === y.length && x.every((w, i) => w === y[i])
  }
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b
  const keys = Object.keys(a)
  const at = (x: object, key: string): unknown => (x as { readonly [key: string]: unknown })[key]
  return keys.join() === Object.keys(b).join() && keys.every((key) => sameBits(at(a, key), at(b, key)))
}

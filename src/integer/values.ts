/** Whole numbers as plain typed arrays: what an integer program computes with, and how narrow its arrays may be. */
import { sizeOf, type Shape } from '../data/shape.js'

/** Where whole numbers are kept; a Float64Array holds those that outgrow 32 bits (offsets of a requantization), exactly. */
export type IntegerArray = Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Float64Array

/** A tensor of whole numbers. */
export type IntegerTensor = { readonly shape: Shape; readonly data: IntegerArray }

/** Smallest and largest of some whole numbers; 0 and 0 of none. */
export type Range = { readonly lo: number; readonly hi: number }

/** Largest whole number up to which float32 holds all. */
export const FLOAT_WHOLE = 2 ** 24
/** What 32 bits hold. */
export const INT32: Range = { lo: -(2 ** 31), hi: 2 ** 31 - 1 }

/** Name of an element type, as C has it. */
export type IntegerType = 'int8' | 'uint8' | 'int16' | 'uint16' | 'int32'

/** The narrowest type for a range; null where 32 bits are too few. */
export const typeFor = ({ lo, hi }: Range): IntegerType | null => {
  if (lo >= 0 && hi <= 255) return lo === 0 && hi <= 127 ? 'int8' : 'uint8'
  if (lo >= -128 && hi <= 127) return 'int8'
  if (lo >= 0 && hi <= 65535) return hi <= 32767 ? 'int16' : 'uint16'
  if (lo >= -32768 && hi <= 32767) return 'int16'
  return lo >= INT32.lo && hi <= INT32.hi ? 'int32' : null
}

/** Bytes of one element. */
export const WIDTHS = { int8: 1, uint8: 1, int16: 2, uint16: 2, int32: 4 } as const satisfies {
  readonly [T in IntegerType]: number
}

/** The range of some numbers. */
export const rangeOf = (data: ArrayLike<number>): Range => {
  if (data.length === 0) return { lo: 0, hi: 0 }
  let [lo, hi] = [data[0], data[0]]
  for (let i = 1; i < data.length; i++) {
    if (data[i] < lo) lo = data[i]
    else if (data[i] > hi) hi = data[i]
  }
  return { lo, hi }
}

/** Fewest bits, 1 at least, of two's complement (signed) or of a plain number (unsigned) for a range. */
export const bitsFor = ({ lo, hi }: Range): { readonly bits: number; readonly signed: boolean } => {
  const signed = lo < 0
  let bits = 1
  while (bits < 53 && (signed ? lo < -(2 ** (bits - 1)) || hi >= 2 ** (bits - 1) : hi >= 2 ** bits)) bits++
  return { bits, signed }
}

/** Numbers in the narrowest array that holds them. */
export const narrow = (shape: Shape, values: ArrayLike<number>): IntegerTensor => {
  const type = typeFor(rangeOf(values))
  const arrays = { int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array, int32: Int32Array }
  return { shape, data: type === null ? Float64Array.from(values) : arrays[type].from(values) }
}

/** Numbers as float32, each moved by `-zero`: exact up to 2^24, which whoever calls this has proved. */
export const centred = (data: ArrayLike<number>, zero = 0): Float32Array => {
  const out = new Float32Array(data.length)
  for (let i = 0; i < out.length; i++) out[i] = data[i] - zero
  return out
}

/** Does a tensor have as many numbers as its shape says? */
export const isWhole = (t: IntegerTensor): boolean => t.data.length === sizeOf(t.shape)

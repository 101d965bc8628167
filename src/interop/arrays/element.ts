/** Element types of stored arrays, and how their bytes become float32 numbers. */
export type ElementType =
  'F64' | 'F32' | 'F16' | 'BF16' | 'I64' | 'I32' | 'I16' | 'I8' | 'U64' | 'U32' | 'U16' | 'U8' | 'BOOL'

/** A stored array: its numbers as float32, and the type in which they stood or are to stand. */
export type StoredArray = {
  readonly shape: readonly number[]
  readonly data: Float32Array
  readonly type: ElementType
}

/** Bytes of one element. */
export const sizeOfElement: { readonly [T in ElementType]: number } = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
}

/** A number of IEEE 754 binary16, from its bits. */
export const fromHalf = (bits: number): number => {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 31
  const fraction = bits & 1023
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/** A number of bfloat16: the upper half of a float32. */
export const fromBrain = (bits: number): number => {
  const view = new DataView(new ArrayBuffer(4))
  view.setUint32(0, bits << 16)
  return view.getFloat32(0)
}

type Reader = (view: DataView, at: number, little: boolean) => number
type Writer = (view: DataView, at: number, value: number, little: boolean) => void

const READERS: { readonly [T in ElementType]: Reader } = {
  F64: (v, i, little) => v.getFloat64(i, little),
  F32: (v, i, little) => v.getFloat32(i, little),
  F16: (v, i, little) => fromHalf(v.getUint16(i, little)),
  BF16: (v, i, little) => fromBrain(v.getUint16(i, little)),
  I64: (v, i, little) => Number(v.getBigInt64(i, little)),
  I32: (v, i, little) => v.getInt32(i, little),
  I16: (v, i, little) => v.getInt16(i, little),
  I8: (v, i) => v.getInt8(i),
  U64: (v, i, little) => Number(v.getBigUint64(i, little)),
  U32: (v, i, little) => v.getUint32(i, little),
  U16: (v, i, little) => v.getUint16(i, little),
  U8: (v, i) => v.getUint8(i),
  BOOL: (v, i) => (v.getUint8(i) === 0 ? 0 : 1),
}

/** Types that little-endian machines, and no others run WebAssembly, read at once. */
const ARRAYS: { readonly [T in ElementType]?: (buffer: ArrayBufferLike) => ArrayLike<number> } = {
  F64: (b) => new Float64Array(b),
  I32: (b) => new Int32Array(b),
  I16: (b) => new Int16Array(b),
  I8: (b) => new Int8Array(b),
  U32: (b) => new Uint32Array(b),
  U16: (b) => new Uint16Array(b),
  U8: (b) => new Uint8Array(b),
}

/** `count` numbers from bytes; little-endian unless told otherwise. */
export const numbersFrom = (
  type: ElementType,
  bytes: Uint8Array,
  offset: number,
  count: number,
  little = true,
): Float32Array => {
  // Copied, not viewed: nobody else's change of the bytes may reach a tensor, and offsets need not be aligned.
  const size = sizeOfElement[type]
  // Of the buffer below: `slice` of Node's own Buffer is a view, not a copy.
  const at = bytes.byteOffset + offset
  const copy = (): ArrayBufferLike => bytes.buffer.slice(at, at + size * count)
  if (type === 'F32' && little) return new Float32Array(copy())
  const whole = ARRAYS[type]
  if (whole !== undefined && (little || size === 1)) return new Float32Array(whole(copy()))
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const read = READERS[type]
  const out = new Float32Array(count)
  for (let i = 0; i < count; i++) out[i] = read(view, offset + i * size, little)
  return out
}

/** The nearest of the multiples of `step`, of two the even one. */
const toMultiple = (x: number, step: number): number => {
  const n = x / step
  const low = Math.floor(n)
  const rest = n - low
  return (rest > 0.5 || (rest === 0.5 && low % 2 !== 0) ? low + 1 : low) * step
}

/** The bits of the nearest number of IEEE 754 binary16; what is too large becomes infinite. */
export const toHalf = (x: number): number => {
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0
  const size = Math.abs(x)
  if (Number.isNaN(x)) return 0x7e00
  if (size < 2 ** -14) return sign | (toMultiple(size, 2 ** -24) * 2 ** 24)
  let exponent = -14
  while (exponent < 16 && size >= 2 ** (exponent + 1)) exponent++
  // Rounding up may reach the next exponent, whose bits follow by themselves.
  const bits = exponent > 15 ? 0x7c00 : ((exponent + 14) << 10) + toMultiple(size / 2 ** exponent, 2 ** -10) * 1024
  return sign | Math.min(bits, 0x7c00)
}

/** The bits of the nearest bfloat16, of two the even one. */
const toBrain = (x: number): number => {
  if (Number.isNaN(x)) return 0x7fc0
  const view = new DataView(new ArrayBuffer(4))
  view.setFloat32(0, x)
  const bits = view.getUint32(0)
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff
}

const WRITERS: { readonly [T in ElementType]: Writer } = {
  F64: (v, i, x, little) => v.setFloat64(i, x, little),
  F32: (v, i, x, little) => v.setFloat32(i, x, little),
  F16: (v, i, x, little) => v.setUint16(i, toHalf(x), little),
  BF16: (v, i, x, little) => v.setUint16(i, toBrain(x), little),
  I64: (v, i, x, little) => v.setBigInt64(i, BigInt(Math.trunc(x)), little),
  I32: (v, i, x, little) => v.setInt32(i, x, little),
  I16: (v, i, x, little) => v.setInt16(i, x, little),
  I8: (v, i, x) => v.setInt8(i, x),
  U64: (v, i, x, little) => v.setBigUint64(i, BigInt(Math.trunc(x)), little),
  U32: (v, i, x, little) => v.setUint32(i, x, little),
  U16: (v, i, x, little) => v.setUint16(i, x, little),
  U8: (v, i, x) => v.setUint8(i, x),
  BOOL: (v, i, x) => v.setUint8(i, x === 0 ? 0 : 1),
}

/** Writes numbers into bytes at `offset`; little-endian unless told otherwise. */
export const writeNumbers = (
  { type, data }: Pick<StoredArray, 'type' | 'data'>,
  view: DataView,
  offset: number,
  little = true,
): void => {
  const write = WRITERS[type]
  const size = sizeOfElement[type]
  for (let i = 0; i < data.length; i++) write(view, offset + i * size, data[i], little)
}

/** Least and greatest number of the integer types. */
const RANGES: { readonly [T in ElementType]?: readonly [least: number, most: number] } = {
  I64: [-(2 ** 63), 2 ** 63],
  I32: [-(2 ** 31), 2 ** 31 - 1],
  I16: [-(2 ** 15), 2 ** 15 - 1],
  I8: [-128, 127],
  U64: [0, 2 ** 64],
  U32: [0, 2 ** 32 - 1],
  U16: [0, 2 ** 16 - 1],
  U8: [0, 255],
  BOOL: [0, 1],
}

/** The place of the first number that an integer type can't hold: a fraction, a NaN, one out of its range; -1 if there is none. */
export const misfitIn = ({ type, data }: Pick<StoredArray, 'type' | 'data'>): number => {
  const range = RANGES[type]
  if (range === undefined) return -1
  const [least, most] = range
  // The largest float32 below 2^63 is far below it, and 2^63 itself is too large.
  const open = most >= 2 ** 63
  for (let i = 0; i < data.length; i++)
    if (!(Number.isInteger(data[i]) && data[i] >= least && (open ? data[i] < most : data[i] <= most))) return i
  return -1
}

/** ONNX' four types of floats in 8 bits: which formats they are, and their bytes. */
import { exponentOf, powerOfTwo } from '../../data/math.js'
import { leastStep, type FloatFormat } from '../../data/minifloat.js'
import { TensorProto_DataType as DataType } from './proto/onnx_pb.js'

/** A type of floats in 8 bits. */
export type Float8Type = DataType.FLOAT8E4M3FN | DataType.FLOAT8E5M2 | DataType.FLOAT8E4M3FNUZ | DataType.FLOAT8E5M2FNUZ

type Float8 = Omit<FloatFormat, 'saturating'> & { readonly type: Float8Type; readonly nan: number }

const TYPES: readonly Float8[] = [
  {
    type: DataType.FLOAT8E4M3FN,
    exponentBits: 4,
    mantissaBits: 3,
    bias: 7,
    infValues: null,
    nanValues: ['111'],
    nan: 0x7f,
  },
  {
    type: DataType.FLOAT8E5M2,
    exponentBits: 5,
    mantissaBits: 2,
    bias: 15,
    infValues: ['00'],
    nanValues: ['01', '11', '10'],
    nan: 0x7f,
  },
  {
    type: DataType.FLOAT8E4M3FNUZ,
    exponentBits: 4,
    mantissaBits: 3,
    bias: 8,
    infValues: null,
    nanValues: null,
    nan: 0x80,
  },
  {
    type: DataType.FLOAT8E5M2FNUZ,
    exponentBits: 5,
    mantissaBits: 2,
    bias: 16,
    infValues: null,
    nanValues: null,
    nan: 0x80,
  },
]

const codes = ({ infValues, nanValues }: Pick<FloatFormat, 'infValues' | 'nanValues'>): string =>
  JSON.stringify([infValues, nanValues].map((list) => (list === null ? null : [...list].sort())))

/** The type whose numbers a format has, or null. */
export const float8Of = (f: FloatFormat): Float8Type | null =>
  TYPES.find(
    (t) =>
      t.exponentBits === f.exponentBits &&
      t.mantissaBits === f.mantissaBits &&
      t.bias === f.bias &&
      codes(t) === codes(f),
  )?.type ?? null

const about = (type: DataType): Float8 | undefined => TYPES.find((t) => t.type === type)

/** Is it a type of floats in 8 bits? */
export const isFloat8 = (type: DataType): type is Float8Type => about(type) !== undefined

/** The format of such a type. */
export const formatOfFloat8 = (type: DataType, saturating: boolean): FloatFormat | null => {
  const t = about(type)
  if (t === undefined) return null
  const { exponentBits, mantissaBits, bias, infValues, nanValues } = t
  return { exponentBits, mantissaBits, bias, saturating, infValues, nanValues }
}

/** The byte of a number that the type has. */
const byteOf = (x: number, t: Float8): number => {
  const sign = x < 0 || (Object.is(x, -0) && t.nan !== 0x80) ? 0x80 : 0
  const size = Math.abs(x)
  if (Number.isNaN(x)) return t.nan
  if (size === Infinity) return sign | ((2 ** t.exponentBits - 1) << t.mantissaBits)
  const exponent = exponentOf(size)
  if (exponent < 1 - t.bias) return sign | (size / 2 ** leastStep(t))
  return sign | ((exponent + t.bias) << t.mantissaBits) | ((size / powerOfTwo(exponent) - 1) * 2 ** t.mantissaBits)
}

/** Bytes of numbers that the type has. */
export const toFloat8 = (type: Float8Type, values: ArrayLike<number>): Uint8Array => {
  const t = about(type)
  return Uint8Array.from(values, (x) => (t === undefined ? 0 : byteOf(x, t)))
}

const numberOf = (byte: number, t: Float8): number => {
  const [field, mantissa] = [(byte & 0x7f) >> t.mantissaBits, byte & (2 ** t.mantissaBits - 1)]
  const sign = byte > 0x7f ? -1 : 1
  const top = field === 2 ** t.exponentBits - 1
  const code = mantissa.toString(2).padStart(t.mantissaBits, '0')
  if ((t.nan === 0x80 && byte === 0x80) || (top && t.nanValues?.includes(code) === true)) return NaN
  if (top && t.infValues?.includes(code) === true) return sign * Infinity
  if (field === 0) return sign * mantissa * 2 ** leastStep(t)
  return sign * (1 + mantissa * 2 ** -t.mantissaBits) * powerOfTwo(field - t.bias)
}

/** The numbers of bytes of such a type. */
export const fromFloat8 = (type: DataType, bytes: ArrayLike<number>, n: number): Float32Array => {
  const t = about(type)
  const table = Array.from({ length: 256 }, (_, b) => (t === undefined ? NaN : numberOf(b, t)))
  return Float32Array.from({ length: n }, (_, i) => table[bytes[i] & 0xff])
}

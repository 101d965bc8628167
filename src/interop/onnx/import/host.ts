/** Numbers that are known before a model runs: initializers, constants, and what is computed from sizes. */
import * as E from 'fp-ts/lib/Either.js'
import { MOST_ELEMENTS, showShape, sizeOf, type Shape } from '../../../data/shape.js'
import { fromBrain, fromHalf, numbersFrom, sizeOfElement, type ElementType } from '../../arrays/element.js'
import { fromFloat8, isFloat8 } from '../float8.js'
import { TensorProto_DataLocation, TensorProto_DataType as DataType, type TensorProto } from '../proto/onnx_pb.js'

export { DataType }

/**
 * Known numbers: float32 where the type is a float, else double, which holds every integer up to 2^53. Small integers of a file stay as they are stored:
 * as floats, the weights of a quantized model would take four times its size.
 */
export type Host = {
  readonly type: DataType
  readonly shape: Shape
  readonly data: Float32Array | Float64Array | Int8Array | Uint8Array
}

/** Gives the bytes of a file that lies beside the model, or says why not. */
export type ReadExternal = (location: string) => E.Either<string, Uint8Array>

const FLOATS: readonly DataType[] = [DataType.FLOAT, DataType.FLOAT16, DataType.BFLOAT16, DataType.DOUBLE]
/** Is it a type of floats? */
export const isFloat = (type: DataType): boolean => FLOATS.includes(type)
/** Does one number of this type fit float32 as it stands? */
const narrow = (type: DataType): boolean =>
  type === DataType.FLOAT ||
  type === DataType.FLOAT16 ||
  type === DataType.BFLOAT16 ||
  type === DataType.INT8 ||
  type === DataType.UINT8 ||
  type === DataType.INT4 ||
  type === DataType.UINT4 ||
  type === DataType.INT16 ||
  type === DataType.UINT16 ||
  type === DataType.BOOL

/** Room for `n` numbers of a type. */
export const roomFor = (type: DataType, n: number): Float32Array | Float64Array =>
  narrow(type) ? new Float32Array(n) : new Float64Array(n)

/** A list of whole numbers, as shapes are. */
export const int64s = (values: readonly number[], shape: Shape = [values.length]): Host => ({
  type: DataType.INT64,
  shape,
  data: Float64Array.from(values),
})

/** Types whose raw bytes are read one element after the other. */
const RAW: { readonly [T in DataType]?: ElementType } = {
  [DataType.FLOAT]: 'F32',
  [DataType.DOUBLE]: 'F64',
  [DataType.FLOAT16]: 'F16',
  [DataType.BFLOAT16]: 'BF16',
  [DataType.INT8]: 'I8',
  [DataType.UINT8]: 'U8',
  [DataType.INT16]: 'I16',
  [DataType.UINT16]: 'U16',
  [DataType.INT32]: 'I32',
  [DataType.UINT32]: 'U32',
  [DataType.INT64]: 'I64',
  [DataType.UINT64]: 'U64',
  [DataType.BOOL]: 'BOOL',
}

const nibble = (byte: number, i: number, signed: boolean): number => {
  const n = (byte >> (4 * (i & 1))) & 15
  return signed && n > 7 ? n - 16 : n
}

const fourBits = (bytes: ArrayLike<number>, n: number, signed: boolean): Int8Array | Uint8Array => {
  const out = signed ? new Int8Array(n) : new Uint8Array(n)
  for (let i = 0; i < n; i++) out[i] = nibble(bytes[i >> 1], i, signed)
  return out
}

const wide = (type: 'F64' | 'I32' | 'U32' | 'I64' | 'U64', bytes: Uint8Array, n: number): Float64Array => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const read = {
    F64: (i: number) => view.getFloat64(8 * i, true),
    I32: (i: number) => view.getInt32(4 * i, true),
    U32: (i: number) => view.getUint32(4 * i, true),
    I64: (i: number) => Number(view.getBigInt64(8 * i, true)),
    U64: (i: number) => Number(view.getBigUint64(8 * i, true)),
  }[type]
  const out = new Float64Array(n)
  for (let i = 0; i < n; i++) out[i] = read(i)
  return out
}

const isWide = (type: ElementType): type is 'F64' | 'I32' | 'U32' | 'I64' | 'U64' =>
  type === 'F64' || type === 'I32' || type === 'U32' || type === 'I64' || type === 'U64'

const fromRaw = (type: DataType, bytes: Uint8Array, n: number): Host['data'] | string => {
  const short = (need: number): string | null =>
    bytes.length === need ? null : `it holds ${bytes.length} bytes where its shape needs ${need}`
  if (type === DataType.INT4 || type === DataType.UINT4)
    return short(Math.ceil(n / 2)) ?? fourBits(bytes, n, type === DataType.INT4)
  if (isFloat8(type)) return short(n) ?? fromFloat8(type, bytes, n)
  const element = RAW[type]
  if (element === undefined) return `its element type ${DataType[type] ?? type} is not known`
  const bad = short(n * sizeOfElement[element])
  if (bad !== null) return bad
  if (element === 'I8') return new Int8Array(bytes)
  // A copy, whatever kind of Uint8Array the bytes are.
  if (element === 'U8') return new Uint8Array(bytes)
  return isWide(element) ? wide(element, bytes, n) : numbersFrom(element, bytes, 0, n)
}

/** How a tensor's fields hold numbers of a type: one by one, each read like this, or packed in bytes. */
type Field =
  | { readonly from: (t: TensorProto) => readonly (number | bigint)[]; readonly read?: (x: number) => number }
  | { readonly packed: (t: TensorProto, n: number) => Host['data'] | string }

const integers: Field = { from: (t) => t.int32Data }
const longs: Field = { from: (t) => t.uint64Data }

const packedNibbles = (signed: boolean): Field => ({
  packed: (t, n) =>
    t.int32Data.length === Math.ceil(n / 2)
      ? fourBits(t.int32Data, n, signed)
      : `it holds ${t.int32Data.length} packed numbers where its shape needs ${Math.ceil(n / 2)}`,
})

const packedFloats = (type: Parameters<typeof fromFloat8>[0]): Field => ({
  packed: (t, n) =>
    t.int32Data.length === n
      ? fromFloat8(type, t.int32Data, n)
      : `it holds ${t.int32Data.length} numbers where its shape needs ${n}`,
})

const FIELDS: { readonly [T in DataType]?: Field } = {
  [DataType.FLOAT]: { from: (t) => t.floatData },
  [DataType.DOUBLE]: { from: (t) => t.doubleData },
  [DataType.INT64]: { from: (t) => t.int64Data },
  [DataType.UINT32]: longs,
  [DataType.UINT64]: longs,
  [DataType.FLOAT16]: { from: (t) => t.int32Data, read: fromHalf },
  [DataType.BFLOAT16]: { from: (t) => t.int32Data, read: fromBrain },
  [DataType.BOOL]: { from: (t) => t.int32Data, read: (x) => (x === 0 ? 0 : 1) },
  [DataType.INT8]: integers,
  [DataType.UINT8]: integers,
  [DataType.INT16]: integers,
  [DataType.UINT16]: integers,
  [DataType.INT32]: integers,
  [DataType.INT4]: packedNibbles(true),
  [DataType.UINT4]: packedNibbles(false),
  [DataType.FLOAT8E4M3FN]: packedFloats(DataType.FLOAT8E4M3FN),
  [DataType.FLOAT8E5M2]: packedFloats(DataType.FLOAT8E5M2),
  [DataType.FLOAT8E4M3FNUZ]: packedFloats(DataType.FLOAT8E4M3FNUZ),
  [DataType.FLOAT8E5M2FNUZ]: packedFloats(DataType.FLOAT8E5M2FNUZ),
}

/** The numbers of a tensor that stand in the field of their type. */
const typed = (t: TensorProto, type: DataType, n: number): Host['data'] | string => {
  const field = FIELDS[type]
  if (field === undefined) return `its element type ${DataType[type] ?? type} is not known`
  if ('packed' in field) return field.packed(t, n)
  const [numbers, read] = [field.from(t), field.read ?? ((x: number) => x)]
  if (numbers.length !== n) return `it holds ${numbers.length} numbers where its shape needs ${n}`
  const out = roomFor(type, n)
  for (let i = 0; i < n; i++) out[i] = read(Number(numbers[i]))
  return out
}

const whole = (text: string | undefined): number => (text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : NaN)

/** The bytes that a tensor keeps in another file. */
const external = (t: TensorProto, read: ReadExternal | undefined): Uint8Array | string => {
  const said = new Map(t.externalData.map((e) => [e.key, e.value] as const))
  const location = said.get('location')
  if (location === undefined) return 'its numbers lie in another file, which it does not name'
  if (read === undefined) return `its numbers lie in the file ${JSON.stringify(location)}, and no reader was given`
  const file = read(location)
  if (E.isLeft(file)) return file.left
  const offset = said.has('offset') ? whole(said.get('offset')) : 0
  const length = said.has('length') ? whole(said.get('length')) : file.right.length - offset
  if (!(offset >= 0 && length >= 0 && offset + length <= file.right.length))
    return `its numbers should stand at ${said.get('offset') ?? 0} in ${JSON.stringify(location)}, which has ${file.right.length} bytes`
  return file.right.subarray(offset, offset + length)
}

/** A tensor of a file as numbers, or what is wrong with it. */
export const hostOf = (t: TensorProto, read?: ReadExternal): E.Either<string, Host> => {
  const shape = t.dims.map(Number)
  const n = sizeOf(shape)
  if (!shape.every((d) => Number.isSafeInteger(d) && d >= 0) || !(n <= MOST_ELEMENTS))
    return E.left(`its shape ${showShape(shape)} is no shape of a tensor`)
  if (t.segment !== undefined) return E.left('it is stored in segments')
  const type = t.dataType
  const outside = t.dataLocation === TensorProto_DataLocation.EXTERNAL
  const bytes = outside ? external(t, read) : t.rawData
  if (typeof bytes === 'string') return E.left(bytes)
  const data = outside || bytes.length > 0 ? fromRaw(type, bytes, n) : typed(t, type, n)
  return typeof data === 'string' ? E.left(data) : E.right({ type, shape, data })
}

/** The numbers as a plain list. */
export const listOf = (h: Host): readonly number[] => Array.from(h.data)

/** The one number that fills it, or null. */
export const uniform = ({ data }: Host): number | null => {
  if (data.length === 0) return null
  for (let i = 1; i < data.length; i++) if (!Object.is(data[i], data[0])) return null
  return data[0]
}

/** As float32. */
export const float32 = (h: Host): Float32Array => (h.data instanceof Float32Array ? h.data : new Float32Array(h.data))

const INTEGERS: { readonly [T in DataType]?: (v: number) => number } = {
  [DataType.INT8]: (v) => (v << 24) >> 24,
  [DataType.UINT8]: (v) => v & 255,
  [DataType.INT16]: (v) => (v << 16) >> 16,
  [DataType.UINT16]: (v) => v & 65535,
  [DataType.INT32]: (v) => v | 0,
}

/** A number in another type: towards zero to integers, 0 or 1 to booleans. */
export const castTo = (type: DataType): ((v: number) => number) => {
  if (type === DataType.BOOL) return (v) => (v !== 0 ? 1 : 0)
  if (isFloat(type)) return type === DataType.DOUBLE ? (v) => v : Math.fround
  const wrap = INTEGERS[type] ?? ((v: number) => v)
  return (v) => wrap(Math.trunc(v))
}

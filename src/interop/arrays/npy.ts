/**
 * numpy's `.npy`: six bytes of magic, a version, the length of a header, the header as a Python literal, then the numbers. Source: numpy/lib/format.py,
 * "Format Version 1.0" to "3.0". What comes in is not trusted: nothing is evaluated, and sizes are checked before anything is made of them.
 */
import * as E from 'fp-ts/lib/Either.js'
import { failure, type QuantErrors } from '../../data/error.js'
import {
  argumentProblems,
  demand,
  demandArguments,
  fieldProblems,
  oneOf,
  required,
  type Fields,
} from '../../data/fields.js'
import { showShape, type Shape } from '../../data/shape.js'
import { misfitIn, numbersFrom, sizeOfElement, writeNumbers, type ElementType, type StoredArray } from './element.js'
import { literalOf, type Literal } from './literal.js'
import { arrayField, bytesField, isCount, MOST_AXES } from './stored.js'

/** How an array is written; readers, ours and numpy's, take any of it. */
export type NpyOptions = {
  /** Order of the numbers: by rows (default) or, as numpy's `fortran_order`, by columns. */
  readonly order?: 'C' | 'Fortran'
  /** Order of the bytes in a number (default little). */
  readonly endian?: 'little' | 'big'
  /** Version of the format (default 1, which everything reads). */
  readonly version?: 1 | 2 | 3
}

const OPTIONS: Fields<NpyOptions> = {
  order: oneOf('C', 'Fortran'),
  endian: oneOf('little', 'big'),
  version: oneOf(1, 2, 3),
}

const MAGIC = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59)
/** As numpy's `max_header_size` has it. */
const LONGEST_HEADER = 10_000

/** Numpy's names of element types, without the order of bytes. */
const TYPES: ReadonlyMap<string, ElementType> = new Map([
  ['f8', 'F64'],
  ['f4', 'F32'],
  ['f2', 'F16'],
  ['i8', 'I64'],
  ['i4', 'I32'],
  ['i2', 'I16'],
  ['i1', 'I8'],
  ['u8', 'U64'],
  ['u4', 'U32'],
  ['u2', 'U16'],
  ['u1', 'U8'],
  ['b1', 'BOOL'],
])
const NAMES = new Map([...TYPES].map(([name, type]) => [type, name]))

const FIX =
  'write it again with numpy.save(…, allow_pickle=False); a file that was cut off or changed can not be mended'

const bad = (message: string, fix = FIX): E.Either<QuantErrors, never> =>
  E.left([{ tag: 'ParseError', where: 'npy', path: '', message: `this is no .npy file of numbers: ${message}`, fix }])

type Header = {
  readonly type: ElementType
  readonly little: boolean
  readonly byColumns: boolean
  readonly shape: Shape
  /** Where the numbers begin. */
  readonly start: number
}

/** What other kinds of numpy's types are, by their letter. */
const KINDS: { readonly [letter: string]: string } = {
  c: 'complex numbers',
  U: 'texts',
  S: 'bytes',
  O: 'Python objects, stored as a pickle, which is never read',
  M: 'dates',
  m: 'time spans',
  V: 'raw bytes or records',
  f: 'floats of a size that JavaScript has not',
}

const typeOf = (descr: Literal | undefined): E.Either<QuantErrors, Pick<Header, 'type' | 'little'>> => {
  if (typeof descr !== 'string')
    return descr === undefined
      ? bad('its header has no descr')
      : bad('its elements are records of fields', 'store each field as an array of its own')
  const [, order, name, letter] = /^([<>|=]?)((.?).*)$/s.exec(descr) ?? []
  const type = TYPES.get(name)
  if (type !== undefined) return E.right({ type, little: order !== '>' })
  return bad(
    `its type ${JSON.stringify(descr).slice(0, 60)}${Object.hasOwn(KINDS, letter) ? ` (${KINDS[letter]})` : ''} is not one of ${[...TYPES.keys()].join(', ')}`,
    "convert it first: numpy.save('x.npy', x.astype('float32'))",
  )
}

const isShape = (x: Literal | undefined): x is readonly number[] =>
  Array.isArray(x) && x.length <= MOST_AXES && x.every(isCount)

const KEYS = ['descr', 'fortran_order', 'shape']

const headerIn = (text: string, start: number): E.Either<QuantErrors, Header> => {
  const read = literalOf(text)
  if (typeof read === 'string') return bad(`its header ${read}`)
  const odd = [...read.keys()].find((key) => !KEYS.includes(key))
  if (odd !== undefined) return bad(`its header has a key ${JSON.stringify(odd).slice(0, 60)}`)
  const [byColumns, shape] = [read.get('fortran_order'), read.get('shape')]
  if (typeof byColumns !== 'boolean') return bad('its header says no fortran_order, True or False')
  if (!isShape(shape)) return bad('its shape is no tuple of sizes')
  return E.map((type: Pick<Header, 'type' | 'little'>) => ({ ...type, byColumns, shape, start }))(
    typeOf(read.get('descr')),
  )
}

const headerOf = (bytes: Uint8Array): E.Either<QuantErrors, Header> => {
  if (bytes.length < 10 || MAGIC.some((b, i) => bytes[i] !== b))
    return bad(bytes.length === 0 ? 'it is empty' : 'it does not begin as one (\\x93NUMPY)')
  const [version, minor] = [bytes[6], bytes[7]]
  if (version < 1 || version > 3 || minor !== 0) return bad(`its version ${version}.${minor} is not 1.0, 2.0 or 3.0`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const from = version === 1 ? 10 : 12
  if (bytes.length < from) return bad('it ends within its header')
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true)
  if (length > LONGEST_HEADER) return bad(`its header is said to have ${length} bytes, more than ${LONGEST_HEADER}`)
  if (from + length > bytes.length)
    return bad(`its header is said to have ${length} bytes, and ${bytes.length - from} follow`)
  // Bytes that are no text become a sign that no literal has.
  return headerIn(new TextDecoder().decode(bytes.subarray(from, from + length)), from + length)
}

/** Is an integer of 64 bits beyond 2^53, where doubles have gaps? */
const beyond = (view: DataView, at: number, little: boolean, signed: boolean): boolean => {
  const [high, low] = [view.getUint32(at + (little ? 4 : 0), little), view.getUint32(at + (little ? 0 : 4), little)]
  const upper = signed ? high | 0 : high
  return upper > 2 ** 21 || upper < -(2 ** 21) || (upper === 2 ** 21 && low > 0)
}

/** The place of the first integer beyond 2^53, or -1. */
const firstBeyond = (bytes: Uint8Array, h: Header, count: number): number => {
  if (h.type !== 'I64' && h.type !== 'U64') return -1
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let i = 0; i < count; i++) if (beyond(view, h.start + 8 * i, h.little, h.type === 'I64')) return i
  return -1
}

/** Numbers by rows from numbers by columns: element `[i, j, …]` stands at `i + n·(j + …)`. */
const byRows = (data: Float32Array, shape: Shape): Float32Array => {
  if (shape.length < 2 || data.length === 0) return data
  const out = new Float32Array(data.length)
  const strides = shape.map((_, d) => shape.slice(0, d).reduce((n, k) => n * k, 1))
  const index = new Array<number>(shape.length).fill(0)
  let at = 0
  for (let i = 0; i < out.length; i++) {
    out[i] = data[at]
    for (let d = shape.length - 1; d >= 0; d--) {
      index[d]++
      at += strides[d]
      if (index[d] < shape[d]) break
      at -= strides[d] * shape[d]
      index[d] = 0
    }
  }
  return out
}

/** The array of checked bytes; for `.npz`, whose entries are such files. */
export const readNpy = (bytes: Uint8Array): E.Either<QuantErrors, StoredArray> => {
  const header = headerOf(bytes)
  if (E.isLeft(header)) return header
  const { type, shape, start, little, byColumns } = header.right
  const count = shape.reduce((n, k) => n * k, 1)
  const [wanted, there] = [count * sizeOfElement[type], bytes.length - start]
  if (wanted !== there)
    return bad(`it holds ${there} bytes of numbers, but type ${type} and shape ${showShape(shape)} want ${wanted}`)
  const large = firstBeyond(bytes, header.right, count)
  if (large >= 0)
    return bad(
      `element ${large} is an integer beyond 2^53, where JavaScript's numbers have gaps`,
      'store smaller integers, or floats: x.astype("float32")',
    )
  const data = numbersFrom(type, bytes, start, count, little)
  return E.right({ type, shape: [...shape], data: byColumns ? byRows(data, shape) : data })
}

/**
 * The array of a `.npy` file: versions 1 to 3, both orders of bytes, by rows or by columns, of floats (2, 4, 8 bytes), integers (1 to 8, signed and
 * not) and booleans; its numbers as float32 by rows, so that an integer above 2^24 is rounded, and one beyond 2^53 an error. Nothing else is read:
 * no pickle, no records. Errors: a ParseError.
 *
 * @example
 * const { shape, data } = orThrow(parseNpy(orThrow(readFileBytes('images.npy'))))
 */
export const parseNpy = (bytes: Uint8Array): E.Either<QuantErrors, StoredArray> => {
  const wrong = argumentProblems('parseNpy', { bytes }, { bytes: required(bytesField) })
  return wrong.length > 0 ? E.left(wrong) : readNpy(bytes)
}

const headerText = (array: StoredArray, o: NpyOptions): string => {
  const size = sizeOfElement[array.type]
  const wide = o.endian === 'big' ? '>' : '<'
  const order = size === 1 ? '|' : wide
  const shape = array.shape.length === 1 ? `(${array.shape[0]},)` : `(${array.shape.join(', ')})`
  return `{'descr': '${order}${NAMES.get(array.type)}', 'fortran_order': ${o.order === 'Fortran' ? 'True' : 'False'}, 'shape': ${shape}, }`
}

const misfit = (array: StoredArray, at: number): QuantErrors => [
  {
    tag: 'InputError',
    input: 'array',
    path: '',
    message: `element ${at}, ${array.data[at]}, is no ${array.type}`,
    fix: "round and clamp the numbers first, or give the type 'F32'",
  },
]

/**
 * An array as a `.npy` file, which `numpy.load` reads. A `BF16` is written as float32, since numpy has no such type. Throws a QuantFailure where an
 * integer type can't hold a number.
 *
 * @example
 * orThrow(writeFileWhole('logits.npy', npyToBytes({ ...valueOf(outputs), type: 'F32' })))
 */
export const npyToBytes = (array: StoredArray, options: NpyOptions = {}): Uint8Array => {
  demandArguments('npyToBytes', { array }, { array: required(arrayField) })
  demand(fieldProblems('npyToBytes', options, OPTIONS))
  const odd = misfitIn(array)
  if (odd >= 0) throw failure(misfit(array, odd))
  const { version = 1, endian = 'little', order = 'C' } = options
  const written: StoredArray = { ...array, type: array.type === 'BF16' ? 'F32' : array.type }
  const text = new TextEncoder().encode(headerText(written, options))
  const before = version === 1 ? 10 : 12
  // The numbers begin at a multiple of 64; a line feed ends the header.
  const start = Math.ceil((before + text.length + 1) / 64) * 64
  const bytes = new Uint8Array(start + array.data.length * sizeOfElement[written.type])
  const view = new DataView(bytes.buffer)
  bytes.set(MAGIC)
  bytes[6] = version
  if (version === 1) view.setUint16(8, start - before, true)
  else view.setUint32(8, start - before, true)
  bytes.fill(32, before, start)
  bytes.set(text, before)
  bytes[start - 1] = 10
  const data = order === 'Fortran' ? byRows(array.data, array.shape.toReversed()) : array.data
  writeNumbers({ type: written.type, data }, view, start, endian === 'little')
  return bytes
}

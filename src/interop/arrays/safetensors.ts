/**
 * The safetensors format: 8 bytes with the length of the header, the header as JSON, then every tensor's bytes. Source: huggingface/safetensors, README,
 * "Format". What comes in is not trusted: lengths, names, shapes, types and places are checked before anything is read.
 */
import * as E from 'fp-ts/lib/Either.js'
import { failure, type QuantError, type QuantErrors } from '../../data/error.js'
import { argumentProblems, demandArguments, record, required, showGiven, type Field } from '../../data/fields.js'
import { numbersFrom, sizeOfElement, writeNumbers, type ElementType, type StoredArray } from './element.js'
import { arraysField, bytesField, isCount, MOST_AXES, type StoredArrays } from './stored.js'

const texts: Field = {
  says: 'a record of texts',
  like: "{ made: 'here' }",
  holds: (x) => record.holds(x) && Object.values(Object(x)).every((v) => typeof v === 'string'),
}

const METADATA = '__metadata__'
/** As the reference implementation has it. */
const LONGEST_HEADER = 100_000_000

const reserved: QuantError = {
  tag: 'InputError',
  input: METADATA,
  path: '',
  message: `safetensorsToBytes: no tensor can be named ${METADATA}: the format keeps texts under that name`,
  fix: 'give the tensor another name, and texts as the second argument',
}

/** Tensors as a file; names in order, tensors packed without gaps. */
export const safetensorsToBytes = (
  tensors: StoredArrays,
  metadata: { readonly [key: string]: string } = {},
): Uint8Array => {
  demandArguments('safetensorsToBytes', { tensors, metadata }, { tensors: required(arraysField), metadata: texts })
  if (Object.hasOwn(tensors, METADATA)) throw failure([reserved])
  const names = Object.keys(tensors).toSorted()
  let offset = 0
  const entries = names.map((name) => {
    const { type, shape, data } = tensors[name]
    const start = offset
    offset += data.length * sizeOfElement[type]
    return [name, { dtype: type, shape, data_offsets: [start, offset] }] as const
  })
  const extra = Object.keys(metadata).length === 0 ? [] : [[METADATA, metadata] as const]
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries([...extra, ...entries])))
  // Spaces behind the header keep what follows aligned.
  const length = Math.ceil(json.length / 8) * 8
  const bytes = new Uint8Array(8 + length + offset)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(0, BigInt(length), true)
  bytes.fill(32, 8, 8 + length)
  bytes.set(json, 8)
  for (const [name, { data_offsets: at }] of entries) writeNumbers(tensors[name], view, 8 + length + at[0])
  return bytes
}

const bad = (message: string, where = 'header'): E.Either<QuantErrors, never> =>
  E.left([
    {
      tag: 'ParseError',
      where,
      path: '',
      message: `this is no safetensors file: ${message}`,
      fix: 'give the file as it was written, whole',
    },
  ])

type Entry = {
  readonly type: ElementType
  readonly shape: readonly number[]
  readonly from: number
  readonly to: number
}

/** One entry of the header, or what is wrong with it. */
const entryOf = (x: unknown, available: number): Entry | string => {
  if (typeof x !== 'object' || x === null) return 'its entry is no record'
  const { dtype, shape, data_offsets: offsets }: { dtype?: unknown; shape?: unknown; data_offsets?: unknown } = x
  if (typeof dtype !== 'string' || !Object.hasOwn(sizeOfElement, dtype))
    return `its type ${typeof dtype === 'string' ? dtype.slice(0, 60) : showGiven(dtype)} is not one of ${Object.keys(sizeOfElement).join(', ')}`
  if (!Array.isArray(shape) || shape.length > MOST_AXES || !shape.every(isCount)) return 'its shape is no list of sizes'
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount))
    return 'its place is no pair of offsets'
  const type = dtype as ElementType
  const [from, to]: readonly number[] = offsets
  const size = shape.reduce<number>((n, k: number) => n * k, 1) * sizeOfElement[type]
  if (from > to || to > available) return `its place, ${from} to ${to}, is outside the ${available} bytes of the file`
  if (to - from !== size) return `its place holds ${to - from} bytes, but type and shape want ${size}`
  return { type, shape, from, to }
}

const headerOf = (bytes: Uint8Array): E.Either<QuantErrors, { readonly json: object; readonly start: number }> => {
  if (bytes.length < 8) return bad(`it has ${bytes.length} bytes`)
  const length = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(0, true)
  if (length > BigInt(Math.min(LONGEST_HEADER, bytes.length - 8)))
    return bad(`its header is said to have ${length} bytes, and ${bytes.length - 8} follow`)
  const start = 8 + Number(length)
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, start))
    const json: unknown = JSON.parse(text)
    return typeof json === 'object' && json !== null && !Array.isArray(json)
      ? E.right({ json, start })
      : bad('its header is no record')
  } catch (e) {
    return bad(`its header is no JSON (${e instanceof Error ? e.message : String(e)})`)
  }
}

/** Two tensors may not share bytes: a file that says so was made to mislead. */
const overlapping = (entries: readonly (readonly [string, Entry])[]): string | null => {
  const byPlace = entries.filter(([, e]) => e.to > e.from).toSorted(([, a], [, b]) => a.from - b.from)
  for (let i = 1; i < byPlace.length; i++)
    if (byPlace[i][1].from < byPlace[i - 1][1].to) return `${byPlace[i - 1][0]} and ${byPlace[i][0]} overlap`
  return null
}

/** The tensors of a file; every number as float32. Errors: a ParseError that names the tensor. */
export const parseSafetensors = (bytes: Uint8Array): E.Either<QuantErrors, StoredArrays> => {
  const wrong = argumentProblems('parseSafetensors', { bytes }, { bytes: required(bytesField) })
  if (wrong.length > 0) return E.left(wrong)
  const header = headerOf(bytes)
  if (E.isLeft(header)) return header
  const { json, start } = header.right
  const entries: (readonly [string, Entry])[] = []
  for (const [name, x] of Object.entries(json)) {
    if (name === METADATA) continue
    const entry = entryOf(x, bytes.length - start)
    if (typeof entry === 'string') return bad(`tensor ${JSON.stringify(name).slice(0, 100)}: ${entry}`, name)
    entries.push([name, entry])
  }
  const shared = overlapping(entries)
  if (shared !== null) return bad(shared)
  const out: Record<string, StoredArray> = Object.create(null)
  for (const [name, { type, shape, from, to }] of entries)
    out[name] = {
      type,
      shape: [...shape],
      data: numbersFrom(type, bytes, start + from, (to - from) / sizeOfElement[type]),
    }
  return E.right(out)
}

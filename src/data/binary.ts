/**
 * Trees of tensors (parameters, state) as bytes, format version 2: `QTRC`, version, length of the header, header as JSON,
 * float32 payload, CRC-32 of all before it; every integer and float little-endian. Knows nothing of layers.
 * Version 1 did not store what a leaf means; it is still read, and its learned leaves then say so (`UNTOLD`).
 */
import * as E from 'fp-ts/lib/Either.js'
import { freeze } from 'immer'
import { crc32 } from './crc32.js'
import type { QuantErrors } from './error.js'
import { showGiven } from './fields.js'
import { marksOf, UNTOLD, type Marked, type Marks } from './marks.js'
import { sizeOf, type Shape } from './shape.js'
import { isTensor, type Tensor } from './tensor.js'
import { leaves, mapTree, type IsLeaf, type Tree } from './tree.js'

const MAGIC = 0x43525451
const VERSION = 2
const PREFIX = 12
const DEEPEST = 64
const LONGEST_SHAPE = 64

/** Whatever it is marked with. */
const isMarked: IsLeaf<Marked> = (x): x is Marked => isTensor(x)

/** A tree of tensors as bytes; the marks of leaves and empty records are kept, and so is every bit of every number. */
export const tensorsToBytes = (tree: unknown): Uint8Array => {
  const found = leaves(isMarked, tree)
  let next = 0
  let offset = 0
  const tensors = found.map(({ path, leaf }) => {
    const entry = { path, shape: leaf.shape, offset, ...marksOf(leaf) }
    offset += leaf.data.length * 4
    return entry
  })
  const header = new TextEncoder().encode(JSON.stringify({ tree: mapTree(isMarked, tree, () => next++), tensors }))
  const bytes = new Uint8Array(PREFIX + header.length + offset + 4)
  const view = new DataView(bytes.buffer)
  ;[MAGIC, VERSION, header.length].forEach((n, i) => view.setUint32(4 * i, n, true))
  bytes.set(header, PREFIX)
  let at = PREFIX + header.length
  for (const { leaf } of found) {
    const bits = new Uint32Array(leaf.data.buffer, leaf.data.byteOffset, leaf.data.length)
    for (let i = 0; i < bits.length; i++, at += 4) view.setUint32(at, bits[i], true)
  }
  view.setUint32(at, crc32(bytes.subarray(0, at)), true)
  return bytes
}

type Entry = { readonly path: string; readonly shape: Shape; readonly offset: number; readonly marks: Marks }
type Parsed<A> = E.Either<QuantErrors, A>

const wrong = (where: string, message: string): E.Either<QuantErrors, never> =>
  E.left([
    {
      tag: 'ParseError',
      where,
      path: '',
      message: `tensors${where === '' ? '' : ` at ${where}`}: ${message}`,
      fix: 'store them again with tensorsToBytes; a file that was cut off or changed can not be mended',
    },
  ])

const isRecord = (x: unknown): x is { readonly [key: string]: unknown } =>
  typeof x === 'object' && x !== null && !Array.isArray(x)
const isWhole = (x: unknown): x is number => typeof x === 'number' && Number.isSafeInteger(x) && x >= 0

const entryOf = (x: unknown): Entry | null => {
  if (
    !isRecord(x) ||
    typeof x.path !== 'string' ||
    !isWhole(x.offset) ||
    !Array.isArray(x.shape) ||
    x.shape.length > LONGEST_SHAPE
  )
    return null
  const shape: readonly unknown[] = x.shape
  const { path, offset, learned, means } = x
  return shape.every(isWhole) &&
    (learned === undefined || learned === true) &&
    (means === undefined || typeof means === 'string')
    ? {
        path,
        shape,
        offset,
        marks: { ...(learned === true ? { learned } : {}), ...(means === undefined ? {} : { means }) },
      }
    : null
}

/** The tensors' entries; they must fill the payload without gaps or overlaps. */
const readEntries = (x: unknown, payload: number): Parsed<readonly Entry[]> => {
  if (!Array.isArray(x)) return wrong('header.tensors', 'a list was expected')
  const out: Entry[] = []
  let end = 0
  for (const [i, raw] of x.entries()) {
    const entry = entryOf(raw)
    const where = `header.tensors[${i}]`
    if (entry === null)
      return wrong(where, 'a tensor has a path, a shape, an offset, and its marks: learned, and what it means in words')
    if (entry.offset !== end)
      return wrong(where, `it starts at byte ${entry.offset}, but the one before it ends at ${end}`)
    end += sizeOf(entry.shape) * 4
    if (end > payload) return wrong(where, 'it reaches beyond the end of the file')
    out.push(entry)
  }
  return end === payload ? E.right(out) : wrong('header.tensors', `${payload - end} bytes belong to no tensor`)
}

/** Why a stored tree can't be taken as it is, or null: nesting, forbidden names, or a leaf that isn't a number. */
const treeProblem = (x: unknown, depth = 0): string | null => {
  if (typeof x === 'number') return null
  if (typeof x !== 'object' || x === null) return 'a leaf of the tree is not the index of a tensor'
  if (depth > DEEPEST) return 'nested too deeply'
  if (Object.hasOwn(x, '__proto__')) return 'a key is named __proto__'
  for (const inner of Object.values(x)) {
    const problem = treeProblem(inner, depth + 1)
    if (problem !== null) return problem
  }
  return null
}

const isIndex: IsLeaf<number> = (x): x is number => typeof x === 'number'

/** The tree of indices; its leaves are the tensors in order, each once, each under its own path. */
const readTree = (x: unknown, entries: readonly Entry[]): Parsed<unknown> => {
  const problem = treeProblem(x)
  if (problem !== null) return wrong('header.tree', problem)
  const found = leaves(isIndex, x)
  const odd = found.findIndex(({ leaf, path }, i) => leaf !== i || entries[i]?.path !== path)
  if (odd >= 0 || found.length !== entries.length)
    return wrong('header.tree', 'the tree does not hold each tensor once, in order, under its own path')
  const twice = new Set(entries.map((e) => e.path)).size !== entries.length
  return twice ? wrong('header.tensors', 'two tensors have the same path') : E.right(x)
}

const readTensor = (view: DataView, start: number, { shape, offset, marks }: Entry, version: number): Marked => {
  const data = new Float32Array(sizeOf(shape))
  const bits = new Uint32Array(data.buffer)
  for (let i = 0; i < bits.length; i++) bits[i] = view.getUint32(start + offset + 4 * i, true)
  return { shape, data, ...marks, ...(version === 1 && marks.learned === true ? { means: UNTOLD } : {}) }
}

const readHeader = (bytes: Uint8Array): Parsed<{ readonly [key: string]: unknown }> => {
  const json = E.tryCatch(
    (): unknown => JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)),
    () => 'the header is no JSON',
  )
  if (E.isLeft(json)) return wrong('header', json.left)
  return isRecord(json.right) ? E.right(json.right) : wrong('header', 'a record was expected')
}

/** Reads what `tensorsToBytes` wrote. Never throws: what is wrong is a `ParseError`. */
export const parseTensors = (bytes: Uint8Array): Parsed<Tree<Tensor>> => {
  if (!(bytes instanceof Uint8Array)) return wrong('', `bytes (a Uint8Array) are needed, not ${showGiven(bytes)}`)
  if (bytes.length < PREFIX + 4) return wrong('', 'the file is too short')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(0, true) !== MAGIC) return wrong('', 'the file does not start with QTRC')
  const version = view.getUint32(4, true)
  if (version < 1 || version > VERSION)
    return wrong(
      'version',
      `it has version ${version}, and this quantrace reads 1 to ${VERSION}${version > VERSION ? ': a later one wrote it' : ''}`,
    )
  const last = bytes.length - 4
  const start = PREFIX + view.getUint32(8, true)
  if (start > last) return wrong('header', 'it reaches beyond the end of the file')
  if (view.getUint32(last, true) !== crc32(bytes.subarray(0, last)))
    return wrong('checksum', 'the contents do not match it')
  const header = readHeader(bytes.subarray(PREFIX, start))
  if (E.isLeft(header)) return header
  const entries = readEntries(header.right.tensors, last - start)
  if (E.isLeft(entries)) return entries
  const tree = readTree(header.right.tree, entries.right)
  if (E.isLeft(tree)) return tree
  return E.right(
    freeze(
      mapTree(isIndex, tree.right, (i) => readTensor(view, start, entries.right[i], version)),
      true,
    ),
  )
}

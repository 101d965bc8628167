/** The header of a precompiled program, read without trust: every field is checked, every place must lie in memory, every index name something. */
import { declarationProblem } from '../data/declaration.js'
import type { QuantWarning } from '../data/error.js'
import { groupedShape } from '../data/groups.js'
import type { Group } from '../data/quant.js'
import { bytesOf, showShape, type Shape } from '../data/shape.js'
import {
  FORMAT,
  VERSION,
  type Header,
  type Place,
  type StoredBytes,
  type StoredCalls,
  type StoredCopy,
  type StoredHost,
  type StoredInput,
} from '../evaluator/precompiled/header.js'
import { readAttrs, readFormat, readGroup, treeReader, ZERO_POINTS, type Read, type Readers } from '../graph/readers.js'
import type { Result } from '../graph/results.js'

/** A header before its places are known to lie in memory: this says of a place what is wrong with it. */
type Fits = (place: Place) => string | null

/** Says which places lie in a memory of so many bytes. */
export const withinMemory =
  (bytes: number): Fits =>
  ({ at, shape }) =>
    at % 4 === 0 && at + bytesOf(shape) <= bytes
      ? null
      : `a tensor of shape ${showShape(shape)} at ${at} does not lie in memory`

const placeReader =
  (r: Readers, fits: Fits): Read<Place> =>
  (x, where) => {
    const raw = r.record(x, where)
    const place = { at: r.whole(raw.at, `${where}.at`), shape: r.shape(raw.shape, `${where}.shape`) }
    const problem = fits(place)
    if (problem !== null) r.doubt(where, problem)
    return place
  }

const inputReader =
  (r: Readers, fits: Fits): Read<StoredInput> =>
  (x, where) => {
    const raw = r.record(x, where)
    const base = {
      path: r.text(raw.path, `${where}.path`),
      part: r.oneOf(['tensor', 'value', 'scale', 'zeroPoint'])(raw.part, `${where}.part`),
      shape: r.shape(raw.shape, `${where}.shape`),
      ...(raw.dtype === undefined ? {} : { dtype: r.oneOf(['integer', 'boolean'])(raw.dtype, `${where}.dtype`) }),
    }
    const read = { ...base, at: raw.at === null ? null : placeReader(r, fits)(raw, where).at }
    if (raw.quant === undefined) return read
    const q = r.record(raw.quant, `${where}.quant`)
    const of = (key: string): string => `${where}.quant.${key}`
    return {
      ...read,
      quant: {
        bits: r.whole(q.bits, of('bits')),
        signed: r.flag(q.signed, of('signed')),
        training: r.flag(q.training, of('training')),
        zero: r.oneOf(ZERO_POINTS)(q.zero, of('zero')),
        valid: r.flag(q.valid, of('valid')),
      },
    }
  }

/** What is wrong with input number `i` among all, or null: a quant tensor is three of them, declared at the first. */
const inputProblem = (inputs: readonly StoredInput[], i: number): string | null => {
  const { part, path, quant, shape } = inputs[i]
  const follows = (k: number, wanted: StoredInput['part']): boolean =>
    inputs[k]?.part === wanted && inputs[k].path === path
  const stands =
    part === 'tensor' ||
    (part === 'value' && follows(i + 1, 'scale') && follows(i + 2, 'zeroPoint')) ||
    (part === 'scale' && follows(i - 1, 'value')) ||
    (part === 'zeroPoint' && follows(i - 2, 'value'))
  if (!stands || (part === 'value') !== (quant !== undefined))
    return 'a quant input is a declared value, followed by its scale and its zero point'
  if (quant === undefined) return null
  const [scaleShape, zeroPointShape] = [inputs[i + 1].shape, inputs[i + 2].shape]
  return declarationProblem({ bits: quant.bits, shape, scaleShape, zeroPointShape })
}

/** Size and axis of groups, if they cut this shape. */
const groupOf = (r: Readers, x: unknown, where: string, shape: Shape): { readonly group?: Group } => {
  const read = readGroup(r, x, where)
  if (read.group !== undefined && (read.group.size < 1 || groupedShape(shape, read.group) === null))
    r.doubt(where, `there are no such groups in ${showShape(shape)}`)
  return read
}

const resultReader =
  (r: Readers, fits: Fits): Read<Result<Place>> =>
  (x, where) => {
    const raw = r.record(x, where)
    const place = placeReader(r, fits)
    const value = place(raw.value, `${where}.value`)
    if (raw.quant === undefined) return { value }
    const q = r.record(raw.quant, `${where}.quant`)
    const of = (key: string): string => `${where}.quant.${key}`
    return {
      value,
      quant: {
        scale: place(q.scale, of('scale')),
        zeroPoint: place(q.zeroPoint, of('zeroPoint')),
        bitWidth: place(q.bitWidth, of('bitWidth')),
        signed: r.flag(q.signed, of('signed')),
        training: r.flag(q.training, of('training')),
        single: r.flag(q.single, of('single')),
        ...(q.format === undefined ? {} : { format: readFormat(r, q.format, of('format')) }),
        ...groupOf(r, q.group, of('group'), value.shape),
      },
    }
  }

const hostReader =
  (r: Readers, fits: Fits): Read<StoredHost> =>
  (x, where) => {
    const raw = r.record(x, where)
    const place = placeReader(r, fits)
    const node = r.record(raw.node, `${where}.node`)
    return {
      op: r.text(raw.op, `${where}.op`),
      args: r.list(place)(raw.args, `${where}.args`),
      attrs: readAttrs(r, raw.attrs, `${where}.attrs`),
      out: place(raw.out, `${where}.out`),
      node: {
        op: r.text(node.op, `${where}.node.op`),
        id: r.whole(node.id, `${where}.node.id`),
        inputs: r.list(r.whole)(node.inputs, `${where}.node.inputs`),
        path: r.text(node.path, `${where}.node.path`),
      },
    }
  }

const warningReader =
  (r: Readers): Read<QuantWarning> =>
  (x, where) => {
    const raw = r.record(x, where)
    return {
      tag: r.oneOf(['StillCollecting'])(raw.tag, `${where}.tag`),
      path: r.text(raw.path, `${where}.path`),
      counter: r.number(raw.counter, `${where}.counter`),
      collectStatsSteps: r.number(raw.collectStatsSteps, `${where}.collectStatsSteps`),
      message: r.text(raw.message, `${where}.message`),
    }
  }

const readCalls = (
  r: Readers,
  raw: { readonly [key: string]: unknown },
  at: string,
  { fits, functions }: Known,
): StoredCalls => {
  const hosts = r.list(hostReader(r, fits))(raw.hosts, `${at}hosts`)
  const call: Read<string | number> = (o, where) => {
    const known = typeof o === 'string' ? functions.has(o) : typeof o === 'number' && hosts[o] !== undefined
    return known ? (o as string | number) : (r.doubt(where, 'neither a function of the module nor a host step'), 0)
  }
  return {
    results: r.list(resultReader(r, fits))(raw.results, `${at}results`),
    order: r.list(call)(raw.order, `${at}order`),
    hosts,
  }
}

const readBytes = (r: Readers, x: unknown, wanted: number, known: Known): StoredBytes => {
  const raw = r.record(x, 'bytes')
  const calls = readCalls(r, raw, 'bytes.', known)
  if (calls.results.length !== wanted) r.doubt('bytes.results', `${wanted} were expected`)
  const place = placeReader(r, known.fits)
  const copy: Read<StoredCopy> = (y, where) => {
    const both = r.record(y, where)
    return { from: place(both.from, `${where}.from`), to: place(both.to, `${where}.to`) }
  }
  return {
    ...calls,
    guard: place(raw.guard, 'bytes.guard'),
    inputs: r.list<Place | null>((y, where) => (y === null ? null : place(y, where)))(raw.inputs, 'bytes.inputs'),
    copies: r.list(copy)(raw.copies, 'bytes.copies'),
  }
}

/** What is known of the module: which places lie in its memory, and the functions that it exports. */
type Known = { readonly fits: Fits; readonly functions: ReadonlySet<string> }

/** Reads a header; doubts are noted by the readers. `functions` are those that the module exports. */
export const readHeader = (r: Readers, x: unknown, fits: Fits, functions: ReadonlySet<string>): Header => {
  const raw = r.record(x, '')
  if (raw.format !== FORMAT) r.doubt('format', `${JSON.stringify(FORMAT)} was expected`)
  else if (raw.version !== VERSION) r.doubt('version', `only version ${VERSION} can be read`)
  const inputs = r.list(inputReader(r, fits))(raw.inputs, 'inputs')
  inputs.forEach((_, i) => {
    const problem = inputProblem(inputs, i)
    if (problem !== null) r.doubt(`inputs[${i}]`, problem)
  })
  const own = readCalls(r, raw, '', { fits, functions })
  const bytes = raw.bytes === undefined ? null : readBytes(r, raw.bytes, own.results.length, { fits, functions })
  return {
    format: FORMAT,
    version: VERSION,
    inputs,
    ...own,
    tree: treeReader(r, (i) => own.results[i] !== undefined)(raw.tree, 'tree'),
    ...(bytes === null ? {} : { bytes }),
    warnings: r.list(warningReader(r))(raw.warnings, 'warnings'),
  }
}

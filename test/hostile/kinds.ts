/** What is attacked: each kind has a way to make the `i`-th hostile input, and to read it. */
import { createHash } from 'node:crypto'
import { deflateRawSync } from 'node:zlib'
import { fromBinary, toBinary } from '@bufbuild/protobuf'
import type { Either } from 'fp-ts/lib/Either.js'
import { isRight } from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import { crc32 } from '../../src/data/crc32.js'
import { npyToBytes, parseNpy, parseNpz, parseSafetensors, safetensorsToBytes } from '../../src/interop/arrays/index.js'
import { zipOf } from '../../src/interop/arrays/zip.js'
import { exportOnnx, importOnnx } from '../../src/interop/onnx/index.js'
import { ModelProtoSchema } from '../../src/interop/onnx/proto/onnx_pb.js'
import { inflate } from '../../src/node/index.js'
import { toHtml } from '../../viz/index.js'
import { hostile } from '../viz/attacks.js'
import { hostileJSON, mutateBytes, mutateTree, type Random } from './mutate.js'

/** One kind of hostile input. `read` must return an Either, and never throw. */
export type Kind = {
  readonly name: string
  readonly make: (r: Random) => unknown
  readonly read: (input: never) => Either<unknown, unknown>
}

const net = q.chain({
  a: q.QuantIdentity({ returnQuantTensor: true, collectStatsSteps: 1 }),
  fc: q.QuantLinear({ inFeatures: 3, outFeatures: 2 }),
  act: q.QuantReLU({ collectStatsSteps: 1 }),
})
const fixed = q.orThrow(q.init(net, 0))
const evaluated = q.orThrow(q.trace(net, q.tensorInput([2, 3]), { mode: 'eval' }))
const program = q.programToJSON(evaluated)
const trained = q.startTraining(fixed, q.adam({ lr: 0.01 }))
const checkpoint = q.checkpointToBytes(trained)
const onnx = q.orThrow(exportOnnx(evaluated, fixed))
const arrays = {
  weight: { type: 'F32' as const, shape: [2, 3], data: new Float32Array([1, 2, 3, 4, 5, 6]) },
  count: { type: 'I64' as const, shape: [2], data: new Float32Array([1, -2]) },
}
const text = new TextEncoder()

/** A file of a JSON header behind its length. */
const withHeader = (bytes: Uint8Array, at: number, wide: boolean, r: Random): Uint8Array => {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const length = wide ? Number(view.getBigUint64(at, true)) : view.getUint32(at, true)
  const start = at + (wide ? 8 : 4)
  const header: unknown = JSON.parse(new TextDecoder().decode(bytes.subarray(start, start + length)))
  mutateTree(header, r)
  const changed = text.encode(hostileJSON(header, r))
  const out = new Uint8Array(bytes.length - length + changed.length)
  out.set(bytes.subarray(0, at))
  const told = r.int(8) === 0 ? r.pick([0, 1, 2 ** 31, 2 ** 32 - 1]) : changed.length
  const words = new DataView(out.buffer)
  if (wide) words.setBigUint64(at, BigInt(told), true)
  else words.setUint32(at, told, true)
  out.set(changed, start)
  out.set(bytes.subarray(start + length), start + changed.length)
  return out
}

/** Checkpoints end with a checksum: a stranger computes it anew. */
const signed = (bytes: Uint8Array): Uint8Array => {
  if (bytes.length < 8) return bytes
  const out = bytes.slice()
  new DataView(out.buffer).setUint32(out.length - 4, crc32(out.subarray(0, out.length - 4)), true)
  return out
}

const NAMES = [
  '../../x.npy',
  '/etc/passwd.npy',
  'a\\..\\b.npy',
  '__proto__.npy',
  'constructor.npy',
  'x.npy',
  '',
  'C:x.npy',
  'a\u0000.npy',
  '..',
]

/** Archives: names that climb, contents that lie, bombs. */
const archive = (r: Random): Uint8Array => {
  const npy = npyToBytes(arrays.weight)
  const files = Array.from({ length: 1 + r.int(3) }, (): readonly [string, Uint8Array] => [
    r.pick(NAMES),
    r.int(2) === 0 ? npy : mutateBytes(npy, r),
  ])
  const bytes = zipOf(files)
  return r.int(3) === 0 ? bomb(r) : r.int(2) === 0 ? bytes : mutateBytes(bytes, r)
}

/** One deflated file, of zeros, whose directory says what it likes. */
const bomb = (r: Random): Uint8Array => {
  const packed = deflateRawSync(new Uint8Array(2 ** 20 * (1 + r.int(8))))
  const said = r.pick([100, 2 ** 20, 2 ** 31, 2 ** 32 - 1])
  const name = text.encode('x.npy')
  const local = new Uint8Array(30 + name.length)
  const l = new DataView(local.buffer)
  l.setUint32(0, 0x04034b50, true)
  l.setUint16(8, 8, true)
  l.setUint32(18, packed.length, true)
  l.setUint32(22, said, true)
  l.setUint16(26, name.length, true)
  local.set(name, 30)
  const central = new Uint8Array(46 + name.length)
  const c = new DataView(central.buffer)
  c.setUint32(0, 0x02014b50, true)
  c.setUint16(10, 8, true)
  c.setUint32(20, packed.length, true)
  c.setUint32(24, said, true)
  c.setUint16(28, name.length, true)
  central.set(name, 46)
  const end = new Uint8Array(22)
  const e = new DataView(end.buffer)
  e.setUint32(0, 0x06054b50, true)
  e.setUint16(8, 1, true)
  e.setUint16(10, 1, true)
  e.setUint32(12, central.length, true)
  e.setUint32(16, local.length + packed.length, true)
  return Uint8Array.from([...local, ...packed, ...central, ...end])
}

const model = (r: Random): Uint8Array => {
  if (r.int(3) === 0) return mutateBytes(onnx, r)
  const message = fromBinary(ModelProtoSchema, onnx)
  mutateTree(message.graph, r)
  try {
    return toBinary(ModelProtoSchema, message)
  } catch {
    // A message that protobuf can't write is no file.
    return mutateBytes(onnx, r)
  }
}

/** A program that is read is also looked at, and run where it is small. */
const useProgram = (source: string): Either<unknown, unknown> => {
  const read = q.parseProgram(q.ops)(source)
  if (!isRight(read)) return read
  q.printProgram(read.right)
  q.lossesOf(read.right)
  return q.specialize(read.right as q.Program<unknown, unknown>, fixed)
}

const HTML_NAMES = (r: Random): string =>
  Array.from({ length: 1 + r.int(6) }, () =>
    r.pick([
      '<',
      '>',
      '"',
      "'",
      '&',
      '</script>',
      '<!--',
      ']]>',
      'on',
      'load=',
      '=',
      '`',
      '${',
      '\u2028',
      '\\',
      ' ',
      '--',
      'javascript:',
      '</style>',
      'a',
      '\u0000',
      '<img src=x>',
      '&#60;',
    ]),
  ).join('')

/** Everything that the page holds beside its one script is text: what is drawn comes out of a JSON block that nothing can end. */
const safePage = (name: string): Either<unknown, unknown> => {
  const html = toHtml(hostile(name === '' ? 'a' : name), { title: name })
  const scripts = html.match(/<\/script/gi)?.length ?? 0
  if (scripts !== PLAIN_SCRIPTS)
    throw new Error(`the page has ${scripts} ends of scripts, and ${PLAIN_SCRIPTS} without such names`)
  return { _tag: 'Right', right: createHash('sha256').update(html).digest('hex') }
}
const PLAIN_SCRIPTS = toHtml(hostile('plain'), { title: 'plain' }).match(/<\/script/gi)?.length ?? 0

/** All kinds. */
export const KINDS: readonly Kind[] = [
  {
    name: 'programs',
    make: (r) => {
      const tree: unknown = JSON.parse(program)
      mutateTree(tree, r)
      return hostileJSON(tree, r)
    },
    read: useProgram,
  },
  {
    name: 'checkpoints',
    make: (r) => (r.int(3) === 0 ? mutateBytes(checkpoint, r) : signed(withHeader(checkpoint, 8, false, r))),
    read: q.parseCheckpoint(trained, net),
  },
  { name: 'tensors', make: (r) => signed(withHeader(checkpoint, 8, false, r)), read: q.parseTensors },
  { name: 'ONNX', make: model, read: (bytes) => importOnnx(bytes) },
  {
    name: 'safetensors',
    make: (r) => {
      const bytes = safetensorsToBytes(arrays)
      return r.int(3) === 0 ? mutateBytes(bytes, r) : withHeader(bytes, 0, true, r)
    },
    read: parseSafetensors,
  },
  { name: 'npy', make: (r) => mutateBytes(npyToBytes(arrays.weight), r), read: parseNpy },
  { name: 'npz', make: archive, read: (bytes) => parseNpz(bytes, { inflate }) },
  { name: 'names in HTML', make: HTML_NAMES, read: safePage },
]

/** How fast this machine copies as many numbers as a case reads: the limit of all that passes over memory once. */
import { elements, SHAPES, type Case } from './cases.js'
import { ready, type Peer, type Prepared } from './peer.js'

const PAGE = 65536

/** LEB128, as WebAssembly writes whole numbers. */
const leb = (n: number): readonly number[] => (n < 128 ? [n] : [(n % 128) | 128, ...leb(Math.floor(n / 128))])
const section = (id: number, body: readonly number[]): readonly number[] => [id, ...leb(body.length), ...body]
const name = (text: string): readonly number[] => [text.length, ...new TextEncoder().encode(text)]

const LOCAL_GET = 0x20
const LOCAL_SET = 0x21
const [FROM, TO, END] = [0, 1, 2]
/** Four vectors of 16 bytes a turn. */
const STRIDE = 64
const moves = [0, 16, 32, 48].flatMap((offset) => [
  LOCAL_GET,
  TO,
  LOCAL_GET,
  FROM,
  0xfd,
  0x00,
  4,
  offset,
  0xfd,
  0x0b,
  4,
  offset,
])
// i32.const 64 takes two bytes: one alone would be negative.
const advance = (local: number): readonly number[] => [LOCAL_GET, local, 0x41, STRIDE | 128, 0, 0x6a, LOCAL_SET, local]

/** `copy(from, to, end)` with a memory of its own. */
const moduleBytes = (pages: number): Uint8Array => {
  const code = [
    0,
    0x03,
    0x40,
    ...moves,
    ...advance(FROM),
    ...advance(TO),
    LOCAL_GET,
    FROM,
    LOCAL_GET,
    END,
    0x49,
    0x0d,
    0,
    0x0b,
    0x0b,
  ]
  return Uint8Array.from([
    0,
    0x61,
    0x73,
    0x6d,
    1,
    0,
    0,
    0,
    ...section(1, [1, 0x60, 3, 0x7f, 0x7f, 0x7f, 0]),
    ...section(3, [1, 0]),
    ...section(5, [1, 0, ...leb(pages)]),
    ...section(7, [2, ...name('copy'), 0, 0, ...name('memory'), 2, 0]),
    ...section(10, [1, ...leb(code.length), ...code]),
  ])
}

type Exports = { readonly copy: (from: number, to: number, end: number) => void; readonly memory: WebAssembly.Memory }

/** A copy of `bytes` (a multiple of 64) within the module's memory, in a loop over vectors. */
export const copyInWasm = (bytes: number): { readonly run: () => void; readonly memory: WebAssembly.Memory } => {
  const pages = Math.ceil((2 * bytes) / PAGE)
  const { copy, memory } = new WebAssembly.Instance(new WebAssembly.Module(moduleBytes(pages) as BufferSource))
    .exports as Exports
  return { run: () => copy(0, bytes, bytes), memory }
}

const wasm = (bytes: number): Prepared => {
  const { run, memory } = copyInWasm(bytes)
  new Float32Array(memory.buffer, 0, bytes / 4).fill(1)
  run()
  if (new Float32Array(memory.buffer, bytes, bytes / 4).some((v) => v !== 1)) throw new Error('the copy is wrong')
  return ready(run)
}

const memmove = (bytes: number): Prepared => {
  const [from, to] = [new Float32Array(bytes / 4).fill(1), new Float32Array(bytes / 4)]
  return ready(() => to.set(from))
}

/** Opens one of the two ways to copy. */
export const copying = async (how: 'copy-wasm' | 'copy-memmove'): Promise<Peer> => ({
  prepare: async (c: Case) => (how === 'copy-wasm' ? wasm : memmove)(elements(SHAPES[c.size]) * 4),
  close: () => {},
})

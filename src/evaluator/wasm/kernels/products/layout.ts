/** Where a kernel's memory lies: scratch and tables are laid out while the kernel is built, addresses are known when it is emitted. */
import type { Places } from '../../kernel.js'
import { rounded } from '../loops.js'

/** An address that is known when code is emitted. */
export type Place = (at: Places) => number

/** An address some bytes further on. */
export const plus = (place: Place, bytes: number): Place => (bytes === 0 ? place : (at) => place(at) + bytes)
/** The memory of an operand. */
export const argument =
  (i: number): Place =>
  (at) =>
    at.args[i]
/** The memory of the result. */
export const result: Place = (at) => at.outs[0]

/** Hands out scratch memory and collects tables. */
export type Layout = {
  /** Scratch of so many bytes, aligned to 64, with 64 bytes after it that a vector may read. */
  readonly scratch: (bytes: number) => Place
  /** A table of 32-bit integers, aligned to 64. */
  readonly table: (entries: readonly number[] | Int32Array) => Place
  readonly scratchBytes: () => number
  readonly constants: () => Uint8Array | null
}

/** An empty layout. */
export const newLayout = (): Layout => {
  const tables: { readonly start: number; readonly entries: Int32Array }[] = []
  let scratchEnd = 0
  let tablesEnd = 0
  return {
    scratch: (bytes) => {
      const start = scratchEnd
      scratchEnd += rounded(bytes) + 64
      return (at) => at.scratch + start
    },
    table: (entries) => {
      const start = tablesEnd
      tables.push({ start, entries: Int32Array.from(entries) })
      tablesEnd += rounded(entries.length * 4)
      return (at) => at.constants + start
    },
    scratchBytes: () => scratchEnd,
    constants: () => {
      if (tables.length === 0) return null
      const bytes = new Uint8Array(tablesEnd)
      for (const { start, entries } of tables) new Int32Array(bytes.buffer, start, entries.length).set(entries)
      return bytes
    },
  }
}

/**
 * The file of a precompiled program: a WebAssembly module with memory of its own, whose last section, `quantrace`, says in JSON how it is
 * called, and ends in the CRC-32 of all bytes before. Version 1. Shared by who writes and who reads; imports nothing of either.
 */
import type { Declaration } from '../../data/declaration.js'
import type { QuantWarning } from '../../data/error.js'
import type { Shape } from '../../data/shape.js'
import type { Tree } from '../../data/tree.js'
import type { ProgramInput } from '../../graph/program.js'
import type { Result } from '../../graph/results.js'

/** The name of the section. */
export const SECTION = 'quantrace'
/** What the header says it is. */
export const FORMAT = 'quantrace-precompiled'
/** Version of the header. */
export const VERSION = 1
/** Bytes of the checksum. */
export const CHECKSUM_BYTES = 4

/** Where a tensor's elements lie: bytes from the start of memory. */
export type Place = { readonly at: number; readonly shape: Shape }

/** An input of data; `at` is null where no step reads it. */
export type StoredInput = {
  readonly path: string
  readonly part: ProgramInput['part']
  readonly shape: Shape
  readonly at: number | null
  readonly quant?: Declaration
  readonly dtype?: NonNullable<ProgramInput['dtype']>
}

/** A step without a kernel: the reader runs the op's reference. */
export type StoredHost = {
  readonly op: string
  readonly args: readonly Place[]
  readonly attrs: { readonly [name: string]: unknown }
  /** A check gives its first operand. */
  readonly out: Place
  /** The node of the program from which it comes, for messages. */
  readonly node: {
    readonly op: string
    readonly id: number
    readonly inputs: readonly number[]
    readonly path: string
  }
}

/** All that a reader must know besides the module. */
export type Header = {
  readonly format: typeof FORMAT
  readonly version: typeof VERSION
  readonly inputs: readonly StoredInput[]
  readonly results: readonly Result<Place>[]
  /** The tree in which a run gives them: each leaf is the number of a result. */
  readonly tree: Tree<number>
  /** Calls in order: a function of the module, or the number of a host step. */
  readonly order: readonly (string | number)[]
  readonly hosts: readonly StoredHost[]
  /** What comes with each run. */
  readonly warnings: readonly QuantWarning[]
}

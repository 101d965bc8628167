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

/** One way to compute the results. */
export type StoredCalls = {
  readonly results: readonly Result<Place>[]
  /** Calls in order: a function of the module, or the number of a host step. */
  readonly order: readonly (string | number)[]
  readonly hosts: readonly StoredHost[]
}

/**
 * A way that is tried first: the word at `guard`, which the reader clears before, is none after it where a number came that is no integer of its
 * grid (a NaN); its results are none then, and the other way is gone.
 */
export type StoredBytes = StoredCalls & {
  readonly guard: Place
  /** Where each input lies, in their order; null where no step reads it. */
  readonly inputs: readonly (Place | null)[]
  /** What it has in common with the other way: stretches of memory that are copied once, when the file is loaded. */
  readonly copies: readonly StoredCopy[]
}

/** What lies at one place belongs to another, too. */
export type StoredCopy = { readonly from: Place; readonly to: Place }

/** All that a reader must know besides the module. */
export type Header = StoredCalls & {
  readonly format: typeof FORMAT
  readonly version: typeof VERSION
  readonly inputs: readonly StoredInput[]
  /** The tree in which a run gives the results: each leaf is the number of one. */
  readonly tree: Tree<number>
  /** The same with integers of quantizers stored as bytes; absent where there are none. A reader may leave it aside. */
  readonly bytes?: StoredBytes
  /** What comes with each run. */
  readonly warnings: readonly QuantWarning[]
}

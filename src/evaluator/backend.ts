/** The contract of a backend: a program in, an executable out. Every backend is checked against the reference. */
import type { Either } from 'fp-ts/lib/Either.js'
import type { QuantErrors, QuantWarning } from '../data/error.js'
import type { Tensor } from '../data/tensor.js'
import type { Node } from '../graph/graph.js'
import type { Program } from '../graph/program.js'

/** How one run is watched. */
export type RunOptions = {
  /** Fail with `NonFinite` at the first node that makes a NaN or an infinity from finite operands. */
  readonly debugNonFinite?: boolean
  /** Called with each node's value as it is computed (top-level nodes only). Don't keep or change the storage. */
  readonly observe?: (node: Node, value: Tensor) => void
}

/** The outcome of one run: one tensor per `program.graph.outputs`, in that order. */
export type RunResult = { readonly outputs: readonly Tensor[]; readonly warnings: readonly QuantWarning[] }

/** A program that is ready to run. The same inputs give the same bits, always. */
export interface Executable {
  /** `inputs`: one tensor per `program.inputs`, in that order and of those shapes; they are not changed. */
  run(inputs: readonly Tensor[], options?: RunOptions): Either<QuantErrors, RunResult>
  /** Frees what the executable holds outside the garbage-collected heap. */
  dispose(): void
}

/** Turns programs into executables. */
export interface Backend {
  readonly name: string
  prepare(program: Program): Either<QuantErrors, Executable>
}

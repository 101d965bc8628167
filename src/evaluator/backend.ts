/** The contract of a backend: a program in, an executable out. Every backend is checked against the reference. */
import type { Either } from 'fp-ts/lib/Either.js'
import type { QuantErrors, QuantWarning } from '../data/error.js'
import type { Tensor } from '../data/tensor.js'
import type { Node } from '../graph/graph.js'
import type { Program } from '../graph/program.js'
import type { PlanDescription, Profile, ProfileOptions } from './insight.js'

/** What is taken on trust. */
export type TrustOptions = {
  /**
   * Quant inputs are believed to be what was declared (bits, sign, zero point, on the grid, in range). Absent or false: they
   * are checked once per call, about three nanoseconds an element. What was not checked and is not so gives numbers that
   * differ between backends.
   */
  readonly trusted?: boolean
}

/** How one run is watched, and what it takes on trust. */
export type RunOptions = TrustOptions & {
  /** Fail with `NonFinite` at an input that holds a NaN, or else at the first node that makes a NaN or an infinity from finite operands. */
  readonly debugNonFinite?: boolean
  /** Called with each node's value as it is computed (top-level nodes only). Don't keep or change the storage. */
  readonly observe?: (node: Node, value: Tensor) => void
  /** Called with each value of the body of a top-level loop as a step computes it, what the step is given included; `step`: its place in the sequence. Don't keep or change the storage. */
  readonly observeStep?: (loop: Node, step: number, node: Node, value: Tensor) => void
}

/** The outcome of one run: one tensor per `program.graph.outputs`, in that order. */
export type RunResult = { readonly outputs: readonly Tensor[]; readonly warnings: readonly QuantWarning[] }

/** A program that is ready to run. The same inputs give the same bits, always. */
export interface Executable {
  /** `inputs`: one tensor per `program.inputs`, in that order and of those shapes; they are not changed. */
  run(inputs: readonly Tensor[], options?: RunOptions): Either<QuantErrors, RunResult>
  /**
   * Keeps inputs and outputs in storage of the backend's own, so that repeated executions copy and allocate nothing.
   * `commits` name outputs that become inputs of the next execution (the next state, updated parameters).
   */
  resident(commits?: readonly Commit[]): Either<QuantErrors, ResidentStorage>
  /** How many plans were made so far for runs: at most one per vector of phases (`run` and `resident` keep plans of their own). */
  plans(): number
  /** Frees what the executable holds outside the garbage-collected heap. */
  dispose(): void
}

/** After an execution, output number `output` becomes input number `input`. */
export type Commit = { readonly output: number; readonly input: number }

/** A program with storage. Not a value: its contents change with each execution, in the order of calls. */
export interface ResidentStorage {
  /** Copies a tensor into input number `index`; its shape must be the declared one. */
  write(index: number, value: Tensor): void
  /** Storage of input number `index`; of data inputs it may be written in place. Ask anew after each execution: it may have moved. */
  input(index: number): Tensor
  /** Storage of output number `index` of `program.graph.outputs`, valid until the next execution. */
  output(index: number): Tensor
  /** Runs once over what the storage holds, then commits. On an error nothing was committed: the inputs are as before. */
  execute(): Either<QuantErrors, readonly QuantWarning[]>
  /** How many plans were made so far for this storage. */
  plans(): number
  dispose(): void
}

/** Turns programs into executables. */
export interface Backend {
  readonly name: string
  prepare(program: Program): Either<QuantErrors, Executable>
  /** The plan that it makes for a program over these inputs; absent: it makes none. Nothing is run. */
  explain?(program: Program, inputs: readonly Tensor[]): Either<QuantErrors, PlanDescription>
  /** Times every step of that plan, in one thread. */
  profile?(program: Program, inputs: readonly Tensor[], options?: ProfileOptions): Either<QuantErrors, Profile>
}

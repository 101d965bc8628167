/** A program on a backend: calls with trees, checked on the way in. Which backend is the caller's choice: nothing here pulls one in. */
import * as E from 'fp-ts/lib/Either.js'
import { failure, type QuantErrors, type QuantWarning } from '../../data/error.js'
import type { Output } from '../../data/quantTensor.js'
import { mapTree } from '../../data/tree.js'
import type { Backend, Executable, ResidentStorage, RunOptions, TrustOptions } from '../../evaluator/backend.js'
import { prepareOn, runOptionProblems } from '../../evaluator/checks.js'
import type { Program } from '../../graph/program.js'
import { bindInputs, unbind, unbinder, type Ran, type RunArgs } from './binding.js'
import { disposed } from './refusals.js'

/** A program prepared on a backend: call it as often as you like; `dispose` frees the backend's memory, its residents' too, and later calls are a `BackendError`. */
export type Compiled<P, S, I, O> = {
  readonly program: Program<P, S, I, O>
  readonly run: (args: RunArgs<P, S, I>, options?: RunOptions) => E.Either<QuantErrors, Ran<S, O>>
  /** Keeps arguments and results in the backend's memory: repeated executions copy and allocate nothing. */
  readonly resident: (args: RunArgs<P, S, I>, options?: TrustOptions) => E.Either<QuantErrors, Resident<P, S, I, O>>
  /** How many plans `run` has made so far: one per vector of phases, so a switch from statistics to learned costs one more. */
  readonly plans: () => number
  readonly dispose: () => void
}

/**
 * A program with its arguments in place. Not a value: its contents change with each execution. State does not move on.
 * After `dispose`, of it or of what compiled it, `load` and `execute` are a `BackendError`, and `inputs` and `results` throw it.
 */
export type Resident<P, S, I, O> = {
  /** Storage of the inputs: write into it before an execution. Ask anew after one: it may have moved. What is written here is not checked. */
  readonly inputs: () => I
  /** Puts other arguments in place. */
  readonly load: (args: RunArgs<P, S, I>, options?: TrustOptions) => E.Either<QuantErrors, null>
  readonly execute: () => E.Either<QuantErrors, readonly QuantWarning[]>
  /** Results, next state and gradients of the latest execution: views that hold until the next one. */
  readonly results: () => Omit<Ran<S, O>, 'warnings'>
  readonly dispose: () => void
}

const isIndex = (x: unknown): x is number => typeof x === 'number'

/** What a resident's memory hangs on. */
type Owner = { readonly backend: string; readonly isGone: () => boolean }

const residentOf = <P, S, I, O>(
  program: Program<P, S, I, O>,
  storage: ResidentStorage,
  owner: Owner,
): Resident<P, S, I, O> => {
  let known: { readonly first: Float32Array; readonly results: Omit<Ran<S, O>, 'warnings'> } | null = null
  let own = false
  const isGone = (): boolean => own || owner.isGone()
  const load = (args: RunArgs<P, S, I>, options?: TrustOptions): E.Either<QuantErrors, null> => {
    if (isGone()) return E.left(disposed('this resident program', owner.backend))
    const bound = bindInputs(program, args, options)
    if (E.isLeft(bound)) return bound
    bound.right.forEach((t, i) => storage.write(i, t))
    return E.right(null)
  }
  const whole = (index: number): Output => {
    const { quant } = program.inputs[index]
    const value = storage.input(index)
    if (quant === undefined) return value
    return {
      kind: 'quant',
      value,
      scale: storage.input(index + 1),
      zeroPoint: storage.input(index + 2),
      bitWidth: { shape: [], data: Float32Array.of(quant.bits) },
      signed: quant.signed,
      training: quant.training,
    }
  }
  return {
    inputs: () => {
      if (isGone()) throw failure(disposed('this resident program', owner.backend))
      return mapTree(isIndex, program.structure.data, whole) as I
    },
    load,
    execute: () => (isGone() ? E.left(disposed('this resident program', owner.backend)) : storage.execute()),
    results: () => {
      if (isGone()) throw failure(disposed('this resident program', owner.backend))
      const [at] = program.graph.outputs.map((_, i) => storage.output(i))
      if (known !== null && at !== undefined && known.first === at.data) return known.results
      const results = unbind<S, O>(
        program,
        program.graph.outputs.map((_, i) => storage.output(i)),
        [],
      )
      known = { first: at?.data ?? new Float32Array(0), results }
      return results
    },
    dispose: () => {
      own = true
      storage.dispose()
    },
  }
}

/** Prepares a program on this backend. */
export const compileOn = <P, S, I, O>(
  program: Program<P, S, I, O>,
  backend: Backend,
): E.Either<QuantErrors, Compiled<P, S, I, O>> => {
  let gone = false
  // A resident program never asks for it.
  let back: ReturnType<typeof unbinder<S, O>> | null = null
  const owner: Owner = { backend: backend.name, isGone: () => gone }
  const compiled = (executable: Executable): Compiled<P, S, I, O> => ({
    program,
    run: (args, options) => {
      if (gone) return E.left(disposed('this compiled program', backend.name))
      const wrong = runOptionProblems(options)
      if (wrong.length > 0) return E.left(wrong)
      const bound = bindInputs(program, args, options)
      if (E.isLeft(bound)) return bound
      const ran = executable.run(bound.right, options)
      return E.isLeft(ran) ? ran : E.right((back ??= unbinder<S, O>(program))(ran.right.outputs, ran.right.warnings))
    },
    resident: (args, options) => {
      if (gone) return E.left(disposed('this compiled program', backend.name))
      // First the arguments: what they lack is found before anything is allocated for them.
      const bound = bindInputs(program, args, options)
      if (E.isLeft(bound)) return bound
      const storage = executable.resident()
      if (E.isLeft(storage)) return storage
      bound.right.forEach((t, i) => storage.right.write(i, t))
      return E.right(residentOf<P, S, I, O>(program, storage.right, owner))
    },
    plans: () => executable.plans(),
    dispose: () => {
      gone = true
      executable.dispose()
    },
  })
  const prepared = prepareOn(backend, program)
  return E.isLeft(prepared) ? prepared : E.right(compiled(prepared.right))
}

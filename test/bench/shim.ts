/** Stands in for the evaluator's coming interface, over the reference. To be deleted with it. */
import * as E from 'fp-ts/lib/Either.js'
import { applyStep, compile, reference, type Backend, type Compiled, type Grads, type Optimizer, type Program, type QuantErrors, type QuantWarning, type RunArgs, type TrainState } from '../../src/index.js'

export type WasmBackend = Backend & { readonly features: unknown; readonly dispose: () => void }
export const createWasm = async (_options: { threads?: number } = {}): Promise<E.Either<QuantErrors, WasmBackend>> => E.right({ ...reference, features: { shim: true }, dispose: () => {} })

export type Resident<S, I, O> = { readonly inputs: I; readonly execute: () => E.Either<QuantErrors, readonly QuantWarning[]>; readonly outputs: () => O; readonly grads: () => Grads; readonly state: () => S; readonly dispose: () => void }
export const residentOf = <P, S, I, O>(compiled: Compiled<P, S, I, O>, args: RunArgs<P, S, I>): E.Either<QuantErrors, Resident<S, I, O>> => {
  const first = compiled.run(args)
  if (E.isLeft(first)) return first
  let ran = first.right
  return E.right({
    inputs: args.inputs,
    execute: () => E.map((r: typeof ran) => { ran = r; return r.warnings })(compiled.run(args)),
    outputs: () => ran.outputs, grads: () => ran.grads, state: () => ran.state, dispose: () => {},
  })
}

export type Trainer<P, S, I, O> = { readonly step: (inputs: I, lr?: number) => E.Either<QuantErrors, { readonly outputs: O; readonly warnings: readonly QuantWarning[] }>; readonly training: () => TrainState<P, S>; readonly dispose: () => void }
export const trainer = <P, S, I, O>(program: Program<P, S, I, O>, optimizer: Optimizer, start: TrainState<P, S>, backend?: Backend): E.Either<QuantErrors, Trainer<P, S, I, O>> => {
  const compiled = compile(program, backend)
  if (E.isLeft(compiled)) return compiled
  let t = start
  return E.right({
    step: (inputs, lr) => E.map((r: { outputs: O; state: S; grads: Grads; warnings: readonly QuantWarning[] }) => { t = applyStep(t, r, r.grads, optimizer, lr, t.position); return { outputs: r.outputs, warnings: r.warnings } })(compiled.right.run({ params: t.params, state: t.state, inputs })),
    training: () => t, dispose: () => compiled.right.dispose(),
  })
}

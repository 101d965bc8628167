/** Runs a network over batches of whatever size: one program and one plan per shape, freed together. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import type { Where } from '../data/where.js'
import type { Backend } from '../evaluator/backend.js'
import { fastestHere } from '../evaluator/engines.js'
import type { Layer, TensorTree } from '../nn/layers/layer.js'
import {
  compile,
  trace,
  type Compiled,
  type DataOf,
  type InputsOf,
  type OutputsOf,
  type Ran,
} from '../nn/program/program.js'
import type { Looking } from './looking.js'
import { declaredFor, keyOf, type Feed } from './samples.js'

/** How a network is run. */
export type Running = {
  readonly mode: 'train' | 'eval'
  readonly freeze?: Where
  readonly backend?: Backend | undefined
}

/** Parameters and state. */
export type Numbers = { readonly params: TensorTree; readonly state: TensorTree }
type Result<O> = E.Either<QuantErrors, Ran<TensorTree, OutputsOf<O>>>

/** Runs of one network; `dispose` frees what was compiled. */
export type Runner<I, O> = {
  readonly run: (numbers: Numbers, batch: DataOf<I>) => Result<O>
  readonly dispose: () => void
}

/** A runner of a network for inputs of the shapes of a batch, which were declared for another number of samples. */
export const runnerOf = <I, O>(
  net: Layer<TensorTree, TensorTree, I, O>,
  inputs: InputsOf<I>,
  { mode, freeze, backend = fastestHere() }: Running,
): Runner<I, O> => {
  type Ready = Compiled<TensorTree, TensorTree, DataOf<I>, OutputsOf<O>>
  const ready = new Map<string, Ready>()
  const readyFor = (batch: DataOf<I>): E.Either<QuantErrors, Ready> => {
    const key = keyOf(batch)
    const known = ready.get(key)
    if (known !== undefined) return E.right(known)
    const declared = declaredFor<I>(inputs, batch)
    const program = trace(net, declared, { mode, ...(freeze === undefined ? {} : { freeze }) })
    const made = E.isLeft(program) ? program : compile(program.right, backend)
    if (E.isRight(made)) ready.set(key, made.right)
    return made
  }
  return {
    run: ({ params, state }, batch) => {
      const made = readyFor(batch)
      return E.isLeft(made) ? made : made.right.run({ params, state, inputs: batch })
    },
    dispose: () => {
      for (const c of ready.values()) c.dispose()
      ready.clear()
    },
  }
}

/** Uses a runner, and frees what was compiled for it. */
export const using = <I, O, A>(runner: Runner<I, O>, use: (runner: Runner<I, O>) => A): A => {
  try {
    return use(runner)
  } finally {
    runner.dispose()
  }
}

/** Runs a network over all batches with the same numbers; `look` is given what each batch gave. */
export const overBatches = <I, O>(
  runner: Runner<I, O>,
  numbers: Numbers,
  feed: Feed<I>,
  look: (outputs: OutputsOf<O>, batch: DataOf<I>) => void,
): E.Either<QuantErrors, null> => {
  for (const batch of feed.each()) {
    if (E.isLeft(batch)) return batch
    const ran = runner.run(numbers, batch.right)
    if (E.isLeft(ran)) return ran
    look(ran.right.outputs, batch.right)
  }
  return E.right(null)
}

/** The same in evaluation, of a network that is needed for this pass alone. */
export const passOver = <I, O>(
  net: Layer<TensorTree, TensorTree, I, O>,
  { inputs, feed, backend }: Looking<I>,
  numbers: Numbers,
  look: (outputs: OutputsOf<O>, batch: DataOf<I>) => void,
): E.Either<QuantErrors, null> =>
  using(runnerOf(net, inputs, { mode: 'eval', backend }), (runner) => overBatches(runner, numbers, feed, look))

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
import { declaredFor, keyOf } from './samples.js'

/** How a network is run. */
export type Running = {
  readonly mode: 'train' | 'eval'
  readonly freeze?: Where
  readonly backend?: Backend
}

/** Runs of one network; `dispose` frees what was compiled. */
export type Runner<I, O> = {
  readonly run: (
    numbers: { readonly params: TensorTree; readonly state: TensorTree },
    batch: DataOf<I>,
  ) => E.Either<QuantErrors, Ran<TensorTree, OutputsOf<O>>>
  readonly dispose: () => void
}

/** A runner of a network whose inputs were declared like this, whatever the batch size. */
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
    const program = trace(net, declaredFor<I>(inputs, batch), { mode, ...(freeze === undefined ? {} : { freeze }) })
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

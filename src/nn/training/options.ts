/** What training is given, checked: optimizers, states, and functions that carry what is wrong with how they were made. */
import type { QuantError } from '../../data/error.js'
import { failure } from '../../data/error.js'
import { fieldProblems, func, record, required, showGiven, whole, type Field } from '../../data/fields.js'

/** A function that carries what is wrong with how it was made, as layers do; it is reported where the function is used. */
export type Carrying<F> = F & { readonly problems?: readonly QuantError[] }

/** A function with its problems. With any it never computes: a call throws them. */
export const carrying = <A extends readonly unknown[], B>(
  problems: readonly QuantError[],
  f: (...args: A) => B,
): Carrying<(...args: A) => B> =>
  Object.assign(
    problems.length === 0
      ? (...args: A): B => f(...args)
      : (): never => {
          throw failure(problems)
        },
    { problems },
  )

const isProblem = (x: unknown): x is QuantError => typeof x === 'object' && x !== null && 'tag' in x && 'message' in x

/** The problems that a layer, an optimizer or a function carries. */
export const problemsOf = (x: unknown): readonly QuantError[] => {
  const carried: unknown =
    (typeof x === 'object' || typeof x === 'function') && x !== null && 'problems' in x ? x.problems : null
  return Array.isArray(carried) ? carried.filter(isProblem) : []
}

/** An error about an argument. */
export const inputError = (input: string, message: string, fix: string): QuantError => ({
  tag: 'InputError',
  input,
  path: '',
  message,
  fix,
})

/** A learning rate: a finite number from 0 on. */
export const rate: Field = {
  says: 'a number from 0 on',
  like: '0.01',
  holds: (x) => typeof x === 'number' && x >= 0 && x < Infinity,
}

const has = (x: unknown, ...names: readonly string[]): boolean =>
  typeof x === 'object' && x !== null && names.every((n) => n in x)

/** What is wrong with something that should be an optimizer. */
export const optimizerProblems = (asker: string, x: unknown): readonly QuantError[] => {
  if (has(x, 'rule', 'update', 'init', 'mask')) return problemsOf(x)
  const called =
    typeof x === 'function' && x.name !== '' ? `call it: ${x.name}({ lr: 0.01 })` : 'give sgd({ lr: 0.1 }), adam(), …'
  return [inputError('optimizer', `${asker} needs an optimizer, and was given ${showGiven(x)}`, called)]
}

/** What is wrong with something that should be a backend. */
export const backendProblems = (asker: string, x: unknown): readonly QuantError[] =>
  has(x, 'name', 'prepare')
    ? []
    : [
        inputError(
          'backend',
          `${asker} needs a backend, and was given ${showGiven(x)}`,
          'give wasm, reference, or the right of what createWasm resolves to',
        ),
      ]

/** What is wrong with something that should be a training state. */
export const trainStateProblems = (asker: string, x: unknown): readonly QuantError[] => {
  const wrong = inputError(
    'start',
    `${asker} needs a training state, and was given ${has(x, '_tag') ? 'an Either, whose value is its right' : showGiven(x)}`,
    'give what startTraining, an earlier step or parseCheckpoint returned',
  )
  if (!has(x, 'params', 'state', 'optim', 'position', 'step')) return [wrong]
  const { optim, position, step }: { optim?: unknown; position?: unknown; step?: unknown } = { ...Object(x) }
  const problems = [
    ...fieldProblems(`${asker}'s training state`, { step }, { step: required(whole) }),
    ...fieldProblems(`${asker}'s optim`, optim, { step: required(whole), slots: required(record) }),
    ...fieldProblems(`${asker}'s position`, position, { epoch: required(whole), batch: required(whole) }),
  ]
  return problems
}

/** What is wrong with something that should be a differentiated program. */
export const programProblems = (asker: string, x: unknown): readonly QuantError[] =>
  has(x, 'graph', 'inputs', 'outputs', 'structure')
    ? []
    : [
        inputError(
          'program',
          `${asker} needs a program, and was given ${has(x, '_tag') ? 'an Either, whose value is its right' : showGiven(x)}`,
          "give the right of grad(program, { output: 'loss' }): orThrow unwraps it",
        ),
      ]

/** A function that may carry problems. */
export const functionField: Field = func

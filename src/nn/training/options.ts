/** What training is given, checked: optimizers, states, and functions that carry what is wrong with how they were made. */
import type { QuantError } from '../../data/error.js'
import { failure } from '../../data/error.js'
import {
  argumentProblems,
  func,
  isEither,
  isShape,
  nonNegative,
  required,
  showGiven,
  text,
  whole,
  type Field,
} from '../../data/fields.js'
import { sizeOf } from '../../data/shape.js'
import { isTensor } from '../../data/tensor.js'

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

const isRecord = (x: unknown): x is { readonly [name: string]: unknown } =>
  typeof x === 'object' && x !== null && !Array.isArray(x) && !ArrayBuffer.isView(x)
const has = (x: unknown, ...names: readonly string[]): x is { readonly [name: string]: unknown } =>
  isRecord(x) && names.every((n) => n in x)

const isRule = (x: unknown): boolean =>
  has(x, 'slots', 'hyper', 'apply') &&
  Array.isArray(x.slots) &&
  x.slots.every((s) => has(s, 'name', 'start')) &&
  typeof x.hyper === 'function' &&
  typeof x.apply === 'function'

const OPTIMIZER = {
  name: required(text),
  rule: required({
    says: "what sgd or adam made of its formula, or an update rule of one's own",
    like: 'sgd({ lr: 0.1 }).rule',
    holds: isRule,
  }),
  lr: required(rate),
  weightDecay: required(nonNegative),
  mask: required(func),
  init: required(func),
  update: required(func),
}

/** What is wrong with something that should be an optimizer, apart from the problems that it carries. */
export const shapeOfOptimizer = (asker: string, x: unknown): readonly QuantError[] => {
  if (has(x, 'rule', 'update')) return argumentProblems(`the optimizer of ${asker}`, x, OPTIMIZER)
  const called =
    typeof x === 'function' && x.name !== '' ? `call it: ${x.name}({ lr: 0.01 })` : 'give sgd({ lr: 0.1 }), adam(), …'
  return [inputError('optimizer', `${asker} needs an optimizer, and was given ${showGiven(x)}`, called)]
}

/** What is wrong with something that should be an optimizer, the problems that it carries included. */
export const optimizerProblems = (asker: string, x: unknown): readonly QuantError[] => {
  const wrong = shapeOfOptimizer(asker, x)
  return wrong.length > 0 ? wrong : problemsOf(x)
}

/** A tensor whose shape fits its numbers. */
export const tensorField: Field = {
  says: 'a tensor whose shape fits its numbers',
  like: 'tensorOf([2], [1, 2])',
  holds: (x) => isTensor(x) && isShape(x.shape) && sizeOf(x.shape) === x.data.length,
}
/** Nested records of tensors. */
export const treeField: Field = {
  says: 'a tree of tensors, as init or a run gives it',
  like: 'start.params',
  holds: (x) => isRecord(x) && !isEither(x) && !('_tag' in x),
}
/** Gradients of parameters and of state. */
export const gradsField: Field = {
  says: 'the gradients that a run gave',
  like: 'ran.grads',
  holds: (x) => has(x, 'params', 'state') && treeField.holds(x.params) && treeField.holds(x.state),
}
/** Where data stand. */
export const positionField: Field = {
  says: 'an epoch and a batch, whole numbers from 0 on',
  like: '{ epoch: 0, batch: 0 }',
  holds: (x) => has(x, 'epoch', 'batch') && whole.holds(x.epoch) && whole.holds(x.batch),
}
/** An optimizer's memory. */
export const optimField: Field = {
  says: "an optimizer's memory: its step and its slots, tensors by name",
  like: 'adam().init()',
  holds: (x) =>
    has(x, 'step', 'slots') &&
    whole.holds(x.step) &&
    isRecord(x.slots) &&
    Object.values(x.slots).every(tensorField.holds),
}

const STATE = {
  params: required(treeField),
  state: required(treeField),
  optim: required(optimField),
  position: required(positionField),
  step: required(whole),
}

/** What is wrong with something that should be a training state. */
export const trainStateProblems = (asker: string, x: unknown): readonly QuantError[] =>
  has(x, 'params', 'state', 'optim')
    ? argumentProblems(`the training state of ${asker}`, x, STATE)
    : [
        inputError(
          'start',
          `${asker} needs a training state, and was given ${showGiven(x)}`,
          'give what startTraining, an earlier step or parseCheckpoint returned; orThrow unwraps an Either',
        ),
      ]

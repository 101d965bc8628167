/** What `train` is given, checked; and its errors with the place where they happened. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors } from '../../data/error.js'
import {
  count,
  attempt,
  fieldProblems,
  flag,
  func,
  isEither,
  showGiven,
  oneOf,
  required,
  signalField,
  whole,
  type Field,
} from '../../data/fields.js'
import { sizeOf } from '../../data/shape.js'
import { isTensor, type Tensor } from '../../data/tensor.js'
import { leaves } from '../../data/tree.js'
import { backendProblems } from '../../evaluator/checks.js'
import { waitingProblems } from './accumulation.js'
import { feedProblems, type Fed } from './batchSource.js'
import type { Samples } from './loader.js'
import { gradsField, inputError, optimizerProblems, problemsOf, trainStateProblems } from './options.js'
import type { Grads } from '../program/binding.js'
import type { TrainState } from './trainState.js'

/** What a training is configured by, as plain JavaScript may give it. */
type AnyConfig = { readonly [option: string]: unknown }

const checkedElsewhere = { says: 'anything', like: '…', holds: () => true }

const TRAIN_FIELDS: { readonly [option: string]: Field } = {
  program: required({
    ...func,
    says: 'a function of the batch size that gives a differentiated program',
    like: '(n) => …',
  }),
  data: required({ ...checkedElsewhere, says: 'tensors or batches', like: '{ x: images, target: labels }' }),
  loader: checkedElsewhere,
  epochs: required({ ...whole, like: '10' }),
  optimizer: required({ ...checkedElsewhere, says: 'an optimizer', like: 'adam()' }),
  schedule: { ...func, says: 'a schedule', like: 'constantLr(0.01)' },
  transform: { ...func, says: 'a function of gradients', like: 'clipGradNorm(1)' },
  accumulate: { ...count, like: '4' },
  nonFinite: oneOf('stop', 'skip', 'ignore'),
  inputs: required({ ...func, says: "a function from a batch to the program's inputs", like: '(batch) => batch' }),
  measure: required({
    ...func,
    says: 'a function from outputs to { loss }',
    like: '(out) => ({ loss: valueOf(out.loss).data[0] })',
  }),
  backend: checkedElsewhere,
  trusted: flag,
  signal: signalField,
}

/** All that is wrong with a training's configuration and the state that it starts from. */
export const trainProblems = (config: AnyConfig, start: unknown): readonly QuantError[] => {
  const wrong = fieldProblems('train', config, TRAIN_FIELDS)
  if (wrong.length > 0) return wrong
  const { data, loader, optimizer, schedule, transform, backend, accumulate } = config
  const state = trainStateProblems('train', start)
  return [
    ...feedProblems(data, loader),
    ...optimizerProblems('train', optimizer),
    ...problemsOf(schedule),
    ...problemsOf(transform),
    ...(backend === undefined ? [] : backendProblems('train', backend)),
    ...(state.length > 0
      ? state
      : waitingProblems((start as TrainState<unknown, unknown>).optim, Number(accumulate ?? 1))),
  ]
}

/** A result of one of the caller's functions that is not what was asked of it. */
const wrongAnswer = (called: string, gave: unknown, wanted: string): QuantErrors => [
  inputError(called, `train: ${called} gave ${showGiven(gave)}; it must be ${wanted}`, `return ${wanted}`),
]

/** What the caller's `program` gave for a batch: an Either, or the errors of this library that it threw. */
export const programGiven = <A>(size: number, ask: () => E.Either<QuantErrors, A>): E.Either<QuantErrors, A> =>
  E.chain((given: E.Either<QuantErrors, A>) =>
    isEither(given)
      ? given
      : E.left(wrongAnswer(`program(${size})`, given, "an Either: what grad(program, { output: 'loss' }) returned")),
  )(attempt(ask))

/** What is told of a batch. */
export type Measured = { readonly loss: number; readonly accuracy: number | null }

/** What the caller's `measure` told of a step, or what is wrong with it. */
export const measured = (told: unknown): E.Either<QuantErrors, Measured> => {
  const { loss, accuracy = null }: { loss?: unknown; accuracy?: unknown } =
    typeof told === 'object' && told !== null ? told : {}
  return typeof loss === 'number' && (accuracy === null || typeof accuracy === 'number')
    ? E.right({ loss, accuracy })
    : E.left(
        wrongAnswer(
          'measure',
          told,
          '{ loss } or { loss, accuracy }, numbers: valueOf(out.loss).data[0], for instance',
        ),
      )
}

/** What the caller's `transform` made of gradients, or what is wrong with it. */
export const transformed =
  (transform: (grads: Grads) => Grads) =>
  (grads: Grads): E.Either<QuantErrors, Grads> =>
    E.chain((given: Grads) =>
      gradsField.holds(given) ? E.right(given) : E.left(wrongAnswer('transform', given, 'gradients, as it was given')),
    )(attempt(() => transform(grads)))

/** Errors of the trace for an epoch's last batch, which is smaller than the others. */
export const withRagged = (errors: QuantErrors, size: number, whole_: number): QuantErrors =>
  errors.map((e) => ({
    ...e,
    message: `${e.message} (the last batch of an epoch holds ${size} of ${whole_} samples)`,
    fix: `leave that batch out with loader: { dropLast: true }, or choose another batchSize; else: ${e.fix}`,
  }))

const MOST_SHOWN = 16

const shown = (indices: ArrayLike<number>): string =>
  `${Array.from(indices).slice(0, MOST_SHOWN).join(', ')}${indices.length > MOST_SHOWN ? `, … (${indices.length} in all)` : ''}`

/** The first sample of a batch that isn't finite itself, in words; or null. */
const badSample = ({ tensors, indices }: Fed<Samples>): string | null => {
  for (const { path, leaf } of leaves(isTensor, tensors)) {
    const at = leaf.data.findIndex((x) => !Number.isFinite(x))
    if (at < 0) continue
    const row = rowOf(leaf, at)
    return `${indices === null ? `row ${row} of ${path} of this batch` : `sample ${indices[row]} of ${path}`} holds ${leaf.data[at]}`
  }
  return null
}

const rowOf = (t: Tensor, at: number): number => Math.floor(at / Math.max(1, sizeOf(t.shape.slice(1))))

const mendOf = (fix: string, bad: string | null): string =>
  bad === null ? `${fix}; a smaller learning rate or clipGradNorm may keep it finite` : 'mend or leave out that sample'

/** The errors of a step that numbers made, with the step and the batch in which they did. `step`: updates before it. */
export const located = (errors: QuantErrors, step: number, batch: Fed<Samples>): QuantErrors => {
  const { epoch, batch: number } = batch.position
  const where = `step ${step + 1} (epoch ${epoch}, batch ${number}${batch.indices === null ? '' : `, samples ${shown(batch.indices)}`})`
  return errors.map((e): QuantError => {
    if (e.tag !== 'NonFinite' && e.tag !== 'CheckFailed') return e
    const bad = e.tag === 'NonFinite' ? badSample(batch) : null
    return {
      ...e,
      message: `${where}: ${e.message}${bad === null ? '' : `; ${bad}`}`,
      fix: e.tag === 'CheckFailed' ? e.fix : `${mendOf(e.fix, bad)}; nonFinite: 'skip' passes such batches over`,
    }
  })
}

/** The data gave nothing in an epoch that was to begin. */
export const noBatches = (epoch: number): QuantErrors => [
  inputError(
    'data',
    `the data gave no batch in epoch ${epoch}${epoch > 0 ? ': a generator can be walked only once' : ''}`,
    'give an array of batches, or a function that makes the iterable of each epoch: (epoch) => …',
  ),
]

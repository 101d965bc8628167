/** The training loop: pure steps over explicit state, told as a stream of events. Clock, terminal and files are the caller's. */
import * as E from 'fp-ts/lib/Either.js'
import { failure, type QuantErrors } from '../../data/error.js'
import { inputError } from './options.js'
import type { Value } from '../../graph/op.js'
import type { Program } from '../../graph/program.js'
import { newBreather } from '../program/breathe.js'
import { badRate } from '../program/refusals.js'
import { batchProblems, feedOf, type BatchSource, type Fed, type Feed } from './batchSource.js'
import type { Position, Samples } from './loader.js'
import type { Layer } from '../layers/layer.js'
import { supervision, type Examples, type Recipe } from './supervised.js'
import { steppingInside, steppingOutside, type Stepper, type Stepping } from './stepping.js'
import {
  located,
  measured,
  noBatches,
  type Measured,
  programGiven,
  transformed,
  trainProblems,
  withRagged,
} from './trainChecks.js'
import type { TrainConfig, TrainEvent, Training } from './trainConfig.js'
import type { TrainState } from './trainState.js'

type Told<P, S> = Omit<TrainEvent<P, S>, 'training'>

/** A state that is copied when it is first asked for, as long as it is there to copy. */
type Later<P, S> = { readonly read: () => TrainState<P, S>; readonly close: () => void }

const later = <P, S>(make: () => TrainState<P, S>): Later<P, S> => {
  let known: TrainState<P, S> | null = null
  let gone = false
  return {
    read: () => {
      if (known === null && gone)
        throw failure([
          inputError(
            'event',
            'event.training is read after the next event was asked for, when the memory behind it has moved on',
            'read it (or copy what you need) as soon as you get the event',
          ),
        ])
      known ??= make()
      return known
    },
    close: () => {
      gone = true
    },
  }
}

/** The same state at another place of the data. It is gone when the one behind it is. */
const movedTo = <P, S>(of: Later<P, S>, position: Position): Later<P, S> => {
  const own = later(() => ({ ...of.read(), position }))
  return {
    read: own.read,
    close: () => {
      own.close()
      of.close()
    },
  }
}

const eventOf = <P, S>(told: Told<P, S>, state: Later<P, S>): TrainEvent<P, S> => ({
  ...told,
  get training() {
    return state.read()
  },
})

/** Programs by kind of batch. Those of tensors are traced before the first step, so that a last batch that doesn't fit is found at once. */
const programsOf = <P, S, I, O, D extends Samples>(c: TrainConfig<P, S, I, O, D>, feed: Feed<D>) => {
  const known = new Map<string, E.Either<QuantErrors, Program<P, S, I, O>>>()
  const programFor = ({ key, size, tensors }: Pick<Fed<D>, 'key' | 'size' | 'tensors'>) => {
    const program = known.get(key) ?? programGiven(size, () => c.program(size, tensors))
    known.set(key, program)
    return program
  }
  let traced = false
  const first = (): E.Either<QuantErrors, null> => {
    if (traced) return E.right(null)
    const [whole] = feed.samples
    for (const sample of feed.samples) {
      const program = programFor(sample)
      if (E.isLeft(program))
        return sample === whole ? program : E.left(withRagged(program.left, sample.size, whole.size))
    }
    traced = true
    return E.right(null)
  }
  return { programFor, first }
}

const stepperOf = <P, S, I, O, D extends Samples>(
  c: TrainConfig<P, S, I, O, D>,
  program: Stepping<P, S, I, O, D>['program'],
  start: TrainState<P, S>,
): Stepper<P, S, O, D> => {
  const stepping: Stepping<P, S, I, O, D> = {
    program,
    optimizer: c.optimizer,
    inputs: c.inputs,
    checkFinite: c.nonFinite !== 'ignore',
    accumulate: c.accumulate ?? 1,
    trusted: c.trusted === true,
    ...(c.backend === undefined ? {} : { backend: c.backend }),
  }
  return c.transform === undefined
    ? steppingInside(stepping, start)
    : steppingOutside(stepping, transformed(c.transform), start)
}

/** Is it the error of a batch that may be passed over? */
const isNonFinite = (errors: QuantErrors): boolean => errors.every((e) => e.tag === 'NonFinite')

/** How far a training has come. */
type Course<P, S> = {
  readonly state: Later<P, S>
  readonly step: number
  readonly position: Position
  readonly skipped: number
}
/** Behind a batch: how far the training has come, and what is told of it, or the errors that end it. */
type Taken<P, S> = { readonly course: Course<P, S>; readonly told: E.Either<QuantErrors, Told<P, S>> }

/** What takes the steps of a training. */
type Pace<P, S, I, O, D extends Samples> = {
  readonly c: TrainConfig<P, S, I, O, D>
  readonly stepper: Stepper<P, S, O, D>
  readonly batches: number
}

/** One batch: a step, or, where that is asked for, a batch passed over. */
const taken = <P, S, I, O, D extends Samples>(
  { c, stepper, batches }: Pace<P, S, I, O, D>,
  course: Course<P, S>,
  epoch: number,
  batch: Fed<D>,
): Taken<P, S> => {
  const { step, state, skipped } = course
  const { position, size } = batch
  const lr = c.schedule?.(step)
  // A schedule that forgets to return would leave the optimizer's own rate in force.
  const done = c.schedule !== undefined && lr === undefined ? E.left(badRate(lr)) : stepper.step(batch, lr)
  const about = { epoch, batch: position.batch, batches, size, lr: lr ?? null, tag: 'step' as const }
  if (E.isLeft(done)) {
    const errors = located(done.left, step, batch)
    if (c.nonFinite !== 'skip' || !isNonFinite(done.left)) return { course, told: E.left(errors) }
    const nothing = { step, loss: NaN, accuracy: null, warnings: [], updated: false, skipped: skipped + 1, errors }
    return {
      course: { state: movedTo(state, position), step, position, skipped: skipped + 1 },
      told: E.right({ ...about, ...nothing }),
    }
  }
  // Whoever wants the state before this step has had the time to read it.
  state.close()
  const { warnings, updated, training, outputs } = done.right
  const next = updated ? step + 1 : step
  return {
    course: { state: later(training), step: next, position, skipped },
    told: E.map(({ loss, accuracy }: Measured) => ({
      ...about,
      step: next,
      loss,
      accuracy,
      warnings,
      updated,
      skipped,
      errors: [],
    }))(measured(c.measure(outputs, batch.tensors))),
  }
}

/** Why a batch is not trained on, before anything is computed. */
const refusedBatch = <D extends Samples>(batch: Fed<D>, trace: () => E.Either<QuantErrors, null>) => {
  const wrong = batchProblems(batch.tensors)
  return wrong.length > 0 ? E.left(wrong) : trace()
}

/** Training as configured, from a state on. */
async function* trainConfigured<P, S, I, O, D extends Samples>(
  c: TrainConfig<P, S, I, O, D>,
  start: TrainState<P, S>,
): Training<P, S> {
  const problems = trainProblems(c, start)
  if (problems.length > 0) return E.left(problems)
  const feed = feedOf(c.data, c.loader, (c.accumulate ?? 1) > 1)
  const programs = programsOf(c, feed)
  const pace = { c, stepper: stepperOf(c, programs.programFor, start), batches: feed.total ?? 0 }
  let course: Course<P, S> = { state: later(() => start), step: start.step, position: start.position, skipped: 0 }
  const breathe = newBreather()
  try {
    for (let epoch = start.position.epoch; epoch < c.epochs; epoch++) {
      const from = epoch === course.position.epoch ? course.position : { epoch, batch: 0 }
      let last: Told<P, S> | null = null
      for await (const batch of feed.epoch(from)) {
        await breathe()
        if (c.signal?.aborted === true) return E.right(course.state.read())
        const refused = refusedBatch(batch, programs.first)
        if (E.isLeft(refused)) return refused
        const now: Taken<P, S> = taken(pace, course, epoch, batch)
        course = now.course
        if (E.isLeft(now.told)) return now.told
        last = now.told.right
        yield eventOf(last, course.state)
      }
      if (last === null && from.batch === 0) return E.left(noBatches(epoch))
      const position = { epoch: epoch + 1, batch: 0 }
      course = { ...course, position, state: movedTo(course.state, position) }
      if (last !== null) yield eventOf({ ...last, tag: 'epoch' }, course.state)
    }
    return E.right(course.state.read())
  } finally {
    // The last event's state outlives the memory that it is copied from.
    course.state.read()
    pace.stepper.dispose()
  }
}

async function* trainSupervised<P, S>(
  net: Layer<P, S>,
  loss: (y: Value, target: Value) => Value,
  data: Examples | BatchSource<Examples>,
  recipe: Recipe<P, S>,
): Training<P, S> {
  const made = supervision(net, loss, data, recipe)
  if (E.isLeft(made)) return made
  return yield* trainConfigured(made.right.config, made.right.start)
}

/**
 * Trains a network on examples `{ x, target }`, from its first parameters or a state given. Yields an event per batch and one at
 * the end of each epoch; returns the last state, or the errors that ended it (`finish` walks there). Aborting returns the state as it is.
 * @example
 * ```ts
 * import { accuracy, adam, chain, crossEntropy, finish, manualSeed, orThrow, QuantLinear, randn, tensorOf, train } from 'quantrace'
 *
 * const net = chain({ fc: QuantLinear({ inFeatures: 2, outFeatures: 2 }) })
 * const [x] = randn([64, 2])(manualSeed(0))
 * const right = Array.from({ length: 64 }, (_, i) => Number(x.data[2 * i] > 0)) // is the first number positive?
 * const events = train(net, crossEntropy, { x, target: tensorOf([64], right) }, { optimizer: adam({ lr: 0.1 }), epochs: 5, accuracy })
 * const { params, state } = orThrow(await finish(events))
 * console.log(Object.keys(params), Object.keys(state))
 * ```
 * ```text
 * [ 'fc' ] [ 'fc' ]
 * ```
 */
export function train<P, S>(
  net: Layer<P, S>,
  loss: (y: Value, target: Value) => Value,
  data: Examples | BatchSource<Examples>,
  recipe: Recipe<P, S>,
): Training<P, S>
/**
 * Trains any differentiated program from a state on: several inputs, losses of one's own, programs by the size of a batch. Yields an event
 * per batch and one at the end of each epoch; returns the last state, or the errors that ended it (the state of the last event stays valid).
 * What `data` throws goes through.
 */
export function train<P, S, I, O, D extends Samples>(
  config: TrainConfig<P, S, I, O, D>,
  start: TrainState<P, S>,
): Training<P, S>
export function train<P, S, I, O, D extends Samples>(
  ...given: readonly [TrainConfig<P, S, I, O, D>, TrainState<P, S>] | Parameters<typeof trainSupervised<P, S>>
): Training<P, S> {
  return given.length > 2
    ? trainSupervised(...(given as Parameters<typeof trainSupervised<P, S>>))
    : trainConfigured(...(given as readonly [TrainConfig<P, S, I, O, D>, TrainState<P, S>]))
}

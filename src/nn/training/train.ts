/** The training loop: pure steps over explicit state, told as a stream of events. Clock, terminal and files are the caller's. */
import * as E from 'fp-ts/lib/Either.js'
import { failure, type QuantErrors, type QuantWarning } from '../../data/error.js'
import { inputError } from './options.js'
import type { Backend, TrustOptions } from '../../evaluator/backend.js'
import type { Program } from '../../graph/program.js'
import { newBreather } from '../program/breathe.js'
import type { Grads } from '../program/program.js'
import { batchProblems, feedOf, type BatchSource, type Fed, type Feed } from './batchSource.js'
import type { LoaderOptions, Position, Samples } from './loader.js'
import type { Optimizer } from './optim.js'
import type { Carrying } from './options.js'
import type { Schedule } from './schedules.js'
import { steppingInside, steppingOutside, type Stepper, type Stepping } from './stepping.js'
import { located, measured, noBatches, programGiven, transformed, trainProblems, withRagged } from './trainChecks.js'
import type { TrainState } from './trainState.js'

/** What is trained, on what, and how. */
export type TrainConfig<P, S, I, O, D extends Samples> = TrustOptions & {
  /**
   * The differentiated program for a batch of this many samples (and for this batch, where other axes vary too); asked once per
   * size (of batches made elsewhere: once per shapes), so that a ragged last batch gets its own trace.
   */
  readonly program: (batchSize: number, batch: D) => E.Either<QuantErrors, Program<P, S, I, O>>
  /** Tensors, which `loader` cuts into batches; or batches that are made elsewhere: an iterable, sync or async, or one for each epoch. */
  readonly data: D | BatchSource<D>
  /** How tensors are cut into batches; absent where batches are made elsewhere. */
  readonly loader?: LoaderOptions
  readonly epochs: number
  readonly optimizer: Optimizer
  /** The rate of each update, counted from 0 (default: the optimizer's own). */
  readonly schedule?: Schedule
  /** Changes the gradients before they are used: clipping, for instance. */
  readonly transform?: Carrying<(grads: Grads) => Grads>
  /** Update once in so many batches, and at the end of an epoch, by the mean of their gradients, weighted by their sizes (default 1). */
  readonly accumulate?: number
  /**
   * Where the loss or a gradient isn't finite: `stop` (default) ends training with a `NonFinite` error, the state as before that
   * batch; `skip` passes that batch over, everything as before it, and counts it; `ignore` goes on with what came out.
   */
  readonly nonFinite?: 'stop' | 'skip' | 'ignore'
  /** The program's inputs from one batch. */
  readonly inputs: (batch: D) => I
  /** What to report of a step: its loss, and whatever else is measured. */
  readonly measure: (outputs: O, batch: D) => { readonly loss: number; readonly accuracy?: number }
  readonly backend?: Backend
  /** Ends training cleanly before the next step. */
  readonly signal?: AbortSignal
}

/**
 * One batch is done. `training` is the state after it, copied out of the backend's memory when it is first read; read it
 * before the next event is asked for (afterwards the memory has moved on, and reading throws a `QuantFailure`).
 */
export type TrainEvent<P, S> = {
  /** `epoch` comes after the last step of an epoch and repeats that step's numbers. */
  readonly tag: 'step' | 'epoch'
  /** Updates so far, from 1 (while gradients wait for the first: 0); those before a checkpoint count. */
  readonly step: number
  /** The epoch, from 0. */
  readonly epoch: number
  /** The batch of the epoch, from 1, of so many; 0 where the data don't tell. */
  readonly batch: number
  readonly batches: number
  /** Samples in this batch. */
  readonly size: number
  /** What the schedule gave, or null: the optimizer's own rate. */
  readonly lr: number | null
  /** Of this batch, as `measure` told them; NaN where it was passed over. */
  readonly loss: number
  readonly accuracy: number | null
  readonly warnings: readonly QuantWarning[]
  /** False where the gradient of this batch waits for those of others, or was passed over. */
  readonly updated: boolean
  /** Batches passed over so far, and why this one was (empty if it wasn't). */
  readonly skipped: number
  readonly errors: QuantErrors
  readonly training: TrainState<P, S>
}

type Told<P, S> = Omit<TrainEvent<P, S>, 'training'>
type Outcome<P, S> = E.Either<QuantErrors, TrainState<P, S>>

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
  const first = (): E.Either<QuantErrors, null> => {
    const [whole] = feed.samples
    for (const sample of feed.samples) {
      const program = programFor(sample)
      if (E.isLeft(program))
        return sample === whole ? program : E.left(withRagged(program.left, sample.size, whole.size))
    }
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

/**
 * Trains from a state on. Yields an event per batch and one at the end of each epoch; returns the last state, or the
 * errors that ended it (the state of the last event stays valid). Aborting returns the state as it is. What `data` throws goes through.
 */
export async function* train<P, S, I, O, D extends Samples>(
  c: TrainConfig<P, S, I, O, D>,
  start: TrainState<P, S>,
): AsyncGenerator<TrainEvent<P, S>, Outcome<P, S>, void> {
  const problems = trainProblems(c, start)
  if (problems.length > 0) return E.left(problems)
  const feed = feedOf(c.data, c.loader, (c.accumulate ?? 1) > 1)
  const programs = programsOf(c, feed)
  const stepper = stepperOf(c, programs.programFor, start)
  let [state, step, position, skipped] = [later(() => start), start.step, start.position, 0]
  let traced = false
  const breathe = newBreather()
  try {
    for (let epoch = start.position.epoch; epoch < c.epochs; epoch++) {
      const from = epoch === position.epoch ? position : { epoch, batch: 0 }
      let last: Told<P, S> | null = null
      for await (const batch of feed.epoch(from)) {
        await breathe()
        if (c.signal?.aborted === true) return E.right(state.read())
        const wrong = batchProblems(batch.tensors)
        if (wrong.length > 0) return E.left(wrong)
        const ready = traced ? E.right(null) : programs.first()
        if (E.isLeft(ready)) return ready
        traced = true
        const lr = c.schedule?.(step)
        // Whoever wants the state before this step has had the time to read it.
        const before = state
        const done = stepper.step(batch, lr)
        if (E.isLeft(done) && !(c.nonFinite === 'skip' && isNonFinite(done.left)))
          return E.left(located(done.left, step, batch))
        position = batch.position
        const about = { epoch, batch: batch.position.batch, batches: feed.total ?? 0, size: batch.size, lr: lr ?? null }
        if (E.isLeft(done)) {
          state = movedTo(before, position)
          last = {
            ...about,
            tag: 'step',
            step,
            loss: NaN,
            accuracy: null,
            warnings: [],
            updated: false,
            skipped: ++skipped,
            errors: located(done.left, step, batch),
          }
        } else {
          before.close()
          state = later(done.right.training)
          const { warnings, updated } = done.right
          if (updated) step++
          const told = measured(c.measure(done.right.outputs, batch.tensors))
          if (E.isLeft(told)) return told
          const { loss, accuracy } = told.right
          last = { ...about, tag: 'step', step, loss, accuracy, warnings, updated, skipped, errors: [] }
        }
        yield eventOf(last, state)
      }
      if (last === null && from.batch === 0) return E.left(noBatches(epoch))
      position = { epoch: epoch + 1, batch: 0 }
      state = movedTo(state, position)
      if (last !== null) yield eventOf({ ...last, tag: 'epoch' }, state)
    }
    return E.right(state.read())
  } finally {
    // The last event's state outlives the memory that it is copied from.
    state.read()
    stepper.dispose()
  }
}

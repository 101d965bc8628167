/** The training loop: pure steps over explicit state, told as a stream of events. Clock, terminal and files are the caller's. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors, QuantWarning } from '../../data/error.js'
import type { Backend, TrustOptions } from '../../evaluator/backend.js'
import type { Program } from '../../graph/program.js'
import { newBreather } from '../program/breathe.js'
import {
  batches,
  batchesPerEpoch,
  countOf,
  type Batch,
  type LoaderOptions,
  type Position,
  type Samples,
} from './loader.js'
import type { Optimizer } from './optim.js'
import { fastestHere } from '../../evaluator/fastest.js'
import { compile, type Compiled, type Grads, type Ran } from '../program/program.js'
import { trainer, type Trainer } from './trainer.js'
import { badRate } from '../program/refusals.js'
import type { TrainState } from './trainState.js'
import type { Schedule } from './schedules.js'

/** What is trained, on what, and how. */
export type TrainConfig<P, S, I, O, D extends Samples> = TrustOptions & {
  /** The differentiated program for a batch of this many samples; asked once per size, so that a ragged last batch gets its own trace. */
  readonly program: (batchSize: number) => E.Either<QuantErrors, Program<P, S, I, O>>
  readonly data: D
  readonly loader: LoaderOptions
  readonly epochs: number
  readonly optimizer: Optimizer
  readonly schedule?: Schedule
  /** Changes the gradients before they are used: clipping, for instance. */
  readonly transform?: (grads: Grads) => Grads
  /** The program's inputs from one batch. */
  readonly inputs: (batch: D) => I
  /** What to report of a step: its loss, and whatever else is measured. */
  readonly measure: (outputs: O, batch: D) => { readonly loss: number; readonly accuracy?: number }
  readonly backend?: Backend
  /** Ends training cleanly before the next step. */
  readonly signal?: AbortSignal
}

/**
 * One step is done. `training` is the state after it, copied out of the backend's memory when it is first read; read it
 * before the next event is asked for (afterwards the memory has moved on, and reading throws a RangeError).
 */
export type TrainEvent<P, S> = {
  /** `epoch` comes after the last step of an epoch and repeats that step's numbers. */
  readonly tag: 'step' | 'epoch'
  /** Steps taken so far, from 1; those before a checkpoint count. */
  readonly step: number
  /** The epoch, from 0. */
  readonly epoch: number
  /** The batch of the epoch, from 1, of so many. */
  readonly batch: number
  readonly batches: number
  /** Samples in this batch. */
  readonly size: number
  /** What the schedule gave, or null: the optimizer's own rate. */
  readonly lr: number | null
  /** Of this batch, as `measure` told them. */
  readonly loss: number
  readonly accuracy: number | null
  readonly warnings: readonly QuantWarning[]
  readonly training: TrainState<P, S>
}

/** One optimizer step from the outcome of a run. */
export const applyStep = <P, S, O>(
  t: TrainState<P, S>,
  ran: Ran<S, O>,
  grads: Grads,
  optimizer: Optimizer,
  lr: number | undefined,
  position: Position,
): TrainState<P, S> => {
  const next = optimizer.update(grads, t.optim, t.params, ran.state, lr)
  return { params: next.params, state: next.state, optim: next.optim, position, step: t.step + 1 }
}

type Outcome<P, S> = E.Either<QuantErrors, TrainState<P, S>>

/** What one step gives to its event; `settle` makes the state after it a value of its own. */
type Done<P, S, O> = {
  readonly outputs: O
  readonly warnings: readonly QuantWarning[]
  readonly training: () => TrainState<P, S>
}

/** Takes steps one after the other, whatever the sizes of the batches. */
type Stepper<P, S, O, D extends Samples> = {
  readonly step: (batch: Batch<D>, lr: number | undefined) => E.Either<QuantErrors, Done<P, S, O>>
  readonly dispose: () => void
}

/** Steps whose gradients are changed by `transform`: run, change, update. */
const steppingOutside = <P, S, I, O, D extends Samples>(
  c: TrainConfig<P, S, I, O, D>,
  transform: (grads: Grads) => Grads,
  start: TrainState<P, S>,
): Stepper<P, S, O, D> => {
  const cache = new Map<number, Compiled<P, S, I, O>>()
  let t = start
  const compiledFor = (size: number): E.Either<QuantErrors, Compiled<P, S, I, O>> => {
    const known = cache.get(size)
    if (known !== undefined) return E.right(known)
    const program = c.program(size)
    const made = E.isLeft(program) ? program : compile(program.right, c.backend)
    if (E.isRight(made)) cache.set(size, made.right)
    return made
  }
  return {
    step: (batch, lr) => {
      if (!Number.isFinite(lr ?? c.optimizer.lr)) return E.left(badRate(lr ?? c.optimizer.lr))
      const compiled = compiledFor(batch.size)
      if (E.isLeft(compiled)) return compiled
      const args = { params: t.params, state: t.state, inputs: c.inputs(batch.tensors) }
      const ran = compiled.right.run(args, { trusted: c.trusted === true })
      if (E.isLeft(ran)) return ran
      t = applyStep(t, ran.right, transform(ran.right.grads), c.optimizer, lr, batch.position)
      const after = t
      return E.right({ outputs: ran.right.outputs, warnings: ran.right.warnings, training: () => after })
    },
    dispose: () => {
      for (const compiled of cache.values()) compiled.dispose()
    },
  }
}

/** Steps that stay in the backend's memory; each size of batch has its own program, and state moves between them by value. */
const steppingInside = <P, S, I, O, D extends Samples>(
  c: TrainConfig<P, S, I, O, D>,
  start: TrainState<P, S>,
): Stepper<P, S, O, D> => {
  const cache = new Map<number, Trainer<P, S, I, O>>()
  let current: Trainer<P, S, I, O> | null = null
  const trainerFor = (size: number): E.Either<QuantErrors, Trainer<P, S, I, O>> => {
    const known = cache.get(size)
    const now = current === null ? start : current.training()
    if (known !== undefined) return known === current ? E.right(known) : E.map(() => known)(known.load(now))
    const program = c.program(size)
    const options = { trusted: c.trusted === true }
    const backend = c.backend ?? fastestHere()
    const made = E.isLeft(program) ? program : trainer(program.right, c.optimizer, now, backend, options)
    if (E.isRight(made)) cache.set(size, made.right)
    return made
  }
  let size = -1
  return {
    step: (batch, lr) => {
      if (current === null || batch.size !== size) {
        const found = trainerFor(batch.size)
        if (E.isLeft(found)) return found
        current = found.right
        size = batch.size
      }
      const own = current
      const stepped = own.step(c.inputs(batch.tensors), lr)
      if (E.isLeft(stepped)) return stepped
      return E.right({
        outputs: stepped.right.outputs,
        warnings: stepped.right.warnings,
        training: () => ({ ...own.training(), position: batch.position }),
      })
    },
    dispose: () => {
      for (const t of cache.values()) t.dispose()
    },
  }
}

/** A state that is copied when it is first asked for, as long as it is there to copy. */
type Later<P, S> = { readonly read: () => TrainState<P, S>; readonly close: () => void }

const later = <P, S>(make: () => TrainState<P, S>): Later<P, S> => {
  let known: TrainState<P, S> | null = null
  let gone = false
  return {
    read: () => {
      if (known === null && gone)
        throw new RangeError(
          'train: event.training is read after the next event was asked for, when the memory behind it has moved on; read it (or copy what you need) as soon as you get the event',
        )
      known ??= make()
      return known
    },
    close: () => {
      gone = true
    },
  }
}

const eventOf = <P, S>(told: Omit<TrainEvent<P, S>, 'training'>, state: Later<P, S>): TrainEvent<P, S> => ({
  ...told,
  get training() {
    return state.read()
  },
})

/**
 * Trains from a state on. Yields an event per step and one at the end of each epoch; returns the last state, or the
 * errors that ended it (the state of the last event stays valid). Aborting returns the state as it is.
 */
export async function* train<P, S, I, O, D extends Samples>(
  c: TrainConfig<P, S, I, O, D>,
  start: TrainState<P, S>,
): AsyncGenerator<TrainEvent<P, S>, Outcome<P, S>, void> {
  const total = batchesPerEpoch(countOf(c.data), c.loader)
  const stepper = c.transform === undefined ? steppingInside(c, start) : steppingOutside(c, c.transform, start)
  let [state, step, position] = [later(() => start), start.step, start.position]
  const breathe = newBreather()
  try {
    for (let epoch = start.position.epoch; epoch < c.epochs; epoch++) {
      const from = epoch === position.epoch ? position : { epoch, batch: 0 }
      let last: Omit<TrainEvent<P, S>, 'training'> | null = null
      for (const batch of batches(c.data, c.loader, from)) {
        await breathe()
        if (c.signal?.aborted === true) return E.right(state.read())
        const lr = c.schedule?.(step)
        // Whoever wants the state before this step has had the time to read it.
        const before = state
        const done = stepper.step(batch, lr)
        if (E.isLeft(done)) return done
        before.close()
        state = later(done.right.training)
        step++
        position = batch.position
        const { loss, accuracy = null } = c.measure(done.right.outputs, batch.tensors)
        last = {
          tag: 'step',
          step,
          epoch: position.epoch,
          batch: position.batch,
          batches: total,
          size: batch.size,
          lr: lr ?? null,
          loss,
          accuracy,
          warnings: done.right.warnings,
        }
        yield eventOf(last, state)
      }
      const [ended, next] = [state, { epoch: epoch + 1, batch: 0 }]
      position = next
      state = later(() => ({ ...ended.read(), position: next }))
      if (last !== null) yield eventOf({ ...last, tag: 'epoch' }, state)
    }
    return E.right(state.read())
  } finally {
    // The last event's state outlives the memory that it is copied from.
    state.read()
    stepper.dispose()
  }
}

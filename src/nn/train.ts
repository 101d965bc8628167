/** The training loop: pure steps over explicit state, told as a stream of events. Clock, terminal and files are the caller's. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors, QuantWarning } from '../data/error.js'
import type { Backend } from '../evaluator/backend.js'
import type { Program } from '../graph/program.js'
import { batches, batchesPerEpoch, countOf, type Batch, type LoaderOptions, type Position, type Samples } from './loader.js'
import type { Optimizer, OptimState } from './optim.js'
import { compile, type Compiled, type Grads, type Ran } from './program.js'
import type { Schedule } from './schedules.js'

/** Everything that training moves on. Plain data: store it, and training goes on from there with the same bits. */
export type TrainState<P, S> = { readonly params: P; readonly state: S; readonly optim: OptimState; readonly position: Position; readonly step: number }

/** Where training begins. */
export const startTraining = <P, S>(initial: { readonly params: P; readonly state: S }, optimizer: Optimizer): TrainState<P, S> =>
  ({ params: initial.params, state: initial.state, optim: optimizer.init(), position: { epoch: 0, batch: 0 }, step: 0 })

/** What is trained, on what, and how. */
export type TrainConfig<P, S, I, O, D extends Samples> = {
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

/** One step is done. `training` is the state after it. */
export type TrainEvent<P, S> = {
  readonly tag: 'step' | 'epoch'
  readonly step: number
  readonly epoch: number
  readonly batch: number
  readonly batches: number
  readonly size: number
  readonly lr: number | null
  readonly loss: number
  readonly accuracy: number | null
  readonly warnings: readonly QuantWarning[]
  readonly training: TrainState<P, S>
}

/** Lets timers and signals have their turn. */
const breathe = (): Promise<void> => new Promise((done) => { setTimeout(done, 0) })

/** One optimizer step from the outcome of a run. */
export const applyStep = <P, S, O>(t: TrainState<P, S>, ran: Ran<S, O>, grads: Grads, optimizer: Optimizer, lr: number | undefined, position: Position): TrainState<P, S> => {
  const next = optimizer.update(grads, t.optim, t.params, ran.state, lr)
  return { params: next.params, state: next.state, optim: next.optim, position, step: t.step + 1 }
}

/** Compiled programs by batch size. */
type Cache<P, S, I, O> = Map<number, Compiled<P, S, I, O>>

const compiledFor = <P, S, I, O, D extends Samples>(cache: Cache<P, S, I, O>, c: TrainConfig<P, S, I, O, D>, size: number): E.Either<QuantErrors, Compiled<P, S, I, O>> => {
  const known = cache.get(size)
  if (known !== undefined) return E.right(known)
  const program = c.program(size)
  const made = E.isLeft(program) ? program : compile(program.right, c.backend)
  if (E.isRight(made)) cache.set(size, made.right)
  return made
}

type Outcome<P, S> = E.Either<QuantErrors, TrainState<P, S>>

const stepOnce = <P, S, I, O, D extends Samples>(c: TrainConfig<P, S, I, O, D>, cache: Cache<P, S, I, O>, t: TrainState<P, S>, batch: Batch<D>, total: number): E.Either<QuantErrors, TrainEvent<P, S>> => {
  const compiled = compiledFor(cache, c, batch.size)
  if (E.isLeft(compiled)) return compiled
  const ran = compiled.right.run({ params: t.params, state: t.state, inputs: c.inputs(batch.tensors) })
  if (E.isLeft(ran)) return ran
  const { loss, accuracy = null } = c.measure(ran.right.outputs, batch.tensors)
  const lr = c.schedule?.(t.step)
  const grads = c.transform === undefined ? ran.right.grads : c.transform(ran.right.grads)
  const training = applyStep(t, ran.right, grads, c.optimizer, lr, batch.position)
  return E.right({ tag: 'step', step: training.step, epoch: batch.position.epoch, batch: batch.position.batch, batches: total, size: batch.size, lr: lr ?? null, loss, accuracy, warnings: ran.right.warnings, training })
}

/**
 * Trains from a state on. Yields an event per step and one at the end of each epoch; returns the last state, or the
 * errors that ended it (the state of the last event stays valid). Aborting returns the state as it is.
 */
export async function* train<P, S, I, O, D extends Samples>(c: TrainConfig<P, S, I, O, D>, start: TrainState<P, S>): AsyncGenerator<TrainEvent<P, S>, Outcome<P, S>, void> {
  const cache: Cache<P, S, I, O> = new Map()
  const total = batchesPerEpoch(countOf(c.data), c.loader)
  let t = start
  try {
    for (let epoch = start.position.epoch; epoch < c.epochs; epoch++) {
      const from = epoch === t.position.epoch ? t.position : { epoch, batch: 0 }
      let last: TrainEvent<P, S> | null = null
      for (const batch of batches(c.data, c.loader, from)) {
        await breathe()
        if (c.signal?.aborted === true) return E.right(t)
        const event = stepOnce(c, cache, t, batch, total)
        if (E.isLeft(event)) return event
        t = event.right.training
        last = event.right
        yield event.right
      }
      t = { ...t, position: { epoch: epoch + 1, batch: 0 } }
      if (last !== null) yield { ...last, tag: 'epoch', training: t }
    }
    return E.right(t)
  } finally {
    for (const compiled of cache.values()) compiled.dispose()
  }
}

/** What a training is asked, and what it tells. */
import type * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors, QuantWarning } from '../../data/error.js'
import type { Backend, TrustOptions } from '../../evaluator/backend.js'
import type { Program } from '../../graph/program.js'
import type { Grads } from '../program/program.js'
import type { BatchSource } from './batchSource.js'
import type { LoaderOptions, Samples } from './loader.js'
import type { Optimizer } from './optim.js'
import type { Carrying } from './options.js'
import type { Schedule } from './schedules.js'
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

/** A training under way: an event per batch and per epoch; returned at the end are the last state, or the errors that ended it. */
export type Training<P, S> = AsyncGenerator<TrainEvent<P, S>, E.Either<QuantErrors, TrainState<P, S>>, void>

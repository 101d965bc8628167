/** One training run of one network: loop, checkpoints, progress. Effects stand here, at the edge. */
import * as E from 'fp-ts/lib/Either.js'
import { existsSync } from 'node:fs'
import {
  accuracy,
  adam,
  checkpointToBytes,
  cosineDecay,
  createWasm,
  crossEntropy,
  init,
  parseCheckpoint,
  reference,
  startTraining,
  train,
  type Backend,
  type Layer,
  type QuantErrors,
  type TrainEvent,
  type TrainState,
} from '../../src/index.js'
import { readFileBytes, writeFileWhole } from '../../src/node/index.js'
import type { Digits } from './data.js'

/** How a network is trained. */
export type Recipe = { readonly epochs: number; readonly seed: number; readonly batchSize: number; readonly lr: number }
/** Where it runs, where it is kept, and who is told. */
export type Surroundings<P, S> = {
  readonly backend: Backend
  readonly checkpoint: string
  readonly resume: boolean
  readonly signal: AbortSignal
  readonly onEvent: (event: TrainEvent<P, S>) => void
}
/** How it ended. */
export type Trained<P, S> = { readonly training: TrainState<P, S>; readonly finished: boolean }

/** A backend that is open until disposed, and what of the machine it uses, in words. */
export type OpenBackend = { readonly backend: Backend; readonly uses: string; readonly dispose: () => void }

/** Opens a backend by name; `threads` 0: as many as there are cores. */
export const openBackend = async (
  name: 'reference' | 'wasm',
  threads: number,
): Promise<E.Either<QuantErrors, OpenBackend>> => {
  if (name === 'reference')
    return E.right({ backend: reference, uses: 'the reference backend', dispose: () => undefined })
  const made = await createWasm(threads === 0 ? {} : { threads })
  if (E.isLeft(made)) return made
  const { features: f, dispose } = made.right
  const uses = [`WebAssembly, ${f.level}, ${f.threads} thread${f.threads === 1 ? '' : 's'}`, ...f.notes].join('; ')
  return E.right({ backend: made.right, uses, dispose })
}

/** Training is copied out of the backend's memory where it is read: only these steps are kept. */
export const isKept = (event: { readonly tag: 'step' | 'epoch'; readonly step: number }): boolean =>
  event.tag === 'epoch' || event.step % STEPS_PER_CHECKPOINT === 0

const STEPS_PER_CHECKPOINT = 50

/** Trains from the beginning, or from the checkpoint if asked to resume; ends early, with a checkpoint, on the signal. */
export const trainNet = async <P, S>(
  net: Layer<P, S>,
  data: Digits,
  recipe: Recipe,
  around: Surroundings<P, S>,
): Promise<E.Either<QuantErrors, Trained<P, S>>> => {
  const optimizer = adam({ lr: recipe.lr })
  const initial = init(net, recipe.seed)
  if (E.isLeft(initial)) return initial
  const fresh = startTraining(initial.right, optimizer)
  const start =
    around.resume && existsSync(around.checkpoint)
      ? E.chain(parseCheckpoint(fresh, net))(readFileBytes(around.checkpoint))
      : E.right(fresh)
  if (E.isLeft(start))
    return E.left(
      start.left.map((e) => ({
        ...e,
        message: `${around.checkpoint}: ${e.message}`,
        fix: 'delete that file, or run without --resume',
      })),
    )
  const { epochs, seed, batchSize } = recipe
  const steps = epochs * Math.ceil(data.labels.data.length / batchSize)
  const events = train(
    net,
    crossEntropy,
    { x: data.images, target: data.labels },
    {
      start: start.right,
      optimizer,
      schedule: cosineDecay(recipe.lr, steps),
      epochs,
      seed,
      batchSize,
      accuracy,
      signal: around.signal,
      backend: around.backend,
    },
  )
  const save = (training: TrainState<P, S>): E.Either<QuantErrors, unknown> =>
    writeFileWhole(around.checkpoint, checkpointToBytes(training))
  for (;;) {
    const next = await events.next()
    if (next.done === true) {
      if (E.isLeft(next.value)) return next.value
      const saved = save(next.value.right)
      if (E.isLeft(saved)) return saved
      return E.right({ training: next.value.right, finished: next.value.right.position.epoch >= epochs })
    }
    around.onEvent(next.value)
    if (!isKept(next.value)) continue
    const saved = save(next.value.training)
    if (E.isLeft(saved)) return saved
  }
}

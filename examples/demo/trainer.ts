/** Trains, and listens while it does: pause, one step, another pace, other bits, a restart, the end. Knows no worker and no page. */
import * as E from 'fp-ts/lib/Either.js'
import {
  accuracy,
  adam,
  cosineDecay,
  explainAll,
  startTraining,
  train,
  valueOf,
  type Backend,
  type QuantErrors,
  type Tensor,
} from '../../src/index.js'
import type { Digits } from '../digits/data.js'
import { newCamera, slice, type Step, type Training } from './camera.js'
import { newDesk, type Desk } from './desk.js'
import { initialOf, trainedProgram, watchOf, type Watch } from './programs.js'
import type { Edition, Order, Recipe, Report } from './protocol.js'

/** What a training needs. `now`: a clock in ms. */
export type TrainerOptions = {
  readonly backend: Backend
  readonly recipe: Recipe
  readonly edition: Edition
  readonly train: Digits
  readonly held: Digits
  readonly paused: boolean
  readonly post: (report: Report) => void
  readonly now: () => number
}
/** A training under way. `done` resolves when it was stopped. */
export type Trainer = { readonly tell: (order: Order) => void; readonly done: Promise<void> }

/** What all editions of a training share. */
type Plan = TrainerOptions & {
  readonly desk: Desk
  readonly batchSize: number
  readonly testSize: number
  readonly batches: number
}

const TEST_BATCH = 100
type Outcome = E.Either<QuantErrors, Training>

const optimizerOf = (recipe: Recipe) => adam({ lr: recipe.lr })

const freshAt = (recipe: Recipe, edition: Edition): Outcome => {
  const initial = initialOf(edition.bits, recipe.seed)
  return E.isLeft(initial) ? initial : E.right(startTraining(initial.right, optimizerOf(recipe)))
}

const eventsOf = (p: Plan, edition: Edition, from: Training, see: (images: Tensor) => void) =>
  train(
    {
      program: trainedProgram(edition.bits),
      data: p.train,
      loader: { batchSize: p.batchSize, seed: p.recipe.seed, dropLast: true },
      epochs: p.recipe.epochs,
      optimizer: optimizerOf(p.recipe),
      schedule: cosineDecay(p.recipe.lr, p.recipe.epochs * p.batches),
      backend: p.backend,
      signal: p.desk.stopped,
      inputs: (batch) => {
        see(batch.images)
        return { x: batch.images, target: batch.labels }
      },
      measure: (outputs, batch) => ({
        loss: valueOf(outputs.loss).data[0],
        accuracy: accuracy(valueOf(outputs.y), batch.labels),
      }),
    },
    from,
  )

/** Trains one edition until another one, or the end, is wanted; gives the training as it stands then. */
const runWatched = async (p: Plan, mine: Edition, from: Training, watch: Watch): Promise<Outcome> => {
  const { desk } = p
  const camera = newCamera(watch, p.now, (frame) =>
    p.post({ tag: 'frame', edition: { run: mine.run, version: mine.version }, frame }),
  )
  let images = slice(p.train.images, 0, p.batchSize)
  let at: Pick<Step, 'epoch' | 'batch' | 'batches'> = { ...from.position, batches: p.batches }
  const events = eventsOf(p, mine, from, (seen) => {
    images = seen
  })
  let training = (): Training => from
  /** Looks, after a test where one is due. */
  const look = async (tested: boolean): Promise<E.Either<QuantErrors, void>> => {
    const done = tested ? await camera.test(training(), p.held, p.testSize) : E.right(undefined)
    return E.isLeft(done) ? done : camera.shoot(training(), at, images)
  }
  try {
    const first = await look(from.position.epoch >= p.recipe.epochs)
    if (E.isLeft(first)) return first
    // The end of an epoch is an event of its own: who asked for one step gets it, not that.
    let owed = false
    for (;;) {
      const told = desk.isPaused() && camera.stale() ? await look(false) : E.right(undefined)
      if (E.isLeft(told)) return told
      if (!owed && !(await desk.leave(mine))) return E.right(training())
      const began = p.now()
      const next = await events.next()
      if (next.done === true) return await ending(p, mine, next.value)
      const step = next.value
      owed = step.tag !== 'step'
      at = step
      training = () => step.training
      if (step.tag === 'step') camera.note(step)
      const looked = step.tag === 'epoch' || camera.due() ? await look(step.tag === 'epoch') : E.right(undefined)
      if (E.isLeft(looked)) return looked
      if (desk.pace() > 0) await desk.rest(Math.max(0, desk.pace() - (p.now() - began)))
    }
  } finally {
    await events.return(E.right(from))
  }
}

/** All epochs are done: waits for what comes next. */
const ending = async ({ desk, post }: Plan, mine: Edition, outcome: Outcome): Promise<Outcome> => {
  if (E.isRight(outcome) && !desk.stopped.aborted) {
    post({ tag: 'status', status: 'finished' })
    await desk.idle(mine)
  }
  return outcome
}

const runEdition = async (p: Plan, mine: Edition, from: Training): Promise<Outcome> => {
  const watch = watchOf(mine.bits, p.batchSize, p.testSize, p.backend)
  if (E.isLeft(watch)) return watch
  p.post({ tag: 'status', status: p.desk.status() })
  try {
    return await runWatched(p, mine, from, watch.right)
  } finally {
    watch.right.dispose()
  }
}

/** One edition after the other: other bits go on with the same training, another run begins anew. */
const work = async (p: Plan): Promise<void> => {
  const { desk } = p
  let mine = desk.edition()
  let outcome = freshAt(p.recipe, mine)
  while (!desk.stopped.aborted) {
    if (E.isRight(outcome)) outcome = await runEdition(p, mine, outcome.right)
    if (E.isLeft(outcome)) {
      p.post({ tag: 'failed', message: explainAll(outcome.left) })
      await desk.idle(mine)
    }
    const wanted = desk.edition()
    if (wanted.run !== mine.run || E.isLeft(outcome)) outcome = freshAt(p.recipe, wanted)
    mine = wanted
  }
  p.post({ tag: 'status', status: 'stopped' })
}

/** Starts training in the background. */
export const startTrainer = (o: TrainerOptions): Trainer => {
  const desk = newDesk(o.edition, o.paused, (status) => o.post({ tag: 'status', status }))
  const samples = o.train.labels.data.length
  const batchSize = Math.min(o.recipe.batchSize, samples)
  const plan: Plan = {
    ...o,
    desk,
    batchSize,
    testSize: Math.min(TEST_BATCH, o.held.labels.data.length),
    batches: Math.floor(samples / batchSize),
  }
  return { tell: desk.tell, done: work(plan) }
}

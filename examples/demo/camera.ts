/** Makes frames of a training: at most ten a second, and never more than a fifth of the time for looking. */
import * as E from 'fp-ts/lib/Either.js'
import { accuracy, valueOf, type QuantErrors, type Tensor, type TrainEvent, type TrainState } from '../../src/index.js'
import type { LiveFrame, LivePoint } from '../../viz/index.js'
import type { Digits } from '../digits/data.js'
import type { Params, State, Watch } from './programs.js'
import { describe } from './watch.js'

const FRAME_MS = 100
const LOOKING_SHARE = 0.2
const RATE_MS = 1000

/** The training of the demo, and what is told of its steps. */
export type Training = TrainState<Params, State>
/** One of its steps. */
export type Step = TrainEvent<Params, State>

/** Rows `from` … `to` of a tensor, without a copy. */
export const slice = (t: Tensor, from: number, to: number): Tensor => {
  const size = t.shape.slice(1).reduce((p, n) => p * n, 1)
  return { shape: [to - from, ...t.shape.slice(1)], data: t.data.subarray(from * size, to * size) }
}

/** Takes note of steps, looks at the quantizers, and posts frames. */
export type Camera = {
  readonly note: (step: Step) => void
  readonly shoot: (
    t: Training,
    at: Pick<Step, 'epoch' | 'batch' | 'batches'>,
    images: Tensor,
  ) => E.Either<QuantErrors, void>
  /** Runs the network in eval over held-out digits; the next frame tells the accuracy. */
  readonly test: (t: Training, held: Digits, size: number) => Promise<E.Either<QuantErrors, void>>
  /** Is it time for a frame? */
  readonly due: () => boolean
  /** Are there steps that no frame has told? */
  readonly stale: () => boolean
}

/** The share of held-out images that the network gets right; lets orders in between batches. */
const shareRight = async (
  watch: Watch,
  t: Training,
  held: Digits,
  size: number,
): Promise<E.Either<QuantErrors, number>> => {
  const batches = Math.floor(held.labels.data.length / size)
  let right = 0
  for (let b = 0; b < batches; b++) {
    await new Promise((done) => {
      setTimeout(done, 0)
    })
    const ran = watch.test.run({
      params: t.params,
      state: t.state,
      inputs: slice(held.images, b * size, (b + 1) * size),
    })
    if (E.isLeft(ran)) return ran
    right += accuracy(valueOf(ran.right.outputs), slice(held.labels, b * size, (b + 1) * size))
  }
  return E.right(right / batches)
}

/** A camera on one edition. */
export const newCamera = (watch: Watch, now: () => number, post: (frame: LiveFrame) => void): Camera => {
  let points: LivePoint[] = []
  let held: LiveFrame['held'] = null
  let [due, since, images, rate] = [0, now(), 0, 0]
  return {
    due: () => now() >= due,
    stale: () => points.length > 0,
    note: (e) => {
      points.push([e.step, e.loss, e.accuracy ?? 0])
      images += e.size
    },
    shoot: (t, { epoch, batch, batches }, seen) => {
      const began = now()
      if (rate === 0 || began - since > RATE_MS)
        [rate, since, images] = [(images * 1000) / Math.max(1, began - since), began, 0]
      const ran = watch.look.run({ params: t.params, state: t.state, inputs: seen })
      if (E.isLeft(ran)) return ran
      post({
        step: t.step,
        epoch,
        batch,
        batches,
        imagesPerSecond: rate,
        points,
        held,
        quantizers: describe(watch.watched, ran.right.outputs, t.state),
      })
      points = []
      held = null
      due = now() + Math.max(FRAME_MS, (now() - began) / LOOKING_SHARE)
      return E.right(undefined)
    },
    test: async (t, digits, size) => {
      const share = await shareRight(watch, t, digits, size)
      if (E.isLeft(share)) return share
      held = { step: t.step, accuracy: share.right }
      return E.right(undefined)
    },
  }
}

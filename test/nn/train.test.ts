/** The training loop: it learns, stops and goes on bit for bit, and tells what it does. */
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import { get, same } from './support.js'
import { suite } from '../support/suite.js'

const test = suite('nn: train')

const net = q.chain({
  input: q.QuantIdentity({ collectStatsSteps: 4, returnQuantTensor: true }),
  fc1: q.QuantLinear({ inFeatures: 2, outFeatures: 6, returnQuantTensor: true }),
  act: q.QuantReLU({ collectStatsSteps: 4, returnQuantTensor: true }),
  fc2: q.QuantLinear({ inFeatures: 6, outFeatures: 2 }),
})
const task = q.withLoss(net, q.crossEntropy)

const n = 22
/** Two classes: is the first coordinate the larger one? */
const data = (() => {
  const [x] = q.uniform(-1, 1, [n, 2])(q.manualSeed(3))
  return {
    x,
    target: {
      shape: [n],
      data: Float32Array.from({ length: n }, (_, i) => (x.data[2 * i] > x.data[2 * i + 1] ? 1 : 0)),
    },
  }
})()

const initial = get(q.init(task, 1))
const configOf = (sizes: number[] = [], signal?: AbortSignal, schedule: q.Schedule = q.cosineDecay(0.02, 60)) => {
  const optimizer = q.adam({ weightDecay: 1e-3, mask: ({ kind }) => (kind === 'state' ? { weightDecay: 0 } : {}) })
  return {
    program: (size: number) => {
      sizes.push(size)
      return E.chain((p: ReturnType<typeof traced>) => q.grad(p, { output: 'loss' }))(traceFor(size))
    },
    data,
    loader: { batchSize: 4, seed: 9 },
    epochs: 8,
    optimizer,
    schedule,
    transform: q.clipGradNorm(1),
    inputs: (batch: typeof data) => batch,
    measure: (out: { readonly loss: q.Output; readonly y: q.Output }, batch: typeof data) => ({
      loss: q.valueOf(out.loss).data[0],
      accuracy: q.accuracy(q.valueOf(out.y), batch.target),
    }),
    ...(signal === undefined ? {} : { signal }),
  }
}
const traceFor = (size: number) =>
  q.trace(task, { x: q.tensorInput([size, 2]), target: q.tensorInput([size]) }, { mode: 'train' })
const traced = (size: number) => get(traceFor(size))

type Start = q.TrainState<typeof initial.params, typeof initial.state>
type Told = Omit<q.TrainEvent<typeof initial.params, typeof initial.state>, 'training'>
const begin: Start = q.startTraining(initial, configOf().optimizer)

/** Runs to the end, or until `stopAfter` steps have been told. */
const play = async (
  start: Start,
  stopAfter = Infinity,
  sizes: number[] = [],
): Promise<{ readonly end: Start; readonly events: readonly Told[] }> => {
  const stop = new AbortController()
  const walk = q.train(configOf(sizes, stop.signal), start)
  const events: Told[] = []
  for (;;) {
    const next = await walk.next()
    if (next.done === true) return { end: get(next.value), events }
    const { training: _, ...told } = next.value
    events.push(told)
    if (events.filter((e) => e.tag === 'step').length >= stopAfter) stop.abort()
  }
}

const mean = (events: readonly Told[], epoch: number): number => {
  const losses = events.filter((e) => e.tag === 'step' && e.epoch === epoch).map((e) => e.loss)
  return losses.reduce((a, b) => a + b, 0) / losses.length
}

test('the loss falls and the classes are learned', async () => {
  const { events, end } = await play(begin)
  const [first, last] = [mean(events, 0), mean(events, 7)]
  same(last < 0.75 * first, true)
  same(end.step, 48)
  same(end.position, { epoch: 8, batch: 0 })
  same(end.state.act.actQuant.scale !== undefined, true)
})

test('events: a step each, an epoch at its end, the ragged batch with its size', async () => {
  const sizes: number[] = []
  const { events } = await play(begin, Infinity, sizes)
  const first = events.slice(0, 7)
  same(
    first.map((e) => [e.tag, e.step, e.epoch, e.batch, e.batches, e.size]),
    [...[1, 2, 3, 4, 5].map((k) => ['step', k, 0, k, 6, 4]), ['step', 6, 0, 6, 6, 2], ['epoch', 6, 0, 6, 6, 2]],
  )
  same(
    events.every((e) => e.accuracy !== null && e.accuracy >= 0 && e.accuracy <= 1 && e.warnings.length === 0),
    true,
  )
  same(events[0].lr, 0.02)
  same(sizes, [4, 2])
})

test('stopped after k steps and gone on from there: the same bits as without a stop', async () => {
  const whole = await play(begin)
  for (const k of [1, 3, 5, 6, 7, 20]) {
    const cut = await play(begin, k)
    same(cut.end.step, k)
    const rest = await play(structuredClone(cut.end))
    same(rest.end, whole.end)
    same(
      [...cut.events, ...rest.events].filter((e) => e.tag === 'step'),
      whole.events.filter((e) => e.tag === 'step'),
    )
  }
})

test('a stop between the last step of an epoch and its event loses no event', async () => {
  const walk = q.train(configOf(), begin)
  let last: Start = begin
  for (let k = 0; k < 6; k++) {
    const next = await walk.next()
    if (next.done !== true) last = next.value.training
  }
  await walk.return(E.right(last))
  same(last.position, { epoch: 0, batch: 6 })
  const again = await q.train(configOf(), last).next()
  same(again.done === true ? null : [again.value.tag, again.value.epoch, again.value.step], ['step', 1, 7])
})

test('an abort before the first step returns the start as it is', async () => {
  const done = await q.train(configOf([], AbortSignal.abort()), begin).next()
  same(done.done === true && get(done.value) === begin, true)
})

test('the start stays valid: training twice from it gives the same end', async () => {
  const copy = structuredClone(begin)
  const [a, b] = [await play(begin, 9), await play(begin, 9)]
  same(a.end, b.end)
  same(begin, copy)
})

test('errors of a trace end training with a value', async () => {
  const broken = {
    ...configOf(),
    program: (size: number) =>
      E.chain((p: ReturnType<typeof traced>) => q.grad(p))(
        q.trace(task, { x: q.tensorInput([size, 3]), target: q.tensorInput([size]) }, { mode: 'train' }),
      ),
  }
  const done = await q.train(broken, begin).next()
  same(
    done.done === true &&
      E.isLeft(done.value) &&
      done.value.left.some((e) => e.tag === 'ShapeError' && e.path === 'fc1'),
    true,
  )
})

test.run()

/** The training loop on WebAssembly: it stops and goes on with the same bits, and tells when its memory is read too late. */
import assert from 'node:assert/strict'
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'
import { get } from './support/programs.js'

const test = suite('wasm: train')

const net = q.chain({
  input: q.QuantIdentity({ collectStatsSteps: 4, returnQuantTensor: true }),
  fc: q.QuantLinear({ inFeatures: 3, outFeatures: 2 }),
})
const task = q.withLoss(net, q.crossEntropy)
const n = 22
const data = {
  x: q.randn([n, 3])(q.manualSeed(3))[0],
  target: q.tensorOf(
    [n],
    Array.from({ length: n }, (_, i) => i % 2),
  ),
}
const initial = get(q.init(task, 1))
const optimizer = q.adam({ lr: 0.02 })
const config = (signal?: AbortSignal) => ({
  program: (size: number) =>
    q.grad(get(q.trace(task, { x: q.tensorInput([size, 3]), target: q.tensorInput([size]) }, { mode: 'train' })), {
      output: 'loss',
    }),
  data,
  loader: { batchSize: 4, seed: 9 },
  epochs: 3,
  optimizer,
  backend: q.wasm,
  inputs: (batch: typeof data) => batch,
  measure: (out: { readonly loss: q.Output }) => ({ loss: q.valueOf(out.loss).data[0] }),
  ...(signal === undefined ? {} : { signal }),
})
const begin = q.startTraining(initial, optimizer)

/** Runs to the end, or until so many steps have been told. */
const play = async (start: typeof begin, stopAfter = Infinity): Promise<typeof begin> => {
  const stop = new AbortController()
  const walk = q.train(config(stop.signal), start)
  for (let steps = 0; ;) {
    const next = await walk.next()
    if (next.done === true) return get(next.value)
    if (next.value.tag === 'step') steps++
    if (steps >= stopAfter) stop.abort()
  }
}

test('stopped and gone on from a copy: the same bits, ragged last batches included', async () => {
  const whole = await play(begin)
  assert.equal(whole.step, 18)
  for (const k of [2, 5, 6, 7]) {
    const cut = await play(begin, k)
    assert.equal(cut.step, k)
    assert.deepEqual(await play(structuredClone(cut)), whole)
  }
})

test('the state of an event that is read too late is an error; read in time it stays', async () => {
  const walk = q.train(config(), begin)
  const [first, second] = [await walk.next(), await walk.next()]
  if (first.done === true || second.done === true) throw new Error('training ended')
  const told = first.value
  assert.throws(() => told.training, { name: 'QuantFailure' })
  const kept = second.value.training
  const copy = structuredClone(kept)
  await walk.next()
  assert.deepEqual(kept, copy)
  await walk.return(E.right(begin))
})

test.run()

/** The short form of training: what it stands for, what it takes, what it refuses. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('nn: train(net, loss, examples, recipe)')

const net = q.chain({
  input: q.QuantIdentity({ collectStatsSteps: 4, returnQuantTensor: true }),
  fc1: q.QuantLinear({ inFeatures: 2, outFeatures: 6, returnQuantTensor: true }),
  norm: q.BatchNorm1d({ numFeatures: 6 }),
  act: q.QuantReLU({ collectStatsSteps: 4 }),
  fc2: q.QuantLinear({ inFeatures: 6, outFeatures: 2 }),
})

const n = 22
const [x] = q.uniform(-1, 1, [n, 2])(q.manualSeed(3))
const target: q.Tensor = {
  shape: [n],
  data: Float32Array.from({ length: n }, (_, i) => (x.data[2 * i] > x.data[2 * i + 1] ? 1 : 0)),
}
const data = { x, target }
const optimizer = q.adam({ lr: 0.02 })
const bytes = (t: E.Either<q.QuantErrors, q.TrainState<unknown, unknown>>): string =>
  q.checkpointToBytes(q.orThrow(t)).join()

test('it has the bits of the long form', async () => {
  const short = await q.finish(q.train(net, q.crossEntropy, data, { optimizer, epochs: 3, batchSize: 4, seed: 9 }))
  const task = q.withLoss(net, q.crossEntropy)
  const long = q.train(
    {
      program: (size) =>
        E.chain((p: q.Program<unknown, unknown, unknown, unknown>) => q.grad(p, { output: 'loss' }))(
          q.trace(task, { x: q.tensorInput([size, 2]), target: q.tensorInput([size]) }, { mode: 'train' }) as never,
        ) as never,
      data,
      loader: { batchSize: 4, seed: 9 },
      epochs: 3,
      optimizer,
      inputs: (batch: typeof data) => batch,
      measure: (out: { readonly loss: q.Output }) => ({ loss: q.valueOf(out.loss).data[0] }),
    },
    q.startTraining(q.orThrow(q.init(task, 9)) as never, optimizer),
  )
  assert.is(bytes(short), bytes((await q.finish(long)) as typeof short))
})

test('it goes on from a state, counts accuracy, and takes batches made elsewhere', async () => {
  const first = q.orThrow(await q.finish(q.train(net, q.crossEntropy, data, { optimizer, epochs: 2, batchSize: 11 })))
  const both = q.train(net, q.crossEntropy, data, { optimizer, epochs: 4, batchSize: 11 })
  const told: number[] = []
  const rest = q.train(net, q.crossEntropy, data, {
    optimizer,
    epochs: 4,
    batchSize: 11,
    start: first,
    accuracy: q.accuracy,
  })
  const resumed = await q.finish(rest, (e) => told.push(e.accuracy ?? NaN))
  assert.is(bytes(resumed), bytes(await q.finish(both)))
  assert.is(told.length, 2 * 3)
  assert.ok(told.every((a) => a >= 0 && a <= 1))
  const whole = await q.finish(q.train(net, q.crossEntropy, [data, data], { optimizer, epochs: 1 }))
  assert.is(q.orThrow(whole).step, 2)
})

test('frozen layers keep their statistics', async () => {
  const recipe = { optimizer, epochs: 1, batchSize: 11, freeze: ['norm'] }
  const { state } = q.orThrow(
    await q.finish(q.train(net, q.mseLoss, { x, target: { shape: [n, 2], data: x.data } }, recipe)),
  )
  assert.equal(state.norm.runningMean.data, new Float32Array(6))
})

const refusal = async (events: AsyncGenerator<unknown, E.Either<q.QuantErrors, unknown>, void>): Promise<string> => {
  const end = await q.finish(events)
  if (E.isRight(end)) throw new Error('it trained')
  return q.explainAll(end.left)
}

test('what is wrong is said before anything is drawn or traced', async () => {
  const wrong = (more: object, examples: unknown = data): Promise<string> =>
    refusal(q.train(net, q.crossEntropy, examples as typeof data, { optimizer, epochs: 1, ...more }))
  assert.match(await wrong({ batchsize: 3 }), /did you mean batchSize/)
  assert.match(await wrong({ batchSize: 0 }), /batchSize/)
  assert.match(await wrong({ optimizer: q.adam }), /call it/)
  assert.match(await wrong({ epochs: undefined }), /epochs/)
  assert.match(await wrong({ freeze: 3 }), /freeze/)
  assert.match(await wrong({}, { images: x, target }), /needs examples \{ x, target \}/)
  assert.match(await wrong({}, { x, target: { shape: [n + 1], data: new Float32Array(n + 1) } }), /22|23/)
  assert.match(await wrong({}, null), /needs examples.*null/)
  const noNet = q.train({} as typeof net, q.crossEntropy, data, { optimizer, epochs: 1 })
  assert.match(await refusal(noNet), /layer/)
  const noLoss = q.train(net, 3 as never, data, { optimizer, epochs: 1 })
  assert.match(await refusal(noLoss), /crossEntropy/)
})

test.run()

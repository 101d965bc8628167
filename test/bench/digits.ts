/** W8: the whole training on the digits, from start to last step, then the accuracy on those held out. */
import { performance } from 'node:perf_hooks'
import {
  accuracy,
  adam,
  batches,
  compile,
  cosineDecay,
  crossEntropy,
  epochOrder,
  gather,
  grad,
  init,
  startTraining,
  tensorInput,
  trace,
  trainer,
  valueOf,
  withLoss,
  type Backend,
  type Output,
  type Tensor,
} from '../../src/index.js'
import { loadDigits, type Digits } from '../../examples/digits/data.js'
import { idOf, network, TRAINING, type Case } from './cases.js'
import { handOver, type Numbers } from './handover.js'
import type { Done, Surroundings } from './peer.js'
import { get } from './subject.js'

const { batch, epochs, lr, seed, collect } = TRAINING
const steps = epochs * Math.ceil(TRAINING.train / batch)
const declared = { x: tensorInput([batch, 1, 28, 28]), target: tensorInput([batch]) }

const program = () =>
  get(grad(get(trace(withLoss(network(collect), crossEntropy), declared, { mode: 'train' })), { output: 'loss' }))

/** Data, first parameters, the order of the samples in each epoch, and the loss of the first step. */
const numbersOf = (train: Digits, test: Digits, backend: Backend): Numbers => {
  const start = get(init(network(collect), 0))
  const order = new Float32Array(epochs * TRAINING.train)
  for (let e = 0; e < epochs; e++) order.set(epochOrder(TRAINING.train, e, seed), e * TRAINING.train)
  const first = order.subarray(0, batch)
  const compiled = get(compile(program(), backend))
  const ran = get(
    compiled.run({
      params: start.params,
      state: start.state,
      inputs: { x: gather(train.images, first), target: gather(train.labels, first) } as never,
    }),
  )
  compiled.dispose()
  const params: Record<string, Tensor> = {}
  for (const [layer, of] of Object.entries(start.params))
    for (const [name, t] of Object.entries(of as { readonly [name: string]: Tensor })) params[`${layer}.${name}`] = t
  return {
    given: {
      ...params,
      images: train.images,
      labels: train.labels,
      testImages: test.images,
      testLabels: test.labels,
      order: { shape: [epochs, TRAINING.train], data: order },
    },
    expected: { loss: { tensor: valueOf((ran.outputs as { readonly loss: Output }).loss), tolerance: 0.01 } },
  }
}

const accuracyOf = (params: unknown, state: unknown, test: Digits, backend: Backend): number => {
  const net = network(collect)
  const compiled = get(compile(get(trace(net, tensorInput([250, 1, 28, 28]), { mode: 'eval' })), backend))
  let right = 0
  for (let at = 0; at < TRAINING.test; at += 250) {
    const images = { shape: [250, 1, 28, 28], data: test.images.data.subarray(at * 784, (at + 250) * 784) }
    const ran = get(compiled.run({ params: params as never, state: state as never, inputs: images }))
    right += 250 * accuracy(valueOf(ran.outputs), { shape: [250], data: test.labels.data.subarray(at, at + 250) })
  }
  compiled.dispose()
  return right / TRAINING.test
}

/** The clock runs from the first line of building the network to the last step. */
export const trainDigits = (c: Case, around: Surroundings, backend: Backend): Done => {
  const { train, test } = loadDigits(TRAINING.train, TRAINING.test)
  handOver(around.folder, idOf(c), () => numbersOf(train, test, backend))
  const began = performance.now()
  const optimizer = adam({ lr })
  const schedule = cosineDecay(lr, steps)
  const t = get(trainer(program(), optimizer, startTraining(get(init(network(collect), 0)), optimizer), backend))
  let at = 0
  for (let epoch = 0; epoch < epochs; epoch++)
    for (const b of batches({ x: train.images, target: train.labels }, { batchSize: batch, seed }, { epoch, batch: 0 }))
      get(t.step(b.tensors as never, schedule(at++)))
  const ms = performance.now() - began
  const { params, state } = t.training()
  t.dispose()
  return { tag: 'done', rows: [{ id: idOf(c), ms }], accuracy: accuracyOf(params, state, test, backend) }
}

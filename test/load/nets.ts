/** What is trained under load: small networks with all kinds of state. */
import * as q from '../../src/index.js'

const BATCH = 8

/** A network of `width`, differentiated, and where its training starts. */
export const trainingOf = (width: number, seed: number) => {
  const net = q.chain({
    a: q.QuantIdentity({ collectStatsSteps: 20, returnQuantTensor: true }),
    fc1: q.QuantLinear({ inFeatures: 4, outFeatures: width }),
    bn: q.BatchNorm1d({ numFeatures: width }),
    act: q.QuantReLU({ collectStatsSteps: 20, returnQuantTensor: true }),
    fc2: q.QuantLinear({ inFeatures: width, outFeatures: 3 }),
  })
  const inputs = { x: q.tensorInput([BATCH, 4]), target: q.tensorInput([BATCH]) }
  const program = q.orThrow(
    q.grad(q.orThrow(q.trace(q.withLoss(net, q.crossEntropy), inputs, { mode: 'train' })), { output: 'loss' }),
  )
  const optimizer = q.adam({ lr: 0.01 })
  return { net, program, optimizer, start: q.startTraining(q.orThrow(q.init(net, seed)), optimizer) }
}

/** The `k`-th batch: classes are told by the largest of three numbers. */
export const batchOf = (k: number): { readonly x: q.Tensor; readonly target: q.Tensor } => {
  const [x] = q.randn([BATCH, 4])(q.manualSeed(k))
  const target = q.tensorOf(
    [BATCH],
    Array.from({ length: BATCH }, (_, i) => {
      const row = x.data.subarray(4 * i, 4 * i + 3)
      return row.indexOf(Math.max(...row))
    }),
  )
  return { x, target }
}

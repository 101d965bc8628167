/** What quantrace computes: a forward in evaluation, and one step of plain gradient descent on the whole batch. */
import * as q from '../../src/index.js'
import type { Case } from './nets.js'

/** Parameters and state. */
export type Trees = { readonly params: q.TensorTree; readonly state: q.TensorTree }

const input = (c: Case) => q.tensorInput(c.x.shape)

/** The output in evaluation mode. */
export const forward = (c: Case, trees: Trees): q.Tensor => {
  const program = q.orThrow(q.trace(c.net, input(c), { mode: 'eval' }))
  return q.valueOf(q.orThrow(q.run(program, { ...trees, inputs: c.x })).outputs)
}

/** Parameters and state after one step. */
export const step = (c: Case, { params, state }: Trees, lr: number): Trees => {
  const task = q.withLoss(c.net, c.loss === 'mse' ? q.mseLoss : q.crossEntropy)
  const inputs = { x: input(c), target: q.tensorInput(c.target.shape) }
  const program = q.orThrow(q.grad(q.orThrow(q.trace(task, inputs, { mode: 'train' })), { output: 'loss' }))
  const optimizer = q.sgd({ lr })
  const trainer = q.orThrow(q.trainer(program, optimizer, q.startTraining({ params, state }, optimizer), q.reference))
  q.orThrow(trainer.step({ x: c.x, target: c.target }))
  const after = trainer.training()
  trainer.dispose()
  return { params: after.params, state: after.state }
}

/** A state in which every collection is over: as after a training's first steps. */
export const learned = (c: Case, trees: Trees): Trees => {
  const program = q.orThrow(q.trace(c.net, input(c), { mode: 'train' }))
  const { state } = q.orThrow(q.run(program, { ...trees, inputs: c.x }))
  return { params: trees.params, state: q.orThrow(q.finishCollection(c.net)(state)) }
}

const isTensor = (x: unknown): x is q.Tensor => typeof x === 'object' && x !== null && 'data' in x

/** How far two trees are apart: their most distant elements by the largest magnitude of the tensor, and the share of elements beyond rounding. */
export type Apart = { readonly far: number; readonly share: number; readonly where: string }

/** Of the largest magnitude; sums of products are rounded in another order on the other side. */
export const ROUNDING = 1e-5

/** How far two tensors are apart. */
export const apart = (a: q.Tensor, b: q.Tensor, where = ''): Apart => {
  const largest = (data: Float32Array): number => data.reduce((m, v) => Math.max(m, Math.abs(v)), 1e-30)
  const size = Math.max(largest(a.data), largest(b.data))
  const gaps = a.data.map((v, i) => Math.abs(v - b.data[i]) / size)
  const beyond = gaps.reduce((n, gap) => n + Number(gap > ROUNDING), 0)
  return { far: gaps.reduce((m, gap) => Math.max(m, gap), 0), share: beyond / Math.max(1, gaps.length), where }
}

/** Of a collection that is over the average has no meaning any more, and Brevitas forgets it: a counter beyond all counting says so. */
const isForgotten = (tree: object, key: string): boolean => {
  const counter: unknown = Reflect.get(tree, 'counter')
  return key === 'buffer' && isTensor(counter) && counter.data[0] > 1e6
}

/** The leaf of two trees that differs most. */
export const furthest = (a: unknown, b: unknown, path = ''): Apart => {
  if (isTensor(a) && isTensor(b)) return apart(a, b, path)
  if (typeof a !== 'object' || a === null || typeof b !== 'object' || b === null)
    return { far: Infinity, share: 1, where: path }
  return Object.keys(a)
    .filter((key) => !isForgotten(a, key) || !isForgotten(b, key))
    .map((key) => furthest(Reflect.get(a, key), Reflect.get(b, key), path === '' ? key : `${path}.${key}`))
    .reduce((most, one) => (one.far > most.far ? one : most), { far: 0, share: 0, where: '' })
}

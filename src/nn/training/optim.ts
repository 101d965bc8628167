/**
 * Optimizers as pure functions over trees: `(grads, optimizer state, params, state) → all of them anew`. They update
 * parameters and the learned leaves of state together, with the formulas of torch.optim in float32 order.
 */
import * as E from 'fp-ts/lib/Either.js'
import { explainAll } from '../../data/error.js'
import { isTensor, scalar, type Tensor } from '../../data/tensor.js'
import { leaves, mapTree, type Tree } from '../../data/tree.js'
import { sameShape, sizeOf, type Shape } from '../../data/shape.js'
import type { Executable } from '../../evaluator/backend.js'
import { reference } from '../../evaluator/reference/reference.js'
import { newBuilder } from '../../graph/builder.js'
import type { Graph } from '../../graph/graph.js'
import type { Value } from '../../graph/op.js'
import type { Program } from '../../graph/program.js'
import { ops } from '../../ops/index.js'
import type { Grads } from '../program/binding.js'
import { countOfUpdates, slotKey, slotOf, startsNow, updatesSoFar, type OptimState } from './memory.js'
import { adamRule, sgdRule, type UpdateRule } from './updateRules.js'

/** One leaf as a mask sees it. */
export type OptimLeaf = { readonly kind: 'param' | 'state'; readonly path: string }
/** What a mask may say of a leaf; `frozen` leaves keep their very tensors. */
export type LeafRule = { readonly frozen?: boolean; readonly weightDecay?: number; readonly lrScale?: number }
/** Rules per leaf: freeze scales, no decay on thresholds. */
export type Mask = (leaf: OptimLeaf) => LeafRule

/** What an update takes and gives. */
export type Updated<P, S> = { readonly params: P; readonly state: S; readonly optim: OptimState }

/** An optimizer. `lr` of an update overrides the optimizer's own, for schedules. */
export type Optimizer = {
  readonly name: string
  /** What it does to one leaf, as ops of a graph. */
  readonly rule: UpdateRule
  readonly lr: number
  readonly weightDecay: number
  readonly mask: Mask
  readonly init: () => OptimState
  readonly update: <P, S>(
    grads: Pick<Grads, 'params' | 'state'>,
    optim: OptimState,
    params: P,
    state: S,
    lr?: number,
  ) => Updated<P, S>
}

const NO_MASK: Mask = () => ({})

/** The rule applied to one leaf, as a program of its own. */
const leafProgram = (
  rule: UpdateRule,
  t: Tensor,
  weightDecay: number,
): { readonly graph: Graph; readonly names: readonly string[] } => {
  const b = newBuilder({ table: ops, mode: 'train', metadata: false })
  const input = (name: string, shape: Shape): Value => b.input('data', name, shape)
  const [p, g, fresh] = [input('p', t.shape), input('g', t.shape), input('fresh', [])]
  const slots = Object.fromEntries(rule.slots.map((s) => [s.name, input(s.name, t.shape)]))
  const hyper = Object.fromEntries(Object.keys(rule.hyper(1, 1, weightDecay)).map((name) => [name, input(name, [])]))
  const next = rule.apply({ kit: b, p, g, slots, hyper, weightDecay, fresh: rule.asksFresh ? fresh : null })
  const names = Object.keys(next.slots)
  return { graph: b.finish([next.p, ...names.map((n) => next.slots[n])]), names }
}

const runGraph = (graph: Graph, inputs: readonly Tensor[]): readonly Tensor[] => {
  const program: Program = {
    version: 1,
    mode: 'train',
    strict: false,
    graph,
    inputs: [],
    outputs: [],
    structure: { data: {}, params: {}, state: {}, results: {}, nextState: {}, grads: null },
  }
  const ran = E.chain((e: Executable) => e.run(inputs))(reference.prepare(program))
  if (E.isLeft(ran)) throw new RangeError(explainAll(ran.left))
  return ran.right.outputs
}

const optimizer = (
  name: string,
  rule: UpdateRule,
  defaults: { readonly lr: number; readonly weightDecay: number; readonly mask?: Mask },
): Optimizer => ({
  name,
  rule,
  lr: defaults.lr,
  weightDecay: defaults.weightDecay,
  mask: defaults.mask ?? NO_MASK,
  init: () => ({ step: 0, slots: {} }),
  update: (grads, optim, params, state, lr = defaults.lr) => {
    const slots: Record<string, Tensor> = { ...optim.slots }
    const mask = defaults.mask ?? NO_MASK
    const updated = <T>(kind: OptimLeaf['kind'], tree: T, gradTree: Tree<Tensor>): T => {
      const given = new Map(leaves(isTensor, gradTree).map((l) => [l.path, l.leaf] as const))
      return mapTree(isTensor, tree, (t: Tensor, path): Tensor => {
        const g = given.get(path)
        const {
          frozen = false,
          weightDecay = defaults.weightDecay,
          lrScale = 1,
        } = g === undefined ? { frozen: true } : mask({ kind, path })
        if (g === undefined || frozen) return t
        if (!sameShape(g.shape, t.shape))
          throw new RangeError(
            `${name}: the gradient of ${kind} ${path} has shape [${g.shape.join()}], but the leaf has [${t.shape.join()}]; give the gradients of this very program`,
          )
        const { graph, names } = leafProgram(rule, t, weightDecay)
        const leaf = `${kind}.${path}`
        const updates = updatesSoFar(rule, optim, leaf) + 1
        const [p, ...next] = runGraph(graph, [
          t,
          g,
          scalar(startsNow(rule, optim, leaf) ? 1 : 0),
          ...rule.slots.map((s) => slotOf(rule, optim, leaf, s.name, t.shape)),
          ...Object.values(rule.hyper(updates, lr * lrScale, weightDecay)).map(scalar),
        ])
        names.forEach((n, i) => {
          slots[slotKey(n, leaf)] = next[i]
        })
        Object.assign(slots, countOfUpdates(rule, leaf, updates))
        return { ...t, data: p.data }
      }) as T
    }
    const nextParams = updated('param', params, grads.params)
    const nextState = updated('state', state, grads.state)
    return { params: nextParams, state: nextState, optim: { step: optim.step + 1, slots } }
  },
})

/** Options of SGD (torch.optim.SGD). */
export type SgdOptions = {
  readonly lr: number
  readonly momentum?: number
  readonly dampening?: number
  readonly weightDecay?: number
  readonly nesterov?: boolean
  readonly mask?: Mask
}

/** Stochastic gradient descent with momentum, weight decay and Nesterov's form (torch.optim.SGD). */
export const sgd = (o: SgdOptions): Optimizer =>
  optimizer('sgd', sgdRule({ momentum: o.momentum ?? 0, dampening: o.dampening ?? 0, nesterov: o.nesterov ?? false }), {
    lr: o.lr,
    weightDecay: o.weightDecay ?? 0,
    ...(o.mask === undefined ? {} : { mask: o.mask }),
  })

/** Options of Adam and AdamW (torch.optim.Adam, AdamW). */
export type AdamOptions = {
  readonly lr?: number
  readonly betas?: readonly [number, number]
  readonly eps?: number
  readonly weightDecay?: number
  readonly mask?: Mask
}

const adamOf = (o: AdamOptions, decoupled: boolean): UpdateRule =>
  adamRule({ betas: o.betas ?? [0.9, 0.999], eps: o.eps ?? 1e-8, decoupled })

/** Adam; weight decay is added to the gradient (torch.optim.Adam). */
export const adam = (o: AdamOptions = {}): Optimizer =>
  optimizer('adam', adamOf(o, false), {
    lr: o.lr ?? 1e-3,
    weightDecay: o.weightDecay ?? 0,
    ...(o.mask === undefined ? {} : { mask: o.mask }),
  })

/** Adam with decoupled weight decay, 0.01 by default (torch.optim.AdamW). */
export const adamW = (o: AdamOptions = {}): Optimizer =>
  optimizer('adamW', adamOf(o, true), {
    lr: o.lr ?? 1e-3,
    weightDecay: o.weightDecay ?? 0.01,
    ...(o.mask === undefined ? {} : { mask: o.mask }),
  })

type GradTrees = Pick<Grads, 'params' | 'state'>
const eachGrad = <G extends GradTrees>(grads: G, f: (t: Tensor) => Tensor): G => ({
  ...grads,
  params: mapTree(isTensor, grads.params, f),
  state: mapTree(isTensor, grads.state, f),
})

/** The norm of all gradients together, in double. */
export const gradNorm = (grads: GradTrees): number => {
  let sum = 0
  for (const { leaf } of [...leaves(isTensor, grads.params), ...leaves(isTensor, grads.state)])
    for (let i = 0; i < sizeOf(leaf.shape); i++) sum += leaf.data[i] * leaf.data[i]
  return Math.sqrt(sum)
}

/** Gradients scaled down so that their common norm is at most `maxNorm` (torch clip_grad_norm_). */
export const clipGradNorm =
  (maxNorm: number) =>
  <G extends GradTrees>(grads: G): G => {
    const factor = Math.fround(maxNorm / (gradNorm(grads) + 1e-6))
    return factor >= 1 ? grads : eachGrad(grads, (t) => ({ shape: t.shape, data: t.data.map((x) => x * factor) }))
  }

/** Gradients cut to `-limit … limit` (torch clip_grad_value_). */
export const clipGradValue =
  (limit: number) =>
  <G extends GradTrees>(grads: G): G =>
    eachGrad(grads, (t) => ({ shape: t.shape, data: t.data.map((x) => (x > limit ? limit : x < -limit ? -limit : x)) }))

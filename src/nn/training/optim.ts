/**
 * Optimizers as pure functions over trees: `(grads, optimizer state, params, state) → all of them anew`. They update
 * parameters and the learned leaves of state together, with the formulas of torch.optim in float32 order.
 */
import * as E from 'fp-ts/lib/Either.js'
import { failure, orThrow, type QuantError } from '../../data/error.js'
import {
  below1,
  demand,
  demandArguments,
  fieldProblems,
  flag,
  fraction,
  func,
  nonNegative,
  required,
  type Fields,
} from '../../data/fields.js'
import { isTensor, scalar, type Tensor } from '../../data/tensor.js'
import { leaves, mapTree, type Tree } from '../../data/tree.js'
import { sameShape, showShape, type Shape } from '../../data/shape.js'
import type { Executable } from '../../evaluator/backend.js'
import { reference } from '../../evaluator/reference/reference.js'
import { newBuilder } from '../../graph/builder.js'
import type { Graph } from '../../graph/graph.js'
import type { Value } from '../../graph/op.js'
import type { Program } from '../../graph/program.js'
import { ops } from '../../ops/index.js'
import type { Grads } from '../program/binding.js'
import { badRate } from '../program/refusals.js'
import { countOfUpdates, slotKey, slotOf, startsNow, updatesSoFar, type OptimState } from './memory.js'
import { ruleOf, type LeafRule, type Mask, type OptimLeaf } from './mask.js'
import { gradsField, inputError, optimField, rate, treeField } from './options.js'
import { adamRule, sgdRule, type UpdateRule } from './updateRules.js'

/** What an update takes and gives. */
export type Updated<P, S> = { readonly params: P; readonly state: S; readonly optim: OptimState }

/**
 * An optimizer. `lr` of an update overrides the optimizer's own, for schedules. Making one never fails: what is wrong with its
 * options stands in `problems`, which `trainer`, `train` and `withUpdate` report, and which `update` throws.
 */
export type Optimizer = {
  readonly name: string
  readonly problems: readonly QuantError[]
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
  if (E.isLeft(ran)) throw failure(ran.left)
  return ran.right.outputs
}

/** Options that all optimizers share, checked. */
type Common = { readonly lr: number; readonly weightDecay: number; readonly mask: Mask }

/** What a leaf is updated by: the optimizer's rule and memory, what the mask says of it, and the rate of this step. */
type LeafUpdate = {
  readonly rule: UpdateRule
  readonly optim: OptimState
  readonly leaf: string
  readonly asked: Required<LeafRule>
  readonly lr: number
}

const updateLeaf = ({ rule, optim, leaf, asked, lr }: LeafUpdate, t: Tensor, g: Tensor) => {
  const { graph, names } = leafProgram(rule, t, asked.weightDecay)
  const updates = updatesSoFar(rule, optim, leaf) + 1
  const [p, ...next] = runGraph(graph, [
    t,
    g,
    scalar(startsNow(rule, optim, leaf) ? 1 : 0),
    ...rule.slots.map((s) => slotOf(rule, optim, leaf, s.name, t)),
    ...Object.values(rule.hyper(updates, lr * asked.lrScale, asked.weightDecay)).map(scalar),
  ])
  const slots = Object.fromEntries(names.map((n, i) => [slotKey(n, leaf), next[i]] as const))
  return { leaf: { ...t, data: p.data }, slots: { ...slots, ...countOfUpdates(rule, leaf, updates) } }
}

const UPDATE = {
  grads: required(gradsField),
  optim: required(optimField),
  params: required(treeField),
  state: required(treeField),
}

/** An optimizer of a rule, with what is wrong with how it was made. */
export const optimizer = (
  name: string,
  rule: UpdateRule,
  problems: readonly QuantError[],
  { lr: ownLr, weightDecay, mask }: Common,
): Optimizer => ({
  name,
  problems,
  rule,
  lr: ownLr,
  weightDecay,
  mask,
  init: () => ({ step: 0, slots: {} }),
  update: (grads, optim, params, state, lr = ownLr) => {
    demand(problems)
    demandArguments(name, { grads, optim, params, state }, UPDATE)
    if (!rate.holds(lr)) throw failure(badRate(lr))
    let slots: OptimState['slots'] = { ...optim.slots }
    const updated = <T>(kind: OptimLeaf['kind'], tree: T, gradTree: Tree<Tensor>): T => {
      const given = new Map(leaves(isTensor, gradTree).map((l) => [l.path, l.leaf] as const))
      return mapTree(isTensor, tree, (t: Tensor, path): Tensor => {
        const g = given.get(path)
        if (g === undefined) return t
        const asked = orThrow(ruleOf({ name, weightDecay, mask }, { kind, path }))
        if (asked.frozen) return t
        if (!sameShape(g.shape, t.shape)) throw failure([otherShape(name, `${kind} ${path}`, g, t)])
        const done = updateLeaf({ rule, optim, leaf: `${kind}.${path}`, asked, lr }, t, g)
        slots = { ...slots, ...done.slots }
        return done.leaf
      }) as T
    }
    const nextParams = updated('param', params, grads.params)
    const nextState = updated('state', state, grads.state)
    return { params: nextParams, state: nextState, optim: { step: optim.step + 1, slots } }
  },
})

const otherShape = (name: string, leaf: string, g: Tensor, t: Tensor): QuantError =>
  inputError(
    'grads',
    `${name}: the gradient of ${leaf} has shape ${showShape(g.shape)}, but the leaf has ${showShape(t.shape)}`,
    'give the gradients of this very program',
  )

/** What is wrong with an optimizer's options; a bare number is taken for the rate that was meant. */
const problemsWith = (asker: string, given: unknown, fields: Fields): readonly QuantError[] =>
  fieldProblems(asker, given, fields).map((p) =>
    typeof given === 'number' ? { ...p, fix: `write ${asker}({ lr: ${given} })` } : p,
  )

const common = (
  o: { readonly lr?: number; readonly weightDecay?: number; readonly mask?: Mask },
  lr: number,
  weightDecay: number,
): Common => ({
  lr: o.lr ?? lr,
  weightDecay: o.weightDecay ?? weightDecay,
  mask: o.mask ?? NO_MASK,
})

/** Options of SGD (torch.optim.SGD): numbers from 0 on, `dampening` at most 1; Nesterov's form needs momentum and no dampening. */
export type SgdOptions = {
  readonly lr: number
  readonly momentum?: number
  readonly dampening?: number
  readonly weightDecay?: number
  readonly nesterov?: boolean
  readonly mask?: Mask
}

const SGD_FIELDS: Fields<SgdOptions> = {
  lr: required(rate),
  momentum: { ...nonNegative, like: '0.9' },
  dampening: { ...fraction, like: '0' },
  weightDecay: nonNegative,
  nesterov: flag,
  mask: func,
}

const nesterovProblems = (o: Partial<SgdOptions>): readonly QuantError[] =>
  o.nesterov === true && ((o.momentum ?? 0) === 0 || (o.dampening ?? 0) !== 0)
    ? [
        {
          tag: 'ConfigError',
          option: 'nesterov',
          path: '',
          message: `sgd was given nesterov: true with momentum ${o.momentum ?? 0} and dampening ${o.dampening ?? 0}: Nesterov's form needs momentum, and no dampening`,
          fix: 'give momentum: 0.9, for instance, and no dampening; or leave nesterov out',
        },
      ]
    : []

/** Stochastic gradient descent with momentum, weight decay and Nesterov's form (torch.optim.SGD). */
export const sgd = (o: SgdOptions): Optimizer => {
  const wrong = problemsWith('sgd', o, SGD_FIELDS)
  const problems = wrong.length > 0 ? wrong : nesterovProblems(o)
  const given: Partial<SgdOptions> = problems.length > 0 ? {} : o
  const { momentum = 0, dampening = 0, nesterov = false } = given
  return optimizer('sgd', sgdRule({ momentum, dampening, nesterov }), problems, common(given, 0, 0))
}

/** Options of Adam and AdamW (torch.optim.Adam, AdamW): numbers from 0 on, `betas` below 1. */
export type AdamOptions = {
  readonly lr?: number
  readonly betas?: readonly [number, number]
  readonly eps?: number
  readonly weightDecay?: number
  readonly mask?: Mask
}

const ADAM_FIELDS: Fields<AdamOptions> = {
  lr: rate,
  betas: {
    says: 'two numbers from 0 to below 1',
    like: '[0.9, 0.999]',
    holds: (x) => Array.isArray(x) && x.length === 2 && x.every(below1.holds),
  },
  eps: { ...nonNegative, like: '1e-8' },
  weightDecay: nonNegative,
  mask: func,
}

const adamOf = (name: 'adam' | 'adamW', o: AdamOptions, weightDecay: number): Optimizer => {
  const problems = problemsWith(name, o, ADAM_FIELDS)
  const given: AdamOptions = problems.length > 0 ? {} : o
  const rule = adamRule({ betas: given.betas ?? [0.9, 0.999], eps: given.eps ?? 1e-8, decoupled: name === 'adamW' })
  return optimizer(name, rule, problems, common(given, 1e-3, weightDecay))
}

/** Adam; weight decay is added to the gradient (torch.optim.Adam). */
export const adam = (o: AdamOptions = {}): Optimizer => adamOf('adam', o, 0)

/** Adam with decoupled weight decay, 0.01 by default (torch.optim.AdamW). */
export const adamW = (o: AdamOptions = {}): Optimizer => adamOf('adamW', o, 0.01)

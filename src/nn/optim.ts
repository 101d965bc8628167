/**
 * Optimizers as pure functions over trees: `(grads, optimizer state, params, state) → all of them anew`. They update
 * parameters and the learned leaves of state together, with the formulas of torch.optim in float32 order.
 */
import { full, isTensor, type Tensor } from '../data/tensor.js'
import { leaves, mapTree, type Tree } from '../data/tree.js'
import { sameShape, sizeOf } from '../data/shape.js'
import type { Grads } from './program.js'

/** One leaf as a mask sees it. */
export type OptimLeaf = { readonly kind: 'param' | 'state'; readonly path: string }
/** What a mask may say of a leaf; `frozen` leaves keep their very tensors. */
export type LeafRule = { readonly frozen?: boolean; readonly weightDecay?: number; readonly lrScale?: number }
/** Rules per leaf: freeze scales, no decay on thresholds. */
export type Mask = (leaf: OptimLeaf) => LeafRule

/** An optimizer's memory: the number of steps, and one tensor per slot and leaf. Plain data; store it in a checkpoint. */
export type OptimState = { readonly step: number; readonly slots: { readonly [slotAndPath: string]: Tensor } }

/** What an update takes and gives. */
export type Updated<P, S> = { readonly params: P; readonly state: S; readonly optim: OptimState }

/** An optimizer. `lr` of an update overrides the optimizer's own, for schedules. */
export type Optimizer = {
  readonly name: string
  readonly init: () => OptimState
  readonly update: <P, S>(grads: Pick<Grads, 'params' | 'state'>, optim: OptimState, params: P, state: S, lr?: number) => Updated<P, S>
}

/** A copy of one tensor of memory, which a rule may write; `fresh` where this leaf had none before. */
type Slot = { readonly data: Float32Array; readonly fresh: boolean }
/** What an optimizer does to one leaf; `slot` fetches its memory, made with every element `start`. */
type Rule = (p: Float32Array, g: Float32Array, slot: (name: string, start: number) => Slot, step: number, lr: number, weightDecay: number) => void

const NO_MASK: Mask = () => ({})

const optimizer = (name: string, rule: Rule, defaults: { readonly lr: number; readonly weightDecay: number; readonly mask?: Mask }): Optimizer => ({
  name,
  init: () => ({ step: 0, slots: {} }),
  update: (grads, optim, params, state, lr = defaults.lr) => {
    const step = optim.step + 1
    const slots: Record<string, Tensor> = { ...optim.slots }
    const mask = defaults.mask ?? NO_MASK
    const updated = <T>(kind: OptimLeaf['kind'], tree: T, gradTree: Tree<Tensor>): T => {
      const given = new Map(leaves(isTensor, gradTree).map((l) => [l.path, l.leaf] as const))
      return mapTree(isTensor, tree, (t: Tensor, path): Tensor => {
        const g = given.get(path)
        const { frozen = false, weightDecay = defaults.weightDecay, lrScale = 1 } = g === undefined ? { frozen: true } : mask({ kind, path })
        if (g === undefined || frozen) return t
        if (!sameShape(g.shape, t.shape)) throw new RangeError(`${name}: the gradient of ${kind} ${path} has shape [${g.shape.join()}], but the leaf has [${t.shape.join()}]; give the gradients of this very program`)
        const data = t.data.slice()
        const slot = (slotName: string, start: number): Slot => {
          const key = `${slotName}:${kind}.${path}`
          const known = slots[key]
          const data = known === undefined ? full(t.shape, start).data : known.data.slice()
          slots[key] = { shape: t.shape, data }
          return { data, fresh: known === undefined }
        }
        rule(data, g.data, slot, step, lr * lrScale, weightDecay)
        return { ...t, data }
      }) as T
    }
    const nextParams = updated('param', params, grads.params)
    const nextState = updated('state', state, grads.state)
    return { params: nextParams, state: nextState, optim: { step, slots } }
  },
})

/** Options of SGD (torch.optim.SGD). */
export type SgdOptions = { readonly lr: number; readonly momentum?: number; readonly dampening?: number; readonly weightDecay?: number; readonly nesterov?: boolean; readonly mask?: Mask }

/** Stochastic gradient descent with momentum, weight decay and Nesterov's form (torch.optim.SGD). */
export const sgd = (o: SgdOptions): Optimizer => {
  const { momentum = 0, dampening = 0, nesterov = false } = o
  const rule: Rule = (p, g, slot, _step, lr, decay) => {
    const [m, l, w, keep] = [Math.fround(momentum), Math.fround(lr), Math.fround(decay), Math.fround(1 - dampening)]
    const buffer = momentum === 0 ? null : slot('momentum', 0)
    for (let i = 0; i < p.length; i++) {
      let d = decay === 0 ? g[i] : Math.fround(g[i] + Math.fround(w * p[i]))
      if (buffer !== null) {
        const b = buffer.data
        b[i] = buffer.fresh ? d : Math.fround(Math.fround(m * b[i]) + Math.fround(keep * d))
        d = nesterov ? Math.fround(d + Math.fround(m * b[i])) : b[i]
      }
      p[i] -= Math.fround(l * d)
    }
  }
  return optimizer('sgd', rule, { lr: o.lr, weightDecay: o.weightDecay ?? 0, ...(o.mask === undefined ? {} : { mask: o.mask }) })
}

/** Options of Adam and AdamW (torch.optim.Adam, AdamW). */
export type AdamOptions = { readonly lr?: number; readonly betas?: readonly [number, number]; readonly eps?: number; readonly weightDecay?: number; readonly mask?: Mask }

/** x to a whole power, by squaring; the same bits in every engine. */
const power = (x: number, n: number): number => {
  let [result, base, k] = [1, x, n]
  for (; k > 0; k = Math.floor(k / 2)) {
    if (k % 2 === 1) result *= base
    base *= base
  }
  return result
}

const adamRule = (o: AdamOptions, decoupled: boolean): Rule => {
  const [b1, b2] = o.betas ?? [0.9, 0.999]
  const eps = o.eps ?? 1e-8
  return (p, g, slot, step, lr, decay) => {
    const [m, v] = [slot('exp_avg', 0).data, slot('exp_avg_sq', 0).data]
    const size = lr / (1 - power(b1, step))
    const root = Math.sqrt(1 - power(b2, step))
    const shrink = Math.fround(1 - lr * decay)
    for (let i = 0; i < p.length; i++) {
      if (decoupled && decay !== 0) p[i] *= shrink
      const d = decoupled || decay === 0 ? g[i] : Math.fround(g[i] + Math.fround(decay * p[i]))
      m[i] += Math.fround((d - m[i]) * (1 - b1))
      v[i] = Math.fround(v[i] * b2) + Math.fround(Math.fround(d * d) * (1 - b2))
      p[i] -= Math.fround(size * (m[i] / (Math.fround(Math.fround(Math.sqrt(v[i])) / root) + eps)))
    }
  }
}

/** Adam; weight decay is added to the gradient (torch.optim.Adam). */
export const adam = (o: AdamOptions = {}): Optimizer =>
  optimizer('adam', adamRule(o, false), { lr: o.lr ?? 1e-3, weightDecay: o.weightDecay ?? 0, ...(o.mask === undefined ? {} : { mask: o.mask }) })

/** Adam with decoupled weight decay, 0.01 by default (torch.optim.AdamW). */
export const adamW = (o: AdamOptions = {}): Optimizer =>
  optimizer('adamW', adamRule(o, true), { lr: o.lr ?? 1e-3, weightDecay: o.weightDecay ?? 0.01, ...(o.mask === undefined ? {} : { mask: o.mask }) })

type GradTrees = Pick<Grads, 'params' | 'state'>
const eachGrad = <G extends GradTrees>(grads: G, f: (t: Tensor) => Tensor): G => ({
  ...grads, params: mapTree(isTensor, grads.params, f), state: mapTree(isTensor, grads.state, f),
})

/** The norm of all gradients together, in double. */
export const gradNorm = (grads: GradTrees): number => {
  let sum = 0
  for (const { leaf } of [...leaves(isTensor, grads.params), ...leaves(isTensor, grads.state)]) for (let i = 0; i < sizeOf(leaf.shape); i++) sum += leaf.data[i] * leaf.data[i]
  return Math.sqrt(sum)
}

/** Gradients scaled down so that their common norm is at most `maxNorm` (torch clip_grad_norm_). */
export const clipGradNorm = (maxNorm: number) => <G extends GradTrees>(grads: G): G => {
  const factor = Math.fround(maxNorm / (gradNorm(grads) + 1e-6))
  return factor >= 1 ? grads : eachGrad(grads, (t) => ({ shape: t.shape, data: t.data.map((x) => x * factor) }))
}

/** Gradients cut to `-limit … limit` (torch clip_grad_value_). */
export const clipGradValue = (limit: number) => <G extends GradTrees>(grads: G): G =>
  eachGrad(grads, (t) => ({ shape: t.shape, data: t.data.map((x) => (x > limit ? limit : x < -limit ? -limit : x)) }))

/**
 * What optimizers do to one leaf, as ops of a graph: traced into the training step they are fused with the backward
 * pass, and on their own they are run by the reference; the numbers are the same. Formulas: torch.optim, in float32.
 */
import type { Kit, Value } from '../../graph/op.js'

/** Numbers of a step, the same for all elements of a leaf. */
export type Hyper = { readonly [name: string]: number }

/** One leaf in an update. */
export type LeafUpdate = {
  readonly kit: Kit
  readonly p: Value
  readonly g: Value
  readonly slots: { readonly [name: string]: Value }
  readonly hyper: { readonly [name: string]: Value }
  readonly weightDecay: number
  /** 1 on a leaf's first update, else 0; only where the rule asks for it. */
  readonly fresh: Value | null
}

/** An optimizer's rule. */
export type UpdateRule = {
  /** Memory per leaf, and what it starts with: a number everywhere, or the leaf's own value before its first update. */
  readonly slots: readonly { readonly name: string; readonly start: number | 'leaf' }[]
  /** Do the numbers of a step depend on how often the leaf was updated? Then each leaf has numbers of its own. */
  readonly countsUpdates: boolean
  /** The numbers of a leaf's update number `step` (from 1) at a rate. */
  readonly hyper: (step: number, lr: number, weightDecay: number) => Hyper
  /** Does the first update differ? */
  readonly asksFresh: boolean
  readonly apply: (leaf: LeafUpdate) => { readonly p: Value; readonly slots: { readonly [name: string]: Value } }
}

/** Options of SGD (torch.optim.SGD) that concern one leaf. */
export type SgdRule = { readonly momentum: number; readonly dampening: number; readonly nesterov: boolean }

const decayed = ({ kit, p, g, weightDecay }: LeafUpdate): Value =>
  weightDecay === 0 ? g : kit.emit('add', [g, kit.emit('mul', [kit.constant(weightDecay), p])])

/** `b = m*b + (1-dampening)*d; p -= lr*(b or, Nesterov, d + m*b)` with `d = g + decay*p`. */
export const sgdRule = ({ momentum, dampening, nesterov }: SgdRule): UpdateRule => ({
  slots: momentum === 0 ? [] : [{ name: 'momentum', start: 0 }],
  countsUpdates: false,
  hyper: (_step, lr) => ({ lr }),
  asksFresh: momentum !== 0 && dampening !== 0,
  apply: (leaf) => {
    const { kit, p, slots, hyper, fresh } = leaf
    const d = decayed(leaf)
    const step = (v: Value): Value => kit.emit('sub', [p, kit.emit('mul', [hyper.lr, v])])
    if (momentum === 0) return { p: step(d), slots: {} }
    const m = kit.constant(momentum)
    const taken = dampening === 0 ? d : kit.emit('mul', [kit.constant(1 - dampening), d])
    const moved = kit.emit('add', [kit.emit('mul', [m, slots.momentum]), taken])
    const b = fresh === null ? moved : kit.emit('select', [fresh, d, moved])
    return { p: step(nesterov ? kit.emit('add', [d, kit.emit('mul', [m, b])]) : b), slots: { momentum: b } }
  },
})

/** x to a whole power, by squaring; the same bits in every engine. */
const power = (x: number, n: number): number => {
  let [result, base, k] = [1, x, n]
  for (; k > 0; k = Math.floor(k / 2)) {
    if (k % 2 === 1) result *= base
    base *= base
  }
  return result
}

/** Options of Adam and AdamW that concern one leaf; `decoupled` is AdamW's decay. */
export type AdamRule = { readonly betas: readonly [number, number]; readonly eps: number; readonly decoupled: boolean }

/** `m += (d-m)*(1-b1); v = v*b2 + (1-b2)*d*d; p -= size * m / (sqrt(v)/root + eps)` with the bias corrections in `size` and `root`. */
export const adamRule = ({ betas: [b1, b2], eps, decoupled }: AdamRule): UpdateRule => ({
  slots: [
    { name: 'exp_avg', start: 0 },
    { name: 'exp_avg_sq', start: 0 },
  ],
  countsUpdates: true,
  hyper: (step, lr, weightDecay) => ({
    size: lr / (1 - power(b1, step)),
    root: Math.sqrt(1 - power(b2, step)),
    shrink: 1 - lr * weightDecay,
  }),
  asksFresh: false,
  apply: (leaf) => {
    const { kit, slots, hyper, weightDecay } = leaf
    const shrunk = decoupled && weightDecay !== 0
    const p = shrunk ? kit.emit('mul', [leaf.p, hyper.shrink]) : leaf.p
    const d = decoupled ? leaf.g : decayed(leaf)
    const m = kit.emit('add', [
      slots.exp_avg,
      kit.emit('mul', [kit.emit('sub', [d, slots.exp_avg]), kit.constant(1 - b1)]),
    ])
    const v = kit.emit('add', [
      kit.emit('mul', [slots.exp_avg_sq, kit.constant(b2)]),
      kit.emit('mul', [kit.emit('mul', [kit.constant(1 - b2), d]), d]),
    ])
    const denominator = kit.emit('add', [kit.emit('div', [kit.emit('sqrt', [v]), hyper.root]), kit.constant(eps)])
    return {
      p: kit.emit('sub', [p, kit.emit('div', [kit.emit('mul', [hyper.size, m]), denominator])]),
      slots: { exp_avg: m, exp_avg_sq: v },
    }
  },
})

/** Optimizers against a plain recomputation in double; masks, clipping, schedules, purity. */
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'
import { close, same, sameBits } from './support.js'

const test = suite('nn: optim')

type P = { readonly w: q.Tensor; readonly scale: q.Tensor }
const start: P = { w: q.tensorOf([3], [0.5, -1.25, 2]), scale: q.tensorOf([], [0.75]) }
/** Gradients that change from step to step. */
const gradsAt = (k: number): Pick<q.Grads, 'params' | 'state'> => ({
  params: { w: q.tensorOf([3], [0.3 + 0.1 * k, -0.2 * k, 0.05]), scale: q.tensorOf([], [0.4 - 0.07 * k]) },
  state: {},
})
const gradOf = (k: number, i: number): number => (gradsAt(k).params as P).w.data[i]

const play = (o: q.Optimizer, steps: number, lr?: number): q.Updated<P, object> => {
  let at: q.Updated<P, object> = { params: start, state: {}, optim: o.init() }
  for (let k = 0; k < steps; k++) at = o.update(gradsAt(k), at.optim, at.params, at.state, lr)
  return at
}

type SgdCase = {
  readonly momentum: number
  readonly dampening?: number
  readonly weightDecay: number
  readonly nesterov: boolean
}
/** torch's documented SGD for one number, in double. */
const sgdByHand = (
  p: number,
  i: number,
  steps: number,
  { momentum, dampening = 0, weightDecay, nesterov }: SgdCase,
): number => {
  let [x, b] = [p, 0]
  for (let k = 0; k < steps; k++) {
    const g = gradOf(k, i) + weightDecay * x
    b = k === 0 ? g : momentum * b + (1 - dampening) * g
    x -= 0.1 * (momentum === 0 ? g : nesterov ? g + momentum * b : b)
  }
  return x
}

const sgdCases: readonly SgdCase[] = [
  { momentum: 0, weightDecay: 0, nesterov: false },
  { momentum: 0.9, weightDecay: 0, nesterov: false },
  { momentum: 0.9, weightDecay: 0, nesterov: true },
  { momentum: 0.9, dampening: 0.5, weightDecay: 0.01, nesterov: false },
  { momentum: 0, weightDecay: 0.1, nesterov: false },
]
for (const c of sgdCases)
  test(`sgd ${JSON.stringify(c)} follows torch's formula`, () => {
    const { params } = play(q.sgd({ lr: 0.1, ...c }), 6)
    params.w.data.forEach((x, i) => close(x, sgdByHand(start.w.data[i], i, 6, c), 1e-6))
  })

/** torch's documented Adam (`coupled`) and AdamW for one number, in double. */
const adamByHand = (p: number, i: number, steps: number, decay: number, coupled: boolean): number => {
  let [x, m, v] = [p, 0, 0]
  for (let k = 0; k < steps; k++) {
    const g = gradOf(k, i) + (coupled ? decay * x : 0)
    if (!coupled) x *= 1 - 0.01 * decay
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g * g
    x -= (0.01 * (m / (1 - 0.9 ** (k + 1)))) / (Math.sqrt(v / (1 - 0.999 ** (k + 1))) + 1e-8)
  }
  return x
}

for (const weightDecay of [0, 0.05]) {
  test(`adam with weight decay ${weightDecay}`, () => {
    const { params, optim } = play(q.adam({ lr: 0.01, weightDecay }), 8)
    params.w.data.forEach((x, i) => close(x, adamByHand(start.w.data[i], i, 8, weightDecay, true), 1e-5))
    same(optim.step, 8)
  })
  test(`adamW with weight decay ${weightDecay}`, () => {
    const { params } = play(q.adamW({ lr: 0.01, weightDecay }), 8)
    params.w.data.forEach((x, i) => close(x, adamByHand(start.w.data[i], i, 8, weightDecay, false), 1e-5))
  })
}
test('adamW decays by 0.01 unless told otherwise', () => {
  const { params } = play(q.adamW({ lr: 0.01 }), 8)
  params.w.data.forEach((x, i) => close(x, adamByHand(start.w.data[i], i, 8, 0.01, false), 1e-5))
})

const freezeScale: q.Mask = (leaf) => (leaf.path === 'scale' ? { frozen: true } : {})
for (const [name, o] of [
  ['sgd', q.sgd({ lr: 0.1, momentum: 0.9, weightDecay: 0.1, mask: freezeScale })],
  ['adam', q.adam({ mask: freezeScale, weightDecay: 0.1 })],
  ['adamW', q.adamW({ mask: freezeScale })],
] as const)
  test(`${name}: a frozen leaf is the very same tensor after 100 steps`, () => {
    const { params, optim } = play(o, 100)
    same(params.scale === start.scale, true)
    same(params.w === start.w, false)
    same(
      Object.keys(optim.slots).some((k) => k.includes('scale')),
      false,
    )
  })

test('a mask takes the decay from thresholds alone, and scales the rate', () => {
  const decayed = play(q.sgd({ lr: 0.1, weightDecay: 0.5 }), 3)
  const plain = play(q.sgd({ lr: 0.1 }), 3)
  const masked = play(
    q.sgd({ lr: 0.1, weightDecay: 0.5, mask: ({ path }) => (path === 'scale' ? { weightDecay: 0 } : {}) }),
    3,
  )
  sameBits(masked.params.scale, plain.params.scale)
  sameBits(masked.params.w, decayed.params.w)
  const slow = play(q.sgd({ lr: 0.1, mask: ({ path }) => (path === 'w' ? { lrScale: 0.5 } : {}) }), 3)
  sameBits(slow.params.w, play(q.sgd({ lr: 0.05 }), 3).params.w)
})

test('learned state is updated too, and told apart from a parameter of the same path', () => {
  const seen: string[] = []
  const o = q.sgd({
    lr: 1,
    momentum: 0.9,
    mask: (l) => {
      seen.push(`${l.kind} ${l.path}`)
      return {}
    },
  })
  const one = q.tensorOf([], [1])
  const state = { a: one, counter: q.tensorOf([], [7]) }
  const out = o.update(
    { params: { a: q.tensorOf([], [0.25]) }, state: { a: q.tensorOf([], [0.5]) } },
    o.init(),
    { a: one },
    state,
  )
  same([out.params.a.data[0], out.state.a.data[0]], [0.75, 0.5])
  same(out.state.counter === state.counter, true)
  same(seen, ['param a', 'state a'])
  same(Object.keys(out.optim.slots).length, 2)
})

test('a leaf that is set free later starts its momentum as torch does', () => {
  const options = { lr: 0.1, momentum: 0.9, dampening: 0.5 }
  const held = q.sgd({ ...options, mask: () => ({ frozen: true }) })
  const before = held.update(gradsAt(0), held.init(), start, {})
  const after = q.sgd(options).update(gradsAt(1), before.optim, before.params, {})
  after.params.w.data.forEach((x, i) => close(x, start.w.data[i] - 0.1 * gradOf(1, i), 1e-6))
})

test('inputs stay as they are, and the same arguments give the same bits', () => {
  const o = q.adamW({ lr: 0.01 })
  const before = play(o, 3)
  const copy = structuredClone(before)
  const g = gradsAt(3)
  const gCopy = structuredClone(g)
  const [a, b] = [
    o.update(g, before.optim, before.params, before.state),
    o.update(g, before.optim, before.params, before.state),
  ]
  same(before, copy)
  same(g, gCopy)
  sameBits(a.params.w, b.params.w)
})

test('the rate of a call overrides the rate of the optimizer', () => {
  sameBits(play(q.sgd({ lr: 0.1 }), 4, 0.02).params.w, play(q.sgd({ lr: 0.02 }), 4).params.w)
  sameBits(play(q.sgd({ lr: 0.1 }), 4, 0).params.w, start.w)
})

test('clipGradNorm scales all gradients by one factor, and only down', () => {
  const g = { params: { a: q.tensorOf([2], [3, 0]) }, state: { b: q.tensorOf([], [4]) } }
  close(q.gradNorm(g), 5, 1e-9)
  const clipped = q.clipGradNorm(1)(g)
  close(q.gradNorm(clipped), 1, 1e-5)
  close(clipped.params.a.data[0], 0.6, 1e-6)
  close(clipped.state.b.data[0], 0.8, 1e-6)
  same(q.clipGradNorm(10)(g), g)
  same(g.params.a.data[0], 3)
})

test('clipGradValue cuts each number', () => {
  const g = { params: { a: q.tensorOf([4], [3, -0.5, -2, NaN]) }, state: {} }
  same([...q.clipGradValue(1)(g).params.a.data], [1, -0.5, -1, NaN])
  same(g.params.a.data[0], 3)
})

test('schedules', () => {
  same([0, 4, 5, 10].map(q.stepDecay(1, 5, 0.5)), [1, 1, 0.5, 0.25])
  const cosine = q.cosineDecay(1, 10, 0.1)
  close(cosine(0), 1, 1e-9)
  close(cosine(5), 0.55, 1e-9)
  close(cosine(10), 0.1, 1e-9)
  close(cosine(99), 0.1, 1e-9)
  same([0, 1, 3, 4].map(q.linearWarmup(4, q.constantLr(2))), [0.5, 1, 2, 2])
  same(q.linearWarmup(4, cosine)(4), cosine(0))
})

test.run()

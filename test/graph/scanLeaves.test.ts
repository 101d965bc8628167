/** Loops whose body assigns several learned leaves, whose shapes differ; and what a backward pass leaves out. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import { leaves } from '../../src/data/tree.js'
import type { Kit, Value } from '../../src/graph/op.js'
import { isValue } from '../../src/graph/trace.js'
import { suite } from '../support/suite.js'

const test = suite('scan: leaves')

const perChannel = q.QuantIdentity({
  scalingPerOutputChannel: true,
  perChannelBroadcastableShape: [1, 3],
  scalingStatsPermuteDims: [1, 0],
  collectStatsSteps: 1,
  returnQuantTensor: true,
})
const perTensor = q.QuantIdentity({ collectStatsSteps: 1, returnQuantTensor: true })
type State = { readonly a: q.StateOf<typeof perChannel>; readonly b: q.StateOf<typeof perTensor> }
const STEPS = 3

/** Two quantizers in turn, step by step or as a loop; in a loop of loops where `deep`. */
const netOf = (how: 'unrolled' | 'loop' | 'deep'): q.Layer => ({
  ...q.chain({ a: perChannel, b: perTensor }),
  apply: (_params: unknown, state: unknown, x: unknown, kit: Kit) => {
    const s = state as q.Traced<State>
    const given = x as Value
    const [a, b] = [s.a, s.b].map((t) => leaves(isValue, t))
    const rebuilt = (t: unknown, values: readonly Value[]): never => {
      let i = 0
      const walk = (u: unknown): unknown =>
        isValue(u) ? values[i++] : Object.fromEntries(Object.entries(u as object).map(([k, v]) => [k, walk(v)]))
      return walk(t) as never
    }
    const step = ([h, ...now]: readonly Value[], [row]: readonly Value[]): readonly Value[] => {
      const first = kit.scoped('a', () =>
        perChannel.apply({} as never, rebuilt(s.a, now.slice(0, a.length)), q.add(h, row), kit),
      )
      const second = kit.scoped('b', () =>
        perTensor.apply({} as never, rebuilt(s.b, now.slice(a.length)), q.mul(q.dequantize(first[0]), row), kit),
      )
      return [q.dequantize(second[0]), ...[first[1], second[1]].flatMap((t) => leaves(isValue, t).map((l) => l.leaf))]
    }
    const rows = (k: number): Value => q.reshape(kit.emit('slice', [given], { dim: 0, start: k, end: k + 1 }), [2, 3])
    let carry: readonly Value[] = [rows(0), ...[...a, ...b].map((l) => l.leaf)]
    if (how === 'unrolled') for (let k = 0; k < STEPS; k++) carry = step(carry, [rows(k)])
    else {
      const body = (c: readonly Value[], r: readonly Value[]): readonly [readonly Value[], readonly Value[]] => [
        step(c, r),
        [],
      ]
      const options = how === 'deep' ? { checkpoint: 2 } : {}
      carry = q.scan(body, carry, [given], options)[0]
    }
    const loss = q.sum(q.mul(carry[0], carry[0]))
    return [
      loss,
      { a: rebuilt(s.a, carry.slice(1, 1 + a.length)), b: rebuilt(s.b, carry.slice(1 + a.length)) },
    ] as never
  },
})

test('gradients of leaves of two shapes are those of the steps one by one', () => {
  const x = q.tensorOf(
    [STEPS, 2, 3],
    Array.from({ length: STEPS * 6 }, (_, i) => ((i * 7) % 11) / 4 - 1),
  )
  const found = (['unrolled', 'loop', 'deep'] as const).map((how) => {
    const net = netOf(how)
    const { params, state } = q.orThrow(q.init(net, 0))
    const traced = q.orThrow(q.trace(net, q.tensorInput(x.shape), { mode: 'train' }))
    const program = q.orThrow(q.grad(traced, { inputs: true }))
    const runs = [state, q.orThrow(q.run(program, { params, state, inputs: x } as never)).state].map((s) =>
      q.orThrow(q.run(program, { params, state: s, inputs: x } as never)),
    )
    return runs.map(({ grads }) =>
      leaves((t: unknown): t is q.Tensor => typeof t === 'object' && t !== null && 'data' in t, grads).map(
        ({ path, leaf }) => [path, [...leaf.shape], [...leaf.data].map((v) => Math.round(v * 1e4))],
      ),
    )
  })
  assert.ok(JSON.stringify(found[0]).includes('[1,3]'))
  assert.equal(found[1], found[0])
  assert.equal(found[2], found[0])
})

/** The gradient of a loop: the loop back, and the ops in its body. */
const loopBack = (
  body: (carry: readonly Value[], xs: readonly Value[]) => readonly [readonly Value[], readonly Value[]],
  carry: (x: Value) => readonly Value[],
) => {
  const net = q.functionLayer('loop', (x: Value) => {
    const [last, ys] = q.scan(body, carry(x), [x])
    return [...last, ...ys].map((v) => q.sum(q.mul(v, v))).reduce((a, b) => q.add(a, b))
  })
  const traced = q.orThrow(q.trace(net, q.tensorInput([3, 2]), { mode: 'train' }))
  const program = q.orThrow(q.grad(traced, { inputs: true }))
  const [back] = program.graph.nodes.filter((n) => n.op.name === 'scan' && n.backwardOf !== undefined)
  const x = q.tensorOf([3, 2], [0.5, -1, 2, 0.25, 1, -0.5])
  const ran = q.orThrow(q.run(program, { params: {}, state: {}, inputs: x } as never))
  return {
    carries: Number(back.attrs.carries),
    ops: (back.branches ?? []).flatMap((g) => g.nodes.map((n) => n.op.name)),
    gradient: [...(ran.grads.inputs as q.Tensor).data],
  }
}
const zeros = (x: Value): Value => x.kit.constant(0, [2])

const count = (ops: readonly string[], name: string): number => ops.filter((op) => op === name).length

test('a step back takes what is dear as the forward loop left it, and computes the rest once more', () => {
  const dear = loopBack(
    ([h], [x]) => [[q.tanh(q.mul(q.maximum(h, x), q.maximum(h, x)))], []],
    (x) => [zeros(x)],
  )
  assert.equal(
    ['tanh', 'maximum'].map((op) => count(dear.ops, op)),
    [0, 1],
  )
  const few = loopBack(
    ([h], [x]) => [[q.tanh(q.add(h, q.sum(x)))], []],
    (x) => [x.kit.constant(0, [])],
  )
  assert.is(count(few.ops, 'tanh'), 1)
  const product = loopBack(
    ([h], [x]) => [[q.mul(x, q.reshape(x.kit.emit('matmul', [q.reshape(h, [1, 2]), q.reshape(x, [2, 1])]), [1]))], []],
    (x) => [zeros(x)],
  )
  assert.is(count(product.ops, 'matmul'), 2)
})

test('a step back takes what phases gave, and runs loops once more', () => {
  const nested = loopBack(
    ([h], [x]) => {
      const [[inner]] = q.scan(([c], [row]) => [[q.tanh(q.add(c, row))], []], [q.sum(h)], [x])
      return [[q.add(h, inner)], []]
    },
    (x) => [zeros(x)],
  )
  assert.is(count(nested.ops, 'scan'), 2)
})

test('phases of a loop give their gradients once, of what they gave', () => {
  const traced = q.orThrow(q.trace(netOf('loop'), q.tensorInput([STEPS, 2, 3]), { mode: 'train' }))
  const program = q.orThrow(q.grad(traced, { inputs: true }))
  const [back] = program.graph.nodes.filter((n) => n.op.name === 'scan' && n.backwardOf !== undefined)
  // Seven carries as they were before the step, the slice, and the four values that phases gave.
  assert.is(back.attrs.xs, 12)
})

test('checks are made by the forward loop, not once more on the way back', () => {
  const { ops, gradient } = loopBack(
    ([h], [x]) => [[q.tanh(h.kit.emit('checkFinite', [q.mul(h, x)], { names: ['it'] }))], []],
    (x) => [x.kit.constant(1, [2])],
  )
  assert.is(count(ops, 'checkFinite'), 0)
  assert.ok(gradient.every((g) => g !== 0))
})

test('a carry that no gradient is wanted of goes no way back', () => {
  const { carries } = loopBack(
    ([h, n], [x]) => [[q.tanh(q.add(h, q.mul(x, n))), q.add(n, n.kit.constant(1, [2]))], []],
    (x) => [zeros(x), zeros(x)],
  )
  assert.is(carries, 1)
})

test('slices that no gradient is wanted of have no cotangents', () => {
  const { layer, problems, config, state } = q.functionLayer('none', (x: Value) => x)
  const net: q.Layer = {
    layer,
    problems,
    config,
    state,
    params: { w: { shape: [2], learned: true, init: (g: q.Generator) => [q.tensorOf([2], [0.5, 2]), g] } } as never,
    apply: (p: unknown, _s: unknown, x: unknown) => {
      const { w } = p as { readonly w: Value }
      const step = ([h]: readonly Value[], [row]: readonly Value[]): readonly [readonly Value[], readonly Value[]] => {
        const next = q.tanh(q.add(q.mul(h, w), row))
        return [[next], [next]]
      }
      const [, [ys]] = q.scan(step, [zeros(w)], [x as Value])
      return [q.sum(ys), {}] as never
    },
  }
  const program = q.orThrow(q.grad(q.orThrow(q.trace(net, q.tensorInput([3, 2]), { mode: 'train' }))))
  const [back] = program.graph.nodes.filter((n) => n.op.name === 'scan' && n.backwardOf !== undefined)
  assert.is(back.branches?.[0].outputs.length, 2)
})

test('a loop without carries has the gradient of its body', () => {
  const { gradient } = loopBack(
    (_, [x]) => [[], [q.mul(x, x)]],
    () => [],
  )
  assert.equal(
    gradient,
    [0.5, -1, 2, 0.25, 1, -0.5].map((x) => 4 * x ** 3),
  )
})

test('an op without a gradient is refused only where a gradient is wanted through it', () => {
  const mine = q.unary({
    name: 'mine',
    doc: 'An op of a test.',
    attrs: {},
    f: (x) => x,
    carry: q.strips('an op of a test'),
    vjp: { none: 'of a test' },
  })
  const net = q.chain({
    mine: q.functionLayer('mine', (x: q.Value) => x.kit.apply(mine, [x])),
    fc: q.QuantLinear({ inFeatures: 3, outFeatures: 2 }),
    loss: q.functionLayer('loss', (x: q.Value) => q.sum(x)),
  })
  const traced = q.orThrow(q.trace(net, q.tensorInput([2, 3]), { mode: 'train' }))
  assert.ok(E.isRight(q.grad(traced)))
  const refused = q.grad(traced, { inputs: true })
  assert.ok(E.isLeft(refused))
  if (E.isLeft(refused)) assert.match(refused.left[0].message, 'mine has no gradient: of a test')
})

test('a program with gradients can not be written into', () => {
  const traced = q.orThrow(
    q.trace(
      q.functionLayer('f', (x: q.Value) => q.sum(q.mul(x, x))),
      q.tensorInput([2]),
      { mode: 'train' },
    ),
  )
  const program = q.orThrow(q.grad(traced, { inputs: true }))
  assert.ok(Object.isFrozen(program) && Object.isFrozen(program.outputs) && Object.isFrozen(program.structure.grads))
  assert.ok(program.outputs.every(Object.isFrozen) && program.inputs.every(Object.isFrozen))
})

test.run()

/** Loops on WebAssembly: a kernel of the plan around them where nothing in the body waits for a number, else a module of their own; as the reference. */
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import type { Kit, Program, Tensor, Value } from '../../src/index.js'
import { loadPrecompiled } from '../../src/runtime/index.js'
import { suite } from '../support/suite.js'

const test = suite('loops on wasm')
// Sums of two: in whatever order they are taken, they have the same bits.
const [T, B, I, H] = [9, 2, 2, 2]
const x = q.randn([T, B, I])(q.manualSeed(1))[0]

type Options = Partial<q.LstmOptions>
const lstm = (o: Options) => {
  const layer = q.QuantLSTM({ inputSize: I, hiddenSize: H, ...o })
  return {
    ...layer,
    apply: (p: never, s: never, given: Value, kit: Kit) => {
      const [out, after] = layer.apply(p, s, { x: given }, kit)
      return [{ loss: q.sum(q.mul(out.y, out.y)), y: out.y, c: out.c }, after]
    },
  } as unknown as q.Layer<q.TensorTree, q.TensorTree, Value, { loss: Value; y: Value; c: Value }>
}

const tensorsOf = (tree: unknown): readonly Tensor[] => {
  if (typeof tree !== 'object' || tree === null) return []
  return 'data' in tree && 'shape' in tree ? [tree as Tensor] : Object.values(tree).flatMap(tensorsOf)
}
/** The loss is a sum of many, which may be taken in another order. */
const rest = <A extends { readonly loss?: unknown }>({ loss: _, ...others }: A) => others
const same = (a: unknown, b: unknown): void => {
  const [l, r] = [tensorsOf(a), tensorsOf(b)]
  assert.is(l.length, r.length)
  l.forEach((t, i) => assert.equal(t.data, r[i].data))
}
/** Products on integers round otherwise than those in float. */
const near = (a: unknown, b: unknown): void => {
  const right = tensorsOf(b)
  tensorsOf(a).forEach((t, i) =>
    t.data.forEach((v, k) => {
      const w = right[i].data[k]
      assert.ok(Math.abs(v - w) <= 1e-5 * (1 + Math.abs(w)), `tensor ${i}, element ${k}: ${v} and ${w}`)
    }),
  )
}
const traced = (net: ReturnType<typeof lstm>, mode: 'train' | 'eval') =>
  q.orThrow(q.trace(net, q.tensorInput([T, B, I]), { mode }))

const NETS: readonly (readonly [string, Options])[] = [
  ['one layer', {}],
  ['two layers, both directions', { numLayers: 2, bidirectional: true }],
  ['coupled gates', { coupledInputForgetGates: true }],
]

for (const [name, o] of NETS) {
  test(`in evaluation a loop is one kernel: ${name}`, () => {
    const net = lstm(o)
    const start = q.orThrow(q.init(net, 0))
    const { state } = q.orThrow(q.run(traced(net, 'train'), { ...start, inputs: x }))
    const args = { params: start.params, state, inputs: x }
    const program = traced(net, 'eval')
    const plan = q.orThrow(q.explainPlan(program, args))
    assert.is(plan.passes.hostSteps, 0)
    assert.is(
      plan.steps.filter((s) => s.kernel.startsWith('9 turns of')).length,
      (o.numLayers ?? 1) * (o.bidirectional === true ? 2 : 1),
    )
    const compiled = q.orThrow(q.compile(program))
    const expected = q.orThrow(q.run(program, args)).outputs
    same(rest(q.orThrow(compiled.run(args)).outputs), rest(expected))
    same(rest(q.orThrow(compiled.run(args)).outputs), rest(expected))
    compiled.dispose()
  })

  test(`phases that change in the middle of a loop: ${name}`, () => {
    // 30 steps of collection: 9 steps a call, some quantizers several times a step.
    const net = lstm(o)
    const start = q.orThrow(q.init(net, 0))
    const program = q.orThrow(q.grad(traced(net, 'train'), { output: 'loss' }))
    const [fast, slow] = [q.wasm, q.reference].map((b) => q.orThrow(q.compile(program, b)))
    let state = start.state
    for (let call = 0; call < 5; call++) {
      const args = { params: start.params, state, inputs: x }
      const [a, b] = [q.orThrow(fast.run(args)), q.orThrow(slow.run(args))]
      near(a.outputs, b.outputs)
      near(a.state, b.state)
      near(a.grads, b.grads)
      state = a.state
    }
    fast.dispose()
    slow.dispose()
  })
}

/** Quantizers of a cell end their collection in different steps of one loop, and one may go on. */
const ENDING: readonly (readonly [string, Options])[] = [
  ['all of them', {}],
  ['all but one', { cellStateCollectStatsSteps: 1000 }],
]
for (const [name, o] of ENDING)
  test(`phases that end within one run of a loop: ${name}`, () => {
    const net = lstm(o)
    const start = q.orThrow(q.init(net, 0))
    const long = q.randn([36, B, I])(q.manualSeed(2))[0]
    const program = q.orThrow(
      q.grad(q.orThrow(q.trace(net, q.tensorInput(long.shape), { mode: 'train' })), { output: 'loss' }),
    )
    const [fast, slow] = [q.wasm, q.reference].map((b) => q.orThrow(q.compile(program, b)))
    let state = start.state
    for (let call = 0; call < 3; call++) {
      const args = { params: start.params, state, inputs: long }
      const [a, b] = [q.orThrow(fast.run(args)), q.orThrow(slow.run(args))]
      near(a.outputs, b.outputs)
      near(a.state, b.state)
      near(a.grads, b.grads)
      state = a.state
    }
    fast.dispose()
    slow.dispose()
  })

test('a loop is precompiled with the program around it: the same bits', async () => {
  const net = lstm({ bidirectional: true })
  const start = q.orThrow(q.init(net, 0))
  const program = traced(net, 'eval')
  const { state } = q.orThrow(q.run(traced(net, 'train'), { ...start, inputs: x }))
  const file = q.orThrow(q.precompile(program, { params: start.params, state }))
  const loaded = q.orThrow(await loadPrecompiled<Tensor, { readonly loss: unknown }>(file))
  const expected = q.orThrow(q.run(program, { params: start.params, state, inputs: x }))
  same(rest(q.orThrow(loaded.run(x)).outputs), rest(expected.outputs))
})

const stepsOf = (
  body: (carry: readonly Value[], slice: Value) => readonly [readonly Value[], unknown],
  carries: number,
) =>
  q.functionLayer('loop', (given: Value) => {
    const start = Array.from({ length: carries }, (_, i) => q.mul(q.mean(given, [0, 1]), i + 1))
    return q.scan(body, start, given)
  }) as unknown as q.Layer<Record<never, never>, Record<never, never>, Value>

const BODIES: readonly (readonly [string, q.Layer<Record<never, never>, Record<never, never>, Value>])[] = [
  ['carries that change places', stepsOf(([a, b, c], s) => [[b, c, q.add(a, q.mean(s, 0))], a], 3)],
  ['a carry that is another one before the step', stepsOf(([a, b], s) => [[q.add(b, q.mean(s, 0)), a], {}], 2)],
  ['a carry that no step reads', stepsOf(([a, b], s) => [[q.add(a, q.mean(s, 0)), q.mean(s, 0)], b], 2)],
  ['results that are slices and constants', stepsOf(([a], s) => [[a], { s, zero: q.mul(q.mean(s, 0), 0), a }], 1)],
]
for (const [name, net] of BODIES)
  for (const mode of ['train', 'eval'] as const)
    test(`${name}, ${mode}`, () => {
      const program = q.orThrow(q.trace(net, q.tensorInput([T, B, I]), { mode })) as unknown as Program
      const args = { params: {}, state: {}, inputs: x } as never
      const compiled = q.orThrow(q.compile(program))
      same(q.orThrow(compiled.run(args)).outputs, q.orThrow(q.run(program, args)).outputs)
      compiled.dispose()
    })

test.run()

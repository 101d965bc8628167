/** A plan as data: what it says is what is loaded and run. */
import * as q from '../../src/index.js'
import { isTensor } from '../../src/data/tensor.js'
import { leaves, mapTree } from '../../src/data/tree.js'
import { planOf } from '../../src/evaluator/wasm/planning.js'
import { newMath } from '../../src/evaluator/wasm/kernels/math.js'
import { load } from '../../src/evaluator/wasm/load.js'
import { close, get, same, sameBits, says } from '../nn/support.js'
import { suite } from '../support/suite.js'
import { isRight } from 'fp-ts/lib/Either.js'

const test = suite('evaluator: describe')

const net = q.chain({
  input: q.QuantIdentity({ returnQuantTensor: true }),
  conv1: q.QuantConv2d({ inChannels: 1, outChannels: 4, kernelSize: 3 }),
  relu1: q.QuantReLU({ returnQuantTensor: true }),
  flatten: q.Flatten(),
  fc: q.QuantLinear({ inFeatures: 144, outFeatures: 10 }),
})
const programFor = (n: number) => get(q.trace(net, q.tensorInput([n, 1, 8, 8]), { mode: 'train' }))
const start = get(q.init(net, 0))
const argsFor = (n: number) => ({ params: start.params, state: start.state, inputs: q.zeros([n, 1, 8, 8]) })

test('products of quantized operands run on integers, others say which operand prevents it', () => {
  const d = get(q.explainPlan(programFor(8), argsFor(8)))
  same(
    d.products.map((p) => [p.op, p.path, p.runsOn]),
    [
      ['conv', 'conv1', 'integers'],
      ['linear', 'fc', 'integers'],
    ],
  )
  const floating = q.chain({ conv: q.QuantConv2d({ inChannels: 1, outChannels: 2, kernelSize: 3 }) })
  const init = get(q.init(floating, 0))
  const e = get(
    q.explainPlan(get(q.trace(floating, q.tensorInput([1, 1, 5, 5]), { mode: 'eval' })), {
      ...init,
      inputs: q.zeros([1, 1, 5, 5]),
    }),
  )
  same(
    e.products.map((p) => p.runsOn),
    ['float'],
  )
  says(e.products[0].why, /^input %\d+: it never had metadata$/)
})

test('the unit of a scale costs no operation for each element, and a scale that is none still makes NaN', async () => {
  const identity = q.QuantIdentity({ collectStatsSteps: 2 })
  const program = get(q.vjp(get(q.trace(identity, q.tensorInput([4, 3, 5]), { mode: 'train' })), { inputs: true }))
  const begun = get(q.init(identity, 0))
  const [inputs, r] = q.randn([4, 3, 5])(q.manualSeed(1))
  const [cotangent] = q.randn([4, 3, 5])(r)
  const wasm = get(await q.createWasm({ threads: 1 }))
  const scalarOf = (value: number): q.Tensor => q.tensorOf([], [value])
  for (const scale of [1, 0, -0.5, 1e30, NaN, Infinity]) {
    const state = mapTree(isTensor, begun.state, (t, path) => {
      if (path.endsWith('counter')) return scalarOf(2 ** 32)
      return path.endsWith('value') ? scalarOf(scale) : t
    }) as typeof begun.state
    const args = { params: begun.params, state, inputs: { inputs, cotangent } }
    const plan = get(q.explainPlan(program, args))
    same(
      plan.steps.filter((s) => s.kernel.startsWith('loop[60]')).map((s) => s.ops.join()),
      ['quantize,quantizeGradInput,quantizeGradScale,add'],
    )
    const [ours, reference] = [get(get(q.compile(program, wasm)).run(args)), get(q.run(program, args))]
    const expected = new Map(leaves(isTensor, reference.grads).map((l) => [l.path, l.leaf]))
    for (const { path, leaf } of leaves(isTensor, ours.grads)) {
      const other = expected.get(path) ?? leaf
      // A sum may be taken in another order.
      if (leaf.data.length > 1 || Number.isNaN(leaf.data[0])) sameBits(leaf, other)
      else close(leaf.data[0], other.data[0], 1e-5)
    }
  }
  wasm.dispose()
})

test('one row: the weight is not brought into integers, and the plan says so', () => {
  const linear = get(q.explainPlan(programFor(1), argsFor(1))).products.find((p) => p.op === 'linear')
  same(linear?.runsOn, 'float')
  says(linear?.why ?? '', /few rows/)
})

test('the memory that is told is the memory that is taken', () => {
  const program = programFor(8) as q.Program
  const inputs = program.inputs.map((i) => q.zeros(i.shape))
  const plan = planOf(program, (i) => inputs[i].data, [], newMath())
  const loaded = load(program, plan, null)
  same(isRight(loaded), true)
  if (isRight(loaded)) {
    const pages = Math.ceil(plan.bytes / 65536) + 1
    same(loaded.right.outputs[0].data.buffer.byteLength, pages * 65536)
  }
  const d = get(q.explainPlan(programFor(8), argsFor(8)))
  same(
    d.steps.every((s) => [...s.reads, ...s.stores].every((a) => a >= 0 && a < d.bytes)),
    true,
  )
})

test('the phases decide the plan: collecting has a percentile, learned has none', () => {
  const args = argsFor(8)
  const collecting = get(q.explainPlan(programFor(8), args))
  same(
    collecting.phases.every((p) => p.phase === 'collecting'),
    true,
  )
  same(
    collecting.steps.some((s) => s.ops.includes('kthValue')),
    true,
  )
  const counter = q.scalar(31)
  const learned = (tree: object): object =>
    Object.fromEntries(
      Object.entries(tree).map(([k, v]) => [k, k === 'counter' ? counter : 'data' in v ? v : learned(v)]),
    )
  const after = get(q.explainPlan(programFor(8), { ...args, state: learned(args.state) as typeof args.state }))
  same(
    after.phases.every((p) => p.phase === 'learned'),
    true,
  )
  same(
    after.steps.some((s) => s.ops.includes('kthValue')),
    false,
  )
})

test('one plan per vector of phases: the switch to learned makes one more, and going back none', () => {
  const compiled = get(q.compile(programFor(2), q.wasm))
  let state = start.state
  for (let k = 0; k < 33; k++) state = get(compiled.run({ ...argsFor(2), state })).state
  same(compiled.plans(), 2)
  get(compiled.run(argsFor(2)))
  same(compiled.plans(), 2)
  compiled.dispose()
})

test('the text names the passes, every step and every product', () => {
  const d = get(q.explainPlan(programFor(8), argsFor(8)))
  const text = q.showPlan(d)
  says(text, /^plan: [\d.]+ KiB of memory/)
  says(text, /fused: \d+ loops, \d+ kernels/)
  says(text, /conv1: integers \(conv i16/)
  same(text.split('\n').length >= d.steps.length + d.products.length, true)
})

test.run()

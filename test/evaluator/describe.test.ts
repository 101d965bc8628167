/** A plan as data: what it says is what is loaded and run. */
import * as q from '../../src/index.js'
import { planOf } from '../../src/evaluator/wasm/planning.js'
import { newMath } from '../../src/evaluator/wasm/kernels/math.js'
import { load } from '../../src/evaluator/wasm/load.js'
import { get, same, says } from '../nn/support.js'
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

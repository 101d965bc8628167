/** Integers of quantizers stored as bytes: the numbers of a plan that stores floats, bit by bit, whatever comes in. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { isRight, type Either } from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import type { Tensor } from '../../src/data/tensor.js'
import { newMath } from '../../src/evaluator/wasm/kernels/math.js'
import { load, loadGuarded } from '../../src/evaluator/wasm/load.js'
import type { Plan } from '../../src/evaluator/wasm/placing.js'
import { planOf } from '../../src/evaluator/wasm/planning.js'
import { hasRelaxedSimd } from '../../src/evaluator/wasm/features.js'
import { BASELINE, newProbe, type Rungs } from '../../src/evaluator/wasm/rungs.js'
import { bindInputs } from '../../src/nn/program/binding.js'
import { randomNet } from '../integer/random.js'
import { suite } from '../support/suite.js'
import { changed, compared, outputsOf, plansOf, type Args } from './support/bytes.js'
import { misplaced } from './support/placement.js'
import { assertSame, get, runOn } from './support/programs.js'

const test = suite('wasm: bytes')

const leftOf = (e: Either<q.QuantErrors, unknown>): q.QuantErrors => (isRight(e) ? [] : e.left)

test('random networks give the bits of a plan without bytes, with NaN and infinities too', () => {
  let [values, raised] = [0, 0]
  for (let seed = 3000; seed < 3040; seed++) {
    const { program, fixed, x, says } = randomNet(seed)
    const others = [NaN, Infinity, -Infinity, 3e38].map((v, k) => changed(x, 7 * k + 3, v))
    const seen = compared(program, { ...fixed, inputs: x }, others, `seed ${seed}, ${says}`)
    values += seen.bytes
    raised += seen.raised
  }
  assert.ok(values >= 40, `only ${values} values of 40 networks were bytes`)
  assert.ok(raised >= 20, `only ${raised} executions met a number that is none of its grid`)
})

const digits = q.chain({
  input: q.QuantIdentity({ returnQuantTensor: true }),
  conv1: q.QuantConv2d({ inChannels: 1, outChannels: 16, kernelSize: 3, padding: 1 }),
  relu1: q.QuantReLU({ returnQuantTensor: true }),
  pool1: q.MaxPool2d({ kernelSize: 2 }),
  conv2: q.QuantConv2d({ inChannels: 16, outChannels: 32, kernelSize: 3, padding: 1 }),
  act2: q.QuantIdentity({ returnQuantTensor: true }),
  pool2: q.MaxPool2d({ kernelSize: 3, stride: 2, padding: 1 }),
  flatten: q.Flatten(),
  fc1: q.QuantLinear({ inFeatures: 1568, outFeatures: 20 }),
  relu3: q.QuantReLU({ returnQuantTensor: true, bitWidth: 4 }),
  fc2: q.QuantLinear({ inFeatures: 20, outFeatures: 10 }),
})
const BATCH = 5
const program = get(q.trace(digits, q.tensorInput([BATCH, 1, 28, 28]), { mode: 'eval' })) as q.Program
const start = get(q.init(digits, 0))
const x = q.randn([BATCH, 1, 28, 28])(q.manualSeed(1))[0]
const args = { params: start.params, state: start.state, inputs: x }

test('from quantizer to quantizer all activations are bytes: pools, views and products between them', () => {
  const d = get(q.explainPlan(program, args))
  assert.equal(d.passes.byteValues, 6)
  assert.match(q.showPlan(d), /6 of them as bytes/)
  assert.deepEqual(
    d.steps.filter((s) => /maxPool|conv|linear/.test(s.kernel)).map((s) => /bytes/.test(s.kernel)),
    [true, true, true, true, true, true],
  )
})

test('bad scales are met by the other plan: 0, negative, tiny, huge and none at all', () => {
  const inputs = get(bindInputs(program, args))
  const scales = program.inputs.flatMap((p, i) => (/relu1.*value$|scal/i.test(p.path) ? [i] : []))
  assert.ok(scales.length > 0, program.inputs.map((p) => p.path).join())
  const { bytes, plain } = plansOf(program, inputs)
  const a = get(load(program, plain, null))
  const b = get(loadGuarded(program, bytes, (read) => planOf(program, read, [], newMath()), null))
  for (const value of [0, -0.5, 1e-42, 1e38, NaN, Infinity, 0.25])
    for (const i of scales) {
      const given = inputs.with(i, { ...inputs[i], data: inputs[i].data.map(() => value) })
      const expected = outputsOf(a, given, true)
      outputsOf(b, given, true).forEach((t, k) =>
        assertSame(t, expected[k], `${program.inputs[i].path} = ${value}, output ${k}`),
      )
    }
  a.dispose()
  b.dispose()
})

test('threads make no difference, and neither do runs before', async () => {
  const one = get(runOn(q.wasm, program, get(bindInputs(program, args)))).outputs
  const backend = get(await q.createWasm({ threads: 3, splitAbove: 0 }))
  try {
    const executable = get(backend.prepare(program))
    for (const value of [0.5, NaN, 0.5, NaN]) {
      const inputs = get(bindInputs(program, { ...args, inputs: changed(x, 100, value) }))
      const expected = get(runOn(q.wasm, program, inputs)).outputs
      get(executable.run(inputs)).outputs.forEach((t, i) => assertSame(t, expected[i], `${value}, output ${i}`))
    }
    get(executable.run(get(bindInputs(program, args)))).outputs.forEach((t, i) => assertSame(t, one[i], `output ${i}`))
  } finally {
    backend.dispose()
  }
})

const joined = (bits: number) =>
  q.model(
    {
      input: q.QuantIdentity({ returnQuantTensor: true, bitWidth: bits }),
      conv: q.QuantConv2d({ inChannels: 3, outChannels: 3, kernelSize: 3, padding: 1 }),
      join: q.QuantEltwiseAdd({ returnQuantTensor: true }),
      pool: q.MaxPool2d({ kernelSize: 2 }),
      last: q.QuantConv2d({ inChannels: 3, outChannels: 4, kernelSize: 3, stride: 2 }),
    },
    (layers, params, state, value: q.Value) => {
      const [a, input] = layers.input(params.input, state.input, value)
      const [b, conv] = layers.conv(params.conv, state.conv, a)
      const [c, join] = layers.join(params.join, state.join, [a, b])
      const [d, pool] = layers.pool(params.pool, state.pool, c)
      const [y, last] = layers.last(params.last, state.last, d)
      return [y, { input, conv, join, pool, last }]
    },
  )

test('a sum of two quantized values reads bytes and writes bytes', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(2, 4, 8),
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 6, max: 19 }),
      fc.nat(1000),
      (bits, n, size, seed) => {
        const net = joined(bits)
        const p = get(q.trace(net, q.tensorInput([n, 3, size, size]), { mode: 'eval' })) as q.Program
        const given = q.randn([n, 3, size, size])(q.manualSeed(seed))[0]
        const { params, state } = get(q.init(net, seed))
        const seen = compared(p, { params, state, inputs: given }, [changed(given, seed, NaN)], `${bits} bits, ${size}`)
        assert.ok(seen.bytes >= 3, `${seen.bytes} values as bytes`)
      },
    ),
    { numRuns: 12 },
  )
})

const rungsOf = (given: Partial<Rungs>): Rungs => ({ ...BASELINE, integers: 'relaxed', ...given })

test('8-bit dot products give the integers of 16-bit ones, top bits split off or not', () => {
  if (!hasRelaxedSimd()) return
  const second = newProbe().second()
  const rungs = [
    rungsOf({ second: 'seven', splits: true }),
    rungsOf({ second: 'seven', splits: false }),
    rungsOf({ second, splits: true }),
  ]
  const kernels = new Set<string>()
  for (let seed = 5000; seed < 5030; seed++) {
    const net = randomNet(seed)
    const p = net.program as q.Program
    const given = get(bindInputs(p, { ...net.fixed, inputs: net.x } as Args))
    const plan = (r: Rungs): Plan => planOf(p, (i) => given[i].data, [], newMath(), { bytes: true, rungs: r })
    const run = (made: Plan): readonly Tensor[] => {
      const loaded = get(load(p, made, null))
      const outputs = outputsOf(loaded, given, true)
      loaded.dispose()
      return outputs
    }
    const expected = run(plan(BASELINE))
    for (const r of rungs) {
      const made = plan(r)
      assert.deepEqual(misplaced(made, []), [], net.says)
      made.steps.forEach((s) => kernels.add(s.kernel?.name.split(' + ')[0] ?? ''))
      run(made).forEach((t, i) => assertSame(t, expected[i], `seed ${seed}, ${net.says}: output ${i}`))
    }
  }
  for (const name of [
    'conv bytes i8 split across',
    'conv bytes i8 split along',
    'linear bytes i8 split',
    'conv bytes i8 across',
  ])
    assert.ok(kernels.has(name), `${name} among ${[...kernels].join(', ')}`)
})

test('rungs are forced, or chosen and said; what an engine lacks is an error where it was forced', async () => {
  const made = await q.createWasm({ threads: 1, simd: 'relaxed' })
  assert.equal(isRight(made), hasRelaxedSimd())
  const backends = [get(await q.createWasm({ threads: 1, simd: 'baseline' })), ...(isRight(made) ? [made.right] : [])]
  try {
    const inputs = get(bindInputs(program, args))
    const [expected, ...others] = backends.map((b) => get(runOn(b, program, inputs)).outputs)
    for (const o of others) o.forEach((t, i) => assertSame(t, expected[i], `output ${i}`))
    for (const b of backends) {
      const d = get(q.explainPlan(program, args, b))
      assert.deepEqual(d.rungs, b.features.rungs)
      assert.match(d.rungs.why, /was asked for/)
      assert.match(q.showPlan(d), /instructions: (8|16)-bit dot products of integers, because simd: /)
      assert.match(d.products[0].kernel, d.rungs.integers === 'relaxed' ? /i8/ : /i16/)
    }
  } finally {
    backends.forEach((b) => b.dispose())
  }
  const chosen = get(await q.createWasm({ threads: 1 }))
  assert.match(chosen.features.rungs.why, hasRelaxedSimd() ? /times as many products here/ : /no relaxed SIMD/)
  chosen.dispose()
  assert.match(get(q.explainPlan(program, args)).rungs.why, /measures nothing/)
  const wrong = await q.createWasm({ simd: 'relaxt' as 'relaxed' })
  assert.match(isRight(wrong) ? '' : q.explainAll(wrong.left), /"baseline", "relaxed"/)
  assert.match(
    isRight(q.explainPlan(program, args, q.reference))
      ? ''
      : q.explainAll(leftOf(q.explainPlan(program, args, q.reference))),
    /makes no plan/,
  )
})

test('products added unrounded stay within the rounding of a sum', async () => {
  const backend = get(await q.createWasm({ threads: 1, fma: true }))
  const net = q.chain({ conv: q.QuantConv2d({ inChannels: 9, outChannels: 10, kernelSize: 3, weightQuant: null }) })
  const p = get(q.trace(net, q.tensorInput([2, 9, 11, 11]), { mode: 'eval' })) as q.Program
  const { params, state } = get(q.init(net, 0))
  const given = q.randn([2, 9, 11, 11])(q.manualSeed(3))[0]
  const inputs = get(bindInputs(p, { params, state, inputs: given }))
  try {
    assert.equal(backend.features.rungs.fma, hasRelaxedSimd())
    assert.equal(
      backend.features.notes.some((n) => /no relaxed SIMD/.test(n)),
      !hasRelaxedSimd(),
    )
    const [ours, theirs] = [backend, q.reference].map((b) => get(runOn(b, p, inputs)).outputs[0].data)
    ours.forEach((v, i) => assert.ok(Math.abs(v - theirs[i]) < 1e-5, `${i}: ${v} and ${theirs[i]}`))
  } finally {
    backend.dispose()
  }
})

test.run()

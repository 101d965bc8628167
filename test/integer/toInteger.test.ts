/** From networks to integers: what comes out, what is refused and why, and what the numbers say. */
import * as E from 'fp-ts/lib/Either.js'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import {
  compareInteger,
  dequantizeOutputs,
  integerOps,
  integersOf,
  layersOf,
  quantizeInputs,
  runInteger,
  toC,
  toInteger,
  type IntegerOptions,
  type IntegerProgram,
  type IntegerTensor,
} from '../../src/integer/index.js'
import { toMermaid } from '../../viz/index.js'
import { suite } from '../support/suite.js'

const test = suite('integer: toInteger')
const { orThrow } = q
const RET = { returnQuantTensor: true, collectStatsSteps: 2 } as const

/** A network after two steps on random data: its program in eval, and what fixes it. */
const trained = <P, S>(net: q.Layer<P, S>, shape: readonly number[], change: (params: P) => P = (p) => p) => {
  const first = orThrow(q.init(net, 1))
  const params = change(first.params)
  let { state } = first
  const steps = orThrow(q.trace(net, q.tensorInput(shape), { mode: 'train' }))
  for (let k = 0; k < 2; k++)
    state = orThrow(q.run(steps, { params, state, inputs: q.randn(shape)(q.manualSeed(k))[0] })).state
  const program = orThrow(q.trace(net, q.tensorInput(shape), { mode: 'eval' }))
  return { program, fixed: { params, state }, x: q.randn(shape)(q.manualSeed(7))[0], net }
}

const firstConv = q.QuantConv2d({ inChannels: 1, outChannels: 3, kernelSize: 3, biasQuant: q.Int32Bias, bias: true })

const lenet = () =>
  trained(
    q.chain({
      input: q.QuantIdentity(RET),
      conv: firstConv,
      norm: q.BatchNorm2d({ numFeatures: 3 }),
      act: q.QuantReLU({ ...RET, bitWidth: 6 }),
      pool: q.MaxPool2d({ kernelSize: 2 }),
      flat: q.Flatten(),
      fc: q.QuantLinear({ inFeatures: 27, outFeatures: 4, bias: true }),
    }),
    [2, 1, 8, 8],
    (p) => ({ ...p, norm: { ...p.norm, weight: q.tensorOf([3], [-1.5, 0.5, 1]) } }),
  )

const refused = (made: E.Either<q.QuantErrors, unknown>): q.QuantErrors => {
  if (E.isRight(made)) throw new Error('it was not refused')
  return made.left
}

test('a program of integer ops alone, that prints, is stored and read again, and is an ordinary program', () => {
  const { program, fixed, x } = lenet()
  const p = orThrow(toInteger(program, fixed))
  const text = q.printProgram(p.program)
  assert.match(text, /integerConv\[.*carries \d+s/)
  assert.not.match(text, /quantize\[bits/)
  const again = orThrow(q.parseProgram(integerOps)(q.programToJSON(p.program)))
  assert.is(q.printProgram(again), text)
  const given = orThrow(quantizeInputs(p, x))
  const y = orThrow(runInteger(p, given))['']
  assert.equal(orThrow(runInteger({ ...p, program: again }, given))[''], y)
})

test('any backend runs it as long as float32 holds its numbers, and says so where it does not', () => {
  const floats = (list: { readonly [k: string]: IntegerTensor }) =>
    Object.fromEntries(Object.entries(list).map(([k, t]) => [k, q.tensorOf(t.shape, t.data)]))
  const inFloats = ({ program, fixed, x }: Pick<ReturnType<typeof lenet>, 'program' | 'fixed' | 'x'>) => {
    const p = orThrow(toInteger(program, fixed))
    const given = orThrow(quantizeInputs(p, x))
    const ran = q.run(p.program, { params: floats(p.constants), state: {}, inputs: floats(given) })
    return [ran, orThrow(runInteger(p, given))['']] as const
  }
  const small = q.chain({ a: q.QuantIdentity({ ...RET, bitWidth: 4 }), s: q.QuantSigmoid({ returnQuantTensor: true }) })
  const [ran, y] = inFloats(trained(small, [4, 3]) as never)
  assert.equal([...q.valueOf(orThrow(ran).outputs as q.Output).data], [...y.data])
  const [wide] = inFloats(lenet())
  assert.match(refused(wide)[0].message, /requantize was given \d+: float32 holds whole numbers below 2\^24 only/)
})

test('values of a float result: the accumulator with its bias, half a step of it from the float program', () => {
  const { program, fixed, x } = lenet()
  const p = orThrow(toInteger(program, fixed, { requantization: 'thresholds' }))
  const float = q.valueOf(orThrow(q.run(program, { ...fixed, inputs: x })).outputs)
  const integers = orThrow(runInteger(p, orThrow(quantizeInputs(p, x))))
  const values = orThrow(dequantizeOutputs(p, integers))['']
  const scale = p.outputs[0].scale.data[0]
  values.data.forEach((v, i) => assert.ok(Math.abs(v - float.data[i]) <= 0.51 * scale, `${v} and ${float.data[i]}`))
})

test('with thresholds every integer behind every quantizer is the one of the float rule', () => {
  const { program, fixed, x } = lenet()
  for (const requantization of ['thresholds', 'multiplier', 'auto'] as const) {
    const p = orThrow(toInteger(program, fixed, { requantization }))
    const [act, result] = orThrow(compareInteger(p, program, fixed, [x, x]))
    assert.is(act.path, 'act.actQuant')
    assert.is(act.elements, 2 * 2 * 3 * 36)
    assert.is(act.equal, act.elements)
    assert.is(result.elements, 16)
    for (const r of p.requantizations) assert.is(requantization === 'thresholds' ? r.apart : 0, 0)
  }
})

test('a sigmoid of few bits becomes a table, one of an accumulator thresholds', () => {
  const of = (layers: { readonly [name: string]: q.Layer<unknown, unknown> }) =>
    trained(q.chain(layers) as unknown as q.Layer<unknown, unknown>, [4, 3])
  const as = (l: unknown) => l as q.Layer<unknown, unknown>
  const table = of({
    a: as(q.QuantIdentity({ ...RET, bitWidth: 4 })),
    s: as(q.QuantSigmoid({ returnQuantTensor: true })),
  })
  const [form] = orThrow(toInteger(table.program, table.fixed)).requantizations
  assert.is(form.form, 'table')
  const sums = of({
    a: as(q.QuantIdentity(RET)),
    f: as(q.QuantLinear({ inFeatures: 3, outFeatures: 3, returnQuantTensor: true, bias: false })),
    t: as(q.QuantTanh({ returnQuantTensor: true })),
  })
  assert.is(orThrow(toInteger(sums.program, sums.fixed)).requantizations[0].form, 'thresholds')
  for (const { program, fixed, x } of [table, sums]) {
    const p = orThrow(toInteger(program, fixed))
    for (const c of orThrow(compareInteger(p, program, fixed, [x]))) assert.is(c.equal, c.elements)
  }
})

test('a function that rises and falls is a table too, where its range is short', () => {
  const net = q.functionLayer('gelu', (x: q.Value) => q.gelu(x))
  const { program, fixed, x } = trained(
    q.chain({ a: q.QuantIdentity({ ...RET, bitWidth: 6 }), g: net, b: q.QuantIdentity(RET) }),
    [4, 5],
  )
  const p = orThrow(toInteger(program, fixed))
  assert.is(p.requantizations[0].form, 'table')
  for (const c of orThrow(compareInteger(p, program, fixed, [x]))) assert.is(c.equal, c.elements)
})

test('layers in integers: weights, bias, scales, multiplier and shift, accumulator', () => {
  const { program, fixed } = lenet()
  const layers = orThrow(integersOf(program, fixed))
  assert.equal(
    layers.map((l) => l.path),
    ['conv', 'fc'],
  )
  const [conv, fc] = layers
  const own = orThrow(q.integerWeights(firstConv, fixed.params.conv, fixed.state.conv))
  assert.equal(
    [...(conv.weight?.data ?? [])],
    [...own.int.data].map((v) => v + 0),
  )
  assert.ok(conv.weight?.data instanceof Int8Array)
  assert.is(conv.bias?.exact, true)
  assert.is(conv.accumulatorScale.data[0], Math.fround(conv.inputScale.data[0] * conv.weightScale.data[0]))
  assert.is(conv.requantization?.form, 'multiplier')
  if (conv.requantization?.form === 'multiplier') {
    assert.is(conv.requantization.multiplier.data.length, 3)
    assert.ok(conv.requantization.multiplier.data[0] < 0, 'a batch norm of a negative factor')
    assert.equal(conv.requantization.output, { lo: 0, hi: 63 })
  }
  const bias = fixed.params.fc.bias
  if (bias === undefined) throw new Error('no bias')
  fc.bias?.data.forEach((b, i) => assert.is(b, Math.round(bias.data[i] / fc.accumulatorScale.data[0])))
  assert.is(fc.requantization, null)
  // The proof: no weights and inputs can leave it.
  const rows = [0, 1, 2].map((o) => own.int.data.slice(o * 9, o * 9 + 9))
  const most = Math.max(
    ...rows.map((r, o) => r.reduce((s, w) => s + Math.max(-128 * w, 127 * w), 0) + (conv.bias?.data[o] ?? 0)),
  )
  assert.ok(conv.accumulator.hi >= most && conv.accumulator.bits === 24)
})

test('all places that prevent integers are named at once, with layer, reason and fix', () => {
  const net = q.chain({
    input: q.QuantIdentity(RET),
    conv: q.QuantConv2d({ inChannels: 2, outChannels: 2, kernelSize: 1 }),
    soft: q.functionLayer('soft', (x: q.Value) => q.softmax(x, 1)),
    act: q.QuantReLU(RET),
    plain: q.Conv2d({ inChannels: 2, outChannels: 2, kernelSize: 1 }),
    out: q.QuantReLU(RET),
  })
  const { program, fixed } = trained(net, [1, 2, 3, 3])
  const errors = refused(toInteger(program, fixed))
  assert.equal(
    errors.map((e) => e.path),
    ['soft'],
  )
  const second = q.chain({
    a: q.Conv2d({ inChannels: 2, outChannels: 2, kernelSize: 1 }),
    i: q.QuantIdentity(RET),
    b: q.Conv2d({ inChannels: 2, outChannels: 1, kernelSize: 1 }),
    o: q.QuantReLU(RET),
  })
  const other = trained(second, [1, 2, 3, 3])
  const two = refused(toInteger(other.program, other.fixed))
  assert.is(two[0].path, 'a')
  for (const e of [...errors, ...two]) {
    assert.is(e.tag, 'ExportError')
    assert.ok(e.fix.length > 20 && e.message.length > 20)
  }
})

test('quantizers of 16 bits, whose 65,535 steps nobody lists: at most one step apart', () => {
  const net = q.chain({
    input: q.QuantIdentity({ ...RET, bitWidth: 16 }),
    conv: q.QuantConv2d({ inChannels: 2, outChannels: 3, kernelSize: 2, bias: true, weightBitWidth: 6 }),
    norm: q.BatchNorm2d({ numFeatures: 3 }),
    act: q.QuantReLU({ ...RET, bitWidth: 16 }),
  })
  const { program, fixed, x } = trained(net, [2, 2, 6, 6], (p) => ({
    ...p,
    norm: { ...p.norm, weight: q.tensorOf([3], [-1.5, 0.5, 1]) },
  }))
  const p = orThrow(toInteger(program, fixed))
  assert.is(p.requantizations[0].most, 1)
  assert.is(p.requantizations[0].everywhere, false)
  const [act] = orThrow(compareInteger(p, program, fixed, [x]))
  assert.ok(act.further === 0 && act.oneApart < 0.05, JSON.stringify(act))
  assert.match(
    refused(toInteger(program, fixed, { requantization: 'thresholds' }))[0].message,
    /steps, too many for thresholds/,
  )
})

test('an accumulator that 32 bits can not hold is refused, with its range', () => {
  const net = q.chain({
    input: q.QuantIdentity({ ...RET, bitWidth: 16 }),
    fc: q.QuantLinear({ inFeatures: 64, outFeatures: 2, weightBitWidth: 16, bias: false, returnQuantTensor: true }),
    out: q.QuantIdentity(RET),
  })
  const { program, fixed } = trained(net, [2, 64])
  const [error] = refused(toInteger(program, fixed))
  assert.match(error.message, /accumulator reaches -?\d+ … \d+, which 32 bits do not hold/)
  assert.is(error.path, 'fc')
})

test('weights that are all 0 leave the bias, and a result without metadata keeps its value', () => {
  const net = q.chain({ input: q.QuantIdentity(RET), fc: q.QuantLinear({ inFeatures: 3, outFeatures: 2, bias: true }) })
  const { program, fixed, x } = trained(net, [2, 3], (p) => ({
    ...p,
    fc: { weight: q.zeros([2, 3]), bias: q.tensorOf([2], [0.37, -1.2]) },
  }))
  const p = orThrow(toInteger(program, fixed))
  const values = orThrow(dequantizeOutputs(p, orThrow(runInteger(p, orThrow(quantizeInputs(p, x))))))['']
  assert.ok(Math.abs(values.data[0] - 0.37) < 1e-3 && Math.abs(values.data[1] + 1.2) < 1e-3, String(values.data))
})

test('it is drawn like any program, with the widths of its integers', () => {
  const { program, fixed } = lenet()
  const drawn = toMermaid(orThrow(toInteger(program, fixed)).program)
  assert.match(drawn, /uint6/)
})

test('what is given is checked: mode, options by name, programs, inputs', () => {
  const { program, fixed, x, net } = lenet()
  const training = orThrow(q.trace(net, q.tensorInput([2, 1, 8, 8]), { mode: 'train' }))
  assert.match(refused(toInteger(training, fixed))[0].message, /traced in train/)
  const misspelt = { requantisation: 'auto' } as unknown as IntegerOptions
  assert.match(refused(toInteger(program, fixed, misspelt))[0].fix, /requantization/)
  assert.match(refused(toInteger(program, {} as never))[0].message, /params and state/)
  assert.match(refused(runInteger({} as never, {}))[0].message, /integer program/)
  const p = orThrow(toInteger(program, fixed))
  assert.match(refused(runInteger(p, {}))[0].message, /input/)
  const given = orThrow(quantizeInputs(p, x))
  const wild = { input: { ...given['input'], data: given['input'].data.map(() => 1000) } }
  assert.match(refused(runInteger(p, wild))[0].message, /from -128 to 127, and was given 1000/)
  assert.match(refused(quantizeInputs(p, q.zeros([1, 1, 8, 8])))[0].message, /\[2,1,8,8\]/)
  assert.match(refused(dequantizeOutputs(p, {}))[0].message, /no integers of result/)
  assert.match(refused(compareInteger(p, program, fixed, x as never))[0].message, /list of batches/)
})

test('a program is compared with the integers that were made of it, not with those of another', () => {
  const { program, fixed, x } = lenet()
  const net = q.chain({ i: q.QuantIdentity({ returnQuantTensor: true }), r: q.QuantReLU({ returnQuantTensor: true }) })
  const other = orThrow(q.trace(net, q.tensorInput([2, 1, 8, 8]), { mode: 'eval' }))
  const numbers = orThrow(q.init(net, 0))
  for (const [p, of] of [
    [orThrow(toInteger(program, fixed)), [other, numbers]],
    [orThrow(toInteger(other, numbers)), [program, fixed]],
  ] as const)
    for (const given of ['data', 'layers', 'sums'] as const)
      assert.match(
        refused(compareInteger(p, of[0] as q.Program, of[1], [x], { given }))[0].message,
        /made from another program/,
      )
})

test('what JSON or a wrong hand made of a program or of integers is refused, not run', () => {
  const { program, fixed, x } = lenet()
  const p = orThrow(toInteger(program, fixed))
  const given = orThrow(quantizeInputs(p, x))
  const results = orThrow(runInteger(p, given))
  const constant = Object.keys(p.constants)[0]
  const broken: readonly unknown[] = [
    JSON.parse(JSON.stringify(p)),
    { ...p, constants: { ...p.constants, [constant]: undefined } },
    { ...p, constants: { ...p.constants, [constant]: { shape: [3], data: new Int8Array(2) } } },
    { ...p, program },
    { ...p, outputs: p.outputs.map(({ shape: _, ...o }) => o) },
    { ...p, inputs: undefined },
    { ...p, inputs: [null] },
    { ...p, accumulators: [null] },
    { ...p, taps: {} },
    { ...p, entry: { ...p.entry, program: {} } },
  ]
  for (const wrong of broken as readonly IntegerProgram[]) {
    for (const e of [
      runInteger(wrong, given),
      quantizeInputs(wrong, x),
      dequantizeOutputs(wrong, results),
      toC(wrong, { name: 'net' }),
      compareInteger(wrong, program, fixed, [x]),
    ])
      assert.match(refused(e)[0].message, /it must be an integer program, as toInteger makes it/)
    assert.throws(() => layersOf(wrong), /it must be an integer program/)
  }
  for (const input of [
    {},
    { data: given.input.data },
    { shape: [1], data: [1] },
    { shape: [2], data: new Int8Array(1) },
    null,
  ])
    assert.match(refused(runInteger(p, { input } as never))[0].message, /needs the integers of input/)
  const [name] = Object.keys(results)
  for (const result of [q.zeros([1]).data, [1, 2], { shape: [2], data: [1, 2] }, { data: results[name].data }, 5])
    assert.match(refused(dequantizeOutputs(p, { [name]: result } as never))[0].message, /no integers of result/)
  assert.match(
    refused(dequantizeOutputs(p, { [name]: { shape: [1], data: new Int32Array(1) } }))[0].message,
    /has shape .*, and dequantizeOutputs was given \[1\]/,
  )
  for (const none of [undefined, null, 5, []])
    assert.match(refused(dequantizeOutputs(p, none as never))[0].message, /no integers/)
})

test.run()

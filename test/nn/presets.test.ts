/** The presets beyond plain integers: what they refuse, what they hand on, what a program stores of them. */
import * as E from 'fp-ts/lib/Either.js'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('presets')

const problemsOf = (layer: q.AnyLayer): string => layer.problems.map((p) => `${p.message} | ${p.fix}`).join('\n')
const x = (shape: readonly number[], seed = 1): q.Tensor => q.randn(shape)(q.manualSeed(seed))[0]
const traced = (layer: q.Layer, shape: readonly number[], mode: 'train' | 'eval' = 'eval') =>
  q.orThrow(q.trace(layer, q.tensorInput(shape), { mode }))
const ran = (layer: q.Layer, input: q.Tensor, mode: 'train' | 'eval' = 'eval') =>
  q.orThrow(
    q.run(traced(layer, input.shape, mode), { ...q.orThrow(q.init(layer, 0)), inputs: input } as never),
  ) as q.Ran<unknown, q.Output>

test('what makes no format, no groups, no width or no accumulator is refused at construction, with the fix', () => {
  const fp = (o: object) =>
    q.QuantIdentity({ actQuant: q.FpOCPAct, bitWidth: 8, exponentBitWidth: 4, mantissaBitWidth: 3, ...o })
  const groups = (o: object) => q.QuantIdentity({ actQuant: q.MXInt8Act, groupDim: -1, ...o })
  const learned = (o: object) => q.QuantIdentity({ bitWidthImplType: 'PARAMETER', ...o })
  const weights = (o: object) => q.QuantLinear({ inFeatures: 8, outFeatures: 2, ...o })
  const cases: readonly (readonly [q.AnyLayer, RegExp])[] = [
    [fp({ exponentBitWidth: 0 }), /Exponent bit width cannot be 0.*give exponentBitWidth/],
    [fp({ exponentBitWidth: 9 }), /9 exponent bits.*give exponentBitWidth: 4/],
    [fp({ mantissaBitWidth: 30 }), /30 mantissa bits.*give mantissaBitWidth: 3/],
    [q.QuantIdentity({ actQuant: q.FpFNUZAct, bitWidth: 8 }), /can not resolve attribute 'exponent_bit_width'/],
    [groups({ groupSize: 0 }), /group_size is 0.*give groupSize: 32/],
    [groups({ groupSize: 2.5 }), /group_size is 2.5/],
    [q.QuantIdentity({ actQuant: q.MXInt8Act }), /Cannot determine automatically group_dim.*give groupDim/],
    [groups({ groupDim: 0.5 }), /group_dim is 0.5/],
    [weights({ weightQuant: q.MXInt8Weight }), /groups of 32 are longer than axis 1.*give weightGroupSize: 8/],
    [weights({ weightQuant: q.IntWeightSymmetricGroupQuant }), /group_size.*give weightGroupSize/],
    [
      weights({ weightQuant: q.Int8AccumulatorAwareWeightQuant, weightAccumulatorBitWidth: 1 }),
      /accumulator of 1 bits/,
    ],
    [learned({ bitWidth: 1 }), /Int bit width has to be at least 2, instead is 1/],
    [learned({ minBitWidth: 0 }), /a learned width is at least 2/],
    [learned({ bitWidthOffsetMinVal: Infinity }), /bitWidthOffsetMinVal is Infinity/],
    [q.QuantIdentity({ scalingStatsOp: { name: 'Mine' } as never }), /scalingStatsOp/],
  ]
  for (const [layer, words] of cases) assert.match(problemsOf(layer), words)
})

test('an axis that is not there, or is shorter than a group, is told when shapes are known', () => {
  const layer = (o: object) => q.QuantIdentity({ actQuant: q.MXInt8Act, groupDim: -1, ...o })
  const said = (l: q.Layer): string => {
    const t = q.trace(l, q.tensorInput([2, 8]), { mode: 'eval' })
    return E.isLeft(t) ? q.explainAll(t.left) : ''
  }
  assert.match(said(layer({})), /groups of 32 are longer than axis -1 of \[2,8\].*\n.*give groupSize: 8/)
  assert.match(said(layer({ groupDim: 3, groupSize: 2 })), /no axis 3 in an input \[2,8\].*\n.*from -2 to 1/)
})

test('a statistic of the own is collected, switched over and learned like a built-in one', () => {
  const mine: q.Statistic = { name: 'MyMax', of: (rows) => q.max(q.abs(rows)) }
  const steps = (scalingStatsOp: q.Statistic | q.StatsOp): readonly number[] => {
    const layer = q.QuantIdentity({ scalingStatsOp, collectStatsSteps: 1, returnQuantTensor: true })
    const program = traced(layer, [4], 'train')
    const { params, ...first } = q.orThrow(q.init(layer, 0))
    let state: unknown = first.state
    return [1, 2, 3].map((seed) => {
      const out = q.orThrow(q.run(program as q.Program, { params, state, inputs: x([4], seed) }))
      state = out.state
      return (out.outputs as q.QuantTensor).scale.data[0]
    })
  }
  assert.equal(steps(mine), steps('MAX'))
  assert.match(q.printConfig(q.QuantIdentity({ scalingStatsOp: mine }).config), /MyMax/)
})

test('programs with minifloats, groups and learned widths are stored and read back', () => {
  for (const layer of [
    q.QuantIdentity({ actQuant: q.Fp8e4m3OCPActPerTensorFloat, returnQuantTensor: true }),
    q.QuantIdentity({ actQuant: q.MXFloat8e4m3Act, groupSize: 4, groupDim: -1, returnQuantTensor: true }),
    q.QuantIdentity({ actQuant: q.Int8DynamicActPerGroupFloat, groupSize: 3, groupDim: 1, returnQuantTensor: true }),
    q.QuantIdentity({ bitWidthImplType: 'PARAMETER', bitWidth: 4, returnQuantTensor: true }),
  ]) {
    const program = traced(layer, [2, 8], 'train')
    const text = q.programToJSON(program)
    const back = q.orThrow(q.parseProgram(q.ops)(text))
    assert.is(q.programToJSON(back), text)
    const args = { ...q.orThrow(q.init(layer, 0)), inputs: x([2, 8]) }
    assert.equal(q.orThrow(q.run(back, args)).outputs, q.orThrow(q.run(program, args)).outputs)
    assert.equal(
      q.orThrow(q.orThrow(q.compile(program, q.wasm)).run(args)).outputs,
      q.orThrow(q.run(program, args)).outputs,
    )
  }
})

test('a file that claims a format which float32 can not hold is refused', () => {
  const layer = q.QuantIdentity({ actQuant: q.Fp8e4m3Act, returnQuantTensor: true })
  const text = q.programToJSON(traced(layer, [3]))
  const forged = text.replaceAll('"exponentBits":4', '"exponentBits":9')
  assert.is.not(forged, text)
  assert.ok(E.isLeft(q.parseProgram(q.ops)(forged)))
})

test('prints name the grid', () => {
  const text = q.printProgram(traced(q.QuantIdentity({ actQuant: q.Fp8e4m3OCPAct, returnQuantTensor: true }), [4]))
  assert.match(text, /carries e4m3 \(OCP\) scale/)
  const groups = q.QuantIdentity({ actQuant: q.MXInt8Act, groupDim: -1, groupSize: 4, returnQuantTensor: true })
  assert.match(q.printProgram(traced(groups, [2, 8])), /carries 8s · 4 scale/)
})

test('minifloats of a run are numbers of their format', () => {
  const out = ran(
    q.QuantIdentity({ actQuant: q.Fp8e4m3OCPAct, returnQuantTensor: true }),
    q.tensorOf([4], [0.3, -500, 0.001, 7]),
  )
  assert.ok(q.isQuantTensor(out.outputs) && q.isFloatQuantTensor(out.outputs))
  assert.equal([...q.minifloats(out.outputs).data], [0.3125, -448, 0.001953125, 7])
  assert.ok(q.isValidQuantTensor(out.outputs))
  assert.throws(() => q.intRepr(out.outputs as q.QuantTensor), /integers/)
})

test('a learned bit width has a gradient, which a penalty on bits adds to', () => {
  const layer = q.QuantIdentity({
    bitWidthImplType: 'PARAMETER',
    bitWidth: 6,
    returnQuantTensor: true,
    collectStatsSteps: 1,
  })
  const model = q.model({ act: layer }, (layers, params, state, input: q.Value) => {
    const [y, act] = layers.act(params.act, state.act, input)
    return [q.add(q.sumSquares(y), q.mul(q.reshape(q.bitWidth(y), []), 0.5)), { act }]
  })
  const program = q.orThrow(q.grad(q.orThrow(q.trace(model, q.tensorInput([8]), { mode: 'train' }))))
  const { params, state } = q.orThrow(q.init(model, 0))
  const first = q.orThrow(q.run(program, { params, state, inputs: x([8]) }))
  const then = q.orThrow(q.run(program, { params, state: first.state, inputs: x([8], 2) }))
  const offset = (g: q.Grads): number =>
    (g.state as { readonly act: { readonly actQuant: { readonly bitWidth: { readonly offset: q.Tensor } } } }).act
      .actQuant.bitWidth.offset.data[0]
  assert.ok(Number.isFinite(offset(then.grads)))
  assert.is.not(offset(then.grads), 0)
})

test.run()

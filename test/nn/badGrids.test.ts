/** Grids that can't be: each is a typed error that says what was asked, what is missing and how to mend it, before anything runs. */
import * as E from 'fp-ts/lib/Either.js'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('grids that can not be')

type Options = { readonly [option: string]: unknown }
type AnyLayer = q.Layer<unknown, unknown, q.Value, q.Value>

const act = (options: Options): AnyLayer => q.QuantIdentity(options) as AnyLayer
const linear = (options: Options): AnyLayer => q.QuantLinear({ inFeatures: 8, outFeatures: 3, ...options }) as AnyLayer
const conv = (options: Options): AnyLayer =>
  q.QuantConv2d({ inChannels: 4, outChannels: 2, kernelSize: 3, ...options }) as AnyLayer

const FP = { actQuant: q.FpOCPActPerTensorFloat }
const A2Q = { weightQuant: q.Int8AccumulatorAwareWeightQuant, inputQuant: q.Int8ActPerTensorFloat }
const A2Q_PLUS = { ...A2Q, weightQuant: q.Int8AccumulatorAwareZeroCenterWeightQuant }
const UNSIGNED = { ...A2Q, inputQuant: q.Uint8ActPerTensorFloat }
const LEARNED = { bitWidthImplType: 'PARAMETER', bitWidth: 4 }
const MX = { actQuant: q.MXInt8Act, groupSize: 2, groupDim: -1 }
const row = q.Int8DynamicActPerRowFloat

/** What is asked, the layer, what the error says, and its fix. */
const BAD: readonly (readonly [string, () => AnyLayer, RegExp, RegExp])[] = [
  [
    'no exponent',
    () => act({ ...FP, bitWidth: 4, exponentBitWidth: 0, mantissaBitWidth: 3 }),
    /cannot be 0/,
    /1 or more/,
  ],
  ['mantissa of 30', () => act({ ...FP, bitWidth: 8, exponentBitWidth: 4, mantissaBitWidth: 30 }), /0 to 22/, /: 3/],
  ['exponent of 9', () => act({ ...FP, bitWidth: 13, exponentBitWidth: 9, mantissaBitWidth: 3 }), /1 to 7/, /: 4/],
  ['no widths', () => act(FP), /can not resolve attribute 'bit_width'/, /all three widths/],
  ['groups of 0', () => act({ ...MX, groupSize: 0 }), /group_size is 0/, /groupSize: 32/],
  ['groups of 2.5', () => act({ ...MX, groupSize: 2.5 }), /group_size is 2.5/, /groupSize: 32/],
  ['groups of 9 on 8', () => act({ ...MX, groupSize: 9 }), /longer than axis -1 of \[2,8\]/, /groupSize: 8 or less/],
  ['no such axis', () => act({ ...MX, groupDim: 5 }), /no axis 5/, /-2 to 1/],
  ['no axis', () => act({ ...MX, groupDim: undefined }), /group_dim/, /groupDim: 1/],
  [
    'weight groups of 9',
    () => linear({ weightQuant: q.MXInt8Weight, weightGroupSize: 9 }),
    /longer/,
    /weightGroupSize: 8/,
  ],
  ['weight groups', () => linear({ weightQuant: q.IntWeightSymmetricGroupQuant }), /group_size/, /weightGroupSize: 32/],
  ['A2Q of no bits', () => linear({ ...A2Q, weightAccumulatorBitWidth: NaN }), /from 2 to 64/, /: 16/],
  ['A2Q+ of no bits', () => linear({ ...A2Q_PLUS, weightAccumulatorBitWidth: NaN }), /from 2 to 64/, /: 16/],
  ['A2Q of 65 bits', () => linear({ ...A2Q, weightAccumulatorBitWidth: 65 }), /from 2 to 64/, /: 16/],
  ['learned from 1', () => act({ ...LEARNED, bitWidth: 1 }), /at least 2/, /2 or more/],
  ['learned from NaN', () => act({ ...LEARNED, bitWidth: NaN }), /NaN/, /bitWidth: 8/],
  ['learned above 0', () => act({ ...LEARNED, minBitWidth: 0 }), /at least 2/, /minBitWidth: 2/],
  [
    'learned to ∞',
    () => act({ ...LEARNED, bitWidthOffsetMinVal: 2, bitWidthOffsetMaxVal: Infinity }),
    /Infinity/,
    /: 4/,
  ],
  ['learned up to 1', () => act({ ...LEARNED, bitWidthOffsetMaxVal: 1 }), /bounds a bit width, from 2 to 32/, /: 4/],
  ['learned from 33', () => act({ ...LEARNED, bitWidthOffsetMinVal: 33 }), /bounds a bit width, from 2 to 32/, /: 4/],
  ['A2Q of 1 bit', () => linear({ ...A2Q, weightAccumulatorBitWidth: 1 }), /from 2 to 64/, /: 16/],
  ['learned between', () => act({ ...LEARNED, bitWidthOffsetMinVal: 6, bitWidthOffsetMaxVal: 3 }), /between/, /swap/],
  ['a learned FP8', () => act({ ...LEARNED, actQuant: q.Fp8e4m3ActPerTensorFloat }), /minifloats/, /integers/],
  // What Brevitas accepts and computes wrongly (SEMANTICS-2 section 12).
  ['HQO per channel', () => conv({ weightQuant: q.Int8WeightPerChannelFloatHQO }), /rank 2, not 4/, /FloatMSE/],
  ['zero points of groups', () => act({ ...MX, actQuant: shifted() }), /twice/, /Int8DynamicActPerGroupFloat/],
  ['rows and a bias', () => linear({ inputQuant: row }), /scale per row/, /bias: false/],
  [
    'a search in a sigmoid',
    () => q.QuantSigmoid({ actQuant: q.Int8ActPerTensorFloatMSE }) as AnyLayer,
    /twice/,
    /QuantIdent/,
  ],
  [
    'a search in a tanh',
    () => q.QuantTanh({ actQuant: q.ShiftedUint8ActPerTensorFloatMSE }) as AnyLayer,
    /twice/,
    /QuantIdent/,
  ],
  ['minifloats handed on', handedOn, /exchanges their widths/, /quantizer/],
]

function shifted(): q.Quantizer {
  return { ...q.ShiftedUint8DynamicActPerTensorFloat, scalingOver: 'GROUP' }
}

function handedOn(): AnyLayer {
  const off = q.QuantIdentity({ actQuant: null, returnQuantTensor: true })
  const on = q.QuantIdentity({ actQuant: q.Fp8e4m3OCPActPerTensorFloat, returnQuantTensor: true })
  return q.chain({ on, off }) as AnyLayer
}

for (const [what, make, says, mends] of BAD)
  test(`${what}: said before anything runs`, () => {
    const traced = q.trace(make(), q.tensorInput(/rank/.test(says.source) ? [1, 4, 5, 5] : [2, 8]), { mode: 'train' })
    assert.ok(E.isLeft(traced), 'it was accepted')
    if (E.isRight(traced)) return
    const [error] = traced.left
    assert.ok(error.tag === 'ConfigError' || error.tag === 'LayerError', error.tag)
    const text = q.explainAll(traced.left)
    assert.match(text, says)
    assert.match(text, mends)
  })

test('what is just enough is accepted', () => {
  const good = [
    linear({ ...A2Q, weightAccumulatorBitWidth: 9 }),
    linear({ ...UNSIGNED, weightAccumulatorBitWidth: 10 }),
    linear({ ...A2Q_PLUS, weightAccumulatorBitWidth: 9 }),
    linear({ inputQuant: row, bias: false }),
    linear({ weightQuant: q.Int8WeightPerChannelFloatHQO }),
    act({ ...MX, groupSize: 8 }),
    act({ ...MX, groupSize: 1 }),
    act({ ...MX, groupDim: 0 }),
    act({ ...LEARNED, bitWidth: 3, minBitWidth: 3 }),
    act({ ...LEARNED, bitWidthOffsetMinVal: 2, bitWidthOffsetMaxVal: 32 }),
    act({ ...LEARNED, bitWidthOffsetMinVal: 4, bitWidthOffsetMaxVal: 4 }),
    act({ ...LEARNED, bitWidthOffsetMinVal: 4 }),
    act({ ...LEARNED, bitWidthOffsetMaxVal: 6 }),
    linear({ weightQuant: q.ShiftedUint8WeightPerChannelFloatHQO }),
    linear({ ...A2Q, weightAccumulatorBitWidth: 64 }),
    act({ ...FP, bitWidth: 5, exponentBitWidth: 1, mantissaBitWidth: 3 }),
    act({ ...FP, bitWidth: 11, exponentBitWidth: 7, mantissaBitWidth: 3 }),
    act({ ...FP, bitWidth: 6, exponentBitWidth: 5, mantissaBitWidth: 0 }),
    act({ ...FP, bitWidth: 28, exponentBitWidth: 5, mantissaBitWidth: 22 }),
  ]
  for (const layer of good) assert.ok(E.isRight(q.trace(layer, q.tensorInput([2, 8]), { mode: 'train' })))
})

/** Accumulators in which no weight but 0 fits, and the least that would do. */
const NARROW: readonly (readonly [string, Options, RegExp, number])[] = [
  ['signed', { ...A2Q, weightAccumulatorBitWidth: 8 }, /too narrow for an input of 8 signed bits/, 9],
  ['unsigned', { ...UNSIGNED, weightAccumulatorBitWidth: 9 }, /too narrow for an input of 8 unsigned bits/, 10],
  ['A2Q+', { ...A2Q_PLUS, weightAccumulatorBitWidth: 8 }, /too narrow/, 9],
  ['of 2 bits', { ...A2Q, weightAccumulatorBitWidth: 2 }, /too narrow/, 9],
]
for (const [what, options, says, least] of NARROW)
  test(`an accumulator that no weight but 0 fits, ${what}: weights of 0 as in Brevitas, an error under strict`, () => {
    const layer = linear({ ...options, bias: false })
    const strict = q.trace(layer, q.tensorInput([2, 8]), { mode: 'train', strict: true })
    assert.ok(E.isLeft(strict), 'it was accepted')
    if (E.isLeft(strict)) {
      assert.match(q.explainAll(strict.left), says)
      assert.match(q.explainAll(strict.left), new RegExp(`weightAccumulatorBitWidth: ${least} or more`))
    }
    const program = q.orThrow(q.trace(layer, q.tensorInput([2, 8]), { mode: 'train' }))
    const { params, state } = q.orThrow(q.init(layer, 0))
    const inputs = q.tensorOf(
      [2, 8],
      Array.from({ length: 16 }, (_, i) => i - 7.5),
    )
    const { outputs } = q.orThrow(q.run(program, { params, state, inputs }))
    assert.equal(
      [...q.valueOf(outputs as q.Output).data].map((x) => x + 0),
      [0, 0, 0, 0, 0, 0],
    )
  })

test('a half-quadratic search per tensor is defined for weights of any rank', () => {
  for (const weightQuant of [
    q.Int8WeightPerTensorFloatHQO,
    q.ShiftedUint8WeightPerTensorFloatHQO,
    q.Int8WeightPerChannelFloat,
  ])
    assert.ok(E.isRight(q.trace(conv({ weightQuant }), q.tensorInput([1, 4, 5, 5]), { mode: 'train' })))
  for (const weightQuant of [q.Int8WeightPerChannelFloatHQO, q.ShiftedUint8WeightPerChannelFloatHQO])
    assert.ok(E.isLeft(q.trace(conv({ weightQuant }), q.tensorInput([1, 4, 5, 5]), { mode: 'train' })))
})

test('groups may be longer than most axes are', () => {
  const wide = act({ ...MX, groupSize: 64 })
  assert.ok(E.isRight(q.trace(wide, q.tensorInput([2, 64]), { mode: 'train' })))
})

test('names of minifloats say their widths', () => {
  const presets = Object.entries(q).filter(([name]) => /^Fp8e\dm\d/.test(name)) as unknown as readonly [
    string,
    q.Quantizer,
  ][]
  assert.ok(presets.length >= 12)
  for (const [name, preset] of presets)
    assert.is(`Fp8e${preset.exponentBitWidth}m${preset.mantissaBitWidth}`, name.slice(0, 7), name)
})

test('an accumulator of just enough bits lets some weight through', () => {
  const [x] = q.randn([4, 8])(q.manualSeed(2))
  // A row spends its norm on one weight; a centered one on two, at the bound but for its last bit.
  for (const [options, bits, row] of [
    [A2Q, 9, [1, 0]],
    [UNSIGNED, 10, [1, 0]],
    [A2Q_PLUS, 10, [1, -1]],
  ] as const) {
    const net = q.QuantLinear({
      inFeatures: 8,
      outFeatures: 3,
      ...options,
      bias: false,
      weightAccumulatorBitWidth: bits,
    })
    const { params, state } = q.orThrow(q.init(net, 1))
    const weight = q.tensorOf(
      [3, 8],
      Array.from({ length: 24 }, (_, i) => row[i % 8] ?? 0),
    )
    const steep = { ...params, weight }
    const program = q.orThrow(q.trace(net, q.tensorInput([4, 8]), { mode: 'train' }))
    const { outputs } = q.orThrow(q.run(program, { params: steep, state, inputs: x }))
    assert.ok(
      q.valueOf(outputs).data.some((y) => y !== 0),
      `${options.weightQuant.name}, ${bits} bits`,
    )
  }
})

test.run()

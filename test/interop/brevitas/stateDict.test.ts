/** State dicts: Brevitas' keys, what a collecting quantizer saves, both directions, strict and not. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import fc from 'fast-check'
import * as q from '../../../src/index.js'
import {
  fromStateDict,
  keyOf,
  parseSafetensors,
  safetensorsToBytes,
  toStateDict,
} from '../../../src/interop/brevitas/index.js'
import { suite } from '../../support/suite.js'
import { nets, trained, type Net } from '../onnx/nets.js'

const test = suite('state dicts')

/** Keys as Brevitas 0.13.4 prints them: `m.state_dict().keys()` of such layers after a call in training. */
test('keys are those of Brevitas', () => {
  const act = 'act_quant.fused_activation_quant_proxy.tensor_quant'
  const keys = {
    'conv1.weight': 'conv1.weight',
    'block.bn.runningMean': 'block.bn.running_mean',
    'block.bn.numBatchesTracked': 'block.bn.num_batches_tracked',
    'net.act.actQuant.scale.value': `net.act.${act}.scaling_impl.value`,
    'act.actQuant.zeroPoint.value': `act.${act}.zero_point_impl.value`,
    'act.actQuant.scale.runningStats': `act.${act}.scaling_impl.runtime_stats.running_stats`,
    'c.inputQuant.scale.value': `c.input_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl.value`,
    'c.weightQuant.scale.value': 'c.weight_quant.tensor_quant.scaling_impl.value',
    'p.truncQuant.scale.value': 'p.trunc_quant.tensor_quant.trunc_scaling_impl.scaling_impl.value',
  }
  for (const [ours, theirs] of Object.entries(keys)) assert.is(keyOf(ours), theirs)
  for (const unsaved of ['a.actQuant.scale.counter', 'a.actQuant.scale.buffer', 'a.actQuant.delay.remaining', 'd.seed'])
    assert.is(keyOf(unsaved), null)
})

const isScaling = (key: string): boolean => key.includes('scaling_impl')

test('before the first call there is no key of a scale; then what it would switch over to; then what it learned', () => {
  const net = q.QuantIdentity({ collectStatsSteps: 3, actQuant: q.Int8ActPerTensorFixedPoint })
  const x = q.tensorOf([4], [-1, 0.5, 2, 3.9])
  const train = q.orThrow(q.trace(net, q.tensorInput([4]), { mode: 'train' }))
  const { params, ...start } = q.orThrow(q.init(net, 0))
  let { state } = start
  const valueNow = (): number | undefined => {
    const dict = q.orThrow(toStateDict(net, { params, state }))
    const key = Object.keys(dict).find(isScaling)
    return key === undefined ? undefined : dict[key].data[0]
  }
  assert.is(valueNow(), undefined)
  for (let step = 0; step < 6; step++) {
    state = q.orThrow(q.run(train, { params, state, inputs: x })).state
    // A power of two is kept as its logarithm: log2 of 3.9.
    assert.ok(Math.abs((valueNow() ?? NaN) - Math.log2(3.9)) < 1e-6)
  }
})

for (const [name, make] of Object.entries(nets))
  test(`${name}: out through a file and in again computes as after the end of its collection`, () => {
    for (const steps of [1, 33]) {
      const made: Net = make()
      const { program, params, state, inputs } = trained(made, steps, 7)
      const bytes = safetensorsToBytes(q.orThrow(toStateDict(made.net, { params, state })))
      const dict = q.orThrow(parseSafetensors(bytes))
      const loaded = q.orThrow(fromStateDict(made.net, dict))
      const ended = q.orThrow(q.finishCollection(made.net)(state))
      assert.equal(
        q.orThrow(q.run(program, { params: loaded.params, state: loaded.state, inputs })).outputs,
        q.orThrow(q.run(program, { params, state: ended, inputs })).outputs,
      )
      assert.equal(q.orThrow(toStateDict(made.net, loaded)), { ...dict })
    }
  })

test('the accumulator of A2Q weights is saved, and one of other bits is refused', () => {
  const net = (weightAccumulatorBitWidth: number) =>
    q.QuantLinear({
      inFeatures: 4,
      outFeatures: 2,
      weightQuant: q.Int8AccumulatorAwareWeightQuant,
      inputQuant: q.Int8ActPerTensorFloat,
      weightAccumulatorBitWidth,
    })
  const program = q.orThrow(q.trace(net(14), q.tensorInput([3, 4]), { mode: 'train' }))
  const start = q.orThrow(q.init(net(14), 0))
  const [inputs] = q.randn([3, 4])(q.manualSeed(2))
  const { state } = q.orThrow(q.run(program, { ...start, inputs }))
  const dict = q.orThrow(toStateDict(net(14), { params: start.params, state }))
  const key = 'weight_quant.tensor_quant.pre_scaling_impl.accumulator_bit_width.bit_width'
  assert.equal([dict[key].shape, [...dict[key].data]], [[], [14]])
  const back = q.orThrow(fromStateDict(net(14), dict))
  assert.equal([back.missing, back.unexpected], [[], []])
  const other = fromStateDict(net(16), dict)
  assert.match(E.isLeft(other) ? q.explainAll(other.left) : '', /is 14, but .* has 16 bits\n {2}fix: .*: 14/)
  // Files of before had no such key.
  const { [key]: _, ...without } = dict
  assert.ok(E.isRight(fromStateDict(net(14), without)))
})

test('strict: missing, unexpected and misshaped keys are all named, with the nearest known one', () => {
  const net = q.chain({ fc: q.QuantLinear({ inFeatures: 2, outFeatures: 3 }), act: q.QuantReLU() })
  const fresh = q.orThrow(q.init(net, 0))
  const start = q.orThrow(toStateDict(net, fresh))
  const { 'fc.bias': bias, ...others } = start
  const key = 'act.act_quant.fused_activation_quant_proxy.tensor_quant.scaling_impl.value'
  const dict = { ...others, 'fc.biass': bias, [key]: { shape: [2], data: new Float32Array(2), type: 'F32' as const } }
  const refused = fromStateDict(net, dict)
  if (E.isRight(refused)) throw new Error('it was loaded')
  const text = q.explainAll(refused.left)
  assert.match(text, /scaling_impl\.value has shape \[2\]/)
  assert.match(text, /the state dict has no fc\.bias\n.*did you mean fc\.biass/)
  assert.match(text, /nothing for fc\.biass\n.*did you mean fc\.bias\?/)
  const { [key]: _, ...usable } = dict
  const taken = q.orThrow(fromStateDict(net, usable, { strict: false }))
  assert.equal(taken.loaded, ['fc.weight'])
  assert.equal(
    taken.missing.map((m) => m.key),
    ['fc.bias', key],
  )
  assert.equal(taken.unexpected, [{ key: 'fc.biass', nearest: 'fc.bias' }])
})

test('a float checkpoint goes into a quantized net: weights taken, quantizers fresh', () => {
  const float = q.chain({ fc: q.Linear({ inFeatures: 2, outFeatures: 3 }) })
  const quantized = q.chain({ input: q.QuantIdentity(), fc: q.QuantLinear({ inFeatures: 2, outFeatures: 3 }) })
  const trees = q.orThrow(q.init(float, 4))
  const dict = q.orThrow(toStateDict(float, trees))
  const taken = q.orThrow(fromStateDict(quantized, dict, { strict: false }))
  assert.equal([...taken.loaded].toSorted(), ['fc.bias', 'fc.weight'])
  assert.equal(taken.params.fc.weight?.data, trees.params.fc.weight?.data)
})

test('spoiled files: a typed error or tensors, never an exception, and never more memory than the file', () => {
  const { params, state } = trained(nets.plain(), 2, 3)
  const good = safetensorsToBytes(q.orThrow(toStateDict(nets.plain().net, { params, state })))
  const spoil = fc.oneof(
    fc.record({ at: fc.nat(good.length - 1), to: fc.nat(255) }).map(({ at, to }) => {
      const b = good.slice()
      b[at] = to
      return b
    }),
    fc.nat(good.length).map((n) => good.slice(0, n)),
    fc
      .record({
        at: fc.integer({ min: 8, max: 400 }),
        text: fc.constantFrom('-1', '1e99', '{', '"', '[[', 'null', '9'.repeat(20)),
      })
      .map(({ at, text }) => {
        const b = good.slice()
        b.set(new TextEncoder().encode(text), at)
        return b
      }),
    fc.uint8Array({ maxLength: 64 }),
  )
  fc.assert(
    fc.property(spoil, (bytes) => {
      const read = parseSafetensors(bytes)
      if (E.isLeft(read)) assert.is(read.left[0].tag, 'ParseError')
      else
        assert.ok(
          Object.values(read.right).reduce((n, t) => n + t.data.length, 0) <= bytes.length,
          'more numbers than bytes',
        )
    }),
    { numRuns: 10_000 },
  )
})

test('names that mislead are only names', () => {
  const bytes = safetensorsToBytes({ ['__proto__']: { shape: [1], data: Float32Array.of(1), type: 'F32' } })
  const read = q.orThrow(parseSafetensors(bytes))
  assert.is(Object.getPrototypeOf(read), null)
  assert.is(Object.getPrototypeOf({}), Object.prototype)
})

test('whatever type is read is written again: halves and brain floats too, to the nearest even', () => {
  const data = Float32Array.of(0, 1, -2, 1.5, 65504, 6e-8, 1e-10, 1e9, -Infinity, 1.00048828125, 3)
  for (const type of ['F64', 'F32', 'F16', 'BF16'] as const) {
    const once = q.orThrow(parseSafetensors(safetensorsToBytes({ t: { shape: [data.length], data, type } }))).t
    const twice = q.orThrow(parseSafetensors(safetensorsToBytes({ t: once }))).t
    assert.is(once.type, type)
    assert.equal(twice.data, once.data, type)
    assert.is(once.data[3], 1.5)
    assert.is(once.data[8], -Infinity)
  }
  const half = safetensorsToBytes({ t: { shape: [data.length], data, type: 'F16' } })
  assert.equal(Array.from(q.orThrow(parseSafetensors(half)).t.data.slice(4)), [
    65504,
    2 ** -24,
    0,
    Infinity,
    -Infinity,
    1,
    3,
  ])
  const whole = { shape: [2], data: Float32Array.of(7, 2 ** 40), type: 'U64' as const }
  assert.equal([...q.orThrow(parseSafetensors(safetensorsToBytes({ t: whole }))).t.data], [7, 2 ** 40])
})

test('types that others store: halves, brain floats, doubles, integers', () => {
  const view = new DataView(new ArrayBuffer(8 + 2 + 2 + 8))
  view.setFloat64(0, 1.5, true)
  view.setUint16(8, 0x3e00, true)
  view.setUint16(10, 0x3fc0, true)
  view.setBigInt64(12, -7n, true)
  const header = JSON.stringify({
    d: { dtype: 'F64', shape: [], data_offsets: [0, 8] },
    h: { dtype: 'F16', shape: [1], data_offsets: [8, 10] },
    b: { dtype: 'BF16', shape: [1], data_offsets: [10, 12] },
    i: { dtype: 'I64', shape: [], data_offsets: [12, 20] },
  })
  const json = new TextEncoder().encode(header)
  const bytes = new Uint8Array(8 + json.length + 20)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true)
  bytes.set(json, 8)
  bytes.set(new Uint8Array(view.buffer), 8 + json.length)
  const read = q.orThrow(parseSafetensors(bytes))
  assert.equal(
    ['d', 'h', 'b', 'i'].map((k) => read[k].data[0]),
    [1.5, 1.5, 1.5, -7],
  )
})

/** Seen in Brevitas 0.13.4, `QuantLSTM(3, 2, ...).state_dict()` after a call in training: how many keys there are, and second names among them. */
const SHARED: readonly (readonly [options: Partial<q.LstmOptions>, count: number, alias: string, key: string])[] = [
  [{}, 24, 'layers.0.0.io_quant', 'layers.0.0.cell.output_quant'],
  [{ sharedIntraLayerGateAccQuant: true }, 24, 'layers.0.0.cell.cell_acc_quant', 'layers.0.0.cell.input_acc_quant'],
  [{ numLayers: 2, bidirectional: true }, 96, 'layers.1.1.io_quant', 'layers.0.0.cell.output_quant'],
  [{ numLayers: 2, bidirectional: true }, 96, 'layers.1.0.cell.cell_state_quant', 'layers.0.0.cell.cell_state_quant'],
  [
    { coupledInputForgetGates: true },
    21,
    'layers.0.0.cell.forget_sigmoid_quant',
    'layers.0.0.cell.input_sigmoid_quant',
  ],
]

test('quantizers that recurrent layers share stand under each of their names, and are taken by any of them', () => {
  for (const [options, count, alias, key] of SHARED) {
    const lstm = q.QuantLSTM({ inputSize: 3, hiddenSize: 2, ...options })
    const net = q.model({ lstm }, (layers, params, state, x: q.Value) => {
      const [out, next] = layers.lstm(params.lstm, state.lstm, { x })
      return [out.y, { lstm: next }]
    })
    const start = q.orThrow(q.init(net, 0))
    const program = q.orThrow(q.trace(net, q.tensorInput([4, 2, 3]), { mode: 'train' }))
    const { state } = q.orThrow(q.run(program, { ...start, inputs: q.randn([4, 2, 3])(q.manualSeed(1))[0] }))
    const dict = q.orThrow(toStateDict(net, { params: start.params, state }))
    assert.is(Object.keys(dict).length, count)
    const [second, first] = [alias, key].map(
      (k) => `lstm.${k}.fused_activation_quant_proxy.tensor_quant.scaling_impl.value`,
    )
    assert.equal(dict[second], dict[first])
    const again = q.orThrow(fromStateDict(net, dict))
    assert.equal(q.orThrow(toStateDict(net, again)), dict)
    const { [first]: _, ...others } = dict
    assert.equal(q.orThrow(toStateDict(net, q.orThrow(fromStateDict(net, others)))), dict)
  }
})

test.run()

/** Minifloats and groups as ONNX has them: bytes, blocks, and the way back; what ONNX can't say is refused with the reason. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import { fromBinary } from '@bufbuild/protobuf'
import * as q from '../../../src/index.js'
import { roundToFormat, leastStep, largestOf } from '../../../src/data/minifloat.js'
import { float8Of, formatOfFloat8, fromFloat8, toFloat8 } from '../../../src/interop/onnx/float8.js'
import { exportOnnx, importOnnx, type ExportOptions } from '../../../src/interop/onnx/index.js'
import { ModelProtoSchema, TensorProto_DataType as DataType } from '../../../src/interop/onnx/proto/onnx_pb.js'
import { suite } from '../../support/suite.js'

const test = suite('ONNX: minifloats, groups, learned widths')

const TYPES = [
  [DataType.FLOAT8E4M3FN, 448, 2 ** -9],
  [DataType.FLOAT8E5M2, 57344, 2 ** -16],
  [DataType.FLOAT8E4M3FNUZ, 240, 2 ** -10],
  [DataType.FLOAT8E5M2FNUZ, 57344, 2 ** -17],
] as const

for (const [type, largest, least] of TYPES)
  test(`${DataType[type]}: all 256 bytes are numbers of the format, and come back`, () => {
    const format = formatOfFloat8(type, true)
    if (format === null) return assert.unreachable()
    assert.is(float8Of(format), type)
    const all = fromFloat8(
      type,
      Uint8Array.from({ length: 256 }, (_, b) => b),
      256,
    )
    const finite = [...all].filter(Number.isFinite)
    assert.is(Math.max(...finite), largest)
    assert.is(largestOf(format), largest)
    assert.is(Math.min(...finite.filter((v) => v > 0)), least)
    for (const v of finite) assert.is(roundToFormat(v, format.mantissaBits, leastStep(format)), v)
    const bytes = toFloat8(type, all)
    all.forEach((v, b) => {
      if (!Number.isNaN(v)) assert.is(bytes[b], b)
      else assert.ok(Number.isNaN(fromFloat8(type, [bytes[b]], 1)[0]))
    })
  })

test('formats that no type has have no type', () => {
  const e4m3 = formatOfFloat8(DataType.FLOAT8E4M3FN, true)
  if (e4m3 === null) return assert.unreachable()
  for (const other of [{ nanValues: null }, { bias: 6 }, { mantissaBits: 2 }, { exponentBits: 3 }])
    assert.is(float8Of({ ...e4m3, ...other }), null)
})

const ACT = { collectStatsSteps: 1, returnQuantTensor: true }
const GROUPS = { groupSize: 3, groupDim: 1, returnQuantTensor: true }
const conv = (options: object) =>
  q.QuantConv2d({ inChannels: 4, outChannels: 3, kernelSize: 3, padding: 1, ...options })
const linear = (options: object) => q.QuantLinear({ inFeatures: 10, outFeatures: 3, ...options })
const onto = (actQuant: q.Quantizer, more: object = ACT) => q.QuantIdentity({ actQuant, ...more })

type Net = q.Layer<unknown, unknown, q.Value, q.Value>
const IMAGE = [2, 4, 5, 5]
const ROWS = [2, 10]

/** A network, the shape of its input, the opset, and the operators that must be there. */
const SAID: { readonly [name: string]: readonly [Net, readonly number[], number, readonly string[]] } = {
  e4m3: [
    q.chain({
      act: onto(q.Fp8e4m3OCPActPerTensorFloat),
      conv: conv({ weightQuant: q.Fp8e4m3OCPWeightPerChannelFloat }),
      relu: q.QuantReLU({ actQuant: q.Fp8e4m3OCPActPerTensorFloat, ...ACT }),
    }) as Net,
    IMAGE,
    19,
    ['QuantizeLinear', 'DequantizeLinear', 'DequantizeLinear', 'Conv', 'Max', 'QuantizeLinear', 'DequantizeLinear'],
  ],
  e5m2: [
    q.chain({ act: onto(q.Fp8e5m2OCPActPerTensorFloat), conv: conv({ weightQuant: q.Fp8e5m2OCPWeight }) }) as Net,
    IMAGE,
    19,
    ['QuantizeLinear', 'DequantizeLinear', 'DequantizeLinear', 'Conv'],
  ],
  fnuz: [
    q.chain({ act: onto(q.Fp8e4m3FNUZAct), conv: conv({ weightQuant: q.Fp8e5m2FNUZWeightPerTensorFloat }) }) as Net,
    IMAGE,
    20,
    ['QuantizeLinear', 'DequantizeLinear', 'DequantizeLinear', 'Conv'],
  ],
  overflowing: [onto(q.Fp8e5m2OCPAct, { saturating: false }) as Net, ROWS, 19, ['QuantizeLinear', 'DequantizeLinear']],
  'four bits in groups': [
    linear({ weightQuant: q.IntWeightSymmetricGroupQuant, weightGroupSize: 4, weightBitWidth: 4 }) as Net,
    ROWS,
    21,
    ['Clip', 'DequantizeLinear', 'Gemm'],
  ],
  'zero points in groups': [
    linear({ weightQuant: q.ShiftedUint8WeightGroupQuantFloat, weightGroupSize: 4 }) as Net,
    ROWS,
    21,
    ['DequantizeLinear', 'Gemm'],
  ],
  'minifloats in groups': [
    linear({ weightQuant: q.MXFloat8e4m3Weight, weightGroupSize: 5 }) as Net,
    ROWS,
    21,
    ['DequantizeLinear', 'Gemm'],
  ],
  MXInt8: [
    q.chain({ act: onto(q.MXInt8Act, GROUPS), conv: conv({ weightQuant: q.MXInt8Weight, weightGroupSize: 3 }) }) as Net,
    IMAGE,
    21,
    ['QuantizeLinear', 'DequantizeLinear', 'Slice', 'DequantizeLinear', 'Conv'],
  ],
  'widths that were learned': [
    q.chain({
      act: q.QuantIdentity({ bitWidthImplType: 'PARAMETER', bitWidth: 6, ...ACT }),
      conv: conv({ weightBitWidthImplType: 'PARAMETER', weightBitWidth: 5 }),
    }) as Net,
    IMAGE,
    17,
    ['QuantizeLinear', 'Clip', 'DequantizeLinear', 'Clip', 'DequantizeLinear', 'Conv'],
  ],
  'a scale of the data': [onto(q.Int8DynamicActPerTensorFloat, {}) as Net, ROWS, 17, ['ReduceMax', 'QuantizeLinear']],
  'a scale of each row': [onto(q.ShiftedUint8DynamicActPerRowFloat, {}) as Net, [2, 3, 8], 21, ['QuantizeLinear']],
}

const trained = ([net, shape]: readonly [Net, readonly number[], ...unknown[]]) => {
  const start = q.orThrow(q.init(net, 3))
  const [x] = q.randn(shape)(q.manualSeed(5))
  const once = q.orThrow(q.trace(net, q.tensorInput(shape), { mode: 'train' }))
  const first = q.orThrow(q.run(once, { ...start, inputs: x })).state
  const { state } = q.orThrow(q.run(once, { ...start, state: first, inputs: x }))
  const program = q.orThrow(q.trace(net, q.tensorInput(shape), { mode: 'eval' }))
  return { program, params: start.params, state, x }
}

const written = (of: ReturnType<typeof trained>, options: ExportOptions) =>
  exportOnnx(of.program, { params: of.params, state: of.state }, options)

for (const [name, said] of Object.entries(SAID))
  test(`${name}: said with ONNX' own operators, and brought back with the same bits and grids`, () => {
    const of = trained(said)
    const bytes = q.orThrow(written(of, { opset: said[2] }))
    const operators = (fromBinary(ModelProtoSchema, bytes).graph?.node ?? []).map((n) => n.opType)
    let at = -1
    for (const operator of said[3]) {
      at = operators.indexOf(operator, at + 1)
      assert.ok(at >= 0, `${operator} of ${operators.join()}`)
    }
    const { layer } = q.orThrow(importOnnx(bytes))
    const back = q.orThrow(q.trace(layer, q.tensorInput(of.x.shape), { mode: 'eval' }))
    const trees = q.orThrow(q.init(layer, 0))
    const ours = q.orThrow(q.run(of.program, { params: of.params, state: of.state, inputs: of.x })).outputs
    const theirs = q.orThrow(q.run(back, { ...trees, inputs: of.x })).outputs
    assert.equal(q.valueOf(theirs as q.Output).data, q.valueOf(ours as q.Output).data)
    const weights = (p: q.Program): number =>
      p.graph.nodes.filter((n) => /^(quantize|join|trim)/.test(n.op.name)).length
    if (operators.includes('Conv') || operators.includes('Gemm')) assert.ok(weights(back) > 0)
  })

const REFUSED: { readonly [name: string]: readonly [Net, ExportOptions, RegExp] } = {
  'a format of no type': [
    onto(q.Fp8e4m3ActPerTensorFloat) as Net,
    { opset: 21 },
    /minifloats of e4m3, for which no type is/,
  ],
  'minifloats before opset 19': [
    onto(q.Fp8e4m3OCPActPerTensorFloat) as Net,
    {},
    /types of them are of opset 19.*\n.*opset: 19/,
  ],
  'groups before opset 21': [
    linear({ weightQuant: q.MXInt8Weight, weightGroupSize: 5 }) as Net,
    { opset: 20 },
    /blocks of DequantizeLinear are of opset 21.*\n.*opset: 21/,
  ],
  'minifloats in QONNX': [onto(q.Fp8e4m3OCPAct) as Net, { format: 'qonnx' }, /QONNX' Quant gives integers/],
}

for (const [name, [net, options, why]] of Object.entries(REFUSED))
  test(`${name}: refused with the reason`, () => {
    const refused = written(trained([net, ROWS]), options)
    assert.ok(E.isLeft(refused))
    if (E.isLeft(refused)) assert.match(q.explainAll(refused.left), why)
  })

test.run()

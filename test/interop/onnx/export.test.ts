/** Exported models, run by ONNX Runtime, compute what our reference computes. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import { fromBinary } from '@bufbuild/protobuf'
import { env, InferenceSession, Tensor as OrtTensor } from 'onnxruntime-web'
import * as q from '../../../src/index.js'
import { exportOnnx, type ExportOptions } from '../../../src/interop/onnx/index.js'
import { ModelProtoSchema } from '../../../src/interop/onnx/proto/onnx_pb.js'
import { suite } from '../../support/suite.js'
import { nets, trained } from './nets.js'

const test = suite('ONNX export')
env.wasm.numThreads = 1

const runOrt = async (bytes: Uint8Array, x: q.Tensor, level: 'disabled' | 'all'): Promise<Float32Array> => {
  const session = await InferenceSession.create(bytes, {
    executionProviders: ['wasm'],
    graphOptimizationLevel: level,
    logSeverityLevel: 3,
  })
  const ran = await session.run({ input: new OrtTensor('float32', x.data, [...x.shape]) })
  const { data } = ran.output
  if (!(data instanceof Float32Array)) throw new TypeError('the result is no float tensor')
  await session.release()
  return data
}

/** The largest value, and the largest difference. */
const apart = (a: Float32Array, b: Float32Array): readonly [number, number] => {
  assert.is(a.length, b.length)
  let [most, off] = [0, 0]
  a.forEach((v, i) => {
    most = Math.max(most, Math.abs(v))
    off = Math.max(off, Math.abs(v - b[i]))
  })
  return [most, off]
}

const operators = (bytes: Uint8Array): readonly string[] =>
  (fromBinary(ModelProtoSchema, bytes).graph?.node ?? []).map((n) => n.opType)

for (const [name, make] of Object.entries(nets))
  for (const steps of [3, 32])
    test(`${name} after ${steps} steps: ONNX Runtime computes the same, within one step with all optimizations`, async () => {
      const { program, params, state, inputs } = trained(make(), steps, steps)
      const bytes = q.orThrow(exportOnnx(program, { params, state }))
      const { outputs } = q.orThrow(q.run(program, { params, state, inputs }))
      const ours = q.valueOf(outputs as q.Output)
      const [most, off] = apart(ours.data, await runOrt(bytes, inputs, 'disabled'))
      assert.ok(off <= 1e-5 * most, `${off} of ${most}`)
      const step = q.isQuantTensor(outputs as q.Output) ? (outputs as q.QuantTensor).scale.data[0] : most / 100
      const [, fused] = apart(ours.data, await runOrt(bytes, inputs, 'all'))
      assert.ok(fused <= 1.001 * step, `${fused}, and a step is ${step}`)
    })

test('the batch is open where every op works row by row: other sizes run', async () => {
  const { program, params, state } = trained(nets.plain(), 3, 1)
  const bytes = q.orThrow(exportOnnx(program, { params, state }))
  const [x] = q.randn([7, 1, 8, 8])(q.manualSeed(5))
  const seven = q.orThrow(q.trace(nets.plain().net, q.tensorInput(x.shape), { mode: 'eval' }))
  const ours = q.valueOf(q.orThrow(q.run(seven, { params, state, inputs: x })).outputs as q.Output)
  const [most, off] = apart(ours.data, await runOrt(bytes, x, 'disabled'))
  assert.ok(off <= 1e-5 * most)
  const closed = fromBinary(ModelProtoSchema, q.orThrow(exportOnnx(program, { params, state }, { openBatch: false })))
  const type = closed.graph?.input[0].type?.value
  assert.is(type?.case === 'tensorType' ? type.value.shape?.dim[0].value.value : undefined, 2n)
})

test('values in between have their shapes, and metadata name the library and the program', () => {
  const { program, params, state } = trained(nets.plain(), 3, 1)
  const model = fromBinary(ModelProtoSchema, q.orThrow(exportOnnx(program, { params, state })))
  const of = (type: string): string | undefined => {
    const name = model.graph?.node.find((n) => n.opType === type)?.output[0]
    const info = model.graph?.valueInfo.find((v) => v.name === name)?.type?.value
    return info?.case === 'tensorType' ? info.value.shape?.dim.map((d) => d.value.value).join() : undefined
  }
  assert.is(of('Conv'), 'N,4,8,8')
  assert.is(of('MaxPool'), 'N,4,4,4')
  const [library, hash] = model.metadataProps
  assert.is(library.value, 'quantrace')
  assert.match(hash.value, /^crc32:[0-9a-f]{8}$/)
  const again = trained(nets.plain(), 5, 2)
  const other = fromBinary(ModelProtoSchema, q.orThrow(exportOnnx(again.program, again)))
  assert.is(other.metadataProps[1].value, hash.value, 'the same program, other numbers')
})

/** Is the first axis of the model's input left open? */
const isOpen = (net: q.Layer<unknown, unknown>, shape: readonly number[], options: ExportOptions = {}): boolean => {
  const { program, params, state } = trained({ net, shape }, 0, 1)
  const model = fromBinary(ModelProtoSchema, q.orThrow(exportOnnx(program, { params, state }, options)))
  const type = model.graph?.input[0].type?.value
  return type?.case === 'tensorType' && type.value.shape?.dim[0].value.case === 'dimParam'
}

const ofValues = (f: (x: q.Value) => q.Value): q.Layer<unknown, unknown> =>
  q.functionLayer('f', f) as q.Layer<unknown, unknown>

test('the batch stays closed where an op fixes, counts or may mix rows', () => {
  assert.ok(isOpen(ofValues(q.relu), [2, 3]))
  assert.not.ok(
    isOpen(
      ofValues((x) => q.upsampleNearest(x, { size: 6 })),
      [2, 1, 4],
    ),
    'a size that was given',
  )
  assert.ok(
    isOpen(
      ofValues((x) => q.upsampleNearest(x, { scaleFactor: 2 })),
      [2, 1, 4],
    ),
    'a factor',
  )
  assert.not.ok(
    isOpen(
      ofValues((x) => q.cat([x, x.kit.constant(1, [2, 3])], 1)),
      [2, 3],
    ),
    'rows of a constant',
  )
  const turned = q.unary({
    name: 'turned',
    doc: 'An op of one’s own, of which nobody knows what it does to rows.',
    attrs: {},
    smooth: true,
    f: (x: number) => x,
    carry: q.strips('no grid'),
    vjp: q.scaledBy((x: q.Value) => x),
  } as never) as q.Op
  const rules: ExportOptions['rules'] = { turned: (x, node) => x.emit(node, 'Identity', [x.name(node.inputs[0])]) }
  assert.not.ok(
    isOpen(
      ofValues((x) => q.apply(turned, [x])),
      [2, 3],
      { rules },
    ),
    'an op of one’s own',
  )
})

test('4-bit types need opset 21, and a narrow range has no 4-bit Clip: it is kept in 8 bits', async () => {
  const { program, params, state } = trained(nets.fourBits(), 3, 1)
  const refused = exportOnnx(program, { params, state }, { int4: true })
  assert.ok(E.isLeft(refused) && /opset: 21/.test(refused.left[0].fix))
  const net = q.QuantIdentity({ bitWidth: 4, narrowRange: true, returnQuantTensor: true }) as q.Layer<unknown, unknown>
  const narrow = trained({ net, shape: [2, 8] }, 3, 1)
  const given = { params: narrow.params, state: narrow.state }
  const bytes = q.orThrow(exportOnnx(narrow.program, given, { opset: 21, int4: true }))
  assert.ok(operators(bytes).includes('Clip'))
  const ours = q.valueOf(q.orThrow(q.run(narrow.program, { ...given, inputs: narrow.inputs })).outputs as q.Output)
  const [most, off] = apart(ours.data, await runOrt(bytes, narrow.inputs, 'disabled'))
  assert.ok(off <= 1e-6 * most)
})

test('a scale and a zero point that lie along two axes of one size are refused', () => {
  const attrs = { bits: 4, signed: false, narrow: false, rounding: 'ROUND', clamp: 'mask', training: false } as const
  const along = (shape: readonly number[]): q.Layer<unknown, unknown> =>
    ofValues((x) => {
      const zero = q.round(q.clamp(q.sum(x, [0, 1], true), 1, 3))
      const zeros = x.kit.emit('broadcastTo', [zero], { shape })
      return x.kit.emit('quantize', [x, x.kit.constant(0.5, [3, 1]), zeros], { ...attrs, zero: 'integer' })
    })
  const written = (shape: readonly number[]) => {
    const { program, params, state } = trained({ net: along(shape), shape: [3, 3] }, 0, 1)
    return exportOnnx(program, { params, state }, { openBatch: false })
  }
  assert.ok(E.isRight(written([3, 1])) && E.isRight(written([1, 1])))
  const two = written([1, 3])
  assert.match(E.isLeft(two) ? two.left[0].message : '', /several axes/)
})

test('weights are integers, layers name their nodes, biases are operands', () => {
  const { program, params, state } = trained(nets.perChannel(), 3, 1)
  const model = fromBinary(ModelProtoSchema, q.orThrow(exportOnnx(program, { params, state })))
  const conv = model.graph?.node.find((n) => n.opType === 'Conv')
  assert.is(conv?.name, 'conv/Conv')
  assert.is(conv?.input.length, 3)
  const weights = (model.graph?.initializer ?? []).filter((t) => t.dims.join() === '3,2,3,3')
  assert.equal(
    weights.map((t) => t.dataType),
    [3],
  )
  assert.ok(
    (model.graph?.initializer ?? []).some((t) => t.dataType === 6),
    'the bias has 32 bits',
  )
})

test('every opset from 13 to 21, and real 4-bit types', () => {
  const { program, params, state } = trained(nets.fourBits(), 3, 1)
  for (let opset = 13; opset <= 21; opset++) {
    const model = fromBinary(
      ModelProtoSchema,
      q.orThrow(exportOnnx(program, { params, state }, { opset, int4: opset === 21 })),
    )
    assert.is(model.opsetImport[0].version, BigInt(opset))
    assert.is(
      (model.graph?.initializer ?? []).some((t) => t.dataType === 22),
      opset === 21,
    )
  }
})

test('QONNX: Quant for every quantizer, weights as floats', () => {
  const { program, params, state } = trained(nets.plain(), 3, 1)
  const bytes = q.orThrow(exportOnnx(program, { params, state }, { format: 'qonnx' }))
  const ops = operators(bytes)
  assert.is(ops.filter((o) => o === 'Quant').length, 4)
  assert.not(ops.includes('QuantizeLinear'))
  assert.is(fromBinary(ModelProtoSchema, bytes).opsetImport[1].domain, 'qonnx.custom_op.general')
})

test('what a format can not say is refused, with layer, reason and fix, all at once', () => {
  const binary = q.chain({
    a: q.QuantIdentity({ actQuant: q.SignedBinaryActPerTensorConst, scalingInit: 1 } as never),
    b: q.QuantIdentity({ actQuant: q.SignedBinaryActPerTensorConst, scalingInit: 1 } as never),
  })
  const { program, params, state } = trained({ net: binary as q.Layer<unknown, unknown>, shape: [4] }, 0, 1)
  const refused = exportOnnx(program, { params, state })
  if (E.isRight(refused)) throw new Error('a binary quantizer was written as QCDQ')
  assert.equal(
    refused.left.map((e) => [e.tag, e.path]),
    [
      ['ExportError', 'a.actQuant'],
      ['ExportError', 'b.actQuant'],
    ],
  )
  assert.match(refused.left[0].fix, /qonnx/)
  const wrong = exportOnnx(program, { params, state }, { opsett: 17 } as ExportOptions)
  assert.ok(E.isLeft(wrong) && /did you mean opset/.test(wrong.left[0].fix))
  const train = q.orThrow(q.trace(binary, q.tensorInput([4]), { mode: 'train' }))
  const traced = exportOnnx(train as q.Program, { params, state })
  assert.ok(E.isLeft(traced) && /traced in train/.test(traced.left[0].message))
})

test('a rule for an op of one’s own', async () => {
  const cube = q.unary({
    name: 'cube',
    doc: 'x³',
    attrs: {},
    smooth: true,
    f: (x: number) => x * x * x,
    carry: q.strips('a cube is on no grid'),
    vjp: q.scaledBy((x: q.Value) => x),
  } as never)
  const net = q.functionLayer('cubes', (x: q.Value) => q.apply(cube as q.Op, [x]))
  const { program, params, state, inputs } = trained({ net: net as q.Layer<unknown, unknown>, shape: [2, 3] }, 0, 1)
  const refused = exportOnnx(program, { params, state })
  assert.ok(E.isLeft(refused) && /rules: \{ cube/.test(refused.left[0].fix))
  const rules: ExportOptions['rules'] = {
    cube: (x, node) => {
      const v = x.name(node.inputs[0])
      return x.emit(node, 'Mul', [x.emit(node, 'Mul', [v, v]), v])
    },
  }
  const bytes = q.orThrow(exportOnnx(program, { params, state }, { rules }))
  const ours = q.valueOf(q.orThrow(q.run(program, { params, state, inputs })).outputs as q.Output)
  const [most, off] = apart(ours.data, await runOrt(bytes, inputs, 'disabled'))
  assert.ok(off <= 1e-6 * most)
})

test('names are given to inputs and outputs that there are; a path like a method of records keeps its own name', () => {
  const net = q.functionLayer('f', (x: { readonly image: q.Value; readonly toString: q.Value }) => ({
    constructor: q.relu(x.image),
    valueOf: q.relu(x.toString),
  }))
  const declared = { image: q.tensorInput([1, 2]), toString: q.tensorInput([1, 2]) }
  const program = q.orThrow(q.trace(net as never, declared as never, { mode: 'eval' })) as q.Program
  const none = { params: {}, state: {} }
  const wrong = exportOnnx(program, none, { names: { imgae: 'x', hasOwnProperty: 'y' } })
  assert.ok(wrong._tag === 'Left')
  if (wrong._tag === 'Left')
    assert.match(q.explainAll(wrong.left), /names for "imgae"[^]*did you mean "image"\?[^]*"hasOwnProperty"/)
  const model = new TextDecoder('latin1').decode(q.orThrow(exportOnnx(program, none, { names: { image: 'pixels' } })))
  for (const name of ['pixels', 'toString', 'constructor', 'valueOf']) assert.match(model, new RegExp(name))
})

test.run()

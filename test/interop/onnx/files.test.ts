/** Files as such: versions, names, constants and shapes, whatever is in them; and operators where other shapes or versions need other ones. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import * as q from '../../../src/index.js'
import { exportOnnx, importOnnx, unsupported, type ExportOptions } from '../../../src/interop/onnx/index.js'
import {
  ModelProtoSchema,
  TensorProto_DataType as DataType,
  ValueInfoProtoSchema,
} from '../../../src/interop/onnx/proto/onnx_pb.js'
import { newWriter } from '../../../src/interop/onnx/writer.js'
import { suite } from '../../support/suite.js'
import { layerWith, madeOf, spread, type Numbers, type Values } from './layers.js'
import { nets, trained } from './nets.js'
import { byOrt } from './ort.js'
import { fileProblems, readFile, sizesOf } from './wellFormed.js'

const test = suite('ONNX: files')

type Forward = (x: q.Value, p: Values, kit: q.Kit) => q.Value
type Made = ReturnType<typeof madeOf>

const made = (f: Forward, shape: readonly number[], numbers: Numbers = {}): Made =>
  madeOf(layerWith(numbers, f), spread(shape))
const written = ({ program, fixed }: Made, options: ExportOptions = {}): Uint8Array =>
  q.orThrow(exportOnnx(program, fixed, options))
const operators = (bytes: Uint8Array): readonly string[] => readFile(bytes).graph.node.map((n) => n.opType)

/** Well-formed, and ONNX Runtime computes the same; gives the operators. */
const agrees = async (m: Made, options: ExportOptions = {}): Promise<readonly string[]> => {
  const bytes = written(m, options)
  assert.equal(fileProblems(bytes), [])
  const { output } = await byOrt(bytes, { input: m.inputs })
  assert.equal(output.shape, m.ours.shape)
  m.ours.data.forEach((v, i) =>
    assert.ok(Math.abs(v - output.data[i]) <= 1e-5 * (1 + Math.abs(v)), `${output.data[i]} for ${v}`),
  )
  return operators(bytes)
}

test('every opset: a file format that knows it, operators that it has, and the same numbers', async () => {
  const m = made(
    (x, _p, kit) => kit.emit('gelu', [kit.emit('hardswish', [kit.emit('mul', [x, kit.constant(5)])], {})], {}),
    [2, 3],
  )
  for (let opset = 13; opset <= 21; opset++) {
    const names = await agrees(m, { opset })
    assert.is(names.includes('HardSwish'), opset >= 14)
    assert.is(names.includes('Gelu'), opset >= 20)
    assert.is(readFile(written(m, { opset })).irVersion, opset >= 21 ? 10n : opset >= 19 ? 9n : 8n)
  }
})

for (const [name, make] of Object.entries(nets))
  for (const format of ['qcdq', 'qonnx'] as const)
    test(`${name} as ${format}: well-formed, and every value in between has the shape that is said`, () => {
      const { program, params, state, inputs } = trained(make(), 2, 1)
      const bytes = q.orThrow(exportOnnx(program, { params, state }, { format, name: 'mine' }))
      assert.equal(fileProblems(bytes), [])
      const model = fromBinary(ModelProtoSchema, bytes)
      const graph = readFile(bytes).graph
      assert.is(model.producerName, 'quantrace')
      assert.is(graph.name, 'mine')
      assert.equal(
        model.opsetImport.map((o) => [o.domain, o.version]),
        format === 'qcdq'
          ? [['', 17n]]
          : [
              ['', 17n],
              ['qonnx.custom_op.general', 2n],
            ],
      )
      assert.ok(graph.valueInfo.length > 0)
      // All of them as outputs: the importer infers their shapes.
      const output = [...graph.output, ...graph.valueInfo.map((v) => create(ValueInfoProtoSchema, { name: v.name }))]
      const opened = toBinary(ModelProtoSchema, { ...model, graph: { ...graph, output } })
      const read = q.orThrow(importOnnx(opened, { inputs: { input: inputs.shape } }))
      const again = q.orThrow(q.trace(read.model, read.declared as never, { mode: 'eval' })) as q.Program
      const shapes = new Map(again.outputs.map((o) => [o.path, again.graph.nodes[o.node].shape]))
      for (const v of [...graph.valueInfo, graph.output[0]]) {
        const key = read.outputs.find((o) => o.name === v.name)?.key ?? ''
        const said = sizesOf(v).map((n) => (n === 'N' ? inputs.shape[0] : n))
        assert.equal(shapes.get(key), said, v.name)
      }
      const between = program.graph.nodes.filter((n) => n.op.births === true).length
      assert.ok(graph.valueInfo.length >= between / 2, 'quantizers are among them')
    })

test('an output that is an input, a constant, or given twice has a node of its own', async () => {
  assert.equal(await agrees(made((x) => x, [2, 3])), ['Identity'])
  assert.equal(await agrees(made((_x, { c }) => c, [2, 3], { c: spread([2, 2]) })), ['Identity'])
  assert.equal(await agrees(made((x, _p, kit) => kit.emit('neg', [x]), [2, 3])), ['Neg'])
  const twice = q.functionLayer('twice', (x: q.Value) => {
    const y = q.neg(x)
    return { a: y, b: y, c: q.abs(y) }
  })
  const program = q.orThrow(q.trace(twice, q.tensorInput([2, 3]), { mode: 'eval' }))
  const bytes = q.orThrow(exportOnnx(program as q.Program<unknown, unknown>, { params: {}, state: {} }))
  assert.equal(fileProblems(bytes), [])
  assert.equal(operators(bytes), ['Neg', 'Abs', 'Identity', 'Identity'])
  const x = spread([2, 3])
  const { a, b, c } = await byOrt(bytes, { input: x })
  assert.equal(
    a.data,
    x.data.map((v) => -v),
  )
  assert.equal(b, a)
  assert.equal(c.data, x.data.map(Math.abs))
})

test('names of inputs and outputs are nobody else’s, also those that a caller chose', async () => {
  const m = made((x, _p, kit) => kit.emit('abs', [kit.emit('neg', [x])]), [2, 3])
  const plain = readFile(written(m)).graph
  assert.equal([plain.input[0].name, plain.output[0].name], ['input', 'output'])
  const same = exportOnnx(m.program, m.fixed, { names: { '': 'x' } })
  assert.match(E.isLeft(same) ? q.explainAll(same.left) : '', /two inputs or outputs of the model "x"\n.*names: /)
  const two = q.functionLayer('two', (x: Values) => ({ y: q.abs(q.neg(x.a)), z: q.neg(x.b) }))
  const program = q.orThrow(q.trace(two, { a: q.tensorInput([2]), b: q.tensorInput([2]) }, { mode: 'eval' }))
  const of = (names: { readonly [path: string]: string }): Uint8Array =>
    q.orThrow(exportOnnx(program as q.Program<unknown, unknown>, { params: {}, state: {} }, { names }))
  const taken = readFile(of({})).graph.node.flatMap((n) => [n.name, ...n.output])
  for (const path of ['a', 'b', 'y', 'z'])
    for (const chosen of taken) {
      if (['y', 'z'].includes(chosen) && chosen !== path) {
        assert.throws(() => of({ [path]: chosen }), /two inputs or outputs/)
        continue
      }
      const bytes = of({ [path]: chosen })
      assert.equal(fileProblems(bytes), [], `${path} is ${chosen}`)
      const ends = [...readFile(bytes).graph.input, ...readFile(bytes).graph.output].map((v) => v.name)
      assert.equal(
        ends,
        ['a', 'b', 'y', 'z'].map((p) => (p === path ? chosen : p)),
      )
    }
})

test('a rule may ask for any name: the ends of the model keep theirs', () => {
  const m = made((x, _p, kit) => kit.emit('neg', [kit.emit('abs', [x])]), [2, 3])
  for (const hint of ['input', 'output', 'input_1', '', 'a b', 'ü']) {
    const rules: ExportOptions['rules'] = {
      abs: (x, node) => x.w.node('Abs', [x.name(node.inputs[0])], {}, { hint }),
    }
    const bytes = written(m, { rules })
    assert.equal(fileProblems(bytes), [], hint)
  }
  const refused = exportOnnx(m.program, m.fixed, { rules: { abs: () => unsupported('it is not wanted', 'use relu') } })
  assert.match(E.isLeft(refused) ? q.explainAll(refused.left) : '', /ExportError: abs: it is not wanted\n.*use relu/)
})

test('a writer counts names up, and holds small constants once', () => {
  const w = newWriter(['x'])
  assert.equal(['x', 'x', 'y', 'y', 'x', 'y', 'x_1'].map(w.fresh), ['x_1', 'x_2', 'y', 'y_1', 'x_3', 'y_2', 'x_1_1'])
  const scalar = (v: number) => w.floats({ shape: [], data: Float32Array.of(v) }, 's')
  const pair = (v: number) => w.floats({ shape: [2], data: Float32Array.of(v, 1) }, 'p')
  const triple = (v: number) => w.floats({ shape: [3], data: Float32Array.of(v, 1, 2) }, 't')
  assert.is(scalar(1), scalar(1))
  assert.is.not(scalar(1), scalar(2))
  assert.is(pair(1), pair(1))
  assert.is.not(triple(1), triple(1), 'large ones are not compared')
  assert.is.not(scalar(0), w.integers(DataType.INT32, [], [0], 'i'), 'another type')
  assert.is.not(scalar(1), w.floats({ shape: [1], data: Float32Array.of(1) }, 's'), 'another shape')
})

test('four bits are packed in pairs, the lower half first', () => {
  const w = newWriter([])
  const bytes = (type: DataType.INT4 | DataType.UINT4, values: readonly number[]): readonly number[] => {
    const name = w.integers(type, [values.length], values, 'v')
    return [...(w.initializers.find((t) => t.name === name)?.rawData ?? [])]
  }
  assert.equal(bytes(DataType.INT4, [1, -2, 7, -8, -1]), [0xe1, 0x87, 0x0f])
  assert.equal(bytes(DataType.UINT4, [15, 0, 3, 12]), [0x0f, 0xc3])
  assert.equal(bytes(DataType.UINT4, [9]), [9])
})

const pool = { kernel: [2], stride: [2], padding: [0], ceilMode: false }
const average = { ...pool, countIncludePad: true, divisorOverride: null }
const adaptive = (outputSize: readonly number[]) => ({ outputSize })

test('pools: without a batch, over the whole plane or a part of it', async () => {
  const onImage = (op: 'maxPool', shape: readonly number[]) =>
    agrees(made((x, _p, kit) => kit.emit(op, [x], { ...pool, dilation: [1] }), shape))
  assert.equal(await onImage('maxPool', [2, 3, 6]), ['MaxPool'])
  assert.equal(await onImage('maxPool', [3, 6]), ['Reshape', 'MaxPool', 'Reshape'])
  assert.equal(await agrees(made((x, _p, kit) => kit.emit('avgPool', [x], average), [3, 6])), [
    'Reshape',
    'AveragePool',
    'Reshape',
  ])
  for (const [op, one, whole] of [
    ['adaptiveAvgPool', 'AveragePool', 'GlobalAveragePool'],
    ['adaptiveMaxPool', 'MaxPool', 'GlobalMaxPool'],
  ] as const) {
    const to = (outputSize: readonly number[], shape: readonly number[]) =>
      agrees(made((x, _p, kit) => kit.emit(op, [x], adaptive(outputSize)), shape))
    assert.equal(await to([1, 1], [2, 3, 4, 6]), [whole])
    assert.equal(await to([1, 2], [2, 3, 4, 6]), [one])
    assert.equal(await to([2, 3], [2, 3, 4, 6]), [one])
    assert.equal(await to([4, 6], [2, 3, 4, 6]), [one])
    assert.equal(await to([1, 1], [3, 4, 6]), ['Reshape', whole, 'Reshape'])
  }
})

test('a divisor of one’s own is a factor, and none beside ceilMode', async () => {
  const by = (more: object) => (x: q.Value, _p: Values, kit: q.Kit) =>
    kit.emit('avgPool', [x], { ...average, divisorOverride: 3, ...more })
  assert.equal(await agrees(made(by({}), [2, 3, 6])), ['AveragePool', 'Mul'])
  assert.equal(await agrees(made(by({ padding: [1], countIncludePad: false }), [2, 3, 6])), ['AveragePool', 'Mul'])
  const m = made(by({ ceilMode: true }), [2, 3, 5])
  const refused = exportOnnx(m.program, m.fixed)
  assert.match(
    E.isLeft(refused) ? q.explainAll(refused.left) : '',
    /divisorOverride with ceilMode.*\n.*leave out divisorOverride or ceilMode/,
  )
  const ceil = made((x, _p, kit) => kit.emit('avgPool', [x], { ...average, ceilMode: true }), [2, 3, 5])
  assert.equal(await agrees(ceil), ['AveragePool'])
})

test('a circular pad is what lies at the other end: a Slice for each side that is filled', async () => {
  const circular = (pad: readonly (readonly [number, number])[]) =>
    agrees(made((x, _p, kit) => kit.emit('pad', [x], { pad, mode: 'circular', value: 0 }), [2, 3, 4]))
  const none = [0, 0] as const
  assert.equal(await circular([none, none, [1, 2]]), ['Slice', 'Slice', 'Concat'])
  assert.equal(await circular([none, [2, 0], [0, 3]]), ['Slice', 'Concat', 'Slice', 'Concat'])
  assert.equal(await circular([none, none, none]), ['Identity'])
})

test('pixels and channels: with a batch or without, and more axes in front', async () => {
  for (const [lead, count] of [
    [[], 3],
    [[2], 1],
    [[2, 3], 3],
  ] as const) {
    const shuffled = made((x, _p, kit) => kit.emit('pixelShuffle', [x], { factor: 2 }), [...lead, 8, 2, 3])
    assert.is((await agrees(shuffled)).length, count)
    await agrees(made((x, _p, kit) => kit.emit('pixelUnshuffle', [x], { factor: 2 }), [...lead, 2, 4, 6]))
  }
})

test('resizing by factors, to sizes, and by some of both', async () => {
  for (const op of ['upsampleNearest', 'upsampleNearestExact'] as const) {
    const by = (size: readonly number[], scales: readonly (number | null)[], shape: readonly number[]) =>
      made((x, _p, kit) => kit.emit(op, [x], { size, scales }), shape)
    const hasSizes = (m: Made): boolean => readFile(written(m)).graph.node[0].input.length === 4
    const one = by([4], [1.5], [1, 2, 3])
    await agrees(one)
    assert.is(hasSizes(one), false)
    const sized = by([4], [null], [1, 2, 3])
    await agrees(sized)
    assert.is(hasSizes(sized), true)
    const both = by([6, 4], [2, null], [1, 2, 3, 3])
    await agrees(both)
    assert.is(hasSizes(both), true)
    const mixed = by([4, 4], [1.5, null], [1, 2, 3, 3])
    const refused = exportOnnx(mixed.program, mixed.fixed)
    assert.match(
      E.isLeft(refused) ? q.explainAll(refused.left) : '',
      /resizes some axes by factors.*\n.*factors for all axes/,
    )
  }
})

test('a delay that counts data waits while something is left', async () => {
  for (const left of [0, 1, 2]) {
    const wait = (x: q.Value, { count, of }: Values, kit: q.Kit): q.Value =>
      kit.emit(
        'delay',
        [kit.emit('neg', [x]), x, kit.emit('add', [count, kit.emit('mul', [of, kit.emit('maxAll', [x], {})])])],
        {},
      )
    const known = { count: q.tensorOf([], [left]), of: q.tensorOf([], [0]) }
    assert.ok((await agrees(made(wait, [3], known))).includes('Where'))
    const fixed = made((x, { count }, kit) => kit.emit('delay', [kit.emit('neg', [x]), x, count], {}), [3], known)
    assert.equal(await agrees(fixed), [left > 0 ? 'Identity' : 'Neg'])
  }
})

test('a loop is written out step by step', async () => {
  const sums = (x: q.Value): q.Value => {
    const [total] = q.scan(
      (sum: q.Value, row: q.Value) => [q.add(q.mul(sum, 0.5), row), sum],
      x.kit.constant(0, [3]),
      x,
    )
    return total
  }
  const names = await agrees(made((x) => sums(x), [4, 3]))
  assert.is(names.filter((n) => n === 'Add').length, 4)
})

test.run()

/** What was learned or computed before it was put on its grid is written as any other quantizer: widths, and weights with two scales. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../../src/index.js'
import { exportOnnx } from '../../../src/interop/onnx/index.js'
import { suite } from '../../support/suite.js'
import { madeOf, spread } from './layers.js'
import { byOrt } from './ort.js'
import { readFile } from './wellFormed.js'

const test = suite('ONNX: learned grids')

type Made = ReturnType<typeof madeOf>
const typesOf = (m: Made, format: 'qcdq' | 'qonnx'): readonly string[] =>
  readFile(q.orThrow(exportOnnx(m.program, m.fixed, { format }))).graph.node.map((n) => n.opType)

const act = (options: object): Made =>
  madeOf(q.QuantIdentity({ bitWidthImplType: 'PARAMETER', bitWidth: 4, ...options } as never) as never, spread([4, 6]))

for (const [what, options] of [
  ['signed', { actQuant: q.Int8ActPerTensorFloat }],
  ['signed and narrow', { actQuant: q.Int8ActPerTensorFloat, narrowRange: true }],
  ['powers of two', { actQuant: q.Int8ActPerTensorFixedPoint }],
] as const)
  test(`a learned width, ${what}, is one quantizer in both formats, and ONNX Runtime computes the same`, async () => {
    const m = act(options)
    assert.equal(typesOf(m, 'qcdq'), ['QuantizeLinear', 'Clip', 'DequantizeLinear'])
    assert.equal(typesOf(m, 'qonnx'), ['Quant'])
    const { output: y } = await byOrt(q.orThrow(exportOnnx(m.program, m.fixed)), { input: m.inputs })
    assert.equal([...y.data], [...m.ours.data])
    const [node] = readFile(q.orThrow(exportOnnx(m.program, m.fixed, { format: 'qonnx' }))).graph.node
    const narrow = node.attribute.find((a) => a.name === 'narrow')?.i
    assert.is(Number(narrow), 'narrowRange' in options ? 1 : 0)
  })

test('a rounding that QuantizeLinear has not stays written out there, and QONNX names it', () => {
  const m = act({ actQuant: q.Int8ActPerTensorFloat, floatToIntImplType: 'FLOOR' })
  assert.ok(typesOf(m, 'qcdq').includes('Floor'))
  assert.equal(typesOf(m, 'qonnx'), ['Quant'])
})

for (const [name, weightQuant] of [
  ['A2Q', q.Int8AccumulatorAwareWeightQuant],
  ['decoupled', q.Int8WeightPerChannelFloatDecoupled],
] as const)
  test(`weights of ${name} are integers in QCDQ and a Quant in QONNX`, async () => {
    const layer = q.QuantLinear({ inFeatures: 6, outFeatures: 3, weightQuant, inputQuant: q.Int8ActPerTensorFloat })
    const m = madeOf(layer as never, spread([4, 6]))
    const { graph } = readFile(q.orThrow(exportOnnx(m.program, m.fixed)))
    assert.ok(graph.initializer.some((t) => t.dataType === 3 && t.dims.map(Number).reduce((a, b) => a * b, 1) === 18))
    assert.is(graph.node.filter((n) => n.opType === 'QuantizeLinear').length, 1)
    assert.is(typesOf(m, 'qonnx').filter((t) => t === 'Quant').length, 2)
    const { output: y } = await byOrt(q.orThrow(exportOnnx(m.program, m.fixed)), { input: m.inputs })
    y.data.forEach((v, i) => assert.ok(Math.abs(v - m.ours.data[i]) <= 1e-5 * (1 + Math.abs(v)), `${i}`))
  })

test('steps that no grid of 32 bits holds are refused', () => {
  const layer = q.model({}, (_l, _p, _s, x: q.Value) => [
    x.kit.emit('fromSteps', [x, x.kit.constant(0.5), x.kit.constant(0)], {
      bits: 8,
      signed: false,
      lo: -4,
      hi: 4,
      rounding: 'ROUND',
      training: false,
      zero: 'zero',
    }),
    {},
  ])
  const m = madeOf(layer as never, spread([4]))
  const file = exportOnnx(m.program, m.fixed)
  assert.match(E.isLeft(file) ? q.explainAll(file.left) : '', /no grid of 32 unsigned bits holds its integers/)
})

test.run()

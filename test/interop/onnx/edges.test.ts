/** Quantizers at the edge of what a format can say: what is still written, exactly, and what is refused. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../../src/index.js'
import { exportOnnx, exportReport, importOnnx, type ExportOptions } from '../../../src/interop/onnx/index.js'
import { suite } from '../../support/suite.js'
import { layerWith, madeOf, spread, type Values } from './layers.js'
import { byOrt } from './ort.js'
import { fileProblems, readFile } from './wellFormed.js'

const test = suite('ONNX: edges')

type Attrs = { readonly bits: number; readonly signed: boolean; readonly narrow?: boolean }
type Case = Attrs & {
  readonly shape?: readonly number[]
  readonly scale?: q.Tensor
  readonly zero?: q.Tensor
  readonly known?: boolean
}
const scalar = (v: number): q.Tensor => q.tensorOf([], [v])
const SHAPE = [2, 3, 4]
const along = (axis: number, values: readonly number[]): q.Tensor =>
  q.tensorOf(
    SHAPE.map((_, i) => (i === axis ? values.length : 1)),
    values,
  )

const emitted = (c: Case, [v, scale, zero]: readonly q.Value[], kit: q.Kit): q.Value =>
  kit.emit('quantize', [v, scale, zero], {
    bits: c.bits,
    signed: c.signed,
    narrow: c.narrow === true,
    rounding: 'ROUND',
    clamp: 'mask',
    training: false,
    zero: 'any',
  })

const made = (c: Case, value = spread(c.shape ?? SHAPE)) => {
  const numbers = { scale: c.scale ?? scalar(0.25), zero: c.zero ?? scalar(0), value }
  const layer = layerWith(numbers, (x, p: Values, kit) => {
    const y = emitted(c, [c.known === true ? p.value : x, p.scale, p.zero], kit)
    return c.known === true ? kit.emit('add', [x, y]) : y
  })
  return madeOf(layer, c.known === true ? q.tensorOf(value.shape, new Array<number>(value.data.length).fill(0)) : value)
}

const written = (c: Case, options: ExportOptions = {}, value?: q.Tensor) => {
  const m = made(c, value)
  return { m, file: exportOnnx(m.program, m.fixed, { openBatch: false, ...options }) }
}
const refused = (c: Case, why: RegExp, options: ExportOptions = {}): void => {
  const { file } = written(c, options)
  assert.match(E.isLeft(file) ? q.explainAll(file.left) : 'it was written', why)
}
const same = async (c: Case, options: ExportOptions = {}, value?: q.Tensor): Promise<Uint8Array> => {
  const { m, file } = written(c, options, value)
  const bytes = q.orThrow(file)
  assert.equal(fileProblems(bytes), [])
  const { output } = await byOrt(bytes, { input: m.inputs })
  m.ours.data.forEach((v, i) => assert.is(output.data[i] + 0, v + 0))
  const { layer } = q.orThrow(importOnnx(bytes))
  const theirs = madeOf(layer as q.Layer<unknown, unknown>, m.inputs).ours
  m.ours.data.forEach((v, i) => assert.is(theirs.data[i] + 0, v + 0))
  return bytes
}

const four = { bits: 4, signed: true } as const

const ENDS = [
  [true, -128, 127],
  [false, 0, 255],
] as const

for (const known of [false, true])
  for (const [signed, least, most] of ENDS) {
    const c = { bits: 8, signed, known }
    test(`zero points are integers of their type, ${JSON.stringify(c)}`, () => {
      for (const z of [least - 1, most + 1, 0.5]) {
        refused({ ...c, zero: scalar(z) }, /no integer of its storage type.*\n.*integer zero point/)
        refused({ ...c, zero: along(1, [0, z, 0]) }, /no integer of its storage type/)
      }
    })
    for (const z of [least, most])
      test(`to its very end ${z}, ${JSON.stringify(c)}`, async () => {
        await same({ ...c, zero: scalar(z) })
        await same({ ...c, zero: along(1, [0, z, 0]) })
      })
  }

const INT4 = { opset: 21, int4: true }
const ENDS4 = [
  [true, -8, -9],
  [true, 7, 8],
  [false, 15, 16],
] as const
for (const known of [false, true])
  for (const [signed, inside, outside] of ENDS4) {
    const c = { bits: 4, signed, known }
    test(`in a type of four bits a zero point is one of them, ${JSON.stringify(c)}`, () =>
      refused({ ...c, zero: scalar(outside) }, /no integer of its storage type/, INT4))
    test(`in eight bits it may be another one, ${JSON.stringify(c)}`, async () => {
      await same({ ...c, zero: scalar(outside) })
      await same({ ...c, zero: scalar(inside) }, INT4)
    })
  }

for (const known of [false, true]) {
  const c = { ...four, known }
  test(`a scale and a zero point lie along one axis${known ? ', of known numbers' : ''}`, async () => {
    await same({ ...c, scale: along(1, [0.25, 0.5, 1]) })
    await same({ ...c, zero: along(1, [0, 2, -2]) })
    await same({ ...c, scale: along(2, [0.25, 0.5, 1, 2]), zero: along(2, [0, 2, -2, 4]) })
    await same({ ...c, scale: q.tensorOf([4], [0.25, 0.5, 1, 2]) })
  })
  test(`along several axes they are refused${known ? ', of known numbers' : ''}`, () => {
    const alternating = q.tensorOf([2, 3, 1], [1, 2, 1, 2, 1, 2])
    refused({ ...c, scale: along(1, [0.25, 0.5, 1]), zero: along(0, [0, 2]) }, /several axes/)
    refused({ ...c, scale: alternating }, /several axes.*\n.*per channel of one/)
    refused({ ...c, scale: alternating, zero: alternating }, /several axes/)
    refused({ ...c, zero: q.tensorOf([3, 4], [0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1]) }, /several axes/)
    refused({ ...c, scale: along(0, [1, 2]), zero: alternating }, /several axes/)
  })
}

test('a scale without end is refused where it would give the lowest integer', async () => {
  for (const known of [false, true]) {
    refused({ ...four, known, scale: scalar(Infinity) }, /its scale is infinite.*\n.*finite data/)
    refused({ ...four, known, scale: along(1, [1, Infinity, 1]) }, /its scale is infinite/)
    refused({ ...four, known, scale: along(1, [Infinity, 1, 1]) }, /its scale is infinite/)
  }
  assert.ok(E.isRight(written({ bits: 4, signed: false, scale: scalar(Infinity) }).file))
  assert.ok(E.isRight(written({ ...four, scale: scalar(NaN) }).file))
})

const wide = { bits: 16, signed: true } as const

test('more than eight bits are stored where numbers are known', async () => {
  const bytes = await same({ ...wide, known: true, scale: along(1, [2 ** -10, 2 ** -9, 2 ** -8]) })
  assert.ok(readFile(bytes).graph.initializer.some((t) => t.dataType === 6))
  assert.not.ok(readFile(bytes).graph.node.some((n) => n.opType === 'Clip'))
})
test('up to the largest integer of 32', async () => {
  const widest = { bits: 32, signed: true, known: true, scale: scalar(1), shape: [1, 4] }
  const bytes = await same(widest, {}, q.tensorOf([1, 4], [3e9, -3e9, 2 ** 24, -5]))
  const raw =
    readFile(bytes)
      .graph.initializer.find((t) => t.dataType === 6)
      ?.rawData.slice() ?? new Uint8Array()
  assert.equal([...new Int32Array(raw.buffer)], [2 ** 31 - 1, -(2 ** 31), 2 ** 24, -5])
})
test('of data, or beside a zero point, there is no place for them', () => {
  const few = /16 bits don't fit the 8 of QuantizeLinear.*\n.*bitWidth: 8 or less/
  refused(wide, few)
  refused({ ...wide, known: true, zero: scalar(1) }, few)
  refused({ ...wide, known: true, zero: along(1, [0, 1, 0]) }, few)
})

test('eight bits and less are stored in eight, with a Clip where they are fewer', async () => {
  const clips = async (c: Case): Promise<boolean> =>
    readFile(await same({ ...c, known: true })).graph.node.some((n) => n.opType === 'Clip')
  assert.is(await clips({ bits: 8, signed: true }), false)
  assert.is(await clips({ bits: 8, signed: false }), false)
  assert.is(await clips({ bits: 8, signed: true, narrow: true }), true)
  assert.is(await clips({ bits: 7, signed: false }), true)
})

test('a bias that is quantized is stored without a Clip, whoever else reads it', () => {
  const c = { bits: 8, signed: true, narrow: true }
  for (const alsoElsewhere of [false, true]) {
    const layer = layerWith({ b: spread([3]), scale: scalar(0.25), zero: scalar(0) }, (x, p: Values, kit) => {
      const b = emitted(c, [p.b, p.scale, p.zero], kit)
      const sum = kit.emit('addBias', [x, b], { axis: 1, sameScale: false })
      return alsoElsewhere ? kit.emit('mul', [sum, kit.emit('neg', [b], {})]) : sum
    })
    const m = madeOf(layer, spread([2, 3]))
    const { node } = readFile(q.orThrow(exportOnnx(m.program, m.fixed))).graph
    assert.not.ok(node.some((n) => n.opType === 'Clip'))
  }
})

/** Numbers of a grid of four bits and steps of 1/4. */
const onGrid = q.tensorOf(
  SHAPE,
  Array.from({ length: 24 }, (_, i) => ((i % 16) - 8) / 4),
)

test('a grid whose width was learned is a grid: whole, not narrow', async () => {
  for (const known of [false, true])
    for (const format of ['qcdq', 'qonnx'] as const) {
      const numbers = { scale: scalar(0.25), zero: scalar(0), width: scalar(4), value: onGrid }
      const layer = layerWith(numbers, (x, p: Values, kit) => {
        const y = kit.emit('onLearnedGrid', [known ? p.value : x, p.scale, p.zero, p.width], {
          bits: 8,
          signed: true,
          training: false,
          zero: 'zero',
        })
        return known ? kit.emit('add', [x, y]) : y
      })
      const m = madeOf(layer, known ? q.tensorOf(SHAPE, new Array<number>(24).fill(0)) : numbers.value)
      const bytes = q.orThrow(exportOnnx(m.program, m.fixed, { format }))
      const again = madeOf(q.orThrow(importOnnx(bytes)).layer as q.Layer<unknown, unknown>, m.inputs)
      const [{ attrs }] = again.program.graph.nodes.filter((n) => n.op.name === 'quantize')
      assert.equal([attrs.bits, attrs.signed, attrs.narrow], [4, true, false])
      assert.equal(again.ours.data, m.ours.data)
    }
})

test('a scale that depends on data is refused in QONNX; each operand that does', () => {
  const names = ['scale', 'zero', 'width'] as const
  for (const of of names) {
    const numbers = { scale: scalar(0.25), zero: scalar(0), width: scalar(4) }
    const layer = layerWith(numbers, (x, p: Values, kit) => {
      const data = kit.emit('add', [kit.emit('mul', [kit.emit('maxAll', [x], {}), kit.constant(0)]), p[of]])
      const [s, z, w] = names.map((name) => (name === of ? data : p[name]))
      return kit.emit('onLearnedGrid', [x, s, z, w], { bits: 8, signed: true, training: false, zero: 'zero' })
    })
    const m = madeOf(layer, spread(SHAPE))
    for (const format of ['qcdq', 'qonnx'] as const) {
      const file = exportOnnx(m.program, m.fixed, { format })
      assert.match(E.isLeft(file) ? q.explainAll(file.left) : '', /its scale or zero point depends on the data/)
    }
  }
})

test('an odd zero point moves ties, which the report tells; an even one does not', () => {
  for (const [zero, isTold] of [
    [scalar(0), false],
    [scalar(2), false],
    [scalar(4), false],
    [scalar(1), true],
    [scalar(3), true],
    [along(1, [2, 3, 2]), true],
    [along(1, [2, 4, 6]), false],
  ] as const) {
    const m = made({ bits: 8, signed: false, zero })
    const { entries } = q.orThrow(exportReport(m.program as q.Program, 'qcdq', m.fixed, { openBatch: false }))
    assert.is(
      entries.some((e) => /its zero point is odd/.test(e.what)),
      isTold,
    )
  }
})

/** -x and |x| of integers with a zero point, as Brevitas has them and corrected. */
test('negative and absolute values of integers: as Brevitas has them, or correct', async () => {
  for (const op of ['quantNeg', 'quantAbs'] as const)
    for (const correct of [false, true]) {
      const layer = layerWith({ s: scalar(0.25), z: scalar(3) }, (x, p: Values, kit) =>
        kit.emit(op, [x, p.s, p.z], { correct }),
      )
      const m = madeOf(layer, spread([2, 5], 0.5))
      const { output } = await byOrt(q.orThrow(exportOnnx(m.program, m.fixed)), { input: m.inputs })
      m.ours.data.forEach((v, i) => assert.is(output.data[i] + 0, v + 0))
    }
})

test.run()

/** Quantizers with known scales, drawn: which operators say them, what is noted or refused, and that everybody reads the same numbers. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import fc from 'fast-check'
import * as q from '../../../src/index.js'
import { exportOnnx, exportReport, importOnnx, type ExportOptions } from '../../../src/interop/onnx/index.js'
import { TensorProto_DataType as DataType } from '../../../src/interop/onnx/proto/onnx_pb.js'
import { suite } from '../../support/suite.js'
import { byOrt } from './ort.js'
import { fileProblems, readFile } from './wellFormed.js'

const test = suite('ONNX: grids')

/** A quantizer with constants as scale and zero point, of data or of numbers that are known. */
type Grid = {
  readonly bits: number
  readonly signed: boolean
  readonly narrow: boolean
  readonly rounding: 'ROUND' | 'FLOOR' | 'CEIL' | 'ROUND_TO_ZERO' | 'DPU'
  /** Where scales lie: one, or along an axis. */
  readonly axis: 0 | 1 | 2 | null
  /** A zero point: none, one, or along that axis. */
  readonly zero: 'none' | 'even' | 'odd' | 'some odd'
  readonly known: boolean
  readonly opset: number
  readonly int4: boolean
}

const gridArb: fc.Arbitrary<Grid> = fc.record({
  bits: fc.constantFrom(2, 3, 4, 4, 5, 8, 8),
  signed: fc.boolean(),
  narrow: fc.boolean(),
  rounding: fc.constantFrom('ROUND', 'ROUND', 'FLOOR', 'CEIL', 'ROUND_TO_ZERO', 'DPU'),
  axis: fc.constantFrom(null, 0, 1, 2),
  zero: fc.constantFrom('none', 'even', 'odd', 'some odd'),
  known: fc.boolean(),
  opset: fc.constantFrom(13, 17, 20, 21),
  int4: fc.boolean(),
})

const SHAPE = [2, 3, 4] as const
const n = (axis: Grid['axis']): number => (axis === null ? 1 : SHAPE[axis])
/** Along the axis, aligned to the last ones. */
const shapeAlong = (axis: Grid['axis']): readonly number[] =>
  axis === null ? [] : SHAPE.slice(axis).map((size, i) => (i === 0 ? size : 1))

const scalesOf = (g: Grid): q.Tensor =>
  q.tensorOf(
    shapeAlong(g.axis),
    Array.from({ length: n(g.axis) }, (_, i) => 0.25 * 2 ** i),
  )
const zerosOf = (g: Grid): q.Tensor => {
  const sign = g.signed ? -1 : 1
  if (g.zero === 'none') return q.tensorOf([], [0])
  if (g.zero === 'some odd' && g.axis !== null)
    return q.tensorOf(
      shapeAlong(g.axis),
      Array.from({ length: n(g.axis) }, (_, i) => (i === 1 ? sign : 2 * sign * i)),
    )
  return q.tensorOf([], [g.zero === 'even' ? 2 * sign : sign])
}

/** Steps, halves of them and a little more or less, far beyond the ends of eight bits too. */
const DATA = q.tensorOf(
  [...SHAPE],
  [
    -40, -9, -2.5, -1.625, -1.125, -0.875, -0.625, -0.375, -0.13, -0.125, -0.05, 0, 0.05, 0.12, 0.375, 0.6, 0.625, 0.9,
    1.125, 1.375, 2.3, 5, 63, 300,
  ],
)
/** The same without ties, where a zero point that is odd moves them. */
const UNTIED = q.tensorOf(
  [...SHAPE],
  DATA.data.map((v) => v * 1.0371),
)

const isOdd = (g: Grid): boolean => g.zero === 'odd' || g.zero === 'some odd'
const inputOf = (g: Grid): q.Tensor => (isOdd(g) ? UNTIED : DATA)

type Trees = { readonly [name: string]: q.Value }

/** Numbers that a program is given as parameters. */
const given = (t: q.Tensor) => ({
  shape: t.shape,
  learned: false,
  init: (g: q.Generator): readonly [q.Tensor, q.Generator] => [t, g],
})

const layerOf = (g: Grid) =>
  ({
    layer: 'grid',
    problems: [],
    config: { name: 'grid', parts: [] },
    params: { scale: given(scalesOf(g)), zero: given(zerosOf(g)), value: given(inputOf(g)) },
    state: {},
    apply: ({ scale, zero, value }: Trees, _state: Trees, x: q.Value, kit: q.Kit) => {
      const of = kit.emit('quantize', [g.known ? value : x, scale, zero], {
        bits: g.bits,
        signed: g.signed,
        narrow: g.narrow,
        rounding: g.rounding,
        clamp: 'mask',
        training: false,
        zero: g.zero === 'none' ? 'zero' : 'integer',
      })
      return [g.known ? kit.emit('add', [x, of]) : of, {}]
    },
  }) as unknown as q.Layer<unknown, unknown>

const madeOf = (g: Grid) => {
  const layer = layerOf(g)
  const program = q.orThrow(q.trace(layer, q.tensorInput([...SHAPE]), { mode: 'eval' }))
  const fixed = q.orThrow(q.init(layer, 0))
  const inputs = g.known ? q.tensorOf([...SHAPE], new Array<number>(24).fill(0)) : inputOf(g)
  const ours = q.valueOf(q.orThrow(q.run(program, { ...fixed, inputs })).outputs as q.Output)
  return { program, fixed, inputs, ours }
}

const ROUNDERS: { readonly [rounding: string]: readonly string[] } = {
  ROUND: [],
  FLOOR: ['Floor'],
  CEIL: ['Ceil'],
  ROUND_TO_ZERO: ['Sign', 'Abs', 'Floor', 'Mul'],
  DPU: ['Floor', 'Sub', 'Equal', 'Less', 'And', 'Ceil', 'Round', 'Where'],
}

/** The operators of QCDQ for a grid: rounding by hand, integers, a Clip where its range is not that of their type, and back. */
const operatorsOf = (g: Grid): readonly string[] => {
  const is4 = g.int4 && g.opset === 21 && g.bits === 4 && (g.known || !g.narrow)
  const clips = !is4 && (g.bits < 8 || g.narrow)
  const moves = g.zero === 'none' ? [[], []] : [['Add'], ['Sub']]
  const rounds = g.rounding === 'ROUND' ? [] : ['Div', ...moves[0], ...ROUNDERS[g.rounding], ...moves[1], 'Mul']
  const ends = [...(clips ? ['Clip'] : []), 'DequantizeLinear']
  return g.known ? [...ends, 'Add'] : [...rounds, 'QuantizeLinear', ...ends]
}

const typeOf = (g: Grid): DataType => {
  if (g.int4 && g.opset === 21 && g.bits === 4 && (g.known || !g.narrow))
    return g.signed ? DataType.INT4 : DataType.UINT4
  return g.signed ? DataType.INT8 : DataType.UINT8
}

const optionsOf = (g: Grid): ExportOptions => ({ opset: g.opset, ...(g.opset === 21 ? { int4: g.int4 } : {}) })

const sameNumbers = (a: q.Tensor, b: q.Tensor): void => {
  assert.equal(b.shape, a.shape)
  assert.equal(
    [...b.data].map((v) => v + 0),
    [...a.data].map((v) => v + 0),
  )
}

const runs = (seed: number) => ({ numRuns: 5, seed, endOnFailure: true, includeErrorInReport: true })

for (let seed = 1; seed <= 24; seed++)
  test(`QCDQ ${seed}: the operators, types and notes of a grid; ONNX Runtime and our importer read its numbers`, () =>
    fc.assert(
      fc.asyncProperty(gridArb, async (g) => {
        const { program, fixed, inputs, ours } = madeOf(g)
        const bytes = q.orThrow(exportOnnx(program, fixed, optionsOf(g)))
        assert.equal(fileProblems(bytes), [])
        const { node, initializer } = readFile(bytes).graph
        assert.equal(
          node.map((m) => m.opType),
          operatorsOf(g),
        )
        const integers = initializer.filter((t) => t.dataType !== DataType.FLOAT).map((t) => t.dataType)
        assert.equal([...new Set(integers)], [typeOf(g)])
        sameNumbers(ours, (await byOrt(bytes, { input: inputs })).output)
        const { entries } = q.orThrow(exportReport(program as q.Program, 'qcdq', fixed, optionsOf(g)))
        const notes = entries.filter((e) => /rounds by|zero point is odd/.test(e.what)).map((e) => e.what.slice(0, 16))
        const odd = isOdd(g) ? ['its zero point i'] : []
        assert.equal(notes, g.known ? [] : g.rounding === 'ROUND' ? odd : [`it rounds by ${g.rounding}`.slice(0, 16)])
      }),
      runs(seed),
    ))

for (const format of ['qcdq', 'qonnx'] as const)
  for (let seed = 1; seed <= 12; seed++)
    test(`${format} ${seed}: brought back, a grid is the same: numbers, width, sign, range`, () =>
      fc.assert(
        fc.property(gridArb, (g) => {
          const { program, fixed, inputs, ours } = madeOf(g)
          const written = exportOnnx(program, fixed, {
            ...(format === 'qcdq' ? optionsOf(g) : { opset: g.opset }),
            format,
          })
          if (E.isLeft(written)) {
            assert.is(g.rounding, 'DPU')
            assert.is(format, 'qonnx')
            return assert.match(
              q.explainAll(written.left),
              /QONNX has no rounding DPU.*\n.*choose ROUND, FLOOR, CEIL or/,
            )
          }
          assert.equal(fileProblems(written.right), [])
          const { layer } = q.orThrow(importOnnx(written.right))
          const again = q.orThrow(q.trace(layer, q.tensorInput([...SHAPE]), { mode: 'eval' }))
          const theirs = q.orThrow(q.run(again, { ...q.orThrow(q.init(layer, 0)), inputs })).outputs
          sameNumbers(ours, q.valueOf(theirs as q.Output))
          const [{ attrs }] = again.graph.nodes.filter((m) => m.op.name === 'quantize')
          const isLost = typeOf(g) === DataType.INT4 || typeOf(g) === DataType.UINT4 // There is no Clip of 4 bits.
          const narrow = g.narrow && !(format === 'qcdq' && isLost)
          assert.equal([attrs.bits, attrs.signed, attrs.narrow], [g.bits, g.signed, narrow])
          const { entries } = q.orThrow(exportReport(program as q.Program, format, fixed, optionsOf(g)))
          assert.is(entries.filter((e) => /its range is narrow/.test(e.what)).length, narrow === g.narrow ? 0 : 1)
          if (format === 'qonnx') assert.is(attrs.rounding, g.rounding)
        }),
        runs(seed),
      ))

test.run()

/** Truncations: a Trunc in QONNX, a coarser quantizer in QCDQ; and numbers of steps that no truncation made. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../../src/index.js'
import { exportOnnx, importOnnx, type ExportOptions } from '../../../src/interop/onnx/index.js'
import { suite } from '../../support/suite.js'
import { layerWith, madeOf, type Values } from './layers.js'
import { byOrt } from './ort.js'
import { fileProblems, readFile } from './wellFormed.js'

const test = suite('ONNX: truncations')

type Rounding = 'ROUND' | 'FLOOR' | 'CEIL' | 'ROUND_TO_ZERO' | 'DPU'
type Truncation = {
  readonly rounding: Rounding
  readonly signed: boolean
  readonly zero: number
  /** Is what is truncated known to lie on a grid of 6 bits, as a plain value or as it is? */
  readonly value: 'plain' | 'on a grid' | 'read off a grid'
  /** The step of the way that is another one than in a truncation. */
  readonly other?: 'division' | 'rounding' | 'sum' | 'steps' | 'scale of data' | 'zero of data'
}

const scalar = (v: number): q.Tensor => q.tensorOf([], [v])
const SHAPE = [2, 8]
/** Whole numbers of steps of 1/4 from -8 to 7, or of as many above 0. */
const DATA = (signed: boolean): q.Tensor =>
  q.tensorOf(
    SHAPE,
    Array.from({ length: 16 }, (_, i) => (signed ? i - 8 : i) / 4),
  )

const layerOf = (c: Truncation): q.Layer<unknown, unknown> => {
  const numbers = { s: scalar(0.25), t: scalar(4), out: scalar(1), z: scalar(c.zero), outZero: scalar(c.zero / 4) }
  return layerWith(numbers, (x, p: Values, kit) => {
    const none = kit.emit('mul', [kit.emit('maxAll', [x], {}), kit.constant(0)])
    const s = c.other === 'scale of data' ? kit.emit('add', [p.s, none]) : p.s
    const z = c.other === 'zero of data' ? kit.emit('add', [p.z, none]) : p.z
    const grid = (): q.Value =>
      kit.emit('quantize', [x, p.s, p.z], {
        bits: 6,
        signed: c.signed,
        narrow: false,
        rounding: 'ROUND',
        clamp: 'mask',
        training: false,
        zero: c.zero === 0 ? 'zero' : 'integer',
      })
    const value = {
      plain: () => x,
      'on a grid': grid,
      'read off a grid': () => kit.emit('dequantize', [grid()], { why: 'it is truncated' }),
    }[c.value]()
    const steps = c.other === 'steps' ? kit.emit('mul', [value, kit.constant(4)]) : kit.emit('div', [value, s])
    const moved = c.other === 'sum' ? kit.emit('sub', [steps, kit.emit('neg', [z])]) : kit.emit('add', [steps, z])
    const whole = c.other === 'rounding' ? kit.emit('floor', [moved]) : kit.emit('round~identity', [moved])
    const less = c.other === 'division' ? kit.emit('mul', [whole, kit.constant(0.25)]) : kit.emit('div', [whole, p.t])
    return kit.emit('fromSteps', [less, p.out, p.outZero], {
      bits: 4,
      signed: c.signed,
      rounding: c.rounding,
      training: false,
      zero: c.zero === 0 ? 'zero' : 'any',
    })
  })
}

const made = (c: Truncation) => madeOf(layerOf(c), DATA(c.signed))
const written = (c: Truncation, options: ExportOptions = {}): Uint8Array => {
  const { program, fixed } = made(c)
  const bytes = q.orThrow(exportOnnx(program, fixed, { openBatch: false, ...options }))
  assert.equal(fileProblems(bytes), [])
  return bytes
}
const operators = (bytes: Uint8Array): readonly string[] => readFile(bytes).graph.node.map((n) => n.opType)

const VALUES = ['plain', 'on a grid', 'read off a grid'] as const
const OTHERS = ['division', 'rounding', 'sum', 'steps', 'scale of data', 'zero of data'] as const
const plain: Truncation = { rounding: 'FLOOR', signed: true, zero: 0, value: 'plain' }

for (const rounding of ['ROUND', 'FLOOR', 'CEIL', 'ROUND_TO_ZERO', 'DPU'] as const)
  for (const [signed, zero] of [
    [true, 0],
    [false, 0],
    [false, 4],
  ] as const)
    for (const value of VALUES)
      test(`QCDQ: ${rounding}, ${signed ? 'signed' : 'unsigned'}, zero point ${zero}, ${value}: ONNX Runtime computes the same`, async () => {
        for (const other of [undefined, ...OTHERS]) {
          const c = { rounding, signed, zero, value, ...(other === undefined ? {} : { other }) }
          const m = made(c)
          const bytes = written(c)
          const { output } = await byOrt(bytes, { input: m.inputs })
          assert.equal(
            [...output.data].map((v) => v + 0),
            [...m.ours.data].map((v) => v + 0),
          )
          // A truncation to the nearest is a quantizer with the coarser scale; all others round steps by hand.
          const isPlain = rounding === 'ROUND' && zero === 0 && other === undefined
          const own = operators(bytes).slice(value === 'plain' ? 0 : 3)
          assert.is(own.join() === 'QuantizeLinear,Clip,DequantizeLinear', isPlain, own.join())
        }
      })

test('QCDQ: a zero point for each row, of which some are 0, is no plain quantizer', async () => {
  const rows = (values: readonly number[]): q.Tensor => q.tensorOf([2, 1], values)
  const numbers = { s: scalar(0.25), t: scalar(4), out: scalar(1), z: rows([0, 4]), outZero: rows([0, 1]) }
  const layer = layerWith(numbers, (x, { s, t, out, z, outZero }: Values, kit) => {
    const steps = kit.emit('round~identity', [kit.emit('add', [kit.emit('div', [x, s]), z])])
    return kit.emit('fromSteps', [kit.emit('div', [steps, t]), out, outZero], {
      bits: 4,
      signed: false,
      rounding: 'ROUND',
      training: false,
      zero: 'any',
    })
  })
  const m = madeOf(layer, DATA(false))
  const { output } = await byOrt(q.orThrow(exportOnnx(m.program, m.fixed, { openBatch: false })), { input: m.inputs })
  assert.equal(
    [...output.data].map((v) => v + 0),
    [...m.ours.data].map((v) => v + 0),
  )
})

test('QONNX: a Trunc, brought back with the same numbers', () => {
  for (const rounding of ['ROUND', 'FLOOR', 'CEIL', 'ROUND_TO_ZERO'] as const)
    for (const [signed, zero] of [
      [true, 0],
      [false, 0],
      [false, 4],
    ] as const)
      for (const value of VALUES) {
        const c = { rounding, signed, zero, value }
        const bytes = written(c, { format: 'qonnx' })
        assert.equal(operators(bytes), value === 'plain' ? ['Trunc'] : ['Quant', 'Trunc'])
        const { node, initializer } = readFile(bytes).graph
        const trunc = node.at(-1)
        const numbers = (trunc?.input ?? []).slice(1).map((name) => {
          const raw = initializer.find((t) => t.name === name)?.rawData.slice() ?? new Uint8Array()
          return [...new Float32Array(raw.buffer)]
        })
        // Scale, zero point, the bits that it had, the coarser scale, the bits that it has.
        assert.equal(numbers, [[0.25], [zero], [value === 'plain' ? 32 : 6], [1], [4]])
        const said = (name: string) => trunc?.attribute.find((a) => a.name === name)
        assert.is(said('signed')?.i, signed ? 1n : 0n)
        assert.is(said('narrow')?.i, 0n)
        const again = madeOf(q.orThrow(importOnnx(bytes)).layer as q.Layer<unknown, unknown>, DATA(signed))
        assert.equal(
          [...again.ours.data].map((v) => v + 0),
          [...made(c).ours.data].map((v) => v + 0),
        )
      }
})

test('QONNX has no rounding of the DPU, and no place for steps that no truncation made', () => {
  const refused = (c: Truncation, why: RegExp): void => {
    const { program, fixed } = made(c)
    const file = exportOnnx(program, fixed, { format: 'qonnx' })
    assert.match(E.isLeft(file) ? q.explainAll(file.left) : 'it was written', why)
  }
  refused({ ...plain, rounding: 'DPU' }, /QONNX has no rounding DPU.*\n.*choose ROUND, FLOOR, CEIL or ROUND_TO_ZERO/)
  for (const value of VALUES)
    for (const other of OTHERS) refused({ ...plain, value, other }, /steps that no truncation made.*\n.*'qcdq'/)
})

test('a binary quantizer is a BipolarQuant, with a scale that is known', () => {
  const layer = (ofData: boolean) =>
    layerWith({ s: scalar(0.5) }, (x, { s }: Values, kit) =>
      kit.emit('binaryQuantize', [x, ofData ? kit.emit('maxAll', [x], {}) : s], { clamped: true, training: false }),
    )
  const m = madeOf(layer(false), DATA(true))
  const bytes = q.orThrow(exportOnnx(m.program, m.fixed, { format: 'qonnx' }))
  assert.equal(operators(bytes), ['BipolarQuant'])
  const again = madeOf(q.orThrow(importOnnx(bytes)).layer as q.Layer<unknown, unknown>, m.inputs)
  assert.equal(again.ours.data, m.ours.data)
  const dynamic = madeOf(layer(true), DATA(true))
  const file = exportOnnx(dynamic.program, dynamic.fixed, { format: 'qonnx' })
  assert.match(E.isLeft(file) ? q.explainAll(file.left) : '', /depends on the data/)
})

test.run()

/** Scales of data, blocks and groups, drawn: where ONNX has a place for them, ONNX Runtime and our importer compute the same; else it is said why not. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import fc from 'fast-check'
import * as q from '../../../src/index.js'
import { exportOnnx, exportReport, importOnnx } from '../../../src/interop/onnx/index.js'
import { suite } from '../../support/suite.js'
import { layerWith, madeOf, type Values } from './layers.js'
import { byOrt } from './ort.js'
import { fileProblems, readFile } from './wellFormed.js'

const test = suite('ONNX: blocks')
const runs = (seed: number) => ({ numRuns: 4, seed, endOnFailure: true, includeErrorInReport: true })

/** Eighths, whose sums are exact. */
const eighths = (shape: readonly number[]): q.Tensor => {
  const n = shape.reduce((a, b) => a * b, 1)
  return q.tensorOf(
    shape,
    Array.from({ length: n }, (_, i) => (((i * 11 + 5) % 37) - 17) / 8),
  )
}

/** What it is quantized to. */
type Target = {
  readonly bits: number
  readonly signed: boolean
  readonly narrow: boolean
  readonly rounding: 'ROUND' | 'FLOOR'
  /** Minifloats instead of integers, and whether they stay finite. */
  readonly format: 'e4m3' | 'e5m2' | null
  readonly saturating: boolean
}
const targetArb: fc.Arbitrary<Target> = fc.record({
  bits: fc.constantFrom(3, 4, 8, 8, 9),
  signed: fc.boolean(),
  narrow: fc.boolean(),
  rounding: fc.constantFrom('ROUND', 'ROUND', 'ROUND', 'ROUND', 'FLOOR'),
  format: fc.constantFrom(null, null, 'e4m3', 'e5m2'),
  saturating: fc.boolean(),
})

const FORMATS = {
  e4m3: { exponentBits: 4, mantissaBits: 3, bias: 7, infValues: null, nanValues: ['111'] },
  e5m2: { exponentBits: 5, mantissaBits: 2, bias: 15, infValues: ['00'], nanValues: ['01', '10', '11'] },
}

const quantized = (t: Target, [v, scale, zero]: readonly q.Value[], kit: q.Kit): q.Value =>
  t.format === null
    ? kit.emit('quantize', [v, scale, zero], {
        bits: t.bits,
        signed: t.signed,
        narrow: t.narrow,
        rounding: t.rounding,
        clamp: 'mask',
        training: false,
        zero: 'integer',
      })
    : kit.emit('quantizeFloat', [v, scale], {
        ...FORMATS[t.format],
        signed: t.signed,
        saturating: t.saturating,
        training: false,
      })

type Made = ReturnType<typeof madeOf>

const sameNumbers = (a: q.Tensor, b: q.Tensor): void => {
  assert.equal(b.shape, a.shape)
  assert.equal(
    [...b.data].map((v) => v + 0),
    [...a.data].map((v) => v + 0),
  )
}

/** Everybody who reads the file computes the same. */
const isRead = async (m: Made, bytes: Uint8Array): Promise<void> => {
  assert.equal(fileProblems(bytes), [])
  sameNumbers(m.ours, (await byOrt(bytes, { input: m.inputs })).output)
  const { layer } = q.orThrow(importOnnx(bytes, { inputs: { input: m.inputs.shape } }))
  const again = q.orThrow(q.trace(layer, q.tensorInput(m.inputs.shape), { mode: 'eval' }))
  const theirs = q.orThrow(q.run(again, { ...q.orThrow(q.init(layer, 0)), inputs: m.inputs })).outputs
  sameNumbers(m.ours, q.valueOf(theirs as q.Output))
}

const hasClip = (t: Target): boolean => t.format === null && (t.bits < 8 || t.narrow)

/** A quantizer whose scale, or zero point, is computed of data over some axes; the other one may be known. */
type OfData = Target & {
  readonly shape: readonly number[]
  readonly axes: readonly number[]
  readonly isScaleKnown: boolean
  readonly zero: 'none' | 'known' | 'computed'
  readonly zeroAxes: readonly number[]
  readonly opset: number
}

const axesArb = fc.subarray([0, 1, 2])
const ofDataArb: fc.Arbitrary<OfData> = fc
  .record({
    target: targetArb,
    axes: axesArb,
    others: axesArb,
    same: fc.boolean(),
    shape: fc.constantFrom([2, 3, 4], [2, 3, 4], [2, 1, 4]),
    isScaleKnown: fc.constantFrom(false, false, true),
    zero: fc.constantFrom('none', 'known', 'computed', 'computed'),
    opset: fc.constantFrom(17, 21, 21),
  })
  .map(({ target, others, same, ...c }) => ({ ...target, ...c, zeroAxes: same ? c.axes : others }))

/** The shape that is left over these axes. */
const left = (shape: readonly number[], axes: readonly number[]): readonly number[] =>
  shape.map((n, i) => (axes.includes(i) ? 1 : n))

const filled = (shape: readonly number[], of: (i: number) => number): q.Tensor =>
  q.tensorOf(
    shape,
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => of(i)),
  )

const layerOfData = (c: OfData): q.Layer<unknown, unknown> => {
  const sign = c.signed ? -1 : 1
  const known = {
    scale: filled(left(c.shape, c.axes), (i) => 2 ** -(i % 4)),
    zero: filled(left(c.shape, c.zeroAxes), (i) => 2 * sign * (i % 3)),
    sign: q.tensorOf([], [2 * sign]),
  }
  return layerWith(known, (x, p: Values, kit) => {
    const over = (axes: readonly number[], min: number, max: number): q.Value =>
      kit.emit('clamp', [kit.emit('sum', [kit.emit('abs', [x], {})], { dims: axes, keepdim: true })], { min, max })
    const scale = c.isScaleKnown ? p.scale : over(c.axes, 0.25, 2)
    const zero = {
      none: kit.constant(0),
      known: p.zero,
      computed: kit.emit('mul', [kit.emit('round', [over(c.zeroAxes, 0, 3)], {}), p.sign], {}),
    }[c.zero]
    return quantized(c, [x, scale, zero], kit)
  })
}

const varying = (shape: readonly number[]): number => shape.filter((n) => n > 1).length

/** Why it is refused, or null. */
const refusalOf = (c: OfData): RegExp | null => {
  const scale = left(c.shape, c.axes)
  const zero = c.zero === 'none' || c.format !== null ? [] : left(c.shape, c.zeroAxes)
  const isOneAxis = varying(scale) <= 1
  const single = scale.filter((n, i) => n === 1 && c.shape[i] > 1).length
  if (c.format === null && c.bits > 8) return /9 bits don't fit the 8/
  if (c.format !== null && c.opset < 19) return /types of them are of opset 19/
  if (!isOneAxis && single !== 1) return /varies along several axes/
  if (varying(zero) > 0 && zero.join() !== scale.join()) return /varies along several axes/
  if (!isOneAxis && c.opset < 21) return /blocks of DequantizeLinear are of opset 21/
  if (c.format !== null && !c.signed && !c.saturating) return /makes no number of what is below 0/
  if (c.format === null && c.rounding === 'FLOOR') return /its rounding is not that of QuantizeLinear/
  return null
}

const isComputed = (c: OfData): boolean => !c.isScaleKnown || (c.format === null && c.zero === 'computed')

for (let seed = 1; seed <= 30; seed++)
  test(`scales of data ${seed}`, () =>
    fc.assert(
      fc.asyncProperty(ofDataArb.filter(isComputed), async (c) => {
        const m = madeOf(layerOfData(c), eighths(c.shape))
        const options = { opset: c.opset, openBatch: false }
        const written = exportOnnx(m.program, m.fixed, options)
        const why = refusalOf(c)
        if (why !== null) return assert.match(E.isLeft(written) ? q.explainAll(written.left) : 'it was written', why)
        const bytes = q.orThrow(written)
        await isRead(m, bytes)
        const { node } = readFile(bytes).graph
        // Those that keep a scale or zero point of data within bounds are beside the quantizer's.
        const others = (c.isScaleKnown ? 0 : 1) + (c.format === null && c.zero === 'computed' ? 1 : 0)
        assert.is(node.filter((n) => n.opType === 'Clip').length, others + (hasClip(c) ? 1 : 0))
        assert.is(
          node.some((n) => n.opType === 'Max'),
          c.format !== null && !c.signed,
        )
        const quantizes = node.find((n) => n.opType === 'QuantizeLinear')
        const stays = quantizes?.attribute.find((a) => a.name === 'saturate')
        assert.is(stays?.i, c.format !== null && !c.saturating ? 0n : undefined)
        const { entries } = q.orThrow(exportReport(m.program as q.Program, 'qcdq', m.fixed, options))
        const isOdd =
          c.format === null &&
          (c.zero === 'computed' || (c.zero === 'known' && left(c.shape, c.zeroAxes).some((n) => n > 1)))
        assert.is(entries.filter((e) => /its zero point depends on data/.test(e.what)).length, isOdd ? 1 : 0)
      }),
      runs(seed),
    ))

const UNSIGNED: Target = {
  bits: 8,
  signed: false,
  narrow: false,
  rounding: 'ROUND',
  format: null,
  saturating: true,
}
const SUBSETS = [[], [0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]] as const

for (const axes of SUBSETS)
  for (const shape of [
    [2, 3, 4],
    [2, 1, 4],
  ])
    test(`a scale of data over the axes [${axes}] of [${shape}], and a zero point over each`, async () => {
      for (const zeroAxes of SUBSETS) {
        const c: OfData = {
          ...UNSIGNED,
          shape,
          axes,
          zeroAxes,
          isScaleKnown: false,
          zero: 'computed',
          opset: 21,
        }
        const m = madeOf(layerOfData(c), eighths(shape))
        const file = exportOnnx(m.program, m.fixed, { opset: 21, openBatch: false })
        const why = refusalOf(c)
        if (why !== null) assert.match(E.isLeft(file) ? q.explainAll(file.left) : 'it was written', why)
        else await isRead(m, q.orThrow(file))
      }
    })

test('a known zero point beside a scale of data is an integer of its type', () => {
  for (const [signed, fits, others] of [
    [true, [-128, 127], [-129, 128, 0.5]],
    [false, [0, 255], [-1, 256, 0.5]],
  ] as const)
    for (const z of [...fits, ...others]) {
      const layer = layerWith({ z: q.tensorOf([3, 1], [0, z, 0]) }, (x, p, kit) => {
        const scale = kit.emit('clamp', [kit.emit('sum', [kit.emit('abs', [x])], { dims: [0, 2], keepdim: true })], {
          min: 1,
          max: 2,
        })
        const target = { bits: 8, signed, narrow: false, rounding: 'ROUND', format: null, saturating: true } as const
        return quantized(target, [x, scale, p.z], kit)
      })
      const m = madeOf(layer, eighths([2, 3, 4]))
      const file = exportOnnx(m.program, m.fixed, { openBatch: false })
      const isIn = (fits as readonly number[]).includes(z)
      assert.is(E.isRight(file), isIn, `${z}`)
      if (E.isLeft(file))
        assert.match(q.explainAll(file.left), /no integer of its storage type.*\n.*integer zero point/)
    }
})

/** A tensor that is cut into groups along an axis, of data or known. */
type Groups = Target & {
  readonly axis: number
  readonly fromBehind: boolean
  readonly zero: 'none' | 'one' | 'each' | 'last'
  readonly known: boolean
  readonly whole: boolean
  readonly opset: number
}

const groupsArb: fc.Arbitrary<Groups> = fc
  .tuple(targetArb, fc.nat(1), fc.boolean(), fc.constantFrom(20, 21, 21, 21, 21), fc.boolean(), fc.boolean())
  .chain(([target, axis, fromBehind, opset, known, whole]) =>
    fc.constantFrom('none', 'one', 'each', 'last').map(
      (zero) =>
        ({
          ...target,
          axis,
          fromBehind,
          opset,
          known,
          whole,
          zero,
          ...(target.bits > 8 ? { bits: 8 } : {}),
          rounding: 'ROUND',
        }) as Groups,
    ),
  )

const SIZE = 4
const layerOfGroups = (g: Groups): readonly [q.Layer<unknown, unknown>, readonly number[]] => {
  const length = g.whole ? 8 : 7
  const shape = g.axis === 0 ? [length, 3] : [3, length]
  const cut = g.axis === 0 ? [2, SIZE, 3] : [3, 2, SIZE]
  const compact = cut.map((n, i) => (i === g.axis + 1 ? 1 : n))
  const sign = g.signed ? -1 : 1
  const count = compact.reduce((a, b) => a * b, 1)
  const zeros = {
    none: q.tensorOf([], [0]),
    one: q.tensorOf([], [2 * sign]),
    each: filled(compact, (i) => 2 * sign * (i % 3)),
    last: filled(compact, (i) => (i === count - 1 ? 2 * sign : 0)),
  }
  const numbers = { scale: filled(compact, (i) => 2 ** -(i % 3)), zero: zeros[g.zero], value: eighths(shape) }
  const layer = layerWith(numbers, (x, p: Values, kit) => {
    const v = g.known ? p.value : x
    const pad = shape.map((_, i): readonly [number, number] => [0, i === g.axis && !g.whole ? 1 : 0])
    const full = g.whole ? v : kit.emit('pad', [v], { pad, mode: 'constant', value: 0 })
    const y = quantized(g, [kit.emit('reshape', [full], { shape: cut }), p.scale, p.zero], kit)
    const joined = kit.emit('joinGroups', [y], { axis: g.axis, dim: g.fromBehind ? g.axis - 2 : g.axis })
    const trimmed = g.whole ? joined : kit.emit('trimGroups', [joined], { axis: g.axis, length })
    return g.known ? kit.emit('add', [x, trimmed]) : trimmed
  })
  return [layer, shape]
}

for (let seed = 1; seed <= 20; seed++)
  test(`groups ${seed}`, () =>
    fc.assert(
      fc.asyncProperty(groupsArb, async (g) => {
        const [layer, shape] = layerOfGroups(g)
        const m = madeOf(layer, g.known ? filled(shape, () => 0) : eighths(shape))
        const written = exportOnnx(m.program, m.fixed, { opset: g.opset, openBatch: false })
        if (g.opset < 21) return assert.match(E.isLeft(written) ? q.explainAll(written.left) : '', /opset: 21/)
        if (g.format !== null && !g.signed && !g.saturating && !g.known)
          return assert.match(E.isLeft(written) ? q.explainAll(written.left) : '', /makes no number of what is below 0/)
        const bytes = q.orThrow(written)
        await isRead(m, bytes)
        const { node } = readFile(bytes).graph
        const names = node.map((n) => n.opType)
        assert.is(names.filter((n) => n === 'Clip').length, hasClip(g) ? 1 : 0)
        // Known numbers are stored as one tensor: nothing is cut or joined in the file.
        assert.is(
          names.some((n) => ['Reshape', 'Pad', 'Slice'].includes(n)),
          !g.known,
        )
        const back = node.find((n) => n.opType === 'DequantizeLinear')
        const said = (name: string): bigint | undefined => back?.attribute.find((a) => a.name === name)?.i
        assert.is(said('block_size'), BigInt(SIZE))
        assert.is(said('axis'), BigInt(g.known ? g.axis : g.axis + 1))
        const hasZero = g.format === null && g.zero !== 'none'
        assert.is(back?.input.length, hasZero ? 3 : 2)
      }),
      runs(seed),
    ))

for (let seed = 1; seed <= 6; seed++)
  test(`groups in QONNX ${seed}`, () =>
    fc.assert(
      fc.property(groupsArb, (g) => {
        const [layer, shape] = layerOfGroups(g)
        const m = madeOf(layer, g.known ? filled(shape, () => 0) : eighths(shape))
        const written = exportOnnx(m.program, m.fixed, { format: 'qonnx', openBatch: false })
        if (g.format !== null)
          return assert.match(E.isLeft(written) ? q.explainAll(written.left) : '', /QONNX' Quant gives integers/)
        const { layer: read } = q.orThrow(importOnnx(q.orThrow(written)))
        const again = madeOf(read as q.Layer<unknown, unknown>, m.inputs)
        sameNumbers(m.ours, again.ours)
      }),
      runs(seed),
    ))

test('zero points of groups are integers of their type', () => {
  const at = (signed: boolean, z: number, everywhere: boolean): boolean => {
    const count = 6
    const zero = q.tensorOf(
      [3, 2, 1],
      Array.from({ length: count }, (_, i) => (everywhere || i === 1 ? z : 0)),
    )
    const layer = layerWith({ zero, value: eighths([3, 2, 4]) }, (x, p, kit) => {
      const target = { bits: 8, signed, narrow: false, rounding: 'ROUND', format: null, saturating: true } as const
      const y = quantized(target, [p.value, kit.constant(0.5, [3, 2, 1]), p.zero], kit)
      return kit.emit('add', [x, kit.emit('joinGroups', [y], { axis: 1, dim: 1 })])
    })
    const m = madeOf(layer, eighths([3, 8]))
    const file = exportOnnx(m.program, m.fixed, { opset: 21 })
    if (E.isLeft(file)) assert.match(q.explainAll(file.left), /no integer of its storage type/)
    return E.isRight(file)
  }
  for (const everywhere of [false, true]) {
    for (const z of [-128, 127]) assert.is(at(true, z, everywhere), true)
    for (const z of [-129, 128, 0.5]) assert.is(at(true, z, everywhere), false)
    for (const z of [0, 255]) assert.is(at(false, z, everywhere), true)
    for (const z of [-1, 256, 0.5]) assert.is(at(false, z, everywhere), false)
  }
})

test('known minifloats with a scale for each block are stored so from opset 21 on', async () => {
  const target: Target = { bits: 8, signed: true, narrow: false, rounding: 'ROUND', format: 'e4m3', saturating: true }
  const scaledBy = (scale: readonly number[]) => {
    const numbers = { scale: filled(scale, (i) => 2 ** -i), value: eighths([2, 3, 4]) }
    const layer = layerWith(numbers, (x, p, kit) => kit.emit('add', [x, quantized(target, [p.value, p.scale], kit)]))
    return madeOf(
      layer,
      filled([2, 3, 4], () => 0),
    )
  }
  for (const scale of [
    [2, 3, 1],
    [2, 1, 4],
    [1, 3, 4],
  ]) {
    const m = scaledBy(scale)
    await isRead(m, q.orThrow(exportOnnx(m.program, m.fixed, { opset: 21 })))
    const early = exportOnnx(m.program, m.fixed, { opset: 19 })
    assert.match(E.isLeft(early) ? q.explainAll(early.left) : '', /blocks of DequantizeLinear are of opset 21/)
  }
  const m = scaledBy([2, 3, 4])
  const file = exportOnnx(m.program, m.fixed, { opset: 21 })
  assert.match(E.isLeft(file) ? q.explainAll(file.left) : '', /varies along several axes/)
})

/** Known minifloats with one scale, or one per channel of any axis. */
for (const format of ['e4m3', 'e5m2'] as const)
  for (const axis of [null, 0, 1, 2] as const)
    test(`${format}: known numbers are stored in 8 bits, with ${axis === null ? 'one scale' : `scales along axis ${axis}`}`, async () => {
      const target: Target = { bits: 8, signed: true, narrow: false, rounding: 'ROUND', format, saturating: true }
      const shape = [2, 3, 4]
      const scale = filled(axis === null ? [] : shape.map((n, i) => (i === axis ? n : 1)), (i) => 2 ** -i)
      const layer = layerWith({ scale, value: eighths(shape) }, (x, p, kit) =>
        kit.emit('add', [x, quantized(target, [p.value, p.scale], kit)]),
      )
      const m = madeOf(
        layer,
        filled(shape, () => 0),
      )
      const bytes = q.orThrow(exportOnnx(m.program, m.fixed, { opset: 19 }))
      await isRead(m, bytes)
      const { node, initializer } = readFile(bytes).graph
      assert.equal(
        node.map((n) => n.opType),
        ['DequantizeLinear', 'Add'],
      )
      assert.ok(initializer.some((t) => t.rawData.length === 24))
    })

test('a number of e4m3 is quantized alone behind a ReLU, and beside another reader of it', async () => {
  const target: Target = { bits: 8, signed: true, narrow: false, rounding: 'ROUND', format: 'e4m3', saturating: true }
  const layer = layerWith({ scale: q.tensorOf([], [0.5]) }, (x, p, kit) => {
    const y = kit.emit('relu', [x], {})
    return kit.emit('add', [quantized(target, [y, p.scale], kit), kit.emit('neg', [y], {})])
  })
  const m = madeOf(layer, eighths([2, 3]))
  const bytes = q.orThrow(exportOnnx(m.program, m.fixed, { opset: 21 }))
  await isRead(m, bytes)
  assert.is(readFile(bytes).graph.node[0].opType, 'Max')
  const plain = madeOf(
    layerWith({}, (x, _p, kit) => kit.emit('relu', [x], {})),
    eighths([2, 3]),
  )
  for (const format of ['qcdq', 'qonnx'] as const)
    assert.is(readFile(q.orThrow(exportOnnx(plain.program, plain.fixed, { format }))).graph.node[0].opType, 'Relu')
})

test.run()

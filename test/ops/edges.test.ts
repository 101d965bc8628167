/** Ops at the edges of what they take, each place once seen to be asked by no other test. */
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { isRefusal } from '../../src/graph/op.js'
import { ceilLog2 } from '../../src/ops/support/metadata.js'
import { carriedBy } from '../../src/testing/index.js'
import { suite } from '../support/suite.js'

const test = suite('ops: edges')
const none = { params: {}, state: {} }

type Inputs = Readonly<Record<string, q.Tensor>>
/** Gradients of the sum of a function of named tensors. */
const gradients = (
  f: (x: Readonly<Record<string, q.Value>>) => q.Value,
  inputs: Inputs,
): Readonly<Record<string, readonly number[]>> => {
  const declared = Object.fromEntries(Object.entries(inputs).map(([k, t]) => [k, q.tensorInput(t.shape)]))
  const layer = q.functionLayer('f', (x: Readonly<Record<string, q.Value>>) => q.sum(f(x)))
  const program = q.orThrow(q.grad(q.orThrow(q.trace(layer, declared, { mode: 'train' })), { inputs: true }))
  const { grads } = q.orThrow(q.run(program, { ...none, inputs } as never))
  return Object.fromEntries(Object.entries(grads.inputs as Inputs).map(([k, t]) => [k, [...t.data]]))
}

const computed = (name: string, args: readonly q.Tensor[], attrs: object = {}): readonly number[] => {
  const layer = q.functionLayer('f', (x: readonly q.Value[]) => x[0].kit.apply(q.ops[name], x, attrs as never))
  const program = q.orThrow(
    q.trace(
      layer,
      args.map((a) => q.tensorInput(a.shape)),
      { mode: 'eval' },
    ),
  )
  return [...q.valueOf(q.orThrow(q.run(program, { ...none, inputs: args } as never)).outputs as q.Output).data]
}

const refuses = (name: string, shapes: readonly q.Shape[], attrs: object = {}): void =>
  assert.ok(isRefusal(q.ops[name].shape(shapes, attrs as never)), `${name} ${JSON.stringify([shapes, attrs])}`)

test('powers: no gradient to a base whose exponent is 0, none to the exponent of a base that is 0', () => {
  const found = gradients(({ a, b }) => a.kit.emit('pow', [a, b]), {
    a: q.tensorOf([3], [2, 3, 0]),
    b: q.tensorOf([3], [0, 1, 2]),
  })
  assert.equal(found.a, [0, 1, 0])
  assert.is(found.b[2], 0)
  assert.ok(Math.abs(found.b[0] - Math.log(2)) < 1e-6 && Math.abs(found.b[1] - 3 * Math.log(3)) < 1e-5)
})

test('shapes that an op can do nothing with are refused', () => {
  refuses('pad', [[0]], { pad: [[1, 0]], mode: 'replicate', value: 0 })
  refuses('maxLast', [[2, 0]])
  refuses('maxLast', [[]])
  for (const [shape, r] of [
    [[4, 4], 2],
    [[1, 4, 4], 1.5],
    [[1, 4, 4], 0],
    [[1, 3, 4], 2],
    [[1, 4, 3], 2],
  ] as const)
    refuses('pixelUnshuffle', [shape], { factor: r, downscaleFactor: r, upscaleFactor: r })
})

test('row 0 can be the padding of an embedding', () => {
  const weighed = (paddingIdx: number | null): readonly number[] =>
    computed('rowWeights', [q.tensorOf([3], [0, 1, 3])], { paddingIdx, scaleGradByFreq: false, rows: 4 })
  assert.equal(weighed(0), [0, 1, 1])
  assert.equal(weighed(-1), [1, 1, 0])
  assert.equal(weighed(null), [1, 1, 1])
})

test('what hardtanh says of its sign and of where it cuts', () => {
  const { sign, cuts } = q.ops.hardtanh
  const said = (minVal: number | null, maxVal: number | null) => [
    sign?.({ minVal, maxVal } as never) ?? null,
    cuts?.({ minVal, maxVal } as never) ?? null,
  ]
  assert.equal(said(0, 6), ['nonNegative', [0, 6]])
  assert.equal(said(0, 0), ['nonNegative', [0, 0]])
  assert.equal(said(1, null), ['nonNegative', [1, null]])
  assert.equal(said(0, -1), [null, null])
  assert.equal(said(null, 6), [null, [null, 6]])
  assert.equal(said(null, -1), [null, [null, -1]])
  assert.equal(said(-1, 1), [null, [-1, 1]])
})

test('allClose compares each element, however the shapes broadcast', () => {
  const a = q.tensorOf([2, 2], [1, 1, 1, 2])
  assert.equal(computed('allClose', [a, q.tensorOf([1], [1])]), [0])
  assert.equal(computed('allClose', [q.tensorOf([1], [1]), a]), [0])
  assert.equal(computed('allClose', [a, q.tensorOf([2, 1], [1, 1])]), [0])
  assert.equal(computed('allClose', [q.full([2, 2], 1), q.tensorOf([1], [1 + 5e-6])]), [1])
  // Of nothing, all is close.
  assert.equal(computed('allClose', [q.zeros([0, 2]), q.full([2], 1)]), [1])
  assert.equal(computed('allClose', [q.full([1], 1), q.zeros([0])]), [1])
})

test('a check of closeness compares each with each that broadcasting lets meet', () => {
  const [x, attrs] = [q.scalar(1), { message: 'apart' }]
  const apart = (a: q.Tensor, b: q.Tensor): string | null =>
    q.ops.checkClose.evaluate([x, a, b], attrs as never, { shape: [], data: new Float32Array(1) })
  assert.is(apart(q.tensorOf([2, 1], [1, 1]), q.tensorOf([1, 3], [1, 1, 1])), null)
  assert.match(apart(q.tensorOf([2, 1], [1, 2]), q.tensorOf([1, 3], [1, 1, 1])) ?? '', 'apart')
  assert.is(apart(q.zeros([0]), q.full([1], 1)), null)
})

test('joined training tensors have the mean of their zero points', () => {
  const declared = { bits: 4, signed: true, zeroPoint: 'integer', training: true } as const
  const layer = q.functionLayer('cat', (x: readonly q.Value[]) => q.cat(x, 0))
  const program = q.orThrow(
    q.trace(layer, [q.quantInput([1], declared), q.quantInput([1], declared)] as never, { mode: 'train' }),
  )
  const given = (zero: number): q.QuantTensor => ({
    kind: 'quant',
    value: q.tensorOf([1], [0.5]),
    scale: q.scalar(0.5),
    zeroPoint: q.scalar(zero),
    bitWidth: q.scalar(4),
    signed: true,
    training: true,
  })
  const ran = q.orThrow(q.run(program, { ...none, inputs: [given(2), given(4)] } as never))
  assert.equal([...(ran.outputs as unknown as q.QuantTensor).zeroPoint.data], [3])
})

test('what is claimed is still claimed once it is detached, and its scale takes no gradient', () => {
  const layer = q.functionLayer('cut', (x: q.Value) => q.detach(q.reshape(x, [6])))
  const declared = q.quantInput([2, 3], { bits: 4, signed: true, scaleShape: [1, 3] })
  const program = q.orThrow(q.trace(layer, declared as never, { mode: 'eval' }))
  const { carried } = program.graph.nodes[program.outputs[0].node]
  assert.is(carried.tag, 'claimed')
  if (carried.tag === 'claimed') assert.is(program.graph.nodes[carried.quant.scale].op.name, 'detach')
})

test('padding crops to nothing, not to less, and what one side adds does not make up for it', () => {
  const cropped = (n: number, pad: readonly [number, number]) =>
    q.ops.pad.shape([[n]], { pad: [pad], mode: 'constant', value: 0 } as never)
  assert.equal(cropped(2, [-1, -1]), [0])
  assert.ok(isRefusal(cropped(1, [-1, -1])))
  assert.ok(isRefusal(cropped(1, [1, -2])))
  assert.ok(isRefusal(cropped(1, [-2, 1])))
})

test('a single number is a row of one', () => {
  assert.equal(q.ops.kthValue.shape([[]], { k: 1 } as never), [])
  refuses('kthValue', [[]], { k: 2 })
})

test('gradients of a truncation: to the steps, the scale and a zero point that is not 0', () => {
  const attrs = { bits: 4, signed: true, rounding: 'FLOOR', clamp: 'mask', training: true, zero: 'integer' } as const
  const found = gradients(({ u, s, z }) => u.kit.emit('fromSteps', [u, s, z], attrs), {
    u: q.tensorOf([3], [2.5, -20, 5]),
    s: q.scalar(0.5),
    z: q.scalar(3),
  })
  assert.equal(found, { u: [0.5, 0, 0.5], s: [2 - 3 + (-8 - 3) + (5 - 3)], z: [-1.5] })
})

test('0 to the power of 0: no gradient to the exponent', () => {
  const zero = { a: q.tensorOf([1], [0]), b: q.tensorOf([1], [0]) }
  assert.equal(
    gradients(({ a, b }) => a.kit.emit('pow', [a, b]), zero),
    { a: [0], b: [0] },
  )
})

test('scale and zero point must both broadcast to what is quantized', () => {
  for (const op of ['quantize', 'fromSteps'])
    for (const shapes of [
      [[2], [], [3]],
      [[2], [3], []],
    ])
      refuses(op, shapes)
})

test('an op of a user needs a gradient rule, or says why there is none', () => {
  for (const vjp of [null, {}, 1, undefined]) {
    const spec = {
      name: 'mine',
      doc: 'An op of a test.',
      attrs: {},
      f: (x: number) => x,
      carry: q.strips('a test'),
      vjp,
    }
    assert.throws(() => q.unary(spec as never), /vjp/)
  }
})

test('bits of a sum: those that the largest number takes', () => {
  for (let bits = 1; bits <= 24; bits++) {
    const p = 2 ** bits
    assert.is(ceilLog2(p), bits, `2^${bits}`)
    assert.is(ceilLog2(p + 1), bits < 21 ? bits + 1 : bits, `2^${bits} + 1`)
    if (bits > 1) assert.is(ceilLog2(p - 1), bits, `2^${bits} - 1`)
  }
  assert.is(ceilLog2(1), 0)
})

test('one bit, two bits, and the widest grid that float32 holds', () => {
  const tags = (op: 'quantize' | 'fromSteps', bits: number, signed: boolean): string => {
    const [example] = q.ops[op].examples
    return carriedBy(q.ops[op], { ...example, attrs: { ...example.attrs, bits, signed } }).tag
  }
  for (const op of ['quantize', 'fromSteps'] as const)
    for (const [bits, signed, tag] of [
      [1, false, 'claimed'],
      [2, false, 'carries'],
      [2, true, 'carries'],
      [21, false, 'carries'],
      [22, false, 'claimed'],
      [22, true, 'carries'],
      [23, true, 'claimed'],
    ] as const)
      assert.is(tags(op, bits, signed), tag, `${op} ${bits} ${signed}`)
})

test.run()

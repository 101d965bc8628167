/** Which programs leave the first axis of their file open: those in which every op works row by row, however many rows there are. */
import { fromBinary } from '@bufbuild/protobuf'
import * as assert from 'uvu/assert'
import * as q from '../../../src/index.js'
import { exportOnnx, importOnnx } from '../../../src/interop/onnx/index.js'
import { ModelProtoSchema } from '../../../src/interop/onnx/proto/onnx_pb.js'
import { suite } from '../../support/suite.js'
import { layerWith, madeOf, spread } from './layers.js'

const test = suite('ONNX: open batch')
type Inputs = { readonly [name: string]: q.Value }

const file = (f: (x: Inputs) => q.Value, shapes: { readonly [name: string]: q.Shape }): Uint8Array => {
  const declared = Object.fromEntries(Object.entries(shapes).map(([k, s]) => [k, q.tensorInput(s)]))
  const program = q.orThrow(q.trace(q.functionLayer('f', f), declared, { mode: 'eval' }))
  return q.orThrow(exportOnnx(program as q.Program<unknown, unknown>, { params: {}, state: {} }, { opset: 21 }))
}
const isOpen = (f: (x: Inputs) => q.Value, shapes: { readonly [name: string]: q.Shape } = { x: [2, 3] }): boolean =>
  q.orThrow(importOnnx(file(f, shapes))).inputs.every((i) => typeof i.sizes[0] === 'string')

const emit = (x: q.Value, op: 'softmax' | 'logSoftmax' | 'slice', attrs: object): q.Value =>
  x.kit.apply(q.ops[op], [x], attrs as never)

test('ops along other axes leave it open, along the first they close it', () => {
  for (const op of ['softmax', 'logSoftmax'] as const) {
    assert.is(
      isOpen(({ x }) => emit(x, op, { dim: 1 })),
      true,
      op,
    )
    assert.is(
      isOpen(({ x }) => emit(x, op, { dim: 0 })),
      false,
      op,
    )
  }
  assert.is(
    isOpen(({ x }) => emit(x, 'slice', { dim: 1, start: 0, end: 2 })),
    true,
  )
  assert.is(
    isOpen(({ x }) => emit(x, 'slice', { dim: 0, start: 0, end: 2 })),
    false,
  )
  assert.is(
    isOpen(({ x }) => x.kit.emit('sum', [x], { dims: [1], keepdim: true })),
    true,
  )
  assert.is(
    isOpen(({ x }) => x.kit.emit('sum', [x], { dims: [0], keepdim: true })),
    false,
  )
  assert.is(
    isOpen(({ x }) => x.kit.emit('sum', [x], { dims: [0], keepdim: true }), { x: [1, 3] }),
    false,
  )
})

test('joined with itself along another axis it stays open, with numbers of its own or along the first it does not', () => {
  assert.is(
    isOpen(({ x }) => q.cat([x, x], 1)),
    true,
  )
  assert.is(
    isOpen(({ x }) => q.cat([x, x], 0)),
    false,
  )
  assert.is(
    isOpen(({ x }) => q.cat([x, x.kit.constant(1, [2, 3])], 1)),
    false,
  )
})

test('a reshape keeps rows as they are, or closes it', () => {
  assert.is(
    isOpen(({ x }) => q.reshape(x, [2, 3, 1])),
    true,
  )
  assert.is(
    isOpen(({ x }) => q.reshape(x, [2, 6]), { x: [2, 3, 2] }),
    true,
  )
  assert.is(
    isOpen(({ x }) => q.reshape(x, [6])),
    false,
  )
  assert.is(
    isOpen(({ x }) => q.reshape(x, [3, 2])),
    false,
  )
})

test('numbers that meet rows are one, or one for each column, or close it', () => {
  assert.is(
    isOpen(({ x }) => q.add(x, 1)),
    true,
  )
  assert.is(
    isOpen(({ x }) => q.add(x, x.kit.constant(1, [3]))),
    true,
  )
  assert.is(
    isOpen(({ x }) => q.add(x, x.kit.constant(1, [1, 3]))),
    true,
  )
  assert.is(
    isOpen(({ x }) => q.add(x, x.kit.constant(1, [2, 3]))),
    false,
  )
  assert.is(
    isOpen(({ x }) => q.add(x, x.kit.constant(1, [2, 1]))),
    false,
  )
  assert.is(
    isOpen(({ x }) => q.add(x.kit.constant(1, [2, 3]), x)),
    false,
  )
})

test('all inputs have it, and it is an axis beside others', () => {
  assert.is(
    isOpen(({ x }) => q.neg(x), { x: [3] }),
    false,
  )
  assert.is(
    isOpen(({ a, b }) => q.add(a, b), { a: [2, 3], b: [2, 3] }),
    true,
  )
  assert.is(
    isOpen(({ a, b }) => q.add(a, b), { a: [2, 3], b: [1, 3] }),
    false,
  )
  assert.is(
    isOpen(({ a, b }) => q.add(a, b), { a: [2, 3], b: [3] }),
    false,
  )
  assert.is(
    isOpen(({ a, b }) => q.add(a, b), { a: [2, 2, 3], b: [2, 3] }),
    false,
  )
})

const onGrid = (x: q.Value, scale: q.Shape): q.Value =>
  x.kit.emit('quantize', [x, x.kit.constant(0.5, scale), x.kit.constant(0)], {
    bits: 4,
    signed: true,
    narrow: false,
    rounding: 'ROUND',
    clamp: 'mask',
    training: false,
    zero: 'zero',
  })
const minifloats = (x: q.Value, scale: q.Shape): q.Value =>
  x.kit.emit('quantizeFloat', [x, x.kit.constant(0.5, scale)], {
    exponentBits: 4,
    mantissaBits: 3,
    bias: 7,
    saturating: true,
    infValues: null,
    nanValues: ['111'],
    signed: true,
    training: false,
  })

test('scales that are known are those of columns, or of rows, which close it', () => {
  for (const f of [onGrid, minifloats]) {
    for (const scale of [[], [1], [3], [1, 1], [1, 3]])
      assert.is(
        isOpen(({ x }) => f(x, scale)),
        true,
        `[${scale}]`,
      )
    assert.is(
      isOpen(({ x }) => f(x, [2, 1])),
      false,
    )
  }
})

const biased = (x: q.Value, b: q.Value, axis: number): q.Value =>
  x.kit.emit('addBias', [x, b], { axis, sameScale: false })

test('a bias along columns keeps it open, along rows or made of them it closes it', () => {
  assert.is(
    isOpen(({ x }) => biased(x, x.kit.constant(1, [3]), 1)),
    true,
  )
  assert.is(
    isOpen(({ x }) => biased(x, x.kit.constant(1, [2]), 0)),
    false,
  )
  assert.is(
    isOpen(({ x }) => biased(x, x.kit.emit('maxLast', [x], {}), 1), { x: [3, 3] }),
    false,
  )
})

test('rows that are moved, cropped, or met by others close it', () => {
  const permuted = (dims: readonly number[], shape: readonly number[]): boolean =>
    isOpen(({ x }) => x.kit.emit('permute', [x], { dims }), { x: shape })
  assert.is(permuted([0, 2, 1], [3, 2, 4]), true)
  assert.is(permuted([1, 0], [3, 3]), false)
  const padded = (first: readonly [number, number], mode: 'constant' | 'circular'): boolean =>
    isOpen(({ x }) => x.kit.emit('pad', [x], { pad: [first, [1, 0]], mode, value: 0 }))
  assert.is(padded([0, 0], 'constant'), true)
  assert.is(padded([1, -1], 'constant'), false)
  assert.is(padded([-1, 1], 'constant'), false)
  const products = ['linear', 'matmul'] as const
  for (const op of products) {
    assert.is(
      isOpen(({ x }) => x.kit.emit(op, [x, x.kit.constant(1, [3, 3])], {})),
      true,
    )
    assert.is(
      isOpen(({ x }) => x.kit.emit(op, [x, x], {}), { x: [3, 3] }),
      false,
    )
    assert.is(
      isOpen(({ x }) => x.kit.emit(op, [x.kit.constant(1, [3, 3]), x], {}), { x: [3, 3] }),
      false,
    )
    const column = (x: q.Value): q.Value => q.reshape(x, [3])
    assert.is(
      isOpen(({ x }) => x.kit.emit(op, [column(x), x.kit.constant(1, [3, 3])], {}), { x: [3, 1] }),
      false,
    )
  }
  assert.is(
    isOpen(({ x }) => x.kit.emit('matmul', [x, x.kit.constant(1, [2, 4, 5])], {}), { x: [2, 3, 4] }),
    false,
  )
  assert.is(
    isOpen(({ x }) => x.kit.emit('maxLast', [x], {})),
    true,
  )
})

test('a constant in front of rows is as one behind them; joined, it closes', () => {
  assert.is(
    isOpen(({ x }) => q.add(x.kit.constant(1, [3]), x)),
    true,
  )
  assert.is(
    isOpen(({ x }) => q.cat([x.kit.constant(1, [2, 3]), x], 1)),
    false,
  )
})

test('pixels are shuffled in rows of channels, which without a batch are the channels', () => {
  const shuffled = (shape: readonly number[]): boolean =>
    isOpen(({ x }) => x.kit.emit('pixelShuffle', [x], { factor: 1 }), { x: shape })
  assert.is(shuffled([2, 3, 2]), false)
  assert.is(shuffled([2, 3, 2, 2]), true)
  assert.is(shuffled([2, 2, 3, 2, 2]), true)
})

test('all results have it, or none', () => {
  const net = q.functionLayer('two', (x: q.Value) => ({ y: q.neg(x), z: x.kit.constant(1, [2, 3]) }))
  const program = q.orThrow(q.trace(net, q.tensorInput([2, 3]), { mode: 'eval' }))
  const bytes = q.orThrow(exportOnnx(program as q.Program<unknown, unknown>, { params: {}, state: {} }))
  assert.equal(q.orThrow(importOnnx(bytes)).inputs[0].sizes, [2, 3])
})

/** At twice as many rows the file computes what the layer does. */
const takesMore = (layer: q.Layer<unknown, unknown>, shape: readonly number[]): void => {
  const { program, fixed } = madeOf(layer, spread(shape))
  const wide = spread([2 * shape[0], ...shape.slice(1)])
  const read = q.orThrow(importOnnx(q.orThrow(exportOnnx(program, fixed)), { inputs: { input: wide.shape } }))
  assert.is(typeof read.inputs[0].sizes[0], 'string')
  const [ours, theirs] = [layer, read.layer as q.Layer<unknown, unknown>].map((l) => madeOf(l, wide).ours)
  assert.equal(theirs.shape, ours.shape)
  ours.data.forEach((v, i) => assert.ok(Math.abs(v - theirs.data[i]) < 1e-5))
}

test('shapes that are written keep an open batch open, and those of weights as they are', () => {
  takesMore(
    layerWith({}, (x, _p, kit) =>
      kit.emit('softmax', [q.reshape(q.reshape(q.neg(x), [x.shape[0]]), [x.shape[0], 1])], { dim: 1 }),
    ),
    [2, 1],
  )
  for (const [from, to] of [
    [
      [4, 3],
      [2, 6],
    ],
    [
      [2, 3, 2],
      [2, 6],
    ],
    [[12], [2, 6]],
  ] as const)
    takesMore(
      layerWith({ w: spread(from), scale: q.tensorOf([], [0.25]) }, (x, { w, scale }, kit) => {
        const grid = kit.emit('quantize', [w, scale, kit.constant(0)], {
          bits: 8,
          signed: true,
          narrow: false,
          rounding: 'ROUND',
          clamp: 'ste',
          training: false,
          zero: 'zero',
        })
        return kit.emit('linear', [x, q.reshape(grid, to)], {})
      }),
      [4, 6],
    )
  takesMore(
    layerWith({}, (x, _p, kit) =>
      kit.emit('pixelUnshuffle', [kit.emit('pixelShuffle', [x], { factor: 2 })], { factor: 2 }),
    ),
    [2, 2, 4, 2, 3],
  )
})

test('flags are written as 0 and 1', () => {
  const bytes = file(
    ({ x }) =>
      x.kit.emit('avgPool', [x], {
        kernel: [2],
        stride: [1],
        padding: [1],
        ceilMode: true,
        countIncludePad: true,
        divisorOverride: null,
      }),
    { x: [1, 2, 5] },
  )
  const nodes = fromBinary(ModelProtoSchema, bytes).graph?.node ?? []
  const flags = nodes
    .flatMap((n) => n.attribute)
    .filter((a) => ['ceil_mode', 'count_include_pad', 'keepdims'].includes(a.name))
  assert.ok(flags.length > 0)
  assert.ok(flags.every((a) => a.i === 0n || a.i === 1n))
})

test.run()

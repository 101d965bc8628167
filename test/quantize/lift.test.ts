/** `lift`: a network that can't be rewritten becomes a model of our layers which computes the same, at any size of the batch. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as E from 'fp-ts/lib/Either.js'
import * as fc from 'fast-check'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { exportOnnx, importOnnx, type Imported } from '../../src/interop/onnx/index.js'
import { calibrate, lift, quantize, schemes, showQuantize } from '../../src/quantize/index.js'
import { root } from '../support/process.js'
import { suite } from '../support/suite.js'

const test = suite('quantize: lifting')

type Net = q.Layer<q.TensorTree, q.TensorTree, never, unknown>
type Numbers = { readonly params: q.TensorTree; readonly state: q.TensorTree }

const isTensor = (x: unknown): x is q.Tensor => typeof x === 'object' && x !== null && 'data' in x && 'shape' in x

/** All tensors of what a run gave, in order. */
const tensorsIn = (x: unknown): readonly q.Tensor[] => {
  if (isTensor(x)) return [x]
  if (typeof x !== 'object' || x === null) return []
  return 'value' in x && isTensor(x.value) ? [x.value] : Object.values(x).flatMap(tensorsIn)
}

const outputs = (net: unknown, inputs: unknown, numbers: Numbers, x: unknown): readonly q.Tensor[] => {
  const program = q.orThrow(q.trace(net as Net, inputs as never, { mode: 'eval' }))
  const { params, state } = numbers
  return tensorsIn(q.orThrow(q.run(program, { params, state, inputs: x } as never)).outputs)
}

const noise = (shape: readonly number[], seed: number): q.Tensor => q.randn(shape)(q.manualSeed(seed))[0]

const closeTo = (got: readonly q.Tensor[], want: readonly q.Tensor[], what: string): void => {
  assert.is(got.length, want.length, what)
  want.forEach((w, k) => {
    assert.equal(got[k].shape, w.shape, what)
    const size = w.data.reduce((m, v) => Math.max(m, Math.abs(v)), 1)
    w.data.forEach((v, i) =>
      assert.ok(Math.abs(got[k].data[i] - v) <= 1e-5 * size, `${what}: ${got[k].data[i]}, not ${v}`),
    )
  })
}

const declared = (x: Imported): Readonly<Record<string, q.Tensor>> =>
  Object.fromEntries(x.inputs.map((i, k) => [i.key, noise(i.shape, 5 + k)]))

const FIXTURES = join(root, 'test/interop/onnx/fixtures')

for (const file of readdirSync(FIXTURES).filter((f) => f.endsWith('.onnx')))
  test(`the recorded model ${file}`, () => {
    const imported = q.orThrow(importOnnx(readFileSync(join(FIXTURES, file))))
    const numbers = q.orThrow(q.init(imported.model, 0))
    const lifted = q.orThrow(lift(imported.model, imported.declared as never, numbers))
    const x = declared(imported)
    closeTo(
      outputs(lifted.net, imported.declared, lifted, x),
      outputs(imported.model, imported.declared, numbers, x),
      file,
    )
  })

const conv = (inChannels: number, outChannels: number, more: object = {}) =>
  q.Conv2d({ inChannels, outChannels, kernelSize: 3, padding: 1, ...more })

const all = q.model(
  {
    stem: conv(2, 4, { bias: false }),
    norm: q.BatchNorm2d({ numFeatures: 4 }),
    deep: conv(4, 4, { groups: 4, stride: 2 }),
    side: conv(4, 4),
    up: q.QuantConvTranspose2d({ inChannels: 8, outChannels: 3, kernelSize: 2, stride: 2, weightQuant: null }),
    fc: q.Linear({ inFeatures: 3 * 64, outFeatures: 5 }),
  },
  (l, p, s, x: q.Value) => {
    const [a, stem] = l.stem(p.stem, s.stem, x)
    const [b, norm] = l.norm(p.norm, s.norm, a)
    const c = q.relu6(b)
    const [d, deep] = l.deep(p.deep, s.deep, c)
    const e = q.relu(d)
    const [f, side] = l.side(p.side, s.side, e)
    const g = q.add(q.hardtanh(f, -2, 2), e)
    const h = q.mul(g, q.sigmoid(q.mean(g, [2, 3], true)))
    const [i, up] = l.up(p.up, s.up, q.cat([h, g], 1))
    const [j, fc] = l.fc(p.fc, s.fc, q.flatten(i, 1))
    return [q.softmax(j, 1), { stem, norm, deep, side, up, fc }]
  },
)
const image = q.tensorInput([2, 2, 8, 8])
const start = q.orThrow(q.init(all, 4))
/** Numbers of a batch norm that has seen something. */
const numbers = {
  params: { ...start.params, norm: { weight: noise([4], 1), bias: noise([4], 2) } },
  state: {
    ...start.state,
    norm: {
      ...start.state.norm,
      runningMean: noise([4], 3),
      runningVar: { shape: [4], data: Float32Array.of(0.5, 2, 1, 3) },
    },
  },
}

test('products, activations and joins of a forward become layers under the names of their weights', () => {
  const lifted = q.orThrow(lift(all, image, numbers))
  assert.equal(lifted.layers, [
    'stem',
    'relu6',
    'deep',
    'relu',
    'side',
    'hardtanh',
    'add',
    'sigmoid',
    'cat',
    'up',
    'fc',
  ])
  const classes = Object.fromEntries(Object.entries(lifted.net.source?.within ?? {}).map(([k, l]) => [k, l.layer]))
  assert.is(classes.deep, 'Conv2d')
  assert.is(classes.cat, 'Cat')
  assert.match(JSON.stringify(lifted.net.source?.within?.deep.source?.options), '"groups":4')
  // The batch norm went into its convolution, which has a bias now.
  assert.equal(Object.keys(lifted.params.stem), ['weight', 'bias'])
  closeTo(
    outputs(lifted.net, image, lifted, noise([2, 2, 8, 8], 9)),
    outputs(all, image, numbers, noise([2, 2, 8, 8], 9)),
    'all',
  )
})

test('the batch stays open', () => {
  const lifted = q.orThrow(lift(all, image, numbers))
  const five = q.tensorInput([5, 2, 8, 8])
  closeTo(
    outputs(lifted.net, five, lifted, noise([5, 2, 8, 8], 9)),
    outputs(all, five, numbers, noise([5, 2, 8, 8], 9)),
    'five',
  )
})

test('a model that went through ONNX', () => {
  const program = q.orThrow(q.trace(all, image, { mode: 'eval' }))
  const bytes = q.orThrow(exportOnnx(program, numbers as never))
  const imported = q.orThrow(importOnnx(bytes))
  const own = q.orThrow(q.init(imported.layer, 0))
  const lifted = q.orThrow(lift(imported.layer, image, own))
  assert.ok(
    ['stem', 'deep', 'side', 'up', 'fc'].every((name) => lifted.layers.includes(name)),
    lifted.layers.join(),
  )
  const x = noise([2, 2, 8, 8], 9)
  closeTo(outputs(lifted.net, image, lifted, x), outputs(all, image, numbers, x), 'imported')
})

test('a layer that is called twice stays one; a weight that is read in two ways is two', () => {
  const twice = q.model({ fc: q.Linear({ inFeatures: 4, outFeatures: 4 }) }, (l, p, s, x: q.Value) => {
    const [a, fc] = l.fc(p.fc, s.fc, x)
    const [b, again] = l.fc(p.fc, fc, q.relu(a))
    return [b, { fc: again }]
  })
  const given = q.orThrow(q.init(twice, 0))
  const lifted = q.orThrow(lift(twice, q.tensorInput([3, 4]), given))
  assert.equal(lifted.layers, ['fc', 'relu'])
  const x = noise([3, 4], 1)
  closeTo(
    outputs(lifted.net, q.tensorInput([3, 4]), lifted, x),
    outputs(twice, q.tensorInput([3, 4]), given, x),
    'twice',
  )
})

/** A layer of somebody's own, without a word about how it was written. */
const own = (f: (x: q.Value, w: q.Value) => q.Value, weight: q.Tensor): q.Layer<q.TensorTree, q.TensorTree> => ({
  layer: 'Own',
  params: { block: { weight: { shape: weight.shape, learned: true, init: (g) => [weight, g] } } },
  state: {},
  problems: [],
  config: { name: 'Own', parts: [] },
  apply: (p, s, x) => [f(x, (p as unknown as { block: { weight: q.Value } }).block.weight), s],
})

const sameAsOwn = (
  f: (x: q.Value, w: q.Value) => q.Value,
  shape: readonly number[],
  weight: readonly number[],
): readonly string[] => {
  const net = own(f, noise(weight, 3))
  const given = q.orThrow(q.init(net, 0))
  const lifted = q.orThrow(lift(net, q.tensorInput(shape), given))
  const x = noise(shape, 8)
  closeTo(outputs(lifted.net, q.tensorInput(shape), lifted, x), outputs(net, q.tensorInput(shape), given, x), 'own')
  return lifted.layers
}

test('matrix products, uneven padding, maps of channels, and what is none of these', () => {
  assert.equal(
    sameAsOwn((x, w) => q.add(q.mul(q.matmul(x, w), 2), 1), [3, 4], [4, 5]),
    ['block'],
  )
  const uneven = {
    stride: [1, 2],
    padding: [
      [0, 1],
      [2, 1],
    ],
    dilation: [1, 1],
    groups: 1,
  } as const
  assert.equal(
    sameAsOwn((x, w) => q.apply(q.ops.conv, [x, w], uneven), [2, 3, 5, 6], [4, 3, 3, 3]),
    ['block'],
  )
  // A product by a matrix that comes from the input is no layer.
  assert.equal(
    sameAsOwn((x, w) => q.mul(q.matmul(x, x), w), [4, 4], [4]),
    [],
  )
  // Steps, floors and signs have no slope, but are no maps of channels.
  assert.equal(
    sameAsOwn((x, w) => q.apply(q.ops.floor, [q.matmul(x, w)]), [3, 4], [4, 5]),
    ['block'],
  )
  assert.equal(
    sameAsOwn((x, w) => q.apply(q.ops.sign, [q.matmul(x, w)]), [3, 4], [4, 5]),
    ['block'],
  )
})

test('loops are replayed as loops', () => {
  const net = q.QuantLSTM({ inputSize: 3, hiddenSize: 2 })
  const given = q.orThrow(q.init(net, 0))
  const inputs = { x: q.tensorInput([4, 2, 3]) }
  const done = lift(net as never, inputs as never, given as never)
  assert.ok(E.isRight(done), E.isLeft(done) ? q.explainAll(done.left) : '')
  if (E.isLeft(done)) return
  const x = { x: noise([4, 2, 3], 1) }
  closeTo(outputs(done.right.net, inputs, done.right, x), outputs(net, inputs, given as never, x), 'loop')
})

const cut = (x: q.Value, dim: number, start: number, end: number): q.Value =>
  q.apply(q.ops.slice, [x], { dim, start, end })

type Piece = (x: q.Value, w: q.Value) => q.Value
/** Pieces that keep the shape [2, 4, 6, 6]; each takes a bit of the weight. */
const pieces: Readonly<Record<string, Piece>> = {
  bias: (x, w) => q.add(x, q.reshape(cut(w, 0, 0, 4), [1, 4, 1, 1])),
  scale: (x, w) => q.mul(q.reshape(cut(w, 0, 4, 8), [4, 1, 1]), x),
  minus: (x, w) => q.sub(q.reshape(cut(w, 0, 8, 12), [4, 1, 1]), x),
  over: (x) => q.div(x, 3),
  relu: (x) => q.relu(x),
  clamp: (x) => q.clamp(x, 0, null),
  six: (x) => q.clamp(x, 0, 6),
  tanh: (x) => q.tanh(x),
  hardswish: (x) => q.hardswish(x),
  itself: (x) => q.add(x, q.relu(x)),
  both: (x) => cut(q.cat([x, q.neg(x)], 1), 1, 2, 6),
  pool: (x) => q.maxPool(x, { kernelSize: 3, stride: 1, padding: 1 }, 2),
  average: (x) => q.avgPool(x, { kernelSize: 3, stride: 1, padding: 1 }, 2),
  gate: (x) => q.mul(x, q.sigmoid(q.mean(x, [2, 3], true))),
  conv: (x, w) =>
    q.apply(q.ops.conv, [x, q.reshape(cut(w, 0, 0, 36), [4, 1, 3, 3])], {
      stride: [1, 1],
      padding: [
        [1, 1],
        [1, 1],
      ],
      dilation: [1, 1],
      groups: 4,
    }),
  point: (x, w) =>
    q.apply(q.ops.conv, [x, q.reshape(cut(w, 0, 2, 18), [4, 4, 1, 1])], {
      stride: [1, 1],
      padding: [
        [0, 0],
        [0, 0],
      ],
      dilation: [1, 1],
      groups: 1,
    }),
}

test('random forwards: the same numbers, at the size that was traced and at another', () => {
  const names = Object.keys(pieces)
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 9 }), (order) => {
      const net = own((x, w) => order.reduce((v, name) => pieces[name](v, w), x), noise([40], 6))
      const given = q.orThrow(q.init(net, 0))
      const lifted = q.orThrow(lift(net, q.tensorInput([2, 4, 6, 6]), given))
      for (const n of [2, 3]) {
        const x = noise([n, 4, 6, 6], n)
        const at = q.tensorInput([n, 4, 6, 6])
        closeTo(outputs(lifted.net, at, lifted, x), outputs(net, at, given, x), order.join())
      }
    }),
    { numRuns: 60 },
  )
})

test('quant tensors as inputs, other numbers and no network are refused', () => {
  const fix = (given: E.Either<q.QuantErrors, unknown>): string =>
    E.isLeft(given) ? q.explainAll(given.left) : 'lifted'
  const net = own((x, w) => q.mul(x, w), noise([4], 1))
  const given = q.orThrow(q.init(net, 0))
  assert.match(
    fix(lift(net, q.quantInput([2, 4], { bits: 8, signed: true }) as never, given)),
    'declare it with tensorInput',
  )
  assert.match(fix(lift(net, q.tensorInput([2, 4]), { params: {}, state: {} })), 'block.weight')
  assert.match(fix(lift(null as never, q.tensorInput([2, 4]), given)), 'lift')
})

test('quantize lifts what it has to, says so, and stays near the float network', () => {
  const program = q.orThrow(q.trace(all, image, { mode: 'eval' }))
  const { layer } = q.orThrow(importOnnx(q.orThrow(exportOnnx(program, numbers as never))))
  const own = q.orThrow(q.init(layer, 0))
  const made = q.orThrow(quantize(layer, image, own, schemes.int8))
  assert.match(
    showQuantize(made.report),
    /the network \(OnnxModel\) was rewritten as a model of 11 layers; \d+ operations stay/,
  )
  const now = Object.fromEntries(made.report.layers.map((l) => [l.path, l.now]))
  assert.is(now.deep, 'QuantConv2d')
  assert.is(now.up, 'QuantConvTranspose2d')
  const samples = noise([32, 2, 8, 8], 2)
  const done = q.orThrow(calibrate(made, samples, { batchSize: 8 }))
  const x = noise([2, 2, 8, 8], 9)
  const [want] = outputs(all, image, numbers, x)
  const [got] = outputs(done.net, image, done, x)
  want.data.forEach((v, i) => assert.ok(Math.abs(got.data[i] - v) < 0.05, `${got.data[i]}, not ${v}`))
})

test('of a network of ours only the parts that use functions or say nothing of themselves are lifted', () => {
  const net = q.chain({
    stem: conv(2, 4),
    part: q.model({ a: conv(4, 4), b: conv(4, 4) }, (l, p, s, x: q.Value) => {
      const [y, a] = l.a(p.a, s.a, x)
      const [z, b] = l.b(p.b, s.b, q.relu(y))
      return [q.add(x, z), { a, b }]
    }),
    relu: q.ReLU(),
    mine: own(
      (x, w) =>
        q.apply(q.ops.conv, [x, w], {
          stride: [1, 1],
          padding: [
            [0, 0],
            [0, 0],
          ],
          dilation: [1, 1],
          groups: 1,
        }),
      noise([3, 4, 1, 1], 2),
    ) as q.Layer,
  })
  const given = q.orThrow(q.init(net, 0))
  const { report } = q.orThrow(quantize(net, image, given, schemes.int8))
  assert.equal(report.lifted, [
    { path: 'part', was: 'model', layers: ['a', 'relu', 'b', 'add'], replayed: 0 },
    { path: 'mine', was: 'Own', layers: ['block'], replayed: 0 },
  ])
  assert.equal(
    report.layers.map((l) => [l.path, l.now]),
    [
      ['stem', 'QuantConv2d'],
      ['part.a', 'QuantConv2d'],
      ['part.relu', 'QuantReLU'],
      ['part.b', 'QuantConv2d'],
      ['part.add', 'QuantEltwiseAdd'],
      ['relu', 'QuantReLU'],
      ['mine.block', 'QuantConv2d'],
    ],
  )
  assert.ok(report.products.every((p) => p.integers))
})

test('a model with quantizers in it is not quantized again', () => {
  const imported = q.orThrow(importOnnx(readFileSync(join(FIXTURES, 'conv-net.qcdq.onnx'))))
  const got = quantize(imported.model, imported.declared as never, q.orThrow(q.init(imported.model, 0)), schemes.int8)
  assert.match(E.isLeft(got) ? q.explainAll(got.left) : '', 'has quantizers of its own already')
})

test.run()

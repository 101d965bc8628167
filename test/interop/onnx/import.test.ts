/** Models from elsewhere, and our own back again: the same outputs, the same quantizers, trainable. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import * as q from '../../../src/index.js'
import { exportOnnx, importOnnx, type Imported, type ImportOptions } from '../../../src/interop/onnx/index.js'
import { suite } from '../../support/suite.js'
import { encode, f32, i64, ints8, node, type Spec } from './encode.js'
import { nets, trained } from './nets.js'

const test = suite('ONNX import')

const own = (bytes: Uint8Array, options: ImportOptions = {}): Imported => q.orThrow(importOnnx(bytes, options))

/** A model from one value to one value, with its own numbers. */
const computed = (bytes: Uint8Array, x: q.Tensor): q.Tensor => {
  const { layer } = own(bytes)
  const { params, state } = q.orThrow(q.init(layer, 0))
  const program = q.orThrow(q.trace(layer, q.tensorInput(x.shape), { mode: 'eval' }))
  return q.valueOf(q.orThrow(q.run(program, { params, state, inputs: x })).outputs as q.Output)
}

const apart = (a: q.Tensor, b: q.Tensor): number => {
  assert.equal(a.shape, b.shape)
  return a.data.reduce((most, v, i) => Math.max(most, Math.abs(v - b.data[i])), 0)
}
const most = (t: q.Tensor): number => t.data.reduce((m, v) => Math.max(m, Math.abs(v)), 0)

type Quantized = {
  readonly bits: unknown
  readonly signed: unknown
  readonly narrow: unknown
  readonly carried: string
}
/** The quantizers of a program, without regard to order. */
const quantizers = (program: q.Program): readonly Quantized[] =>
  program.graph.nodes
    .filter((n) => n.op.name === 'quantize' && n.attrs.bits !== 32)
    .map((n) => ({ bits: n.attrs.bits, signed: n.attrs.signed, narrow: n.attrs.narrow, carried: n.carried.tag }))
    .sort((a, b) => JSON.stringify(a).localeCompare(JSON.stringify(b)))

/** What the results carry. */
const carried = (program: q.Program): readonly unknown[] =>
  program.outputs
    .filter((o) => o.kind === 'result')
    .map((o) => (o.quant === undefined ? null : [o.quant.bits, o.quant.signed]))

for (const format of ['qcdq', 'qonnx'] as const)
  for (const [name, make] of Object.entries(nets))
    test(`${name} as ${format}, out and in again: outputs, quantizers and metadata`, () => {
      const { program, params, state, inputs } = trained(make(), 12, 3)
      const bytes = q.orThrow(exportOnnx(program, { params, state }, { format }))
      const ours = q.valueOf(q.orThrow(q.run(program, { params, state, inputs })).outputs as q.Output)
      const back = own(bytes, { inputs: { input: inputs.shape } })
      const first = q.orThrow(q.init(back.layer, 0))
      const again = q.orThrow(q.trace(back.layer, q.tensorInput(inputs.shape), { mode: 'eval' }))
      const theirs = q.valueOf(q.orThrow(q.run(again, { ...first, inputs })).outputs as q.Output)
      assert.ok(apart(ours, theirs) <= 1e-5 * most(ours), `${apart(ours, theirs)} of ${most(ours)}`)
      assert.equal(quantizers(again as q.Program), quantizers(program as q.Program))
      // A layer of ours may hand out plain values of what lies on a grid; a file can't say so.
      carried(program as q.Program).forEach((c, i) => c === null || assert.equal(carried(again as q.Program)[i], c))
      assert.is(back.format, format)
      const twice = q.orThrow(exportOnnx(again as q.Program, first, { format }))
      const third = computed(twice, inputs)
      assert.ok(apart(ours, third) <= 1e-5 * most(ours))
    })

const folder = fileURLToPath(new URL('fixtures/', import.meta.url))
type TensorJson = { readonly shape: number[]; readonly f32?: string; readonly data?: number[] }
const decoded = (t: TensorJson): q.Tensor =>
  q.tensorOf(
    t.shape,
    t.f32 === undefined ? (t.data ?? []) : new Float32Array(new Uint8Array(Buffer.from(t.f32, 'base64')).buffer),
  )

for (const name of [
  'mlp-dynamo.qcdq',
  'conv-net.qcdq',
  'cat.qcdq',
  'shifted.qcdq',
  'binary.qonnx',
  'trunc-floor.qonnx',
  'batch-norm.qonnx',
])
  test(`${name}, written by Brevitas, computes what was recorded`, () => {
    const io = JSON.parse(readFileSync(`${folder}${name}.io.json`, 'utf8'))
    const y = computed(new Uint8Array(readFileSync(`${folder}${name}.onnx`)), decoded(io.inputs.x))
    const want = decoded(io.runtime.y)
    assert.ok(apart(y, want) <= 1e-5 * most(want))
  })

test('an imported model fine-tunes: weights, biases, scales and zero points move, and the loss falls', () => {
  for (const name of ['plain', 'perChannel', 'shifted'] as const) {
    const { program, params, state, inputs } = trained(nets[name](), 8, 4)
    const { layer } = own(q.orThrow(exportOnnx(program, { params, state })), { inputs: { input: inputs.shape } })
    const start = q.orThrow(q.init(layer, 0))
    const target = computed(q.orThrow(exportOnnx(program, { params, state })), inputs)
    const goal = { shape: target.shape, data: target.data.map((v, i) => v + 0.2 * Math.sin(i)) }
    const task = q.withLoss(layer, q.mseLoss)
    const made = q.orThrow(
      q.trace(task, { x: q.tensorInput(inputs.shape), target: q.tensorInput(goal.shape) }, { mode: 'train' }),
    )
    const begin = q.startTraining(start, q.adam({ lr: 0.01 }))
    const learning = q.orThrow(q.trainer(q.orThrow(q.grad(made, { output: 'loss' })), q.adam({ lr: 0.01 }), begin))
    const losses: number[] = []
    for (let i = 0; i < 12; i++) {
      const stepped = q.orThrow(learning.step({ x: inputs, target: goal }))
      losses.push(q.valueOf(stepped.outputs.loss as q.Output).data[0])
    }
    assert.ok(losses[11] < 0.95 * losses[0], `${name}: ${losses.join(' ')}`)
    const { params: after, state: stateAfter } = learning.training()
    learning.dispose()
    const moved = (one: unknown, other: unknown): number => (JSON.stringify(one) === JSON.stringify(other) ? 0 : 1)
    assert.is(moved(start.params, after) + moved(start.state, stateAfter), 2)
  }
})

const refusals = (spec: Spec | Uint8Array, options: ImportOptions = {}): q.QuantErrors => {
  const made = importOnnx(spec instanceof Uint8Array ? spec : encode(spec), options)
  if (E.isRight(made)) throw new Error('it was imported')
  return made.left
}

const vector = { x: [2, 4] }

test('a refusal lists all that is missing, by node and operator', () => {
  const errors = refusals({
    inputs: vector,
    outputs: ['c', 'd'],
    nodes: [
      node('NonZero', ['x'], ['a'], { name: 'first' }),
      node('Relu', ['a'], ['b']),
      node('TopK', ['b'], ['c'], { name: 'second' }),
      node('Relu', ['x'], ['d'], { attributes: { slope: 3 } }),
    ],
  })
  assert.equal(
    errors.map((e) => [e.tag, e.tag === 'ImportError' && e.op, e.path]),
    [
      ['ImportError', 'NonZero', 'first'],
      ['ImportError', 'TopK', 'second'],
      ['ImportError', 'Relu', 'Relu_3'],
    ],
  )
  assert.match(errors[2].message, /attribute slope/)
})

test('names, circles, versions, shapes: what no file may be', () => {
  const one = (nodes: Spec['nodes'], more: Partial<Spec> = {}): string =>
    refusals({ inputs: vector, outputs: ['y'], nodes, ...more })
      .map((e) => e.message)
      .join('\n')
  assert.match(one([node('Add', ['x', 'w'], ['y'])]), /"w", which nothing makes/)
  assert.match(one([node('Add', ['x', 'z'], ['y']), node('Relu', ['y'], ['z'])]), /from its own result/)
  assert.match(one([node('Relu', ['x'], ['y']), node('Abs', ['x'], ['y'])]), /the name of a result of node Relu_0/)
  assert.match(one([node('Relu', ['x'], ['y'])], { opset: 99 }), /version 99/)
  assert.match(one([node('Relu', ['x'], ['z'])]), /"y", which nothing makes/)
  assert.match(one([node('MatMul', ['x', 'w'], ['y'])], { tensors: { w: f32([3, 2]) } }), /MatMul \(node MatMul_0\)/)
  assert.match(one([node('Reshape', ['x', 's'], ['y'])], { tensors: { s: i64([3, 3]) } }), /can't become \[3,3\]/)
  assert.match(one([node('Expand', ['x', 's'], ['y'])], { tensors: { s: i64([2 ** 40, 2, 4]) } }), /Expand/)
  assert.match(
    one([node('ConstantOfShape', ['s'], ['y'])], { tensors: { s: i64([2 ** 30, 2 ** 30]) } }),
    /fills the shape/,
  )
  assert.match(refusals(new Uint8Array([1, 2, 3]))[0].message, /no ONNX model/)
  assert.match(refusals(new Uint8Array(0))[0].message, /no graph/)
})

test('symbolic sizes take those that are given, and shapes are computed from them', () => {
  const spec: Spec = {
    inputs: { x: ['N', 3, 'H'] },
    outputs: ['y'],
    nodes: [
      node('Shape', ['x'], ['s']),
      node('Gather', ['s', 'zero'], ['n']),
      node('Unsqueeze', ['n', 'zeros'], ['n1']),
      node('Concat', ['n1', 'rest'], ['to'], { attributes: { axis: 0 } }),
      node('Reshape', ['x', 'to'], ['y']),
    ],
    tensors: { zero: i64(0), zeros: i64([0]), rest: i64([-1]) },
  }
  const m = own(encode(spec), { sizes: { N: 2 }, inputs: { x: [2, 3, 5] } })
  assert.equal(m.inputs[0].shape, [2, 3, 5])
  const open = q.orThrow(q.trace(m.layer, q.tensorInput([4, 3, 7]), { mode: 'eval' })) as q.Program
  assert.equal(open.graph.nodes[open.outputs[0].node].shape, [4, 21])
  assert.match(refusals(encode(spec), { inputs: { x: [2, 4, 5] } })[0].message, /does not fit/)
  assert.match(refusals(encode(spec), { inputs: { y: [2] } })[0].message, /no input "y"/)
  const [stranger] = refusals(encode(spec), { sizes: { batch: 2 } })
  assert.match(
    `${stranger.message} ${stranger.fix}`,
    /sizes for "batch", which is no size that this model leaves open known: "N"/,
  )
})

test('GatherElements reads each element at its own place, by indices that are known or computed', () => {
  const data = [1, 2, 3, 4, 5, 6]
  const known = (axis: number, indices: ReturnType<typeof i64>): Spec => ({
    inputs: { x: [2, 3] },
    outputs: ['y'],
    nodes: [node('GatherElements', ['x', 'i'], ['y'], { attributes: { axis } })],
    tensors: { i: indices },
  })
  const x: q.Tensor = { shape: [2, 3], data: Float32Array.from(data) }
  assert.equal([...computed(encode(known(1, i64([2, 0, -1, 1, 1, 0], [2, 3]))), x).data], [3, 1, 3, 5, 5, 4])
  assert.equal([...computed(encode(known(0, i64([0, 1, 1], [1, 3]))), x).data], [1, 5, 6])
  const asked: Spec = {
    inputs: { x: [2, 2] },
    outputs: ['y'],
    nodes: [
      node('Cast', ['x'], ['i'], { attributes: { to: 7 } }),
      node('GatherElements', ['w', 'i'], ['y'], { attributes: { axis: 1 } }),
    ],
    tensors: { w: f32([2, 3], data) },
  }
  const at = (numbers: readonly number[]): q.Tensor => ({ shape: [2, 2], data: Float32Array.from(numbers) })
  assert.equal([...computed(encode(asked), at([0, 2, -1, 1])).data], [1, 3, 6, 5])
  for (const beyond of [3, -4]) assert.throws(() => computed(encode(asked), at([0, 1, beyond, 0])), /beyond|among|row/)
  const message = (spec: Spec): string => refusals(encode(spec))[0].message
  assert.match(message(known(1, i64([3], [1, 1]))), /an index is not among the 3 of axis 1/)
  assert.match(message(known(1, i64([0, 0, 0], [3, 1]))), /don't fit \[2,3\]/)
})

test('quantizers of other tools: per axis, no zero point, 4 and 16 bits, a Clip that says the width, scales that differ', () => {
  const program = (spec: Spec): q.Program => {
    const { layer, inputs } = own(encode(spec))
    return q.orThrow(q.trace(layer, q.tensorInput(inputs[0].shape), { mode: 'eval' })) as q.Program
  }
  const made = (nodes: Spec['nodes'], tensors: NonNullable<Spec['tensors']>, opset = 21) =>
    quantizers(program({ inputs: { x: [2, 4] }, outputs: ['y'], nodes, tensors, opset }))
  const qdq = [node('QuantizeLinear', ['x', 's', 'z'], ['q']), node('DequantizeLinear', ['q', 's', 'z'], ['y'])]
  const width = (found: readonly Quantized[]) => found.map((f) => [f.bits, f.signed, f.narrow])
  assert.equal(width(made(qdq, { s: f32([], [0.5]), z: ints8([], [3], 'uint8') })), [[8, false, false]])
  assert.equal(width(made(qdq, { s: f32([4], [1, 2, 3, 4]), z: ints8([4], [0, 0, 0, 0], 'int4') })), [[4, true, false]])
  assert.equal(width(made(qdq, { s: f32([], [0.5]), z: ints8([], [0], 'int16') })), [[16, true, false]])
  const bare = [node('QuantizeLinear', ['x', 's'], ['q']), node('DequantizeLinear', ['q', 's'], ['y'])]
  assert.equal(width(made(bare, { s: f32([], [0.5]) })), [[8, false, false]])
  const clipped = [
    node('QuantizeLinear', ['x', 's', 'z'], ['q']),
    node('Clip', ['q', 'lo', 'hi'], ['c']),
    node('DequantizeLinear', ['c', 's', 'z'], ['y']),
  ]
  const bounds = {
    s: f32([], [0.5]),
    z: ints8([], [0], 'int8'),
    lo: ints8([], [-3], 'int8'),
    hi: ints8([], [3], 'int8'),
  }
  assert.equal(width(made(clipped, bounds)), [[3, true, true]])
  const sum = [
    ...['a', 'b'].flatMap((k) => [
      node('QuantizeLinear', ['x', `s${k}`], [`q${k}`]),
      node('DequantizeLinear', [`q${k}`, `s${k}`], [`d${k}`]),
    ]),
    node('Add', ['da', 'db'], ['y']),
  ]
  const y = computed(
    encode({ inputs: { x: [3] }, outputs: ['y'], nodes: sum, tensors: { sa: f32([], [0.5]), sb: f32([], [0.25]) } }),
    q.tensorOf([3], [1, 0.3, 2]),
  )
  assert.equal([...y.data], [2, 0.75, 4])
})

test('metadata that keeps an old shape says nothing behind a Reshape: sums and products of it are plain', () => {
  const grid = [
    node('QuantizeLinear', ['x', 's', 'z'], ['q'], { attributes: { axis: 1 } }),
    node('DequantizeLinear', ['q', 's', 'z'], ['d'], { attributes: { axis: 1 } }),
    node('Reshape', ['d', 'shape'], ['r']),
  ]
  const x = q.tensorOf([2, 3], [0.5, 1, 0.25, -0.5, 2, -0.75])
  const tensors = { s: f32([3], [0.5, 1, 0.25]), z: ints8([3], [1, 2, 3], 'int8'), w: f32([3, 2], [1, 2, 3, 4, 5, 6]) }
  const made = (op: string, second: string, shape: readonly number[]) =>
    computed(
      encode({
        inputs: { x: [2, 3] },
        outputs: ['y'],
        nodes: [...grid, node(op, ['r', second], ['y'])],
        tensors: { ...tensors, shape: i64(shape) },
      }),
      x,
    )
  assert.equal([...made('Add', 'w', [3, 2]).data], [1.5, 3, 3.25, 3.5, 7, 5.25])
  assert.equal([...made('Mul', 'r', [3, 2]).data], [0.25, 1, 0.0625, 0.25, 4, 0.5625])
})

test('external data comes from a reader, and only from where it reads', () => {
  const spec: Spec = {
    inputs: { x: [2] },
    outputs: ['y'],
    nodes: [node('Add', ['x', 'w'], ['y'])],
    external: { w: { shape: [2], location: 'weights.bin', offset: 4, length: 8 } },
  }
  assert.match(refusals(spec)[0].message, /no reader was given/)
  const bytes = new Uint8Array(Float32Array.of(9, 1, 2).buffer)
  const read = (location: string): E.Either<string, Uint8Array> =>
    location === 'weights.bin' ? E.right(bytes) : E.left('no such file')
  const { layer } = own(encode(spec), { external: read })
  const { params } = q.orThrow(q.init(layer, 0))
  assert.equal([...(params.w as q.Tensor).data], [1, 2])
  const far = { ...spec, external: { w: { shape: [2], location: 'weights.bin', offset: 8, length: 8 } } }
  assert.match(refusals(far, { external: read })[0].message, /which has 12 bytes/)
})

test('a rule for an operator of one’s own', () => {
  const spec: Spec = { inputs: { x: [3] }, outputs: ['y'], nodes: [node('Twice', ['x'], ['y'], { domain: 'mine' })] }
  assert.match(refusals(spec)[0].fix, /'mine\.Twice'/)
  const { layer } = own(encode(spec), { rules: { 'mine.Twice': (x) => q.mul(x.value(0), 2) } })
  const program = q.orThrow(q.trace(layer, q.tensorInput([3]), { mode: 'eval' }))
  const ran = q.orThrow(q.run(program, { ...q.orThrow(q.init(layer, 0)), inputs: q.tensorOf([3], [1, 2, 3]) }))
  assert.equal([...q.valueOf(ran.outputs as q.Output).data], [2, 4, 6])
})

test(
  '10,000 broken files: a typed error or a model, each soon',
  () => {
    const sound = ['conv-net.qcdq', 'trunc-floor.qonnx', 'mlp-dynamo.qcdq', 'cat.qcdq'].map(
      (name) => new Uint8Array(readFileSync(`${folder}${name}.onnx`)),
    )
    let seed = 12345
    const draw = (n: number): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
      return Math.floor((seed / 2 ** 32) * n)
    }
    let [read, refused, slowest] = [0, 0, 0]
    for (let i = 0; i < 10_000; i++) {
      const whole = sound[i % sound.length]
      const bytes = i % 5 === 0 ? whole.slice(0, draw(whole.length)) : whole.slice()
      for (let k = 0; k < 1 + draw(4) && bytes.length > 0; k++)
        if (i % 2 === 0) bytes[draw(bytes.length)] ^= 1 << draw(8)
        else bytes[draw(bytes.length)] = draw(256)
      const start = performance.now()
      const made = importOnnx(bytes)
      slowest = Math.max(slowest, performance.now() - start)
      if (E.isRight(made)) read++
      else {
        refused++
        const odd = made.left.find((e) => e.tag !== 'ImportError' || e.fix === '')
        assert.is(odd, undefined, JSON.stringify(odd))
      }
    }
    assert.ok(read > 100 && refused > 1000, `${read} read, ${refused} refused`)
    assert.ok(slowest < 2000, `${slowest} ms`)
  },
  { timeout: 120_000 },
)

test.run()

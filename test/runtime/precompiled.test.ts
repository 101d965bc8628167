/** Ahead of time: what `precompile` writes, `loadPrecompiled` runs to the bits of the compiled program; what it did not write is a typed error. */
import * as assert from 'uvu/assert'
import fc from 'fast-check'
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import { loadPrecompiled, type Precompiled } from '../../src/runtime/index.js'
import { flatten, sized, text } from '../../src/evaluator/wasm/asm/encode.js'
import { newLoopRules } from '../../src/evaluator/wasm/elementwise/lowering.js'
import { kernelOf } from '../../src/evaluator/wasm/kernels/index.js'
import { newMath } from '../../src/evaluator/wasm/kernels/math.js'
import { shapeOfCall } from '../../src/graph/signature.js'
import { primitiveOps } from '../../src/ops/index.js'
import { hostOps } from '../../src/runtime/hostOps.js'
import { suite } from '../support/suite.js'
import { mended, moduleEnd, sameBits, withHeader } from './support.js'

const test = suite('precompile')

const quant = { returnQuantTensor: true } as const
const conv = (inChannels: number, outChannels: number, kernelSize = 3, groups = 1) =>
  q.QuantConv2d({ inChannels, outChannels, kernelSize, groups, padding: kernelSize >> 1, weightBitWidth: 4, ...quant })

type AnyNet = q.Layer<unknown, unknown, q.Value, unknown>
type Case = { readonly net: AnyNet; readonly shape: readonly number[] }

const lenet = q.chain({
  input: q.QuantIdentity(quant),
  conv1: q.QuantConv2d({ inChannels: 1, outChannels: 6, kernelSize: 5 }),
  act1: q.QuantReLU(quant),
  pool1: q.MaxPool2d({ kernelSize: 2 }),
  conv2: q.QuantConv2d({ inChannels: 6, outChannels: 16, kernelSize: 5, biasQuant: q.Int32Bias }),
  act2: q.QuantReLU({ bitWidth: 4, ...quant }),
  flat: q.Flatten(),
  fc1: q.QuantLinear({ inFeatures: 16 * 4 * 4, outFeatures: 32 }),
  act3: q.QuantReLU(),
  fc2: q.QuantLinear({ inFeatures: 32, outFeatures: 10 }),
})
const depthwise = q.chain({
  input: q.QuantIdentity(quant),
  deep: conv(8, 8, 3, 8),
  norm: q.BatchNorm2d({ numFeatures: 8 }),
  act: q.QuantReLU(quant),
  point: conv(8, 16, 1),
  hard: q.QuantHardTanh({ minVal: -0.3, maxVal: 0.7, ...quant }),
  pool: q.TruncAvgPool2d({ kernelSize: 2 }),
})
const residual = q.model(
  {
    input: q.QuantIdentity(quant),
    body: q.chain({ conv: conv(4, 4), act: q.QuantIdentity(quant) }),
    join: q.QuantEltwiseAdd(quant),
    shifted: q.QuantIdentity({ actQuant: q.ShiftedUint8ActPerTensorFloat, ...quant }),
  },
  (layers, params, state, x: q.Value) => {
    const [a, input] = layers.input(params.input, state.input, x)
    const [b, body] = layers.body(params.body, state.body, a)
    const [c, join] = layers.join(params.join, state.join, [a, b])
    const [y, shifted] = layers.shifted(params.shifted, state.shifted, c)
    return [
      { y, inner: b },
      { input, body, join, shifted },
    ]
  },
)
const integers = q.model(
  { a: q.QuantIdentity(quant), fc: q.QuantLinear({ inFeatures: 6, outFeatures: 5 }) },
  (layers, params, state, x: q.Value) => {
    const [y, a] = layers.a(params.a, state.a, x)
    const [z, fc] = layers.fc(params.fc, state.fc, y)
    return [
      { y, ints: q.int(y), scale: q.scale(y), two: [q.neg(y), z] as const },
      { a, fc },
    ]
  },
)
const nets: { readonly [name: string]: Case } = {
  lenet: { net: lenet as never, shape: [2, 1, 20, 20] },
  depthwise: { net: depthwise as never, shape: [1, 8, 12, 12] },
  residual: { net: residual as never, shape: [3, 4, 7, 9] },
  integers: { net: integers as never, shape: [4, 6] },
}

const randn = (shape: readonly number[], seed: number): q.Tensor => q.randn(shape)(q.manualSeed(seed))[0]

/** A net that has seen `steps` batches of training, in eval mode. */
const trained = ({ net, shape }: Case, steps = 3) => {
  const { params, state } = q.orThrow(q.init(net, 1))
  const training = q.orThrow(q.trace(net, q.tensorInput(shape) as never, { mode: 'train' })) as q.Program
  let now: unknown = state
  for (let k = 0; k < steps; k++)
    now = q.orThrow(q.run(training, { params, state: now, inputs: randn(shape, k) })).state
  const program = q.orThrow(q.trace(net, q.tensorInput(shape) as never, { mode: 'eval' })) as q.Program
  return { program, fixed: { params, state: now } }
}

const file = (c: Case, steps = 3): Uint8Array => {
  const { program, fixed } = trained(c, steps)
  return q.orThrow(q.precompile(program, fixed))
}
const loaded = async (bytes: Uint8Array, ops: q.OpTable = {}): Promise<Precompiled<unknown, unknown>> =>
  q.orThrow(await loadPrecompiled<unknown, unknown>(bytes, { ops }))

for (const [name, c] of Object.entries(nets))
  for (const steps of [0, 3, 31])
    test(`${name} after ${steps} steps: outputs and warnings of the compiled program, bit for bit, run after run`, async () => {
      const { program, fixed } = trained(c, steps)
      const net = await loaded(q.orThrow(q.precompile(program, fixed)))
      const compiled = q.orThrow(q.compile(program, q.wasm))
      for (const seed of [5, 6, 5]) {
        const x = randn(c.shape, seed)
        const theirs = q.orThrow(compiled.run({ ...fixed, inputs: x }))
        const ours = q.orThrow(net.run(x))
        assert.ok(sameBits(ours.outputs, theirs.outputs), `seed ${seed}`)
        assert.equal(ours.warnings, theirs.warnings)
      }
      compiled.dispose()
    })

test('NaN, infinities and empty batches as compiled', async () => {
  for (const [shape, odd] of [
    [[2, 1, 20, 20], NaN],
    [[2, 1, 20, 20], Infinity],
    [[0, 1, 20, 20], 0],
  ] as const) {
    const { program, fixed } = trained({ net: lenet as never, shape: [2, 1, 20, 20] })
    const own =
      shape[0] === 0 ? (q.orThrow(q.trace(lenet, q.tensorInput(shape), { mode: 'eval' })) as q.Program) : program
    const x = randn(shape, 4)
    x.data.fill(odd, 3, 5)
    const theirs = q.orThrow(q.orThrow(q.compile(own, q.wasm)).run({ ...fixed, inputs: x }))
    assert.ok(sameBits(q.orThrow((await loaded(q.orThrow(q.precompile(own, fixed)))).run(x)).outputs, theirs.outputs))
  }
})

test('a quant tensor as input is checked against its declaration; trusted skips that', async () => {
  const net = q.QuantLinear({ inFeatures: 3, outFeatures: 2 })
  const fixed = q.orThrow(q.init(net, 0))
  const declared = q.quantInput([2, 3], { bits: 8, signed: true })
  const program = q.orThrow(q.trace(net, declared, { mode: 'eval' }))
  const x = { value: q.tensorOf([2, 3], [1, 2, 3, 4, 5, 6]), scale: q.scalar(1), zeroPoint: q.scalar(0) }
  const good = { kind: 'quant', ...x, bitWidth: q.scalar(8), signed: true, training: false } as const
  const ahead = await loaded(q.orThrow(q.precompile(program, fixed)))
  assert.equal(
    ahead.inputs.map((i) => [i.path, i.part, i.shape]),
    [
      ['', 'value', [2, 3]],
      ['', 'scale', []],
      ['', 'zeroPoint', []],
    ],
  )
  const theirs = q.orThrow(q.orThrow(q.compile(program, q.wasm)).run({ ...fixed, inputs: good }))
  assert.ok(sameBits(q.orThrow(ahead.run(good)).outputs, theirs.outputs))
  const off = { ...good, value: q.tensorOf([2, 3], [1, 2, 3, 4, 5, 6.4]) }
  const refused = ahead.run(off)
  assert.ok(E.isLeft(refused) && refused.left[0].message.includes('off the grid'))
  assert.ok(E.isRight(ahead.run(off, { trusted: true })))
  const fewer = ahead.run({ ...good, value: q.zeros([3]) })
  assert.ok(E.isLeft(fewer) && fewer.left[0].tag === 'InputError')
  assert.ok(E.isLeft(ahead.run(good, { trust: true } as never)))
  ahead.dispose()
  const gone = ahead.run(good)
  assert.ok(E.isLeft(gone) && gone.left[0].tag === 'BackendError')
})

test('a check that data fails is the error of the compiled program; one that the state fails is refused ahead', async () => {
  const net = q.model({}, (_layers, _params, state, x: q.Value) => [q.int(x), state])
  const program = q.orThrow(
    q.trace(net as never, q.quantInput([2], { bits: 4, signed: true, valid: false }) as never, { mode: 'eval' }),
  ) as q.Program
  const x = {
    kind: 'quant',
    value: q.tensorOf([2], [1, 90]),
    scale: q.scalar(1),
    zeroPoint: q.scalar(0),
    bitWidth: q.scalar(4),
    signed: true,
    training: false,
  }
  const theirs = q.orThrow(q.compile(program, q.wasm)).run({ params: {}, state: {}, inputs: x })
  const ours = (await loaded(q.orThrow(q.precompile(program, { params: {}, state: {} })))).run(x)
  assert.ok(E.isLeft(theirs) && E.isLeft(ours))
  assert.equal(ours.left, theirs.left)
})

test('programs that it does not take are refused with the fix', () => {
  const net = q.QuantLinear({ inFeatures: 2, outFeatures: 1 })
  const { params, state } = q.orThrow(q.init(net, 0))
  const inEval = q.orThrow(q.trace(net, q.tensorInput([1, 2]), { mode: 'eval' }))
  const inTraining = q.orThrow(q.trace(net, q.tensorInput([1, 2]), { mode: 'train' }))
  const backward = q.orThrow(q.vjp(inEval)) as never
  const said = (program: unknown, fixed: unknown): string => {
    const made = q.precompile(program as never, fixed as never)
    return E.isLeft(made) ? q.explainAll(made.left) : 'a file'
  }
  assert.match(said(inTraining, { params, state }), /mode 'eval'.*\n.*fix: trace it/)
  assert.match(said(backward, { params, state }), /only goes forward/)
  assert.match(said(q.trace(net, q.tensorInput([1, 2]), { mode: 'eval' }), { params, state }), /unwrap it/)
  assert.match(said(inEval, undefined), /precompile takes fixed|a record of params and state/)
  assert.match(said(inEval, { params: {}, state }), /param weight is missing/)
})

test('an op of a user runs from its record, which must be given', async () => {
  const halve = q.unary({
    name: 'halve',
    doc: 'x / 2',
    f: (x) => x / 2,
    carry: q.strips('halves of a grid lie between its points'),
    vjp: q.scaledBy((x: q.Value) => x),
    attrs: {},
  }) as q.Op
  const net = q.functionLayer('halve', (x: q.Value) => q.apply(halve, [x]))
  const program = q.orThrow(q.trace(net as never, q.tensorInput([3]) as never, { mode: 'eval' })) as q.Program
  const bytes = q.orThrow(q.precompile(program, { params: {}, state: {} }))
  const without = await loadPrecompiled(bytes)
  assert.ok(E.isLeft(without))
  assert.match(q.explainAll(without.left), /runs halve outside WebAssembly.*\n.*ops: \{ "halve"/)
  const x = q.tensorOf([3], [1, 2, 3])
  assert.equal(q.orThrow((await loaded(bytes, { halve })).run(x)).outputs, q.tensorOf([3], [0.5, 1, 1.5]))
  assert.ok(E.isLeft(await loadPrecompiled(bytes, { ops: { halve: 3 } as never })))
})

/** Ops without a kernel that no eval program applies to data: gradients, what only training does, and searches over parameters, which are done ahead. */
const NOT_IN_INFERENCE: readonly string[] = [
  'quantizeFloatGradInput',
  'quantizeFloatGradScale',
  'rowWeights',
  'scatterRows',
  'bernoulliMask',
  'dropout',
  'checkFinite',
  'hqoLowerEnd',
  'hqoThreshold',
  'mseFloatThreshold',
  'mseLowerEnd',
  'mseRange',
]

test('the runtime knows every op of inference that has no kernel', () => {
  const loops = newLoopRules()
  // Plans rewrite the first two into sums and choices of columns.
  const known = new Set(['gatherLast', 'scatterLast', ...hostOps.map((op) => op.name), ...NOT_IN_INFERENCE])
  const missing = primitiveOps.filter((op) => {
    const named = op.forward ?? op
    return op.examples.some(({ args, attrs }) => {
      const shape = shapeOfCall(
        op,
        args.map((a) => a.shape),
        attrs,
      )
      if (!Array.isArray(shape)) return false
      const node = {
        id: args.length,
        op,
        args: args.map((a, id) => ({ id, shape: a.shape })),
        attrs,
        shape,
        origin: 0,
        path: '',
      }
      return (
        !loops.isMap(node) && !loops.isReduction(node) && kernelOf(node, newMath()) === null && !known.has(named.name)
      )
    })
  })
  const names = missing.map((op) => op.name)
  assert.equal(
    names,
    [],
    `add ${names.join(', ')} to src/runtime/hostOps.ts, or to NOT_IN_INFERENCE if no eval program applies it to data`,
  )
})

test('the file is smaller than its float parameters where these are quantized, and holds none of them', () => {
  const { program, fixed } = trained(nets.lenet)
  const bytes = q.orThrow(q.precompile(program, fixed))
  const weight = (fixed.params as { readonly fc1: { readonly weight: q.Tensor } }).fc1.weight
  assert.is(Buffer.from(bytes).includes(Buffer.from(weight.data.buffer, 0, 64)), false)
})

test('a file that was cut off or changed anywhere is a ParseError', async () => {
  const bytes = file(nets.integers)
  const error = async (b: unknown): Promise<string> => {
    const made = await loadPrecompiled(b as Uint8Array)
    return E.isLeft(made) ? `${made.left[0].tag}: ${made.left[0].message}` : 'loaded'
  }
  assert.match(await error(bytes.subarray(0, bytes.length - 1)), /^ParseError.*checksum/)
  for (const at of [0, 9, 200, bytes.length - 30]) {
    const b = bytes.slice()
    b[at] ^= 4
    assert.match(await error(b), /^ParseError/)
  }
  assert.match(await error(new Uint8Array(5)), /too short/)
  assert.match(await error(q.tensorsToBytes({})), /no WebAssembly module/)
  assert.match(await error('net.wasm'), /Uint8Array/)
  assert.match(await error(undefined), /Uint8Array/)
  assert.match(await error(mended(bytes.subarray(0, moduleEnd(bytes) + 8))), /^ParseError/)
  const bare = [0, 97, 115, 109, 1, 0, 0, 0, 0, sized([text('quantrace'), 0, 0, 0, 0])]
  assert.match(await error(mended(flatten(bare))), /no memory/)
})

test('hostile headers with a right checksum: a typed error, or a run that ends', async () => {
  const bytes = file(nets.integers)
  const junk: readonly unknown[] = [null, -1, 1.5, 1e12, 2 ** 31, 'x', [], {}, true, NaN, [[[]]], { at: 4, shape: [3] }]
  let refusals = 0
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.constantFrom(...junk), fc.boolean(), async (pick, value, remove) => {
      const changed = withHeader(bytes, (header) => {
        const json: unknown = JSON.parse(header)
        const places: (readonly [object, string])[] = []
        const visit = (x: unknown): void => {
          if (typeof x !== 'object' || x === null) return
          for (const key of Object.keys(x)) {
            places.push([x, key])
            visit((x as { readonly [k: string]: unknown })[key])
          }
        }
        visit(json)
        const [holder, key] = places[pick % places.length]
        if (remove) Reflect.deleteProperty(holder, key)
        else Reflect.set(holder, key, value)
        return JSON.stringify(json)
      })
      const made = await loadPrecompiled<unknown, unknown>(changed)
      if (E.isLeft(made)) {
        refusals++
        assert.ok(['ParseError', 'BackendError'].includes(made.left[0].tag), q.explainAll(made.left))
        assert.not.match(made.left[0].message, /reading|undefined|is not a function/)
      } else made.right.run(randn(nets.integers.shape, 1))
    }),
    { numRuns: 400, seed: 3 },
  )
  assert.ok(refusals > 200, `${refusals} of 400 were refused`)
})

test('hostile modules with a right checksum end in typed errors too', async () => {
  const bytes = file(nets.integers)
  await fc.assert(
    fc.asyncProperty(fc.nat(moduleEnd(bytes) - 1), fc.nat(255), async (at, byte) => {
      const b = bytes.slice()
      b[at] = byte
      const made = await loadPrecompiled<unknown, unknown>(mended(b))
      if (E.isRight(made)) made.right.run(randn(nets.integers.shape, 1))
      else assert.ok(['ParseError', 'BackendError'].includes(made.left[0].tag), q.explainAll(made.left))
    }),
    { numRuns: 300, seed: 5 },
  )
})

test.run()

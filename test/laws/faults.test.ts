/** The laws find what is wrong with an op, a layer, a backend or a quantizer that nobody wrote a test for; what is right they let pass. */
import fc from 'fast-check'
import { isLeft } from 'fp-ts/lib/Either.js'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import {
  checkBackend,
  checkGradient,
  checkLayer,
  checkOp,
  checkQuantizer,
  checkStateThreading,
  showVerdict,
  type Verdict,
} from '../../src/testing/index.js'
import { suite } from '../support/suite.js'

const test = suite('laws: faults')
const HOW = { runs: 10 }

const holds = (v: Verdict): void => {
  if (isLeft(v)) throw new Error(showVerdict(v))
}

/** The laws that broke; what they say is printed with QUANTRACE_SHOW=1. */
const broken = (v: Verdict): readonly string[] => {
  if (process.env['QUANTRACE_SHOW'] === '1') console.log(`${showVerdict(v)}\n`)
  return isLeft(v) ? v.left.map((b) => b.law) : []
}

/** An op of a user's own: x³, in loops too. */
const cube = (change: Partial<q.Op> = {}): q.Op => ({
  ...q.unary({
    name: 'cube',
    doc: 'x³, of an example for tests.',
    attrs: {},
    f: (x) => x * x * x,
    lanes: (e, [x]) => e.mul(e.mul(x, x), x),
    carry: q.strips('the cube of a number of a grid lies on another one'),
    vjp: q.scaledBy((x) => x.kit.emit('mul', [x.kit.constant(3), x.kit.emit('mul', [x, x])])),
  }),
  ...change,
})

test('a right op breaks no law', () => holds(checkOp(cube(), HOW)))

test('a wrong carry rule', () => {
  const found = broken(checkOp(cube({ carry: ([x]) => x.carried }), HOW))
  assert.ok(found.includes('carry is sound: what carries lies on its grid'), found.join())
})

test('a wrong vjp', () => {
  const twice = q.scaledBy((x) => x.kit.emit('mul', [x.kit.constant(2), x.kit.emit('mul', [x, x])]))
  assert.equal([...new Set(broken(checkOp(cube({ vjp: twice }), HOW)))], ['the vjp agrees with differences'])
})

test('a vjp that is not linear', () => {
  const squared: q.Vjp = ({ g, kit }) => [kit.emit('mul', [g, g])]
  const found = broken(checkOp(cube({ vjp: squared, smooth: false }), HOW))
  assert.ok(found.includes('the vjp is linear in the cotangent'), found.join())
})

test('wrong lanes', () => {
  const found = broken(checkOp(cube({ lanes: (e, [x]) => e.mul(e.fround(e.mul(x, x)), x) }), HOW))
  assert.ok(found.includes('lanes have the bits of evaluate'), found.join())
})

test('a wrong kernel: loops sum other terms than evaluate', () => {
  const sumOfSquares: q.Op = {
    ...q.ops.sum,
    name: 'sumOfSquares',
    doc: 'The sum of squares over axes, of an example for tests.',
    carry: q.strips('sums of squares lie on another grid'),
    evaluate: ([x], attrs, out) => q.ops.sum.evaluate([{ shape: x.shape, data: x.data.map((v) => v * v) }], attrs, out),
    vjp: { none: 'an example for tests' },
    smooth: false,
  }
  const reduces = { join: 'sum', over: q.ops.sum.reduces?.over ?? (() => []) } as const
  const found = broken(checkOp({ ...sumOfSquares, reduces }, HOW))
  assert.ok(found.includes('backends agree with evaluate'), found.join())
  holds(checkOp({ ...sumOfSquares, reduces: { ...reduces, term: (e, [x]) => e.mul(x, x) } }, HOW))
})

test('an evaluate that leaves elements unwritten, or changes its operand', () => {
  const setting =
    (f: (x: Float32Array) => Float32Array): q.Op['evaluate'] =>
    ([x], _attrs, out) => {
      out.data.set(f(x.data))
      return null
    }
  const lazy = cube({ evaluate: setting((x) => x.subarray(1)) })
  assert.ok(broken(checkOp(lazy, HOW)).includes('evaluate is pure'))
  const rude = cube({ evaluate: setting((x) => x.fill(1)) })
  assert.ok(broken(checkOp(rude, HOW)).includes('evaluate is pure'))
})

test('a trait that is not so', () => {
  assert.ok(broken(checkOp(cube({ dtype: 'boolean' }), HOW)).includes('traits are kept'))
  assert.ok(broken(checkOp(cube({ layout: 'view' }), HOW)).includes('traits are kept'))
})

/** A layer of a user's own: the running mean of what it is given. */
const runningMean = (forgets: boolean): q.Layer<q.None, { readonly mean: q.Tensor }> => ({
  layer: 'RunningMean',
  problems: [],
  config: { name: 'RunningMean', parts: [] },
  params: {},
  state: { mean: { shape: [], learned: false, init: (g) => [q.scalar(0), g] } },
  apply: (_params, state, x, kit) => {
    if (kit.mode === 'eval') return [q.sub(x, state.mean), state]
    const next = q.add(q.mul(state.mean, 0.9), q.mul(q.mean(x), 0.1))
    return [q.sub(x, next), forgets ? state : { mean: next }]
  },
})

test('a stateful layer that forgets its state', () => {
  holds(checkLayer(runningMean(false), q.tensorInput([4]), HOW))
  assert.equal(broken(checkLayer(runningMean(true), q.tensorInput([4]), HOW)), ['no state is forgotten'])
  assert.equal(broken(checkStateThreading(runningMean(true), q.tensorInput([4]), HOW)), ['no state is forgotten'])
})

test('a layer whose state moves in evaluation', () => {
  const restless = { ...runningMean(false) }
  const moving: typeof restless = {
    ...restless,
    apply: (_p, state, x) => {
      const next = q.add(q.mul(state.mean, 0.9), q.mul(q.mean(x), 0.1))
      return [q.sub(x, next), { mean: next }]
    },
  }
  assert.ok(broken(checkStateThreading(moving, q.tensorInput([4]), HOW)).includes('evaluation leaves the state alone'))
})

test('a layer that promises a grid it does not keep', () => {
  const promising = cube({ carry: ([x]) => x.carried })
  const layer = q.chain({
    quant: q.QuantIdentity({ returnQuantTensor: true, collectStatsSteps: 1 }),
    cube: q.functionLayer('cube', (x: q.Value, kit) => kit.apply(promising, [x])),
  })
  assert.ok(broken(checkLayer(layer, q.tensorInput([3, 2]), HOW)).includes('results that carry lie on their grids'))
})

test('a gradient that is none', () => {
  const twice = q.scaledBy((x) => x.kit.emit('mul', [x.kit.constant(2), x.kit.emit('mul', [x, x])]))
  const loss = (op: q.Op) => q.functionLayer('loss', (x: q.Value, kit) => q.mean(kit.apply(op, [x])))
  holds(checkGradient(loss(cube()), q.tensorInput([3]), HOW))
  assert.equal(broken(checkGradient(loss(cube({ vjp: twice })), q.tensorInput([3]), HOW)), [
    'the gradient agrees with differences',
  ])
})

/** Of NaN it makes 0. */
const wrongRelu: q.Op['evaluate'] = ([x], _attrs, out) => {
  out.data.set(x.data.map((v) => (v > 0 ? v : 0)))
  return null
}

test('a backend that computes something else', () => {
  holds(checkBackend(q.wasm, { runs: 6 }))
  const hasty: q.Backend = {
    name: 'hasty',
    prepare: (program) => {
      const graph = {
        ...program.graph,
        nodes: program.graph.nodes.map((n) =>
          n.op === q.ops.relu ? { ...n, op: { ...n.op, evaluate: wrongRelu } } : n,
        ),
      }
      return q.reference.prepare({ ...program, graph })
    },
  }
  const found = checkBackend(hasty, { runs: 30, ops: [q.ops.relu, q.ops.add] })
  assert.ok(broken(found).includes('single ops are computed as the reference does, NaN and infinities included'))
})

test('quantizers: presets hold, a rounding that goes the wrong way does not', () => {
  for (const z of [q.Int8ActPerTensorFloat, q.ShiftedUint8ActPerTensorFloat, q.Int8WeightPerChannelFloat])
    holds(
      checkQuantizer(q.withOptions({ bitWidth: 4 })(z), {
        ...HOW,
        layerOptions: z.use === 'act' ? { collectStatsSteps: 1 } : {},
      }),
    )
})

test('what is no op, layer, backend or quantizer is said, not thrown', () => {
  fc.assert(
    fc.property(fc.anything(), (x) => {
      for (const check of [checkOp, checkBackend, checkQuantizer] as readonly ((x: never) => Verdict)[])
        assert.ok(isLeft(check(x as never)))
      assert.ok(isLeft(checkLayer(x as never, x)))
      assert.ok(isLeft(checkStateThreading(x as never, x)))
      assert.ok(isLeft(checkGradient(x as never, x)))
    }),
    { numRuns: 40 },
  )
  assert.match(showVerdict(checkOp(cube(), { rums: 3 } as never)), /did you mean/)
})

test.run()

/** What groups of elements need: rows along any axis, short rows, powers of two without a logarithm. All bits against the reference. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import * as q from '../../src/index.js'
import { tensor } from '../../src/data/tensor.js'
import { firstIndexOp, maxAlongOp } from '../../src/evaluator/plan/internalOps.js'
import { alongKernel } from '../../src/evaluator/wasm/kernels/along.js'
import { evaluate } from '../ops/direct.js'
import { suite } from '../support/suite.js'
import { assertSameBits, backwards, kinds, numbers, runKernel, seeds, third, whole } from './support/kernels.js'

const test = suite('kernels along axes')

const sizes = fc.record({
  outer: fc.integer({ min: 1, max: 4 }),
  n: fc.integer({ min: 1, max: 11 }),
  inner: fc.oneof(fc.integer({ min: 2, max: 40 }), fc.integer({ min: 2040, max: 2060 })),
})

/** A kernel of `[outer, n, inner]` however its work is split, and the reference. */
const check = (op: q.Op, attrs: q.Attrs, shapes: readonly q.Shape[], args: readonly Float32Array[]): Float32Array => {
  const shape = [shapes[0][0], shapes[0][2]]
  const kernel = alongKernel({ op: op.name, attrs, shapes, shape })
  if (kernel === null) return assert.fail('no kernel')
  const out = tensor(shape, new Float32Array(shape[0] * shape[1]))
  const failure = op.evaluate(
    args.map((data, i) => tensor(shapes[i], data)),
    attrs,
    out,
  )
  assert.equal(failure, null)
  const words = (x: Float32Array): readonly number[] => [...new Int32Array(x.buffer, x.byteOffset, x.length)]
  for (const split of [whole, backwards, third]) {
    const [made] = runKernel(kernel, args, [out.data.length], split)
    if (op === firstIndexOp) assert.deepEqual(words(made), words(out.data))
    else assertSameBits(made, out.data, `${kernel.name} of ${shapes[0].join('x')}`)
  }
  return out.data
}

test('the largest of rows along an axis, and where it stands', () => {
  fc.assert(
    fc.property(sizes, fc.boolean(), kinds, seeds, ({ outer, n, inner }, abs, kind, seed) => {
      const x = numbers(outer * n * inner, seed, kind)
      const shape = [outer, n, inner]
      const largest = check(maxAlongOp, { abs, inner }, [shape], [x])
      check(firstIndexOp, { abs, inner }, [shape, [outer, inner]], [x, largest])
    }),
    { numRuns: 120 },
  )
})

const bits = new DataView(new ArrayBuffer(4))
const ofBits = (n: number): number => {
  bits.setUint32(0, n)
  return bits.getFloat32(0)
}
/** Float32 numbers around every power of two, subnormal ones too, and what is no power of anything. */
const aroundPowers: readonly number[] = [
  0,
  -0,
  -1,
  -1e-40,
  NaN,
  Infinity,
  -Infinity,
  ...Array.from({ length: 255 }, (_, e) => (e + 1) * 2 ** 23).flatMap((at) =>
    [-90, -89, -88, -45, -44, -23, -22, -12, -11, -6, -5, -3, -2, -1, 0, 1, 2].map((by) => ofBits(at + by)),
  ),
  ...Array.from({ length: 23 }, (_, b) => [2 ** b - 1, 2 ** b, 2 ** b + 1].map(ofBits)).flat(),
]

test('2^floor(log2 x) is one loop without a logarithm, with the same bits', () => {
  const layer = q.functionLayer('power', (x: q.Value) =>
    q.apply(q.ops.exp2, [q.apply(q.ops['floor~identity'], [q.apply(q.ops.log2, [x])])]),
  )
  const x = q.tensorOf([aroundPowers.length], aroundPowers)
  const program = q.orThrow(q.trace(layer, q.tensorInput(x.shape), { mode: 'eval' }))
  const args = { params: {}, state: {}, inputs: x }
  const compiled = q.orThrow(q.compile(program, q.wasm))
  assert.match(q.showPlan(q.orThrow(q.explainPlan(program, args))), /loop\[\d+\] of 1 .*powerBelow/)
  const [mine, theirs] = [q.orThrow(q.run(program, args)), q.orThrow(compiled.run(args))]
  compiled.dispose()
  assertSameBits(q.valueOf(theirs.outputs).data, q.valueOf(mine.outputs).data, 'powers')
})

const dynamic = fc.constantFrom(
  q.Int8DynamicActPerGroupFloat,
  q.Fp8e4m3OCPDynamicActPerGroupFloat,
  q.MXInt8Act,
  q.MXFloat8e4m3Act,
)

test('groups along any axis are quantized in kernels alone, forwards and backwards', () => {
  const args = fc.record({
    preset: dynamic,
    groupDim: fc.integer({ min: -1, max: 2 }),
    shape: fc.tuple(fc.integer({ min: 2, max: 6 }), fc.integer({ min: 2, max: 9 }), fc.integer({ min: 2, max: 9 })),
    groupSize: fc.integer({ min: 1, max: 5 }),
    seed: seeds,
  })
  fc.assert(
    fc.property(args, ({ preset, groupDim, shape, groupSize, seed }) => {
      const axis = groupDim < 0 ? 2 : groupDim
      const net = q.QuantIdentity({ actQuant: preset, groupDim, groupSize: Math.min(groupSize, shape[axis]) })
      const forward = q.orThrow(q.trace(net, q.tensorInput(shape), { mode: 'train' }))
      const program = q.orThrow(q.vjp(forward, { inputs: true }))
      const x = q.tensorOf(shape, numbers(shape[0] * shape[1] * shape[2], seed, 'plain'))
      const cotangent = q.tensorOf(shape, numbers(x.data.length, seed + 1, 'plain'))
      const given = { ...q.orThrow(q.init(net, 0)), inputs: { inputs: x, cotangent } }
      assert.doesNotMatch(q.showPlan(q.orThrow(q.explainPlan(program, given))), /^ +\d+ host /m)
      const compiled = q.orThrow(q.compile(program, q.wasm))
      const [mine, theirs] = [q.orThrow(q.run(program, given)), q.orThrow(compiled.run(given))]
      compiled.dispose()
      assertSameBits(q.valueOf(theirs.outputs).data, q.valueOf(mine.outputs).data, preset.name)
      // Where sums of a scale's gradient meet, their order is free.
      const gradient = ({ grads }: typeof mine): Float32Array => q.valueOf(grads.inputs as q.Output).data
      const b = gradient(theirs)
      gradient(mine).forEach((v, i) => {
        assert.ok(Math.abs(v - b[i]) <= 1e-4 * (1 + Math.abs(v)), `${preset.name}: gradient ${i}`)
      })
    }),
    { numRuns: 60 },
  )
})

test('the largest of short rows is that of long ones', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 140 }),
      fc.integer({ min: 1, max: 5 }),
      kinds,
      seeds,
      (n, rows, kind, seed) => {
        const x = tensor([rows, n], numbers(rows * n, seed, kind))
        const layer = q.functionLayer('largest', (v: q.Value) => q.apply(q.ops.maxLast, [v]))
        const program = q.orThrow(q.trace(layer, q.tensorInput(x.shape), { mode: 'eval' }))
        const compiled = q.orThrow(q.compile(program, q.wasm))
        const { outputs } = q.orThrow(compiled.run({ params: {}, state: {}, inputs: x }))
        compiled.dispose()
        assertSameBits(q.valueOf(outputs).data, evaluate(q.ops.maxLast, [x], {}).data, `rows of ${n}`)
      },
    ),
    { numRuns: 60 },
  )
})

test.run()

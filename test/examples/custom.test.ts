/** examples/custom-quantizer.ts: it runs as it stands, and its pieces obey the laws that ours obey. */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import * as q from '../../src/index.js'
import { carrySound, cotangentArb, surrogateLaw, tensorArb } from '../../src/testing/index.js'
import { halfAway, halfAwaySte, hardSign, quantizer, show, signed } from '../../examples/custom-quantizer.js'
import { close, errorsOf, get, same, says } from '../nn/support.js'
import { suite } from '../support/suite.js'

const test = suite('examples: custom quantizer')
const holds = (what: string | null): void => {
  if (what !== null) throw new Error(what)
}
const silent = (): void => undefined
const quantOf = (y: q.Output): q.QuantTensor => {
  if (!q.isQuantTensor(y)) throw new Error('not a quant tensor')
  return y
}

test(
  'the example runs by itself and shows its surrogates by name',
  () => {
    const file = fileURLToPath(new URL('../../examples/custom-quantizer.ts', import.meta.url))
    const text = execFileSync(process.execPath, ['--import', 'tsx', file], { encoding: 'utf8' })
    for (const part of [/halfAway~identity/, /ceil~identity/, /binarySign~hardtanh/, /carries 4s/, /@Int4MeanStd/])
      says(text, part)
    says(text, /signed\(x\) -1,-1,-1,1,1,1,1,1\ndx {4}0,0,1,1,1,1,1,0/)
  },
  { timeout: 60_000 },
)

/** The quantizer again, in double. */
const byHand = (xs: readonly number[]): { readonly scale: number; readonly ints: readonly number[] } => {
  const sizes = xs.map(Math.abs)
  const mean = sizes.reduce((a, b) => a + b, 0) / xs.length
  const std = Math.sqrt(sizes.reduce((a, b) => a + (b - mean) ** 2, 0) / xs.length)
  const scale = Math.ceil((mean + 3 * std) * 16) / 16 / 8
  return { scale, ints: xs.map((x) => Math.max(-8, Math.min(7, Math.sign(x) * Math.floor(Math.abs(x / scale) + 0.5)))) }
}

test('statistic, restriction and rounding are those that were asked for', () => {
  const xs = [-4, -1.25, -0.25, 0, 0.125, 0.5, 0.75, 2]
  const y = quantOf(show('quantizer', quantizer, q.tensorOf([8], xs), silent).y)
  const { scale, ints } = byHand(xs)
  close(y.scale.data[0], scale, 1e-6)
  same(Number.isInteger(y.scale.data[0] * 128), true)
  same(
    [...q.intRepr(y).data].map((i) => i + 0),
    ints.map((i) => i + 0),
  )
  same([y.bitWidth.data[0], y.signed, y.training], [4, true, true])
})

test('ties go away from zero', () => {
  const layer = q.functionLayer('halfAway', (x: q.Value) => q.apply(halfAwaySte, [x]))
  const out = get(
    q.run(get(q.trace(layer, q.tensorInput([6]), { mode: 'eval' })), {
      params: {},
      state: {},
      inputs: q.tensorOf([6], [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5]),
    }),
  ).outputs
  same([...q.valueOf(out).data], [-3, -2, -1, 1, 2, 3])
})

test('the gradient stays finite where all magnitudes are equal', () => {
  for (const x of [q.zeros([4]), q.tensorOf([4], [1, -1, 1, -1])])
    same([...show('quantizer', quantizer, x, silent).dx.data].every(Number.isFinite), true)
})

const fixed = q.customQuantizer({
  name: 'fixed',
  bits: 4,
  signed: true,
  threshold: (x) => x.kit.constant(1),
  round: halfAwaySte,
})
test('the gradient is 1 inside the range and 0 where x is clipped', () => {
  same([...show('fixed', fixed, q.tensorOf([5], [-2, -0.9, 0, 0.8, 1.2]), silent).dx.data], [0, 1, 1, 1, 0])
})

/** A user's quantizer as an op-like value, so that the carry law can look at each input. */
const sound = (f: (x: q.Value) => q.Value, x: q.Tensor): string | null => {
  const program = get(q.trace(q.functionLayer('f', f), q.tensorInput(x.shape), { mode: 'train' }))
  const { carried } = program.graph.nodes[program.outputs[0].node]
  if (carried.tag !== 'carries') return `the trace says ${carried.tag}`
  const y = quantOf(get(q.run(program, { params: {}, state: {}, inputs: x })).outputs)
  return q.isValidQuantTensor(y) ? null : `not valid for ${x.data}`
}

test('carry soundness: whatever the input, the result lies on its grid', () => {
  fc.assert(fc.property(tensorArb([9], [-40, 40]), (x) => holds(sound(quantizer, x))))
  same(sound(quantizer, q.zeros([9])), null)
})

test('carry soundness holds for any width, sign and even a rounding that is none', () => {
  const none = q.unary({
    name: 'none',
    doc: 'x',
    attrs: {},
    f: (x) => x,
    carry: q.strips('no grid'),
    vjp: q.ops.identity.vjp,
  })
  const spec = fc.record({
    bits: fc.integer({ min: 2, max: 16 }),
    signed: fc.boolean(),
    round: fc.constantFrom(halfAwaySte, none, q.ops['floor~identity']),
  })
  fc.assert(
    fc.property(spec, tensorArb([7]), (o, x) =>
      holds(sound(q.customQuantizer({ name: 'any', threshold: (v) => q.max(q.abs(v)), ...o }), x)),
    ),
  )
})

const example = { args: [{ shape: [6] }], attrs: { minVal: -1, maxVal: 1 } }
test('surrogate law: values of f, gradients of g', () => {
  fc.assert(
    fc.property(tensorArb([6]), cotangentArb([6]), (x, g) => {
      holds(surrogateLaw(hardSign, q.ops.binarySign, q.ops.hardtanh, example, [x], g))
      holds(surrogateLaw(halfAwaySte, halfAway, q.ops.identity, { args: example.args, attrs: {} }, [x], g))
    }),
  )
})
test('the custom ops obey the carry law', () => {
  for (const op of [halfAway, halfAwaySte, hardSign])
    for (const e of op.examples)
      fc.assert(
        fc.property(fc.tuple(...e.args.map((a) => tensorArb(a.shape))), (xs) =>
          holds(carrySound(op, { ...e, args: e.args.map(({ shape }) => ({ shape })) }, xs)),
        ),
        { numRuns: 20 },
      )
})

test('a custom quantizer takes part in a model, and its result in the algebra of quant tensors', () => {
  const net = q.chain({
    q: q.functionLayer('Int4MeanStd', quantizer),
    fc: q.QuantLinear({ inFeatures: 4, outFeatures: 2, bias: false, returnQuantTensor: true }),
  })
  const { params, state } = get(q.init(net, 0))
  const program = get(q.trace(net, q.tensorInput([3, 4]), { mode: 'train' }))
  same(program.graph.nodes[program.outputs[0].node].carried.tag, 'carries')
  const x = q.uniform(-2, 2, [3, 4])(q.manualSeed(1))[0]
  same(q.isValidQuantTensor(quantOf(get(q.run(program, { params, state, inputs: x })).outputs)), true)
})

test('mistakes are typed errors: a width, a threshold that does not broadcast, a gradient that is not there', () => {
  const traced = (f: (x: q.Value) => q.Value) => q.trace(q.functionLayer('f', f), q.tensorInput([4]), { mode: 'train' })
  same(
    errorsOf(traced(q.customQuantizer({ name: 'wide', bits: 40, signed: true, threshold: q.max })))[0].tag,
    'ConfigError',
  )
  const [e] = errorsOf(
    traced(q.customQuantizer({ name: 'odd', bits: 4, signed: true, threshold: (x) => x.kit.constant(1, [3]) })),
  )
  same([e.tag, e.path], ['ShapeError', 'odd'])
  const bare = get(
    traced(
      q.customQuantizer({ name: 'bare', bits: 4, signed: true, threshold: (x) => q.max(q.abs(x)), round: halfAway }),
    ),
  )
  same(errorsOf(q.vjp(bare, { inputs: true }))[0].tag, 'NotDifferentiable')
  get(traced(signed))
})

test.run()

/** The laws fail unless the good comparison holds: a NaN, which compares false with everything, is a counterexample. */
import * as assert from 'uvu/assert'
import { type Op, type Vjp } from '../../src/graph/op.js'
import { surrogate } from '../../src/graph/chosenSurrogate.js'
import * as q from '../../src/index.js'
import {
  carrySound,
  errorBounded,
  gradientMatches,
  idempotent,
  monotone,
  operandsArb,
  surrogateLaw,
  vjpLinear,
} from '../../src/testing/index.js'
import fc from 'fast-check'
import { suite } from '../support/suite.js'

const test = suite('laws: NaN')

const square = (f: (x: number) => number, factor: (x: number) => number): Op =>
  q.unary({
    name: 'squareTested',
    doc: 'x², and what a fault makes of it.',
    attrs: {},
    smooth: true,
    f,
    carry: q.strips('no grid'),
    vjp: (({ g, args: [x], kit }) => [
      kit.emit('mul', [g, kit.emit('mul', [x, kit.constant(factor(0))])]),
    ]) satisfies Vjp,
  })
const good = square(
  (x) => x * x,
  () => 2,
)
const [example] = good.examples
const xs = [q.tensorOf([7], [1, 2, 3, -1, -2, 0.5, 0])]
const g = q.full([7], 1)

test('the right gradient holds', () => {
  assert.is(gradientMatches(good, example, xs, g), null)
  assert.is(vjpLinear(good, example, xs, g), null)
})

test('gradientMatches and vjpLinear see a gradient that is NaN or infinite', () => {
  for (const bad of [NaN, Infinity, -Infinity]) {
    const op = square(
      (x) => x * x,
      () => bad,
    )
    assert.match(gradientMatches(op, example, xs, g) ?? 'holds', /gradient (NaN|-?Infinity)/)
    // 0 * Infinity is NaN in this gradient.
    assert.match(vjpLinear(op, example, xs, g) ?? 'holds', /does not give twice/)
  }
})

test('gradientMatches sees a value that is NaN or infinite', () => {
  for (const bad of [NaN, Infinity]) {
    const op = square(
      (x) => (x > 2 ? bad : x * x),
      () => 2,
    )
    assert.match(gradientMatches(op, example, xs, g) ?? 'holds', /differences/)
  }
})

test('surrogateLaw tells a NaN from a number', () => {
  const broken = square(
    (x) => x * x,
    () => NaN,
  )
  const s = surrogate(good, q.ops.tanh)
  assert.is(surrogateLaw(s, good, q.ops.tanh, example, xs, g), null)
  assert.match(surrogateLaw(s, good, broken, example, xs, g) ?? 'holds', /differentiate/)
  const nan = square(
    () => NaN,
    () => 2,
  )
  assert.match(surrogateLaw(surrogate(nan, q.ops.tanh), good, q.ops.tanh, example, xs, g) ?? 'holds', /evaluate/)
})

test('carrySound sees a quant tensor of NaN', () => {
  const nan = q.unary({
    name: 'nanTested',
    doc: 'NaN.',
    attrs: {},
    f: () => NaN,
    carry: ([x]) => x.carried,
    vjp: { none: '' },
  })
  const [quant] = nan.examples.filter((e) => e.args[0].quant !== undefined)
  const [operands] = fc.sample(operandsArb(quant), 1)
  assert.match(carrySound(nan, quant, operands) ?? 'holds', /not valid/)
})

/** A quantizer whose scale is given. */
const scaled = (maxVal: number): q.Quantizer =>
  q.withOptions({ minVal: -maxVal, maxVal })(q.Int8ActPerTensorFloatMinMaxInit)

test('monotone, errorBounded and idempotent see a quantizer that gives NaN', () => {
  const nan = scaled(0)
  const z = q.tensorOf([3], [0, 0, 0])
  // 0/0: whoever refuses the range 0 … 0 answers with an error, which is as good.
  for (const law of [
    () => monotone(nan, z),
    () => idempotent(nan, z),
    () => errorBounded(nan, z, [-1, 1]),
    () => monotone(nan, q.tensorOf([1], [0])),
  ]) {
    let said: string | null
    try {
      said = law()
    } catch (e) {
      said = e instanceof Error ? e.message : String(e)
    }
    assert.ok(said !== null)
  }
  for (const law of [monotone, idempotent]) assert.is(law(scaled(2), q.tensorOf([4], [-3, 0.1, 2, 5])), null)
  assert.is(errorBounded(scaled(2), q.tensorOf([4], [-3, 0.1, 2, 5]), [-2, 2]), null)
})

test('errorBounded measures each channel with its own scale', () => {
  const perChannel = q.withOptions({
    scalingPerOutputChannel: true,
    perChannelBroadcastableShape: [1, 2],
    minVal: -1,
    maxVal: 1,
  })(q.Int8ActPerTensorFloatMinMaxInit)
  assert.is(errorBounded(perChannel, q.tensorOf([2, 2], [0.1, 0.2, -0.3, 0.7]), [-1, 1]), null)
})

test.run()

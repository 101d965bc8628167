/** Smooth activations. Brevitas gives them bare values, so each strips metadata. */
import { erf, exp, expm1, sigmoid as sigmoidOf, tanh as tanhOf } from '../data/math.js'
import { finite } from '../graph/attr.js'
import type { AttrsOf, NoAttrs } from '../graph/attributes.js'
import type { Lanes, Lane, Op, Value } from '../graph/op.js'
import { scaledBy, strips, unary } from './support/elementwise.js'

const one = (x: Value): Value => x.kit.constant(1)

/** `1/(1 + e^-x)` (torch.sigmoid). */
export const sigmoid: Op = unary({
  name: 'sigmoid',
  sign: () => 'nonNegative',
  doc: '1/(1 + e^-x) (torch.sigmoid).',
  attrs: {},
  f: sigmoidOf,
  lanes: (e, [x]) => e.sigmoid(x),
  carry: strips('a sigmoid is on no grid of its input: sigmoid(0) = 0.5'),
  vjp: scaledBy((x, _a, out) => x.kit.emit('mul', [out(), x.kit.emit('sub', [one(x), out()])])),
})

/** Hyperbolic tangent (torch.tanh). */
export const tanh: Op = unary({
  name: 'tanh',
  doc: 'The hyperbolic tangent (torch.tanh).',
  attrs: {},
  f: tanhOf,
  lanes: (e, [x]) => e.tanh(x),
  carry: strips('a tanh is on no grid of its input: tanh(0.7) = 0.604'),
  vjp: scaledBy((x, _a, out) => x.kit.emit('sub', [one(x), x.kit.emit('mul', [out(), out()])])),
})

const slope = { negativeSlope: finite }
/** `x > 0 ? x : slope*x`; the slope at 0 (F.leaky_relu). */
export const leakyRelu: Op<AttrsOf<typeof slope>> = unary({
  name: 'leakyRelu',
  homogeneous: true,
  doc: 'x where positive, else a small multiple of it (F.leaky_relu).',
  attributes: slope,
  attrs: { negativeSlope: 0.125 },
  f: (x, { negativeSlope }) => (x > 0 ? x : Math.fround(negativeSlope) * x),
  lanes: (e, [x], { negativeSlope }) => e.select(e.gt(x, e.zero), x, e.mul(e.constant(Math.fround(negativeSlope)), x)),
  carry: strips('a hundredth of a step is off the grid'),
  vjp: scaledBy((x, { negativeSlope }) =>
    x.kit.emit('select', [x.kit.emit('less', [x.kit.constant(0), x]), one(x), x.kit.constant(negativeSlope)]),
  ),
})

const scaled = { alpha: finite }
/** `x > 0 ? x : alpha*(e^x - 1)`; gradient alpha at 0, 1 at NaN (F.elu). */
export const elu: Op<AttrsOf<typeof scaled>> = unary({
  name: 'elu',
  doc: 'x where positive, else alpha*(e^x - 1) (F.elu).',
  attributes: scaled,
  attrs: { alpha: 0.5 },
  f: (x, { alpha }) => (x > 0 ? x : Math.fround(alpha) * expm1(x)),
  lanes: (e, [x], { alpha }) => e.select(e.gt(x, e.zero), x, e.mul(e.constant(Math.fround(alpha)), e.expm1(x))),
  carry: strips('e^x - 1 is on no grid'),
  vjp: scaledBy((x, { alpha }) =>
    x.kit.emit('select', [
      x.kit.emit('inside', [x], { min: 0, max: null }),
      one(x),
      x.kit.emit('mul', [x.kit.constant(alpha), x.kit.emit('exp', [x])]),
    ]),
  ),
})

const INV_SQRT2 = Math.SQRT1_2
const INV_SQRT_2PI = 0.3989422804014327
/** `1 + erf(x/√2)`, twice the normal distribution function. */
const normalOf = (e: Lanes, x: Lane): Lane => e.add(e.one, e.erf(e.mul(x, e.constant(INV_SQRT2))))

/** `x * Phi(x)` with the normal distribution (F.gelu, exact form). */
export const gelu: Op = unary({
  name: 'gelu',
  doc: 'x times the normal distribution function of x (F.gelu).',
  attrs: {},
  f: (x) => 0.5 * x * (1 + erf(x * INV_SQRT2)),
  lanes: (e, [x]) => e.mul(e.mul(e.constant(0.5), x), normalOf(e, x)),
  carry: strips('x*Phi(x) is on no grid'),
  vjp: scaledBy((x) => x.kit.emit('geluSlope', [x])),
})

/** The derivative of gelu: `Phi(x) + x*phi(x)`. */
export const geluSlope: Op = unary({
  name: 'geluSlope',
  doc: 'The derivative of gelu.',
  attrs: {},
  f: (x) => 0.5 * (1 + erf(x * INV_SQRT2)) + x * INV_SQRT_2PI * exp(-0.5 * x * x),
  lanes: (e, [x]) =>
    e.add(
      e.mul(e.constant(0.5), normalOf(e, x)),
      e.mul(e.mul(x, e.constant(INV_SQRT_2PI)), e.exp(e.mul(e.mul(e.constant(-0.5), x), x))),
    ),
  carry: strips('a slope is on no grid'),
  vjp: { none: 'gelu is differentiated once; compose it from exp for more' },
  smooth: false,
})

/** `x * relu6(x + 3)/6`, NaN at -Infinity; gradient 0 at -3, 1 at 3 and at NaN (F.hardswish). */
export const hardswish: Op = unary({
  name: 'hardswish',
  doc: 'x * relu6(x + 3)/6 (F.hardswish).',
  attrs: {},
  range: [-5, 5],
  // Below -3 it is 0 times x, which of -Infinity is NaN.
  f: (x) => {
    if (x >= 3) return x
    return x <= -3 ? x - x : (x * (x + 3)) / 6
  },
  lanes: (e, [x]) => {
    const three = e.constant(3)
    const middle = e.div(e.mul(x, e.add(x, three)), e.constant(6))
    return e.select(e.ge(x, three), x, e.select(e.le(x, e.constant(-3)), e.sub(x, x), middle))
  },
  carry: strips('x*(x + 3)/6 is on no grid'),
  vjp: ({ g, args: [x], kit }) => {
    const slope = kit.emit('add', [kit.emit('div', [x, kit.constant(3)]), kit.constant(0.5)])
    const middle = kit.emit('select', [kit.emit('less', [x, kit.constant(3)]), kit.emit('mul', [g, slope]), g])
    return [kit.emit('select', [kit.emit('inside', [x], { min: -3, max: null }), middle, kit.constant(0)])]
  },
})

declare module '../graph/op.js' {
  interface Primitives {
    sigmoid: NoAttrs
    tanh: NoAttrs
    leakyRelu: AttrsOf<typeof slope>
    elu: AttrsOf<typeof scaled>
    gelu: NoAttrs
    geluSlope: NoAttrs
    hardswish: NoAttrs
  }
}

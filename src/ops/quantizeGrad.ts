/** Gradients of `quantize` to its input, its scale and its zero point (SEMANTICS 1 and 6). */
import type { Tensor } from '../data/tensor.js'
import { broadcastShapes, sameShape, showShape, type Shape } from '../data/shape.js'
import type { Example, LaneRule, Op, Traits } from '../graph/op.js'
import { isRefusal, refuse } from '../graph/op.js'
import { attributes, byScale, examples, fits, limits, placesIn, quantized, type QuantizeAttrs } from './quantize.js'
import { ROUNDINGS } from './rounding.js'
import { stretches } from './support/channels.js'
import { strips } from './support/elementwise.js'

const gradExamples = (extra: readonly Example<QuantizeAttrs>[]): readonly Example<QuantizeAttrs>[] =>
  extra.map((e) => ({ args: [e.args[0], ...e.args], attrs: e.attrs }))

const secondOrder = {
  none: 'the straight-through estimators of quantize have no useful second derivative; differentiate once',
}

const gradient = (
  name: string,
  doc: string,
  of: 0 | 2 | 3,
  evaluate: Op<QuantizeAttrs>['evaluate'],
  traits: Traits<QuantizeAttrs>,
): Op<QuantizeAttrs> => ({
  ...traits,
  flow: 1,
  name,
  doc,
  operands: ['g', 'x', 'scale', 'zeroPoint'],
  attributes,
  shape: ([g, ...quantized]) => {
    const forward = fits(quantized)
    if (isRefusal(forward)) return forward
    return sameShape(g, forward)
      ? [g, ...quantized][of]
      : refuse(`a cotangent ${showShape(g)} does not fit ${showShape(forward)}`, 'give one of the shape of the result')
  },
  carry: strips('a gradient is on no grid'),
  vjp: secondOrder,
  evaluate,
  examples: gradExamples(examples),
  smooth: false,
})

/** A gradient that sums over the elements which share a scale or a zero point. */
const sumOf = (term: LaneRule<QuantizeAttrs>): Traits<QuantizeAttrs> => ({
  exact: 'sum',
  reduces: { join: 'sum', term, over: (_shapes, _attrs, shape) => shape },
})

/** `M * g`: the cotangent where the rounded number was not clipped (NaN counts as not clipped), else exactly 0; where the clamp is straight-through, all of it. */
export const quantizeGradInput: Op<QuantizeAttrs> = gradient(
  'quantizeGradInput',
  'Gradient of quantize to its input: g where nothing was clipped.',
  0,
  ([g, x, s, z], attrs, out) => {
    const f = ROUNDINGS[attrs.rounding]
    const [lo, hi] = limits(attrs)
    const masks = attrs.clamp === 'mask'
    byScale(out.shape, s, z, (start, end, sk, zk) => {
      for (let i = start; i < end; i++) {
        const r = masks ? f(Math.fround(Math.fround(x.data[i] / sk) + zk)) : 0
        out.data[i] = masks && (r > hi || r < lo) ? 0 : g.data[i]
      }
    })
    return null
  },
  {
    lanes: (e, [g, ...args], attrs) =>
      attrs.clamp === 'ste' ? g : e.select(quantized(e, args, attrs).clipped(), e.zero, g),
  },
)

/** Sums `term` over the elements that share each element of a scale or zero point, in double, rounded once. */
const reduceOver = (
  shape: Shape,
  s: Tensor,
  z: Tensor,
  out: Tensor,
  term: (i: number, s: number, z: number) => number,
): null => {
  const sums = new Float64Array(out.data.length)
  const both = broadcastShapes(s.shape, z.shape) ?? out.shape
  // Scale and zero point may have different shapes: which element of each belongs to an element of their broadcast.
  const places = placesIn(both, [s, z, out])
  stretches(shape, both, (start, end, k) => {
    const [at, bt, to] = places[k]
    const [sk, zk] = [s.data[at], z.data[bt]]
    let sum = 0
    for (let i = start; i < end; i++) sum += term(i, sk, zk)
    sums[to] += sum
  })
  out.data.set(sums)
  return null
}

/** NaN stays. */
const cut = (r: number, lo: number, hi: number): number => {
  if (r > hi) return hi
  return r < lo ? lo : r
}

/** `Σ g*(i - z) - Σ M*g*(x/s)`: inside `(i - z) - x/s`, clipped `i - z`; NaN where x/s is infinite: 0 times it. */
export const quantizeGradScale: Op<QuantizeAttrs> = gradient(
  'quantizeGradScale',
  'Gradient of quantize to its scale.',
  2,
  ([g, x, s, z], attrs, out) => {
    const f = ROUNDINGS[attrs.rounding]
    const [lo, hi] = limits(attrs)
    const ste = attrs.clamp === 'ste'
    return reduceOver(x.shape, s, z, out, (i, sk, zk) => {
      const p = Math.fround(x.data[i] / sk)
      const r = f(Math.fround(p + zk))
      const clipped = r > hi || r < lo
      const q = cut(r, lo, hi) - zk
      return g.data[i] * (q - (clipped && !ste ? p - p : p))
    })
  },
  sumOf((e, [g, ...args], attrs) => {
    const { p, q, clipped } = quantized(e, args, attrs)
    // 0 times a clipped one, in one operation: of an infinite one it is NaN, as p - p is.
    const steps = attrs.clamp === 'ste' ? p : e.fround(e.mul(p, e.flag(e.not(clipped()))))
    return e.mul(g, e.fround(e.sub(q, steps)))
  }),
)

/** `Σ M*g*s - Σ g*s`, term by term: `-g*s` of the clipped elements, exactly 0 of the others, NaN where g*s is not finite. */
export const quantizeGradZeroPoint: Op<QuantizeAttrs> = gradient(
  'quantizeGradZeroPoint',
  'Gradient of quantize to its zero point.',
  3,
  ([g, x, s, z], attrs, out) => {
    const f = ROUNDINGS[attrs.rounding]
    const [lo, hi] = limits(attrs)
    return reduceOver(x.shape, s, z, out, (i, sk, zk) => {
      const r = f(Math.fround(Math.fround(x.data[i] / sk) + zk))
      const gs = g.data[i] * sk
      return r > hi || r < lo ? -gs : gs - gs
    })
  },
  sumOf((e, [g, ...args], attrs) => {
    const gs = e.fround(e.mul(g, args[1]))
    return e.sub(e.select(quantized(e, args, attrs).clipped(), e.zero, gs), gs)
  }),
)

declare module '../graph/op.js' {
  interface Primitives {
    quantizeGradInput: QuantizeAttrs
    quantizeGradScale: QuantizeAttrs
    quantizeGradZeroPoint: QuantizeAttrs
  }
}

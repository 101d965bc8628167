/**
 * Quantization to minifloats, and its gradients (SEMANTICS-2 section 6). Forward `clip(t * round(x/s / t)) * s` with the step t of each number,
 * a power of two; each operation is rounded to float32 on its own. The step is differentiated too (its exponent straight-through), so that a
 * normal number's gradient is `g * r/q`, of the rounded number over what was rounded.
 */
import {
  largestOf,
  leastStep,
  roundToFormat,
  stepOf,
  WIDEST_EXPONENT,
  WIDEST_MANTISSA,
  type FloatFormat,
} from '../data/minifloat.js'
import { carries, exactly, type Carried } from '../data/quant.js'
import { broadcastShapes, sameShape, showShape, type Shape } from '../data/shape.js'
import type { Tensor } from '../data/tensor.js'
import { between, flag, list, orNull, text } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import type { Example, Kit, Lane, Lanes, Op, Refusal, Traits, Value } from '../graph/op.js'
import { isRefusal, refuse } from '../graph/op.js'
import { stretches } from './support/channels.js'
import { strips } from './support/elementwise.js'

/** Widths and bias of a minifloat format. */
export const floatWidths = {
  exponentBits: between(1, WIDEST_EXPONENT),
  mantissaBits: between(0, WIDEST_MANTISSA),
  bias: between(0, 2 ** WIDEST_EXPONENT),
}

const attributes = {
  ...floatWidths,
  saturating: flag,
  infValues: orNull(list(text)),
  nanValues: orNull(list(text)),
  signed: flag,
  /** The `training` flag of the quant tensor. */
  training: flag,
}
/** Attributes of `quantizeFloat` and its gradients. */
export type FloatAttrs = AttrsOf<typeof attributes>

const fits = ([x, s]: readonly Shape[]): Shape | Refusal =>
  sameShape(broadcastShapes(x, s) ?? [-1], x)
    ? x
    : refuse(
        `scale ${showShape(s)} does not broadcast to the input ${showShape(x)}`,
        'give perChannelBroadcastableShape the rank of the input, with size 1 outside the channel',
      )

/** Above this mantissa, `value/scale` may be 0.2 steps off the grid: it is rounded twice, to 24 bits. */
const WIDEST_EXACT = 19

const born = (args: readonly Value[], a: FloatAttrs, kit: Kit): Carried => {
  const { exponentBits, mantissaBits, bias, saturating, infValues, nanValues } = a
  const bits = exponentBits + mantissaBits + (a.signed ? 1 : 0)
  const quant = {
    scale: args[1].id,
    zeroPoint: kit.constant(0).id,
    bitWidth: kit.constant(bits).id,
    bits,
    signed: a.signed,
    training: a.training,
    format: { exponentBits, mantissaBits, bias, saturating, infValues, nanValues },
  }
  if (mantissaBits > WIDEST_EXACT)
    return exactly(quant, `float32 has 24 bits of mantissa and can not tell apart the steps of ${mantissaBits}`)
  return carries(quant)
}

/** What stands for numbers beyond the largest where they are not clipped. */
const infinityOf = ({ infValues }: FloatFormat): number => (infValues === null ? NaN : Infinity)

/** What a number becomes beyond the largest minifloat. */
const beyond = (a: FloatFormat, largest: number): number => (a.saturating ? largest : infinityOf(a))

/** Bounds and steps of a format, as loops want them: the ends, what numbers beyond them become, and the exponent of the least step. */
export type FloatLimits = {
  readonly hi: number
  readonly lo: number
  readonly over: number
  readonly under: number
  readonly least: number
}

/** The limits of a format. */
export const limitsOf = (a: FloatFormat & { readonly signed: boolean }): FloatLimits => {
  const hi = largestOf(a)
  const over = beyond(a, hi)
  const lo = a.signed ? -hi : 0
  return { hi, lo, over, under: a.saturating ? lo : -over, least: leastStep(a) }
}

/** A rounded number that is no number of the format clipped, or made infinity or NaN. */
const clipped = (r: number, { hi, lo, over, under }: FloatLimits): number => {
  if (r > hi) return over
  return r < lo ? under : r
}

/** Calls `run(start, end, scale)` for stretches with one scale. */
const byScale = (x: Tensor, s: Tensor, run: (start: number, end: number, s: number, k: number) => void): void =>
  stretches(x.shape, s.shape, (start, end, k) => run(start, end, s.data[k], k))

const E4M3: FloatAttrs = {
  exponentBits: 4,
  mantissaBits: 3,
  bias: 7,
  saturating: true,
  infValues: null,
  nanValues: ['111'],
  signed: true,
  training: true,
}
const examples: readonly Example<FloatAttrs>[] = [
  {
    args: [
      { shape: [2, 5], range: [-500, 500] },
      { shape: [], range: [0.5, 1] },
    ],
    attrs: E4M3,
  },
  {
    args: [{ shape: [2, 3, 2] }, { shape: [1, 3, 1], range: [0.1, 1] }],
    attrs: { ...E4M3, exponentBits: 2, mantissaBits: 1, bias: 1, nanValues: null, signed: false, training: false },
  },
]

/** 1 of a scale that has steps; NaN of 0, NaN and the infinities, by which torch multiplies and divides a cotangent. */
const unitOf = (s: Value): Value => s.kit.emit('div', [s, s])

/** The nearest number of so many bits of mantissa, half to even; NaN of infinities. No logarithm: the step is 2^m times less than the power of two in q. */
const rounded = (e: Lanes, q: Lane, m: number, least: number): Lane => {
  const step = e.pmax(e.fround(e.mul(e.power(q), e.constant(2 ** -m))), e.constant(2 ** least))
  // The inverse of a step is a float32 as well, but for the largest of no mantissa and the smallest of wide formats.
  const steps = e.fround(m > 0 && least >= -126 ? e.mul(q, e.inverse(step)) : e.div(q, step))
  return e.fround(e.mul(step, e.nearest(steps)))
}

/** What the elements of `quantizeFloat` and of its gradients share: x/s, the minifloat, where it was clipped, and its slope. */
const floated = (e: Lanes, [x, s]: readonly Lane[], a: FloatAttrs) => {
  const { hi, lo, over, under, least } = limitsOf(a)
  const [top, bottom] = [e.constant(hi), e.constant(lo)]
  const q = e.fround(e.div(x, s))
  const r = rounded(e, q, a.mantissaBits, least)
  const [above, below] = [e.gt(r, top), e.lt(r, bottom)]
  const coded = (): Lane => e.select(above, e.constant(over), e.select(below, e.constant(under), r))
  return {
    q,
    c: a.saturating ? e.pmax(e.pmin(r, top), bottom) : coded(),
    clipped: () => e.or(above, below),
    slope: () => e.select(e.lt(e.power(q), e.constant(2 ** (least + a.mantissaBits))), e.one, e.fround(e.div(r, q))),
  }
}

/** Minifloats of x with scale s. */
export const quantizeFloat: Op<FloatAttrs> = {
  name: 'quantizeFloat',
  doc: 'clip(t * round(x/s / t)) * s on the minifloats of a format, t the step of each number (Brevitas FloatQuant).',
  operands: ['x', 'scale'],
  attributes,
  shape: fits,
  births: true,
  flow: 1,
  lanes: (e, args, attrs) => e.mul(floated(e, args, attrs).c, args[1]),
  carry: born,
  vjp: ({ g, args: [x, s], attrs, needs, kit }) => [
    needs[0] ? kit.emit('mul', [kit.emit('quantizeFloatGradInput', [g, x, s], attrs), unitOf(s)]) : null,
    needs[1] ? kit.emit('mul', [kit.emit('quantizeFloatGradScale', [g, x, s], attrs), unitOf(s)]) : null,
  ],
  evaluate: ([x, s], attrs, out) => {
    const limits = limitsOf(attrs)
    const m = attrs.mantissaBits
    byScale(x, s, (start, end, sk) => {
      for (let i = start; i < end; i++) {
        const r = roundToFormat(Math.fround(x.data[i] / sk), m, limits.least)
        out.data[i] = clipped(r, limits) * sk
      }
    })
    return null
  },
  examples,
  smooth: false,
}

const gradient = (
  name: string,
  doc: string,
  of: 0 | 2,
  evaluate: Op<FloatAttrs>['evaluate'],
  traits: Traits<FloatAttrs>,
): Op<FloatAttrs> => ({
  ...traits,
  name,
  doc,
  operands: ['g', 'x', 'scale'],
  attributes,
  shape: ([g, ...quantized]) => {
    const forward = fits(quantized)
    if (isRefusal(forward)) return forward
    return sameShape(g, forward)
      ? [g, ...quantized][of]
      : refuse(`a cotangent ${showShape(g)} does not fit ${showShape(forward)}`, 'give one of the shape of the result')
  },
  carry: strips('a gradient is on no grid'),
  vjp: {
    none: 'the straight-through estimators of quantizeFloat have no useful second derivative; differentiate once',
  },
  evaluate,
  examples: examples.map((e) => ({ args: [e.args[0], ...e.args], attrs: e.attrs })),
  smooth: false,
})

/**
 * By what the cotangent of a rounded number is multiplied: 1 of subnormals, else `1 + (k - q/t) * t/(|q| + tiny) * sign(q)`, which is r/q;
 * where the number was clipped, 0.
 */
const slopeOf = (q: number, m: number, least: number, lo: number, hi: number): number => {
  const r = roundToFormat(q, m, least)
  if (r > hi || r < lo) return 0
  const t = stepOf(q, m, least)
  // The step of a number in the range of subnormals is the least one, whatever the number; just above it is the same step, but it moves.
  return Math.abs(q) < t * 2 ** m ? 1 : Math.fround(r / q)
}

/** The cotangent of the quantized number, sent through rounding and step; exactly 0 where it was clipped. */
export const quantizeFloatGradInput: Op<FloatAttrs> = gradient(
  'quantizeFloatGradInput',
  'Gradient of quantizeFloat to its input: g times the rounded number over what was rounded, g of subnormals.',
  0,
  ([g, x, s], attrs, out) => {
    const { hi, lo, least } = limitsOf(attrs)
    byScale(x, s, (start, end, sk) => {
      for (let i = start; i < end; i++) {
        const slope = slopeOf(Math.fround(x.data[i] / sk), attrs.mantissaBits, least, lo, hi)
        out.data[i] = slope === 0 ? 0 : g.data[i] * slope
      }
    })
    return null
  },
  {
    flow: 1,
    lanes: (e, [g, ...args], attrs) => {
      const { slope, clipped } = floated(e, args, attrs)
      return e.select(clipped(), e.zero, e.mul(g, slope()))
    },
  },
)

/** `Σ g*c - Σ g*slope*q`: the clipped number less what reached its input. */
export const quantizeFloatGradScale: Op<FloatAttrs> = gradient(
  'quantizeFloatGradScale',
  'Gradient of quantizeFloat to its scale.',
  2,
  ([g, x, s], attrs, out) => {
    const limits = limitsOf(attrs)
    const { hi, lo, least } = limits
    const m = attrs.mantissaBits
    const sums = new Float64Array(out.data.length)
    byScale(x, s, (start, end, sk, k) => {
      let sum = 0
      for (let i = start; i < end; i++) {
        const q = Math.fround(x.data[i] / sk)
        const r = roundToFormat(q, m, least)
        const c = clipped(r, limits)
        const slope = slopeOf(q, m, least, lo, hi)
        sum += Math.fround(g.data[i] * Math.fround(c - (slope === 0 ? q - q : Math.fround(slope * q))))
      }
      sums[k] += sum
    })
    out.data.set(sums)
    return null
  },
  {
    flow: 1,
    exact: 'sum',
    reduces: {
      join: 'sum',
      over: (_shapes, _attrs, shape) => shape,
      term: (e, [g, ...args], attrs) => {
        const { q, c, slope, clipped } = floated(e, args, attrs)
        const reached = e.select(clipped(), e.fround(e.sub(q, q)), e.fround(e.mul(slope(), q)))
        return e.mul(g, e.fround(e.sub(c, reached)))
      },
    },
  },
)

declare module '../graph/op.js' {
  interface Primitives {
    quantizeFloat: FloatAttrs
    quantizeFloatGradInput: FloatAttrs
    quantizeFloatGradScale: FloatAttrs
  }
}

/**
 * Integer quantization: the one primitive in which metadata is born, and its gradients (SEMANTICS 1 and 6).
 * Forward `(clamp(round(x/s + z)) - z) * s`, each operation rounded to float32 on its own.
 */
import type { Tensor } from '../data/tensor.js'
import type { Carried, ZeroPointKind } from '../data/quant.js'
import { carries, exactly, HALF_ULP, intMax, intMin } from '../data/quant.js'
import { broadcastShapes, broadcastStrides, sameShape, showShape, type Shape } from '../data/shape.js'
import { between, flag, word } from '../graph/attr.js'
import type { AttrField, AttrsOf } from '../graph/attributes.js'
import type { Example, Kit, Lanes, Lane, Op, Refusal, Value } from '../graph/op.js'
import { refuse } from '../graph/op.js'
import { rounding, ROUNDING_LANES, ROUNDINGS } from './rounding.js'
import { stretches } from './support/channels.js'
import { walk } from './support/elementwise.js'

/** What is known of a zero point before a program runs. */
export const zeroPointKind: AttrField<ZeroPointKind> = word('zero', 'integer', 'any')

/** Static part of an integer quantizer. */
export const attributes = {
  bits: between(1, 32),
  signed: flag,
  narrow: flag,
  rounding,
  /** `mask`: clipped elements get no gradient (activations). `ste`: the clamp is straight-through (weights with a statistic as scale). */
  clamp: word('mask', 'ste'),
  /** The `training` flag of the quant tensor. */
  training: flag,
  zero: zeroPointKind,
}
/** Attributes of `quantize` and its gradients. */
export type QuantizeAttrs = AttrsOf<typeof attributes>

/**
 * The widest grid that float32 holds: two roundings of at most 2^21 steps move a value by less than 0.1875 of a step,
 * of 2^22 steps by up to 0.375, and 0.2 is the limit.
 */
export const widestExact = (signed: boolean): number => (signed ? 22 : 21)

/** Shape rule of `quantize`. */
export const fits = ([x, s, z]: readonly Shape[]): Shape | Refusal => {
  const ok = [s, z].every((t) => t !== undefined && sameShape(broadcastShapes(x, t) ?? [-1], x))
  return ok
    ? x
    : refuse(
        `scale ${showShape(s)} and zero point ${showShape(z)} do not broadcast to the input ${showShape(x)}`,
        'give perChannelBroadcastableShape the rank of the input, with size 1 outside the channel',
      )
}

const born = (args: readonly Value[], a: QuantizeAttrs, kit: Kit): Carried => {
  const [lo, hi] = [intMin(a.bits, a.signed, a.narrow), intMax(a.bits, a.signed, a.narrow)]
  const quant = {
    scale: args[1].id,
    zeroPoint: args[2].id,
    bitWidth: kit.constant(a.bits).id,
    bits: a.bits,
    signed: a.signed,
    training: a.training,
    zero: a.zero,
    lo,
    hi,
    slack: HALF_ULP * Math.max(Math.abs(lo), hi),
  }
  if (a.bits > widestExact(a.signed))
    return exactly(quant, `float32 has 24 bits of mantissa and can not hold a grid of ${a.bits} bits`)
  return a.bits < 2 ? exactly(quant, 'one bit is valid only if both of its two integers occur') : carries(quant)
}

/** A number within limits; NaN stays. */
const clipped = (r: number, lo: number, hi: number): number => {
  if (r > hi) return hi
  return r < lo ? lo : r
}

/** Limits as float32 sees them: 2^31 - 1 becomes 2^31. */
export const limits = (a: QuantizeAttrs): readonly [number, number] => [
  Math.fround(intMin(a.bits, a.signed, a.narrow)),
  Math.fround(intMax(a.bits, a.signed, a.narrow)),
]

/** For each element of a shape, which element of each tensor is broadcast to it. */
export const placesIn = (shape: Shape, tensors: readonly Tensor[]): readonly (readonly number[])[] => {
  const places: (readonly number[])[] = []
  walk(
    shape,
    tensors.map((t) => broadcastStrides(t.shape, shape)),
    (_k, offsets) => {
      places.push([...offsets])
    },
  )
  return places
}

/** Calls `run(start, end, scale, zeroPoint)` for stretches with one scale and one zero point. */
export const byScale = (
  shape: Shape,
  s: Tensor,
  z: Tensor,
  run: (start: number, end: number, s: number, z: number) => void,
): void => {
  if (z.data.length === 1) stretches(shape, s.shape, (i, j, k) => run(i, j, s.data[k], z.data[0]))
  else if (sameShape(s.shape, z.shape)) stretches(shape, s.shape, (i, j, k) => run(i, j, s.data[k], z.data[k]))
  else if (s.data.length === 1) stretches(shape, z.shape, (i, j, k) => run(i, j, s.data[0], z.data[k]))
  else {
    const both = broadcastShapes(s.shape, z.shape) ?? shape
    const places = placesIn(both, [s, z])
    stretches(shape, both, (i, j, k) => run(i, j, s.data[places[k][0]], z.data[places[k][1]]))
  }
}

/** Examples of every rounding, per tensor and per channel. */
export const examples: readonly Example<QuantizeAttrs>[] = (
  ['ROUND', 'FLOOR', 'CEIL', 'ROUND_TO_ZERO', 'DPU'] as const
).flatMap(
  (rounding) =>
    [
      {
        args: [{ shape: [2, 5] }, { shape: [], range: [0.1, 1] }, { shape: [], range: [0, 0] }],
        attrs: { bits: 4, signed: true, narrow: false, rounding, clamp: 'mask', training: true, zero: 'zero' },
      },
      {
        args: [{ shape: [2, 3, 2] }, { shape: [1, 3, 1], range: [0.1, 1] }, { shape: [], range: [2, 2] }],
        attrs: { bits: 3, signed: false, narrow: true, rounding, clamp: 'ste', training: false, zero: 'integer' },
      },
    ] satisfies readonly Example<QuantizeAttrs>[],
)

/**
 * 1 of a scale that has steps; NaN of 0, NaN and the infinities: torch multiplies a cotangent by a scale and divides it by it. A factor of its own, so
 * that it is computed once per scale and not per element.
 */
const unitOf = (s: Value): Value => s.kit.emit('div', [s, s])

/** To the scale. Of a straight-through clamp torch sums two parts: where one is infinite so is the other, and their difference is NaN. */
const scaleGradient = (g: Value, x: Value, s: Value, z: Value, attrs: QuantizeAttrs): Value => {
  const { kit } = g
  const sum = kit.emit('quantizeGradScale', [g, x, s, z], attrs)
  return attrs.clamp === 'ste' ? kit.emit('add', [sum, kit.emit('sub', [sum, sum])]) : sum
}

/** What the elements of `quantize` and of its gradients share: x/s, the integer before z is taken off, and where it was clipped. */
export const quantized = (e: Lanes, [x, s, z]: readonly Lane[], a: QuantizeAttrs) => {
  const [lo, hi] = limits(a).map((limit) => e.constant(limit))
  const p = e.fround(e.div(x, s))
  const r = ROUNDING_LANES[a.rounding](e, e.fround(e.add(p, z)))
  const inside = e.pmax(e.pmin(r, hi), lo)
  // NaN stays, and counts as not clipped.
  return { p, q: e.fround(e.sub(inside, z)), clipped: () => e.not(e.same(r, inside)) }
}

/** Integer quantization of x with scale s and zero point z: `(clamp(round(x/s + z)) - z) * s`. */
export const quantize: Op<QuantizeAttrs> = {
  name: 'quantize',
  doc: '(clamp(round(x/s + z)) - z) * s on the integers of the bit width (Brevitas IntQuant).',
  operands: ['x', 'scale', 'zeroPoint'],
  attributes,
  shape: fits,
  births: true,
  elementwise: true,
  flow: 1,
  lanes: (e, args, attrs) => e.mul(quantized(e, args, attrs).q, args[1]),
  estimator: ({ clamp }) =>
    clamp === 'ste'
      ? 'The derivative of a staircase is 0. This one hands the gradient on unchanged, clipped or not.'
      : 'The derivative of a staircase is 0. This one hands the gradient on where nothing is clipped, and 0 elsewhere.',
  carry: born,
  vjp: ({ g, args: [x, s, z], attrs, needs, kit }) => [
    needs[0]
      ? kit.emit('mul', [attrs.clamp === 'ste' ? g : kit.emit('quantizeGradInput', [g, x, s, z], attrs), unitOf(s)])
      : null,
    needs[1] ? kit.emit('mul', [scaleGradient(g, x, s, z, attrs), unitOf(s)]) : null,
    needs[2] && attrs.clamp === 'mask' ? kit.emit('quantizeGradZeroPoint', [g, x, s, z], attrs) : null,
  ],
  evaluate: ([x, s, z], attrs, out) => {
    const f = ROUNDINGS[attrs.rounding]
    const [lo, hi] = limits(attrs)
    const [from, to] = [x.data, out.data]
    byScale(out.shape, s, z, (start, end, sk, zk) => {
      for (let i = start; i < end; i++)
        to[i] = Math.fround(clipped(f(Math.fround(Math.fround(from[i] / sk) + zk)), lo, hi) - zk) * sk
    })
    return null
  },
  examples,
  smooth: false,
}

declare module '../graph/op.js' {
  interface Primitives {
    quantize: QuantizeAttrs
  }
}

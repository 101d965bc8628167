/** Clamps: torch's, Brevitas' lower bound of scales, and their straight-through forms. */
import { finite, orNull } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import type { LaneMask, Op } from '../graph/op.js'
import { surrogateOf } from '../graph/surrogate.js'
import { maskedBy, strips, unary, unaryExamples } from './support/elementwise.js'
import { cutThenRaised, raisedThenCut, unless } from './support/lanes.js'
import { identity } from './identity.js'

/** A bound that is null does not bind (JSON has no infinity). */
const bounds = { min: orNull(finite), max: orNull(finite) }
type Bounds = AttrsOf<typeof bounds>

/** What bounds say of the sign; where they cross, either may have the last word. */
const signWithin = ({ min, max }: Bounds): 'nonNegative' | 'kept' | null => {
  if (max !== null && max < 0) return null
  return min !== null && min >= 0 ? 'nonNegative' : 'kept'
}

/** The bounds of a cut; where they cross, the order of the comparisons matters. */
const cutAt = ({ min, max }: Bounds): readonly [number | null, number | null] | null =>
  min !== null && max !== null && min > max ? null : [min, max]

/** `min <= x <= max`, NaN kept; the gradient is 1 **at** both bounds, 0 at NaN (torch.clamp). A bound that is null doesn't bind. */
export const clamp: Op<Bounds> = unary<Bounds>({
  name: 'clamp',
  sign: signWithin,
  cuts: cutAt,
  doc: 'x cut to min … max, with gradient 1 at both bounds (torch.clamp).',
  attributes: bounds,
  attrs: { min: -1, max: 2 },
  // The lower bound first, as torch's min(max(x, lower), upper): it matters where they cross.
  f: (x, { min, max }) => {
    const raised = min !== null && x < min ? min : x
    return max !== null && raised > max ? max : raised
  },
  lanes: (e, [x], { min, max }) => raisedThenCut(e, x, min, max),
  carry: strips(
    'torch.clamp gets the bare value and returns a plain tensor: a bound of 0.5 is on no grid with scale 0.7',
  ),
  vjp: maskedBy((x, { min, max }) => x.kit.emit('between', [x], { min, max })),
  examples: [...unaryExamples<Bounds>({ min: -1, max: 2 }), ...unaryExamples<Bounds>({ min: null, max: 0.5 })],
})

/**
 * The clamp that Brevitas makes of two `torch.where`: the upper bound first, then the lower one, which wins where they cross.
 * Gradient 1 at both bounds and at NaN, which neither comparison moves.
 */
export const tensorClamp: Op<Bounds> = unary<Bounds>({
  name: 'tensorClamp',
  sign: signWithin,
  cuts: cutAt,
  doc: 'x cut to min … max, with gradient 1 at both bounds and at NaN (Brevitas tensor_clamp).',
  attributes: bounds,
  attrs: { min: -1, max: 2 },
  f: (x, { min, max }) => {
    const lowered = max !== null && x > max ? max : x
    return min !== null && lowered < min ? min : lowered
  },
  lanes: (e, [x], { min, max }) => cutThenRaised(e, x, min, max),
  carry: strips(
    'tensor_clamp gets the bare value and returns a plain tensor: a bound of 0.5 is on no grid with scale 0.7',
  ),
  vjp: maskedBy((x, { min, max }) => x.kit.emit('within', [x], { min, max })),
  examples: [...unaryExamples<Bounds>({ min: -1, max: 2 }), ...unaryExamples<Bounds>({ min: null, max: 0.5 })],
})

/** The comparison with a bound, if it binds. */
const bound = (b: number | null, compare: (b: number) => LaneMask): readonly LaneMask[] =>
  b === null ? [] : [compare(b)]

/** A mask of 0 and 1, of which gradients are made: what clamps of different kinds let through. */
const mask = (
  name: string,
  doc: string,
  f: (x: number, limits: Bounds) => boolean,
  lanes: NonNullable<Op<Bounds>['lanes']>,
): Op<Bounds> =>
  unary<Bounds>({
    name,
    doc,
    attributes: bounds,
    attrs: { min: -1, max: 2 },
    f: (x, limits) => (f(x, limits) ? 1 : 0),
    lanes,
    bounded: true,
    carry: strips('a mask of 0 and 1 is on no grid'),
    vjp: ({ args }) => args.map(() => null),
    smooth: false,
    examples: [...unaryExamples<Bounds>({ min: -1, max: 2 }), ...unaryExamples<Bounds>({ min: 0, max: null })],
  })

/** 1 where `min <= x <= max` or x is NaN, else 0: what no comparison with a bound moves (`tensorClamp`). */
export const within: Op<Bounds> = mask(
  'within',
  '1 where min <= x <= max or x is NaN, else 0.',
  (x, { min, max }) => !((max !== null && x > max) || (min !== null && x < min)),
  (e, [x], { min, max }) =>
    unless(e, ...bound(max, (m) => e.gt(x, e.constant(m))), ...bound(min, (m) => e.lt(x, e.constant(m)))),
)
/** 1 where `min <= x <= max`, else 0, also at NaN (torch.clamp). */
export const between: Op<Bounds> = mask(
  'between',
  '1 where min <= x <= max, else 0, also at NaN.',
  (x, { min, max }) => (max === null || x <= max) && (min === null || x >= min) && !Number.isNaN(x),
  (e, [x], { min, max }) => {
    const masks = [...bound(max, (m) => e.le(x, e.constant(m))), ...bound(min, (m) => e.ge(x, e.constant(m)))]
    // NaN fails each comparison; without one it is told by itself.
    return e.flag(masks.length === 0 ? e.eq(x, x) : masks.reduce((a, b) => e.and(a, b)))
  },
)
/** 1 where `min < x < max` or x is NaN, else 0; the bounds are float32 (torch.nn.functional.hardtanh, relu). */
export const inside: Op<Bounds> = mask(
  'inside',
  '1 where min < x < max or x is NaN, else 0.',
  (x, { min, max }) => !((max !== null && x >= Math.fround(max)) || (min !== null && x <= Math.fround(min))),
  (e, [x], { min, max }) =>
    unless(
      e,
      ...bound(max, (m) => e.ge(x, e.constant(Math.fround(m)))),
      ...bound(min, (m) => e.le(x, e.constant(Math.fround(m)))),
    ),
)

/** Clamp with a straight-through gradient (Brevitas `tensor_clamp_ste`). */
export const clampSte: Op<Bounds> = surrogateOf(clamp, identity)

const lower = { min: finite }
type LowerBound = AttrsOf<typeof lower>

/** `sign(x) * max(|x|, min)` with `sign(0) = +1`, NaN kept: how Brevitas bounds a threshold or scale from below (SEMANTICS 3). */
export const signedLowerBound: Op<LowerBound> = unary<LowerBound>({
  name: 'signedLowerBound',
  doc: 'sign(x) * max(|x|, min): keeps a scale away from 0 (Brevitas scalar_clamp_min_ste).',
  attributes: lower,
  attrs: { min: 0.5 },
  f: (x, { min }) => (Number.isNaN(x) ? x : (x >= 0 ? 1 : -1) * Math.max(Math.abs(x), Math.fround(min))),
  lanes: (e, [x], { min }) => {
    const size = e.max(e.abs(x), e.constant(Math.fround(min)))
    return e.select(e.ge(x, e.zero), size, e.neg(size))
  },
  carry: strips('a lower bound is on no grid'),
  vjp: { none: 'signedLowerBound is used through its straight-through form signedLowerBoundSte' },
  smooth: false,
})

/** The lower bound of scales with a straight-through gradient, passed on even where the bound acts. */
export const signedLowerBoundSte: Op<LowerBound> = surrogateOf(signedLowerBound, identity)

declare module '../graph/op.js' {
  interface Primitives {
    clamp: Bounds
    tensorClamp: Bounds
    within: Bounds
    between: Bounds
    inside: Bounds
    'clamp~identity': Bounds
    signedLowerBound: LowerBound
    'signedLowerBound~identity': LowerBound
  }
}

/** Roundings to integers, and their straight-through forms (Brevitas `float_to_int_impl_type`). */
import { roundHalfEven } from '../data/math.js'
import { word } from '../graph/attr.js'
import type { AttrsOf, NoAttrs } from '../graph/attributes.js'
import type { Lanes, Lane, Op } from '../graph/op.js'
import { surrogateOf } from '../graph/surrogate.js'
import { noPath, strips, unary } from './support/elementwise.js'
import { identity } from './identity.js'

/** A rounding, by the name that Brevitas gives it. */
export const rounding = word('ROUND', 'FLOOR', 'CEIL', 'ROUND_TO_ZERO', 'DPU')
/** Names of the roundings, as Brevitas writes them. */
export type Rounding = AttrsOf<{ rounding: typeof rounding }>['rounding']

const toZero = (x: number): number => (x > 0 ? Math.floor(x) : Math.ceil(x))
/** Half to even, but a negative tie goes up (towards zero or beyond): -1.5 → -1. */
const dpu = (x: number): number => (x < 0 && x - Math.floor(x) === 0.5 ? Math.ceil(x) : roundHalfEven(x))

/** The op of each rounding. */
export const ROUNDING_OPS = {
  ROUND: 'round',
  FLOOR: 'floor',
  CEIL: 'ceil',
  ROUND_TO_ZERO: 'roundToZero',
  DPU: 'dpuRound',
} as const satisfies { readonly [R in Rounding]: string }

/** The function of each rounding; of float32 numbers every result is exact. */
export const ROUNDINGS: { readonly [R in Rounding]: (x: number) => number } = {
  ROUND: roundHalfEven,
  FLOOR: Math.floor,
  CEIL: Math.ceil,
  ROUND_TO_ZERO: toZero,
  DPU: dpu,
}

/** Each rounding of the elements of a loop. */
export const ROUNDING_LANES: { readonly [R in Rounding]: (e: Lanes, x: Lane) => Lane } = {
  ROUND: (e, x) => e.nearest(x),
  FLOOR: (e, x) => e.floor(x),
  CEIL: (e, x) => e.ceil(x),
  ROUND_TO_ZERO: (e, x) => e.trunc(x),
  DPU: (e, x) => {
    const tie = e.eq(e.fround(e.sub(x, e.floor(x))), e.constant(0.5))
    return e.select(e.and(tie, e.lt(x, e.zero)), e.ceil(x), e.nearest(x))
  },
}

const toInteger = (name: string, doc: string, rounding: Rounding): Op =>
  unary({
    name,
    doc,
    attrs: {},
    f: ROUNDINGS[rounding],
    lanes: (e, [x]) => ROUNDING_LANES[rounding](e, x),
    carry: strips(`${name} gives integers, which lie on no grid with scale 0.7`),
    vjp: noPath,
    smooth: false,
  })

/** To the nearest integer, ties to even (torch.round). Gradient 0 everywhere, as torch's. */
export const round: Op = toInteger('round', 'x to the nearest integer, ties to even (torch.round).', 'ROUND')
/** Down (torch.floor). */
export const floor: Op = toInteger('floor', 'x rounded down (torch.floor).', 'FLOOR')
/** Up (torch.ceil). */
export const ceil: Op = toInteger('ceil', 'x rounded up (torch.ceil).', 'CEIL')
/** Towards zero (Brevitas `round_to_zero`). */
export const roundToZero: Op = toInteger(
  'roundToZero',
  'x rounded towards zero (Brevitas round_to_zero).',
  'ROUND_TO_ZERO',
)
/** Half to even, negative ties up (Brevitas `dpu_round`). */
export const dpuRound: Op = toInteger(
  'dpuRound',
  'x to the nearest integer, negative ties up, others to even (Brevitas dpu_round).',
  'DPU',
)

/** Straight-through roundings: the gradient passes unchanged. */
export const roundSte: Op = surrogateOf(round, identity)
export const floorSte: Op = surrogateOf(floor, identity)
export const ceilSte: Op = surrogateOf(ceil, identity)
export const roundToZeroSte: Op = surrogateOf(roundToZero, identity)
export const dpuRoundSte: Op = surrogateOf(dpuRound, identity)

declare module '../graph/op.js' {
  interface Primitives {
    round: NoAttrs
    floor: NoAttrs
    ceil: NoAttrs
    roundToZero: NoAttrs
    dpuRound: NoAttrs
    'round~identity': NoAttrs
    'floor~identity': NoAttrs
    'ceil~identity': NoAttrs
    'roundToZero~identity': NoAttrs
    'dpuRound~identity': NoAttrs
  }
}

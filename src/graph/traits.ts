/**
 * What readers may know of an op beyond its rules: traits of its record, all optional, so that a user's own op can have
 * them as ours do. No reader keeps a list of op names instead.
 */
import type { Shape } from '../data/shape.js'
import type { Attrs } from './attributes.js'
import type { LaneRule } from './lanes.js'

/** A sum or a mean over axes of the first operand. */
export type Reduction<A extends Attrs = Attrs> = {
  readonly join: 'sum' | 'mean'
  /** The term of each element; without it, the element. */
  readonly term?: LaneRule<A>
  /** The result's shape as it is seen from the first operand, which it broadcasts to: 1 where an axis is reduced. */
  over(shapes: readonly Shape[], attrs: A, shape: Shape): Shape
}

/** What an op may say of itself. */
export type Traits<A extends Attrs = Attrs> = {
  /** What the numbers of the result are: fixed, or (`same`) what those of all operands are. Absent: floats. */
  readonly dtype?: 'boolean' | 'integer' | 'same'
  /**
   * Which kinds of metadata the carry rule knows beside plain integers: integers of a learned width, or all. Others are lost
   * here, with a reason, before the rule is asked.
   */
  readonly grids?: 'learned' | 'all'
  /**
   * True where each element of the result is a function of those elements of the operands that broadcast to its place, and of
   * nothing else: such ops between two quantizers are one function of an integer (`quantrace/integer`).
   */
  readonly elementwise?: boolean
  /**
   * Only layout: `view`, the first operand itself, its elements in their order, and its gradient; `alias`, the same with
   * a gradient of its own; `move`, all elements of the operand, moved or repeated.
   */
  readonly layout?: 'view' | 'alias' | 'move'
  /**
   * A product of two factors: what a reader calls it, and whether sums of its terms are taken in integers where both
   * factors lie on grids that `productLicence` accepts. The first axis of the second factor is that of the output channels; with
   * `columns` its last one, and a matrix there does what its transpose does in a linear layer.
   */
  readonly product?: { readonly called: string; readonly integers: boolean; readonly columns?: true }
  /** How many of the operands carry values; those behind are scales, zero points and the like. Without it, all do. */
  readonly flow?: number
  /** True where the result is the new value of the state leaf that the attribute `leaf` names: what is learned of that leaf is learned of it. */
  readonly updates?: boolean
  /** True where no operand, NaN included, makes the result NaN or infinite. */
  readonly bounded?: boolean
  /**
   * How far engines agree. Without it, to the bit. `sum`: up to the rounding of a sum of terms, in any order. `zeros`: of
   * equal zeros either may be the result.
   */
  readonly exact?: 'sum' | 'zeros'
  /**
   * What is known of the sign, before any data is seen: `nonNegative`, no element of the result is below 0; `kept`, none is where no operand
   * that carries values has one below 0 (windows of a pool that lie in the padding aside). Layout ops keep it without saying so.
   */
  sign?(attrs: A): 'nonNegative' | 'kept' | null
  /** Of an op that cuts each element off at bounds and does nothing else: the lower and the upper one, null where there is none; null: these attributes do more. */
  cuts?(attrs: A): readonly [least: number | null, most: number | null] | null
  /**
   * True where channels (axis 1 of all operands that carry values) can be scaled by positive numbers before as well as behind:
   * `f(a·x) = a·f(x)`, channel by channel, of several operands all at once.
   */
  readonly homogeneous?: boolean
  /** How formulas write it: the sign between two operands, how tightly it binds, and whether the second must bind tighter. */
  readonly infix?: { readonly sign: string; readonly binds: number; readonly left?: boolean }
  /** Of an op whose gradient is not its derivative: what it hands on instead, in words. */
  estimator?(attrs: A): string
  /** What it computes for each element; operands broadcast to the result. Backends make loops of it, together with what stands around it. */
  readonly lanes?: LaneRule<A>
  /** Of a sum over axes: from it backends make sums at the end of a loop. */
  readonly reduces?: Reduction<A>
}

const NAMES: { readonly [N in keyof Traits]-?: true } = {
  dtype: true,
  grids: true,
  elementwise: true,
  layout: true,
  product: true,
  flow: true,
  updates: true,
  bounded: true,
  sign: true,
  homogeneous: true,
  cuts: true,
  exact: true,
  infix: true,
  estimator: true,
  lanes: true,
  reduces: true,
}

/** The traits among the fields of a record. */
export const traitsOf = <A extends Attrs>(spec: Traits<A>): Traits<A> =>
  Object.fromEntries(Object.entries(spec).filter(([name, x]) => x !== undefined && Object.hasOwn(NAMES, name)))

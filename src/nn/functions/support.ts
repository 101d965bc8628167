/** What the functions of values share; not public. */
import type { Kit, Value } from '../../graph/op.js'

/** A value, or a number that is lifted to a constant. */
export type Operand = Value | number

/** A number as a constant; a value as it is. */
export const lift = (kit: Kit, x: Operand): Value => (typeof x === 'number' ? kit.constant(x) : x)

/** A function that applies a unary primitive. */
export const applying =
  (op: string) =>
  (x: Value): Value =>
    x.kit.emit(op, [x])

/** Fails where an axis is not one of `rank`; null where it is. */
export const badAxis = (name: string, x: Value, d: number, rank: number): Value | null =>
  Number.isInteger(d) && d >= -rank && d < rank
    ? null
    : x.kit.fail({
        op: name,
        refuse: `there is no axis ${d} among ${rank}`,
        fix: `name an axis from ${-rank} to ${rank - 1}`,
      })

/** An axis counted from the front; negative ones count from the back. */
export const axis = (x: Value, d: number): number => (d < 0 ? d + x.shape.length : d)

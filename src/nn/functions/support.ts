/** What the functions of values share; not public. */
import type { Kit, Value } from '../../graph/op.js'

/** A value, or a number that is lifted to a constant. */
export type Operand = Value | number

/** A number as a constant; a value as it is. */
export const lift = (kit: Kit, x: Operand): Value => (typeof x === 'number' ? kit.constant(x) : x)

/** A function that applies a unary primitive. */
export const applying = (op: string) => (x: Value): Value => x.kit.emit(op, [x])

/** An axis counted from the front; negative ones count from the back. */
export const axis = (x: Value, d: number): number => (d < 0 ? d + x.shape.length : d)

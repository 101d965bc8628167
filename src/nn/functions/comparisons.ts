/** Comparisons and choices, element by element with broadcasting. All strip: torch's functions get bare values. */
import type { BarePrimitive, Value } from '../../graph/op.js'
import { kitOf, lift, type Operand } from './support.js'

const between =
  (op: BarePrimitive, name: string = op) =>
  (a: Operand, b: Operand): Value => {
    const kit = kitOf(name, [a, b])
    return kit.emit(op, [lift(kit, a), lift(kit, b)])
  }

/** 1 where `a < b`, else 0 (torch.lt); NaN compares false, and no gradient flows. Swap the operands for "greater". */
export const less = between('less')
/** 1 where `a <= b`, else 0 (torch.le); NaN compares false, and no gradient flows. */
export const lessEqual = between('lessEqual')
/** 1 where `a = b`, else 0 (torch.eq); NaN compares false, and no gradient flows. */
export const equal = between('equal')
/** The larger of two; NaN if either is. Two equals share the gradient (torch.maximum). */
export const maximum = between('maximum')
/** The smaller of two; NaN if either is. Two equals share the gradient (torch.minimum). */
export const minimum = between('minimum')

/** a where the condition is not 0, else b (torch.where). What isn't chosen gets the gradient 0, and its NaN is gone. */
export const select = (condition: Operand, a: Operand, b: Operand): Value => {
  const kit = kitOf('select', [condition, a, b])
  return kit.emit('select', [lift(kit, condition), lift(kit, a), lift(kit, b)])
}

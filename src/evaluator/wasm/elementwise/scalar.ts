/** Functions of four lanes: float32 in, computed in double, float32 out; with the bits of JavaScript. */
import { isLaneFunction, type LaneExpr } from '../../../graph/lanes.js'
import { bits, chosen, compared, doubles, type Doubles, type Writer } from '../kernels/doubles.js'
import type { LanesFunction, MathFunctions } from '../kernels/math.js'
import { formulas, type Precision } from '../kernels/formulas.js'
import type { Scalar } from './exprs.js'

const unary = {
  neg: doubles.neg,
  abs: doubles.abs,
  sqrt: doubles.sqrt,
  nearest: doubles.nearest,
  floor: doubles.floor,
  ceil: doubles.ceil,
  trunc: doubles.trunc,
  not: bits.not,
} as const
const binary = {
  add: doubles.add,
  sub: doubles.sub,
  mul: doubles.mul,
  div: doubles.div,
  min: doubles.min,
  max: doubles.max,
  pmin: doubles.pmin,
  pmax: doubles.pmax,
  and: bits.and,
  or: bits.or,
  ...compared,
} as const
const isIn = <T extends object>(table: T, op: string): op is Extract<keyof T, string> => Object.hasOwn(table, op)

const usesOf = (list: readonly LaneExpr[]): readonly number[] => {
  const uses = list.map(() => 0)
  for (const e of list) for (const a of e.args) uses[a]++
  return uses
}

/** Writes a list of expressions, of which the last is the result; a condition is all ones or all zeros. */
const written = (w: Writer, list: readonly LaneExpr[], operands: readonly Doubles[]): Doubles => {
  const uses = usesOf(list)
  const last = list.length - 1
  const values: Doubles[] = []
  const computed = ({ op, args, value }: LaneExpr, precision: Precision): Doubles => {
    const [a, b, d] = args.map((i) => values[i])
    if (op === 'const') return w.constant(value ?? 0)
    if (op === 'load') return operands[value ?? 0]
    if (op === 'select') return chosen(a, b, d)
    if (isLaneFunction(op)) return formulas[op](w, a, precision)
    if (isIn(unary, op)) return unary[op](a)
    if (isIn(binary, op)) return binary[op](a, b)
    throw new Error(`internal: ${op} is nothing that one lane computes`)
  }
  // Formulas read their operand more than once.
  const again = new Set(list.flatMap((e) => (isLaneFunction(e.op) ? e.args : [])))
  list.forEach((e, i) => {
    const value = computed(e, i === last ? 'single' : 'double')
    const once = e.op === 'const' || e.op === 'load' || (uses[i] < 2 && !again.has(i))
    values.push(once ? value : w.keep(value))
  })
  return values[last]
}

/** The function of a scalar, emitted once per module. */
export const scalarFunction = (math: MathFunctions, { key, args, list }: Scalar): LanesFunction =>
  math.lanes(`lane ${key}`, args, (w, operands) => written(w, list, operands))

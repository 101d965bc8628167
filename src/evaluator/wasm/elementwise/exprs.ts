/**
 * Expressions as four float32 lanes at a time: where every operand is a float32 number, one operation on lanes gives what
 * the operation on doubles gives, rounded; what is left is a function of one lane, computed in double and rounded once.
 */
import {
  isMaskOp,
  newLanes,
  packedArgs,
  valueKey,
  type LaneExpr,
  type LaneOp,
  type Lanes,
  type Lane,
} from '../../../graph/lanes.js'

/** An operation on lanes. Comparisons give masks (all ones or all zeros). */
export type VectorOp =
  | Exclude<
      LaneOp,
      | 'fround'
      | 'power'
      | 'exponent'
      | 'inverse'
      | 'column'
      | 'same'
      | 'atColumn'
      | 'exp'
      | 'exp2'
      | 'expm1'
      | 'log'
      | 'log2'
      | 'tanh'
      | 'sigmoid'
      | 'erf'
    >
  | 'ieq'
  | 'itof'
  | 'biased'
  | 'usub'
  | 'iota'
  | 'call'

/** What is computed in double: `list` ends with the result; a `load` is an argument, in their order. */
export type Scalar = { readonly key: string; readonly args: number; readonly list: readonly LaneExpr[] }

/**
 * One operation; `args` are numbers of earlier ones. `value`: of a constant, or of `iota` (an element's place in its row)
 * the row's length. `load`: number of the operand. `scalar`: the called function.
 */
export type Expr = {
  readonly op: VectorOp
  readonly args: readonly number[]
  readonly value?: number
  readonly load?: number
  readonly scalar?: Scalar
}

/** Collects what is computed for each element of a loop. */
export type Exprs = {
  /** The operations on lanes, equal ones shared; each number that `lower` gives is one of it. */
  readonly list: readonly Expr[]
  readonly lanes: Lanes
  readonly load: (operand: number) => Lane
  /** The operation on lanes of a number, rounded to float32. Throws what is no number. */
  readonly lower: (x: Lane) => number
}

/** With float32 operands, float32 arithmetic is double arithmetic rounded: a double has more than twice the bits. */
const ROUNDS_ALIKE: ReadonlySet<LaneOp> = new Set<LaneOp>(['add', 'sub', 'mul', 'div', 'sqrt'])
/** A float32 number, whatever it is made of. */
const ALWAYS: ReadonlySet<LaneOp> = new Set<LaneOp>([
  ...(['load', 'fround', 'power', 'exponent', 'inverse'] as const),
  ...(['column', 'atColumn'] as const),
])
/** Of float32 operands the result is one. */
const STAYS: ReadonlySet<LaneOp> = new Set<LaneOp>([
  ...(['neg', 'abs', 'nearest', 'floor', 'ceil', 'trunc', 'min', 'max', 'pmin', 'pmax', 'select'] as const),
  ...(['lt', 'le', 'gt', 'ge', 'eq', 'ne', 'same', 'and', 'or', 'not'] as const),
])

/** An operation with all that tells it from others. */
export const exprKey = ({ op, args, value, load, scalar }: Expr): string => {
  const number = value ?? load
  const own = `${op} ${args.join()} ${number === undefined ? '' : valueKey(number)}`
  return scalar === undefined ? own : `${own} ${scalar.key}`
}

/** Tells of each number of a growing list whether it is a float32 number (or a mask of such) that lanes can compute. */
const newSingles = (list: readonly LaneExpr[]): ((i: number) => boolean) => {
  const singles: boolean[] = []
  const isOne = (i: number): boolean => singles[i]
  return (i) => {
    for (let k = singles.length; k <= i; k++) {
      const { op, args, value } = list[k]
      if (op === 'const') singles.push(Object.is(Math.fround(value ?? 0), value))
      else singles.push(ALWAYS.has(op) || (STAYS.has(op) && args.every(isOne)))
    }
    return singles[i]
  }
}

/** The same among operations of one name, of which all have a number, or all call something, or all have operands alone. */
const keyOf = (e: Expr): number | string => {
  const number = e.value ?? e.load
  if (number !== undefined) return valueKey(number)
  return e.op === 'call' ? exprKey(e) : packedArgs(e.args)
}

/** Operations on lanes as they are collected, equal ones shared. */
const newVector = (): { readonly list: readonly Expr[]; readonly push: (e: Expr) => number } => {
  const list: Expr[] = []
  const keys = new Map<VectorOp, Map<number | string, number>>()
  const push = (e: Expr): number => {
    let own = keys.get(e.op)
    if (own === undefined) keys.set(e.op, (own = new Map()))
    const key = keyOf(e)
    const known = own.get(key)
    if (known !== undefined) return known
    own.set(key, list.length)
    return list.push(e) - 1
  }
  return { list, push }
}

/** Operations on the bits of float32 numbers. */
type OfBits = 'power' | 'exponent' | 'inverse'
const OF_BITS: ReadonlySet<LaneOp> = new Set<LaneOp>(['power', 'exponent', 'inverse'])
const isOfBits = (op: LaneOp): op is OfBits => OF_BITS.has(op)

/** They as integer operations. The exponent stands above 23 bits of mantissa and counts from 127 on: an inverse has 254 less it, and infinity 255. */
const newBits = (push: (e: Expr) => number): ((op: OfBits, args: readonly number[]) => number) => {
  const constant = (value: number): number => push({ op: 'const', args: [], value })
  return (op, args) => {
    if (op === 'inverse') return push({ op: 'usub', args: [constant(2 ** 127), args[0]] })
    // The bits of the exponent: those of Infinity.
    const power = push({ op: 'and', args: [args[0], constant(Infinity)] })
    if (op === 'power') return power
    const exponent = push({ op: 'itof', args: [push({ op: 'biased', args: [power] })] })
    return push({ op: 'sub', args: [exponent, constant(127)] })
  }
}

/** Lowers numbers of `source`, rounded to float32, to operations on lanes. */
const newLowering = (source: readonly LaneExpr[], push: (e: Expr) => number): ((i: number) => number) => {
  const known: number[] = []
  const isSingle = newSingles(source)
  const constant = (value: number): number => push({ op: 'const', args: [], value })
  const ofBits = newBits(push)
  const iota = (n = 1): number => push({ op: 'iota', args: [], value: n })
  const call = (root: number): number => {
    const { scalar, args } = scalarOf(source, root, isSingle)
    const flagged = (mask: number): number => push({ op: 'select', args: [single(mask), constant(1), constant(0)] })
    return push({ op: 'call', args: args.map((a) => (typeof a === 'number' ? single(a) : flagged(a.mask))), scalar })
  }
  /** Can lanes give it rounded, without a function? Rounding commutes with signs and with choices. */
  const isRoundable = (i: number): boolean => {
    const { op, args } = source[i]
    if (isSingle(i) || op === 'const' || (ROUNDS_ALIKE.has(op) && args.every(isSingle))) return true
    if (op === 'neg' || op === 'abs') return isRoundable(args[0])
    return op === 'select' && isSingle(args[0]) && isRoundable(args[1]) && isRoundable(args[2])
  }
  const rounded = (i: number): number => {
    if (isSingle(i)) return single(i)
    const { op, args, value } = source[i]
    if (ROUNDS_ALIKE.has(op) && args.every(isSingle)) return push({ op: op as VectorOp, args: args.map(single) })
    if (op === 'const') return constant(Math.fround(value ?? 0))
    if (!isRoundable(i)) return call(i)
    if (op === 'select') return push({ op, args: [single(args[0]), rounded(args[1]), rounded(args[2])] })
    return push({ op: op as VectorOp, args: args.map(rounded) })
  }
  const made = (i: number): number => {
    const { op, args, value } = source[i]
    if (op === 'const') return constant(value ?? 0)
    if (op === 'load') return push({ op, args: [], load: value ?? 0 })
    if (op === 'fround') return rounded(args[0])
    // The bits of the exponent: those of Infinity.
    if (isOfBits(op)) return ofBits(op, args.map(single))
    if (op === 'column') return push({ op: 'itof', args: [iota(value)] })
    if (op === 'same') return push({ op: 'ieq', args: args.map(single) })
    if (op === 'atColumn') return push({ op: 'ieq', args: [iota(value), single(args[0])] })
    return push({ op: op as VectorOp, args: args.map(single) })
  }
  const single = (i: number): number => (known[i] ??= made(i))
  return rounded
}

/** An empty list. */
export const newExprs = (): Exprs => {
  const { list: source, lanes, load } = newLanes()
  const { list, push } = newVector()
  const rounded = newLowering(source, push)
  const lower = (x: Lane): number => {
    if (source[x] === undefined || isMaskOp(source[x].op)) throw new RangeError('lanes give no number')
    // Not `fround` of it: that of a choice between float32 numbers is the choice, whatever its condition is computed in.
    return rounded(x)
  }
  return { list, lanes, load, lower }
}

type Argument = number | { readonly mask: number }

/** What lies between a number in double and the float32 numbers that it is made of, as a function of these. */
const scalarOf = (
  list: readonly LaneExpr[],
  root: number,
  isSingle: (i: number) => boolean,
): { readonly scalar: Scalar; readonly args: readonly Argument[] } => {
  const body: LaneExpr[] = []
  const args: Argument[] = []
  const at = new Map<number, number>()
  const push = (e: LaneExpr): number => body.push(e) - 1
  const argument = (a: Argument): number => push({ op: 'load', args: [], value: args.push(a) - 1 })
  const made = (i: number): number => {
    const e = list[i]
    if (e.op === 'const') return push(e)
    // Where an element stands is known to the loop alone.
    if (e.op === 'atColumn')
      return push({ op: 'ne', args: [argument({ mask: i }), push({ op: 'const', args: [], value: 0 })] })
    if (isSingle(i) && !isMaskOp(e.op)) return argument(i)
    return push({ ...e, args: e.args.map(of) })
  }
  const of = (i: number): number => {
    const found = at.get(i) ?? made(i)
    at.set(i, found)
    return found
  }
  of(root)
  const key = body.map((e) => `${e.op} ${e.args.join()} ${Object.is(e.value, -0) ? '-0' : (e.value ?? '')}`).join(';')
  return { scalar: { key, args: args.length, list: body }, args }
}

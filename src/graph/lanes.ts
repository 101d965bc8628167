/**
 * What an op computes for each element, as an expression: from it backends make loops. Every number is a double, as in
 * JavaScript; operands are float32, and the result is rounded to float32, once. So an expression reads like the op's own
 * function of one element, of which it must have the bits (`lanesAgree` of quantrace/testing). Knows of no backend: those
 * find out by themselves where float32 operations give the same bits.
 */
import type { Attrs } from './attributes.js'

declare const kind: unique symbol
/** A number of each element. */
export type Lane = number & { readonly [kind]: 'number' }
/** A condition of each element. */
export type LaneMask = number & { readonly [kind]: 'mask' }

type Unary = 'neg' | 'abs' | 'sqrt' | 'nearest' | 'floor' | 'ceil' | 'trunc' | 'fround'
/** The elementary functions of quantrace, with the same bits on every engine. */
export type LaneFunction = 'exp' | 'exp2' | 'expm1' | 'log' | 'log2' | 'tanh' | 'sigmoid' | 'erf'
const FUNCTIONS: { readonly [F in LaneFunction]: true } = {
  exp: true,
  exp2: true,
  expm1: true,
  log: true,
  log2: true,
  tanh: true,
  sigmoid: true,
  erf: true,
}
/** Is the operation an elementary function? */
export const isLaneFunction = (op: LaneOp): op is LaneFunction => Object.hasOwn(FUNCTIONS, op)

type Binary = 'add' | 'sub' | 'mul' | 'div' | 'min' | 'max' | 'pmin' | 'pmax'
type Comparison = 'lt' | 'le' | 'gt' | 'ge' | 'eq' | 'ne' | 'same'

/** An operation of an expression. */
export type LaneOp =
  | 'const'
  | 'load'
  | Unary
  | LaneFunction
  | Binary
  | Comparison
  | 'and'
  | 'or'
  | 'not'
  | 'select'
  | 'power'
  | 'exponent'
  | 'inverse'
  | 'column'
  | 'atColumn'

/** One operation; `args` are numbers of earlier ones. `value`: of a constant; the number of an operand; the length of a row. */
export type LaneExpr = { readonly op: LaneOp; readonly args: readonly number[]; readonly value?: number }

type UnaryOps = { readonly [O in Unary | LaneFunction]: (x: Lane) => Lane }
type BinaryOps = { readonly [O in Binary]: (a: Lane, b: Lane) => Lane }
type Comparisons = { readonly [O in Comparison]: (a: Lane, b: Lane) => LaneMask }

/**
 * With what expressions are written. `nearest` rounds ties to even, `fround` to float32; `min` and `max` are Math's (NaN
 * wins), while `pmin(a, b)` is `b < a ? b : a` and `pmax(a, b)` is `a < b ? b : a`, so that a NaN in `a` stays. `same` is Object.is of two
 * float32 numbers, one of which was made of the other: a NaN that was handed on is the same.
 */
export type Lanes = UnaryOps &
  BinaryOps &
  Comparisons & {
    readonly zero: Lane
    readonly one: Lane
    readonly constant: (value: number) => Lane
    readonly and: (a: LaneMask, b: LaneMask) => LaneMask
    readonly or: (a: LaneMask, b: LaneMask) => LaneMask
    readonly not: (a: LaneMask) => LaneMask
    /** `mask ? a : b`. */
    readonly select: (mask: LaneMask, a: Lane, b: Lane) => Lane
    /** 1 where the mask holds, else 0. */
    readonly flag: (mask: LaneMask) => Lane
    /** Where x isn't 0. */
    readonly truth: (x: Lane) => LaneMask
    /** The power of two in a number, rounded to float32: 0 of what is smaller than 2^-126, infinite of infinities and NaN. */
    readonly power: (x: Lane) => Lane
    /** The exponent of that power: -127 of what has the power 0, 128 of infinities and NaN. */
    readonly exponent: (x: Lane) => Lane
    /** 1 over a power of two, exactly, from 2^-126 to 2^126; 0 of infinity. Of other numbers it is nothing that has a meaning. */
    readonly inverse: (power: Lane) => Lane
    /** The element's place in its row of `n` elements. */
    readonly column: (n: number) => Lane
    /** Is the element at this place of its row of `n` elements? The place stands in the bits of an int32. */
    readonly atColumn: (n: number, place: Lane) => LaneMask
  }

/** Writes what an op computes for each element: its operands' elements in, that of its result out. */
export type LaneRule<A extends Attrs = Attrs> = { rule(e: Lanes, args: readonly Lane[], attrs: A): Lane }['rule']

/** An expression under construction; equal operations are one. */
export type LaneList = {
  readonly list: readonly LaneExpr[]
  readonly lanes: Lanes
  /** The element of an operand. */
  readonly load: (operand: number) => Lane
}

const MASKS: ReadonlySet<LaneOp> = new Set<LaneOp>([
  ...(['lt', 'le', 'gt', 'ge', 'eq', 'ne', 'same'] as const),
  ...(['and', 'or', 'not', 'atColumn'] as const),
])
/** Does the operation give a condition? */
export const isMaskOp = (op: LaneOp): boolean => MASKS.has(op)

type Add = (op: LaneOp, args: readonly number[], value?: number) => number

/** Numbers of operations below this one fit, three of them, into a double. */
const PACKED = 2 ** 17

/** Numbers of up to three operations as one key, a number where that is possible: plans are made of many. */
export const packedArgs = (args: readonly number[]): number | string => {
  let key = 0
  for (let i = args.length - 1; i >= 0; i--) {
    if (args[i] >= PACKED - 1) return args.join()
    key = key * PACKED + args[i] + 1
  }
  return key
}

/** Numbers, 0 and -0 apart, as the keys of a map. */
export const valueKey = (value: number): number | string => (value === 0 && Object.is(value, -0) ? '-0' : value)

/** A list of which equal operations are one. */
const newList = (): { readonly list: readonly LaneExpr[]; readonly add: Add } => {
  const list: LaneExpr[] = []
  // By name, those with a value apart: so a value is not taken for what `args` are packed into.
  const bare = new Map<LaneOp, Map<number | string, number>>()
  const valued = new Map<LaneOp, Map<number | string, number>>()
  const add: Add = (op, args, value) => {
    const among = value === undefined ? bare : valued
    let own = among.get(op)
    if (own === undefined) among.set(op, (own = new Map()))
    const key = value === undefined ? packedArgs(args) : valueKey(value)
    const full = value === undefined || args.length === 0 ? key : `${args.join()} ${key}`
    const known = own.get(full)
    if (known !== undefined) return known
    own.set(full, list.length)
    return list.push(value === undefined ? { op, args } : { op, args, value }) - 1
  }
  return { list, add }
}

/** Choices by masks. Where a mask is a negation the branches change places: so a flag of one and a choice by it are one operation. */
const choicesIn = (list: readonly LaneExpr[], add: Add): Pick<Lanes, 'not' | 'select' | 'flag' | 'truth'> => {
  const constant = (value: number): Lane => add('const', [], value) as Lane
  const is = (x: number, value: number): boolean => list[x].op === 'const' && Object.is(list[x].value, value)
  const not = (m: number): LaneMask => (list[m].op === 'not' ? list[m].args[0] : add('not', [m])) as LaneMask
  const select = (m: LaneMask, a: Lane, b: Lane): Lane =>
    (list[m].op === 'not' ? add('select', [list[m].args[0], b, a]) : add('select', [m, a, b])) as Lane
  const isFlag = (x: Lane, one: number, zero: number): boolean =>
    list[x].op === 'select' && is(list[x].args[one], 1) && is(list[x].args[zero], 0)
  return {
    not,
    select,
    flag: (m) => select(m, constant(1), constant(0)),
    truth: (x) => {
      if (isFlag(x, 1, 2)) return list[x].args[0] as LaneMask
      return isFlag(x, 2, 1) ? not(list[x].args[0]) : (add('ne', [x, constant(0)]) as LaneMask)
    },
  }
}

/** Rounding to float32. What is rounded already stays as it is: so a choice by a flag that another op made is one by its mask. */
const roundingIn = (list: readonly LaneExpr[], add: Add): Lanes['fround'] => {
  const isRounded = (x: number): boolean => {
    const { op, value } = list[x]
    return op === 'load' || op === 'fround' || (op === 'const' && Object.is(Math.fround(value ?? 0), value))
  }
  const isFloat32 = (x: number): boolean =>
    isRounded(x) || (list[x].op === 'select' && list[x].args.slice(1).every(isRounded))
  return (x) => (isFloat32(x) ? x : (add('fround', [x]) as Lane))
}

/** Starts an empty list. */
export const newLanes = (): LaneList => {
  const { list, add } = newList()
  const constant = (value: number): Lane => add('const', [], value) as Lane
  const isZero = (x: number): boolean => list[x].op === 'const' && Object.is(list[x].value, 0)
  const fround = roundingIn(list, add)
  // One record, written out: plans make many.
  const { not, select, flag, truth } = choicesIn(list, add)
  const lanes: Lanes = {
    neg: (x) => add('neg', [x]) as Lane,
    abs: (x) => add('abs', [x]) as Lane,
    sqrt: (x) => add('sqrt', [x]) as Lane,
    nearest: (x) => add('nearest', [x]) as Lane,
    floor: (x) => add('floor', [x]) as Lane,
    ceil: (x) => add('ceil', [x]) as Lane,
    trunc: (x) => add('trunc', [x]) as Lane,
    fround,
    exp: (x) => add('exp', [x]) as Lane,
    exp2: (x) => add('exp2', [x]) as Lane,
    expm1: (x) => add('expm1', [x]) as Lane,
    log: (x) => add('log', [x]) as Lane,
    log2: (x) => add('log2', [x]) as Lane,
    tanh: (x) => add('tanh', [x]) as Lane,
    sigmoid: (x) => add('sigmoid', [x]) as Lane,
    erf: (x) => add('erf', [x]) as Lane,
    add: (a, b) => add('add', [a, b]) as Lane,
    mul: (a, b) => add('mul', [a, b]) as Lane,
    div: (a, b) => add('div', [a, b]) as Lane,
    min: (a, b) => add('min', [a, b]) as Lane,
    max: (a, b) => add('max', [a, b]) as Lane,
    pmin: (a, b) => add('pmin', [a, b]) as Lane,
    pmax: (a, b) => add('pmax', [a, b]) as Lane,
    lt: (a, b) => add('lt', [a, b]) as LaneMask,
    le: (a, b) => add('le', [a, b]) as LaneMask,
    gt: (a, b) => add('gt', [a, b]) as LaneMask,
    ge: (a, b) => add('ge', [a, b]) as LaneMask,
    eq: (a, b) => add('eq', [a, b]) as LaneMask,
    ne: (a, b) => add('ne', [a, b]) as LaneMask,
    same: (a, b) => add('same', [a, b]) as LaneMask,
    // x - 0 is x, of either sign.
    sub: (a, b) => (isZero(b) ? a : (add('sub', [a, b]) as Lane)),
    zero: constant(0),
    one: constant(1),
    constant,
    and: (a, b) => add('and', [a, b]) as LaneMask,
    or: (a, b) => add('or', [a, b]) as LaneMask,
    not,
    select,
    flag,
    truth,
    power: (x) => add('power', [add('fround', [x])]) as Lane,
    exponent: (x) => add('exponent', [add('fround', [x])]) as Lane,
    inverse: (power) => add('inverse', [add('fround', [power])]) as Lane,
    column: (n) => add('column', [], n) as Lane,
    atColumn: (n, place) => add('atColumn', [place], n) as LaneMask,
  }
  return { list, lanes, load: (operand) => add('load', [], operand) as Lane }
}

/** Does computing an element take an elementary function? */
export const needsFunction = (rule: LaneRule, attrs: Attrs, operands: number): boolean => {
  const { list, lanes, load } = newLanes()
  try {
    rule(
      lanes,
      Array.from({ length: operands }, (_, k) => load(k)),
      attrs,
    )
  } catch {
    // A user's rule that throws: backends leave the op to its reference.
    return false
  }
  return list.some((e) => isLaneFunction(e.op))
}

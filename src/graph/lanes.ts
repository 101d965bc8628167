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
type Binary = 'add' | 'sub' | 'mul' | 'div' | 'min' | 'max' | 'pmin' | 'pmax'
type Comparison = 'lt' | 'le' | 'gt' | 'ge' | 'eq' | 'ne'

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
  | 'column'
  | 'atColumn'

/** One operation; `args` are numbers of earlier ones. `value`: of a constant; the number of an operand; the length of a row. */
export type LaneExpr = { readonly op: LaneOp; readonly args: readonly number[]; readonly value?: number }

type UnaryOps = { readonly [O in Unary | LaneFunction]: (x: Lane) => Lane }
type BinaryOps = { readonly [O in Binary]: (a: Lane, b: Lane) => Lane }
type Comparisons = { readonly [O in Comparison]: (a: Lane, b: Lane) => LaneMask }

/**
 * With what expressions are written. `nearest` rounds ties to even, `fround` to float32; `min` and `max` are Math's (NaN
 * wins), while `pmin(a, b)` is `b < a ? b : a` and `pmax(a, b)` is `a < b ? b : a`, so that a NaN in `a` stays.
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

const UNARY: readonly (Unary | LaneFunction)[] = [
  ...(['neg', 'abs', 'sqrt', 'nearest', 'floor', 'ceil', 'trunc', 'fround'] as const),
  ...(['exp', 'exp2', 'expm1', 'log', 'log2', 'tanh', 'sigmoid', 'erf'] as const),
]
const BINARY: readonly Binary[] = ['add', 'sub', 'mul', 'div', 'min', 'max', 'pmin', 'pmax']
const COMPARISONS: readonly Comparison[] = ['lt', 'le', 'gt', 'ge', 'eq', 'ne']

const record = <K extends string, V>(names: readonly K[], of: (name: K) => V): { readonly [N in K]: V } =>
  Object.fromEntries(names.map((name) => [name, of(name)])) as { readonly [N in K]: V }

const MASKS: ReadonlySet<LaneOp> = new Set<LaneOp>([...COMPARISONS, 'and', 'or', 'not', 'atColumn'])
/** Does the operation give a condition? */
export const isMaskOp = (op: LaneOp): boolean => MASKS.has(op)

/** Starts an empty list. */
export const newLanes = (): LaneList => {
  const list: LaneExpr[] = []
  const keys = new Map<string, number>()
  const add = (op: LaneOp, args: readonly number[], value?: number): number => {
    const key = `${op} ${args.join()} ${Object.is(value, -0) ? '-0' : value}`
    const known = keys.get(key)
    if (known !== undefined) return known
    keys.set(key, list.length)
    return list.push(value === undefined ? { op, args } : { op, args, value }) - 1
  }
  const num = (op: LaneOp, args: readonly number[], value?: number): Lane => add(op, args, value) as Lane
  const mask = (op: LaneOp, args: readonly number[], value?: number): LaneMask => add(op, args, value) as LaneMask
  const constant = (value: number): Lane => num('const', [], value)
  const is = (x: number, value: number): boolean => list[x].op === 'const' && Object.is(list[x].value, value)
  const not = (m: LaneMask): LaneMask => (list[m].op === 'not' ? (list[m].args[0] as LaneMask) : mask('not', [m]))
  // Where the mask is a negation the branches change places: so a flag of one and a choice by it are one operation.
  const select = (m: LaneMask, a: Lane, b: Lane): Lane =>
    list[m].op === 'not' ? num('select', [list[m].args[0], b, a]) : num('select', [m, a, b])
  const isFlag = (x: Lane, one: number, zero: number): boolean =>
    list[x].op === 'select' && is(list[x].args[one], 1) && is(list[x].args[zero], 0)
  const lanes: Lanes = {
    ...record(UNARY, (op) => (x: Lane) => num(op, [x])),
    ...record(BINARY, (op) => (a: Lane, b: Lane) => num(op, [a, b])),
    ...record(COMPARISONS, (op) => (a: Lane, b: Lane) => mask(op, [a, b])),
    // x - 0 is x, of either sign.
    sub: (a, b) => (is(b, 0) ? a : num('sub', [a, b])),
    zero: constant(0),
    one: constant(1),
    constant,
    and: (a, b) => mask('and', [a, b]),
    or: (a, b) => mask('or', [a, b]),
    not,
    select,
    flag: (m) => select(m, constant(1), constant(0)),
    truth: (x) => {
      if (isFlag(x, 1, 2)) return list[x].args[0] as LaneMask
      return isFlag(x, 2, 1) ? mask('not', [list[x].args[0]]) : mask('ne', [x, constant(0)])
    },
    power: (x) => num('power', [num('fround', [x])]),
    column: (n) => num('column', [], n),
    atColumn: (n, place) => mask('atColumn', [place], n),
  }
  return { list, lanes, load: (operand) => num('load', [], operand) }
}

/** What is computed for each element of a loop: a small graph of float32 operations, equal ones shared. */
import type { Attrs } from '../../../graph/op.js'

/** An operation on lanes. Comparisons give masks (all ones or all zeros); `mask` operands choose in `select`. */
export type LaneOp =
  | 'const'
  | 'load'
  | 'neg'
  | 'abs'
  | 'sqrt'
  | 'nearest'
  | 'floor'
  | 'ceil'
  | 'trunc'
  | 'add'
  | 'sub'
  | 'mul'
  | 'div'
  | 'min'
  | 'max'
  | 'pmin'
  | 'pmax'
  | 'eq'
  | 'ne'
  | 'ieq'
  | 'itof'
  | 'iota'
  | 'lt'
  | 'gt'
  | 'le'
  | 'ge'
  | 'and'
  | 'or'
  | 'andnot'
  | 'select'
  | 'call'

/**
 * One operation; `args` are numbers of earlier ones. `value`: of a constant, or of `iota` (an element's place in its row) the
 * row's length. `load`: number of the operand. `name` and `attrs`: of a called function.
 */
export type Expr = {
  readonly op: LaneOp
  readonly args: readonly number[]
  readonly value?: number
  readonly load?: number
  readonly name?: string
  readonly attrs?: Attrs
}

/** Collects expressions; each method gives the number of one. */
export type Exprs = {
  readonly list: readonly Expr[]
  readonly constant: (value: number) => number
  readonly load: (operand: number) => number
  readonly op: (op: Exclude<LaneOp, 'const' | 'load' | 'call' | 'iota'>, ...args: readonly number[]) => number
  /** A function of one lane, by name: exp, log, tanh, … */
  readonly call: (name: string, arg: number, attrs: Attrs) => number
  /** The element's place in its row of `n` elements, as int32. */
  readonly iota: (n: number) => number
  /** 1 where the mask holds, else 0. */
  readonly flag: (mask: number) => number
  /** The mask of what isn't 0. */
  readonly truth: (x: number) => number
  /** The mask of what is 0, where x was made of one (`1 andnot mask`); else null. */
  readonly untruth: (x: number) => number | null
}

/** An empty list. */
export const newExprs = (): Exprs => {
  const list: Expr[] = []
  const keys = new Map<string, number>()
  const add = (e: Expr, key: string): number => {
    const known = keys.get(key)
    if (known !== undefined) return known
    keys.set(key, list.length)
    return list.push(e) - 1
  }
  const constant = (value: number): number =>
    add({ op: 'const', args: [], value }, `const ${Object.is(value, -0) ? '-0' : value}`)
  const op: Exprs['op'] = (name, ...args) => add({ op: name, args }, `${name} ${args.join()}`)
  const isConstant = (i: number, value: number): boolean => list[i].op === 'const' && Object.is(list[i].value, value)
  return {
    list,
    constant,
    op,
    load: (operand) => add({ op: 'load', args: [], load: operand }, `load ${operand}`),
    call: (name, arg, attrs) =>
      add({ op: 'call', args: [arg], name, attrs }, `call ${name} ${arg} ${JSON.stringify(attrs)}`),
    iota: (n) => add({ op: 'iota', args: [], value: n }, `iota ${n}`),
    flag: (mask) => op('and', mask, constant(1)),
    truth: (x) => (list[x].op === 'and' && isConstant(list[x].args[1], 1) ? list[x].args[0] : op('ne', x, constant(0))),
    untruth: (x) => (list[x].op === 'andnot' && isConstant(list[x].args[0], 1) ? list[x].args[1] : null),
  }
}

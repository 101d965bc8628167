/** Expressions as code: four lanes at a time, every shared expression computed once. */
import type { Code } from '../asm/encode.js'
import { f32x4, i16x8, i32x4, v128 } from '../asm/instructions.js'
import type { Local, Scope } from '../asm/module.js'
import type { LanesFunction } from '../kernels/math.js'
import type { Expr, Scalar } from './exprs.js'

/** Gives functions of four lanes. */
export type Scalars = (scalar: Scalar) => LanesFunction

/** What a lane function needs: how to load an operand, and the functions that are called. */
export type LaneContext = {
  readonly scope: Scope
  readonly list: readonly Expr[]
  readonly load: (operand: number) => Code<'v128'>
  readonly scalars: Scalars
  /** A constant in all lanes: a local that was filled before the loop. */
  readonly constant: (value: number) => Code<'v128'>
  /** Places of the four elements in their rows of `n`, as int32. */
  readonly iota: (n: number) => Code<'v128'>
  /** The local that holds an expression which was computed in front of the loop, if it was. */
  readonly ready?: ReadonlyMap<number, Local<'v128'>>
  /** What `usesOf` says of the list and the roots, where that is known already. */
  readonly uses?: Int32Array
}

/** Constants of a loop, each built in a register once: inside the loop an engine would build it anew in each turn. `fill` comes before the loop, once all are known. */
export const newConstants = (
  scope: Scope,
): { readonly get: (value: number) => Code<'v128'>; readonly fill: () => Code } => {
  const known = new Map<string, readonly [value: number, local: Local<'v128'>]>()
  return {
    get: (value) => {
      const key = Object.is(value, -0) ? '-0' : String(value)
      const local = known.get(key)?.[1] ?? scope.local('v128')
      known.set(key, [value, local])
      return local.get
    },
    fill: () => [...known.values()].map(([value, local]) => local.set(f32x4.const(value))),
  }
}

const simple = {
  neg: f32x4.neg,
  abs: f32x4.abs,
  sqrt: f32x4.sqrt,
  nearest: f32x4.nearest,
  floor: f32x4.floor,
  ceil: f32x4.ceil,
  trunc: f32x4.trunc,
  itof: f32x4.convert_i32x4_s,
  // The bits of the exponent, as an integer.
  biased: (x: Code<'v128'>) => i32x4.shr_u(x, 23),
  not: v128.not,
} as const
const paired = {
  add: f32x4.add,
  sub: f32x4.sub,
  mul: f32x4.mul,
  div: f32x4.div,
  min: f32x4.min,
  max: f32x4.max,
  ieq: i32x4.eq,
  // Powers of two have nothing in their lower halves.
  usub: i16x8.sub_sat_u,
  eq: f32x4.eq,
  ne: f32x4.ne,
  lt: f32x4.lt,
  gt: f32x4.gt,
  le: f32x4.le,
  ge: f32x4.ge,
  and: v128.and,
  or: v128.or,
  // pmin(a, b) is b < a ? b : a: with the bound as b, NaN in a stays.
  pmin: f32x4.pmin,
  pmax: f32x4.pmax,
} as const

/**
 * Expressions whose value no turn of a loop changes (of constants and of the loads that `fixed` names), as far as one that
 * changes wants them: computed once, in front of the loop.
 */
export const invariantsOf = (
  list: readonly Expr[],
  roots: readonly number[],
  fixed: (operand: number) => boolean,
): readonly number[] => {
  const same = list.map(() => false)
  list.forEach((e, i) => {
    same[i] =
      e.op === 'const' || (e.op === 'load' ? fixed(e.load ?? 0) : e.op !== 'iota' && e.args.every((a) => same[a]))
  })
  const computed = (i: number): boolean => same[i] && list[i].op !== 'const' && list[i].op !== 'load'
  const wanted = [...roots, ...list.flatMap((e, i) => (same[i] ? [] : e.args))]
  return [...new Set(wanted.filter(computed))]
}

/** Numbers of users of each expression, roots counted. */
export const usesOf = (list: readonly Expr[], roots: readonly number[]): Int32Array => {
  const uses = new Int32Array(list.length)
  for (const r of roots) uses[r]++
  // Operands come first: whoever uses an expression has been looked at.
  for (let i = list.length - 1; i >= 0; i--) {
    if (uses[i] === 0) continue
    const { args } = list[i]
    for (let k = 0; k < args.length; k++) uses[args[k]]++
  }
  return uses
}

/** Gives the code of each expression of one turn of a loop; a shared one is kept in a local from its first use on. */
export const lanesOf = (c: LaneContext, roots: readonly number[]): ((expr: number) => Code<'v128'>) => {
  const uses = c.uses ?? usesOf(c.list, roots)
  const kept = new Map<number, Local<'v128'>>()
  const isZero = (i: number): boolean => c.list[i].op === 'const' && Object.is(c.list[i].value, 0)
  const compute = (i: number): Code<'v128'> => {
    const e = c.list[i]
    const { args } = e
    switch (e.op) {
      case 'const':
        return c.constant(e.value ?? 0)
      case 'iota':
        return c.iota(e.value ?? 1)
      case 'load':
        return c.load(e.load ?? 0)
      case 'select': {
        // bitselect(a, b, mask): the mask is written first into the order of evaluation by its local, if shared.
        // Choosing between a number and 0 needs one instruction.
        if (isZero(args[2])) return v128.and(of(args[0]), of(args[1]))
        if (isZero(args[1])) return v128.andnot(of(args[2]), of(args[0]))
        const mask = of(args[0])
        const x = of(args[1])
        const y = of(args[2])
        const m = c.scope.local('v128')
        return [m.set(mask), v128.bitselect(x, y, m.get)]
      }
      case 'call': {
        if (e.scalar === undefined) throw new Error('internal: a call without its function')
        return c.scalars(e.scalar).call(...args.map(of))
      }
      default: {
        const x = of(args[0])
        return e.op in simple
          ? simple[e.op as keyof typeof simple](x)
          : paired[e.op as keyof typeof paired](x, of(args[1]))
      }
    }
  }
  const of = (i: number): Code<'v128'> => {
    const known = c.ready?.get(i) ?? kept.get(i)
    if (known !== undefined) return known.get
    const e = c.list[i]
    const code = compute(i)
    if (uses[i] < 2 || e.op === 'const') return code
    const local = c.scope.local('v128')
    kept.set(i, local)
    return local.tee(code)
  }
  return of
}

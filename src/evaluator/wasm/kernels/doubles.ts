/**
 * Doubles, two to a vector: what formulas in double precision are written with. A value is one vector or several, which
 * every operation treats alike; a single one (a constant) goes with each of the others. Conditions are doubles of all ones
 * or all zeros. Nothing branches: both sides of a choice are computed.
 */
import type { Code } from '../asm/encode.js'
import { f32x4, f64x2, i64x2, v128 } from '../asm/instructions.js'
import type { Local, Scope } from '../asm/module.js'

type V128 = Code<'v128'>

/** Vectors of two doubles each. */
export type Doubles = readonly V128[]

const each =
  (f: (a: V128) => V128) =>
  (a: Doubles): Doubles =>
    a.map(f)
const pairs =
  (f: (a: V128, b: V128) => V128) =>
  (a: Doubles, b: Doubles): Doubles =>
    Array.from({ length: Math.max(a.length, b.length) }, (_, i) => f(a[i % a.length], b[i % b.length]))

/** Arithmetic. `pmin(a, b)` is `b < a ? b : a` and `pmax(a, b)` is `a < b ? b : a`. */
export const doubles = {
  neg: each(f64x2.neg),
  abs: each(f64x2.abs),
  sqrt: each(f64x2.sqrt),
  nearest: each(f64x2.nearest),
  floor: each(f64x2.floor),
  ceil: each(f64x2.ceil),
  trunc: each(f64x2.trunc),
  /** Rounded to float32. */
  fround: each((a) => f64x2.promote_low_f32x4(f32x4.demote_f64x2_zero(a))),
  add: pairs(f64x2.add),
  sub: pairs(f64x2.sub),
  mul: pairs(f64x2.mul),
  div: pairs(f64x2.div),
  min: pairs(f64x2.min),
  max: pairs(f64x2.max),
  pmin: pairs(f64x2.pmin),
  pmax: pairs(f64x2.pmax),
} as const

/** Conditions. */
export const compared = {
  lt: pairs(f64x2.lt),
  le: pairs(f64x2.le),
  gt: pairs(f64x2.gt),
  ge: pairs(f64x2.ge),
  eq: pairs(f64x2.eq),
  ne: pairs(f64x2.ne),
  same: pairs(i64x2.eq),
} as const

/** Bits of doubles. */
export const bits = {
  and: pairs(v128.and),
  or: pairs(v128.or),
  not: each(v128.not),
  /** `a`, but zeros where `b` has ones. */
  without: pairs(v128.andnot),
  up: (a: Doubles, by: number): Doubles => a.map((v) => i64x2.shl(v, by)),
  down: (a: Doubles, by: number): Doubles => a.map((v) => i64x2.shr_u(v, by)),
} as const

/** `condition ? a : b`, both computed. */
export const chosen = (condition: Doubles, a: Doubles, b: Doubles): Doubles =>
  Array.from({ length: Math.max(condition.length, a.length, b.length) }, (_, i) =>
    v128.bitselect(a[i % a.length], b[i % b.length], condition[i % condition.length]),
  )

const HIGH_TO_LOW = [8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15]
const LOWS = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]

/** The doubles of four float32; `x` is read twice. */
export const fromSingles = (x: V128): Doubles => [
  f64x2.promote_low_f32x4(x),
  f64x2.promote_low_f32x4(v128.shuffle(x, x, HIGH_TO_LOW)),
]

/** Four doubles as float32; of two that stand for all, twice these. */
export const toSingles = ([low, high = low]: Doubles): V128 =>
  v128.shuffle(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), LOWS)

/** Writes formulas, statement by statement. */
export type Writer = {
  /** Computes a value here: what it gives may be read more than once. */
  readonly keep: (x: Doubles) => Doubles
  readonly constant: (x: number) => Doubles
  /** The statements since it was asked last. */
  readonly statements: () => Code
}

/** Starts to write. Constants stand in locals, which `fill` sets: before all that reads them. */
export const newWriter = (scope: Scope): Writer & { readonly fill: () => Code } => {
  const known = new Map<string, readonly [value: number, local: Local<'v128'>]>()
  let written: Code[] = []
  return {
    keep: (x) => {
      const locals = x.map(() => scope.local('v128'))
      written.push(...x.map((code, i) => locals[i].set(code)))
      return locals.map((l) => l.get)
    },
    constant: (value) => {
      const key = Object.is(value, -0) ? '-0' : String(value)
      const local = known.get(key)?.[1] ?? scope.local('v128')
      known.set(key, [value, local])
      return [local.get]
    },
    statements: () => {
      const all = written
      written = []
      return all
    },
    fill: () => [...known.values()].map(([value, local]) => local.set(f64x2.const(value))),
  }
}

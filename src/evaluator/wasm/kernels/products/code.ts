/** Small pieces of code that the product kernels share. */
import type { Code } from '../../asm/encode.js'
import { control, i32, v128 } from '../../asm/instructions.js'
import type { Local, ModuleBuilder, Scope } from '../../asm/module.js'
import type { Places } from '../../kernel.js'

/** What the code of a stage is written with: its module, where memory lies, and where locals come from. */
export type Writing = { readonly m: ModuleBuilder; readonly at: Places; readonly scope: Scope }

/** Numbers 0 … n-1. */
export const range = (n: number): readonly number[] => Array.from({ length: n }, (_, i) => i)

/** `base + index * bytes`. */
export const indexed = (base: Code<'i32'>, index: Code<'i32'>, bytes: number): Code<'i32'> =>
  bytes === 0 ? base : i32.add(base, i32.mul(index, i32.const(bytes)))
/** The lesser of an unsigned number and a constant; the number's code runs twice. */
export const least = (n: Code<'i32'>, most: number): Code<'i32'> =>
  control.select(n, i32.const(most), i32.lt_u(n, i32.const(most)))
/** Moves a pointer on. */
export const advance = (pointer: Local, bytes: number): Code =>
  bytes === 0 ? [] : pointer.set(i32.add(pointer.get, i32.const(bytes)))
/** `body` as long as `pointer < end`, at least once; it must move the pointer. */
export const repeatUntil = (pointer: Local, end: Code<'i32'>, body: Code): Code =>
  control.loop([body, control.br_if(0, i32.lt_u(pointer.get, end))])
/** `body` so many times (at least once), counted down in a fresh local. */
export const times = (scope: Scope, n: number, body: Code): Code => {
  if (n === 0) return []
  if (n === 1) return body
  const left = scope.local('i32')
  return [left.set(i32.const(n)), control.loop([body, control.br_if(0, left.tee(i32.sub(left.get, i32.const(1))))])]
}

const lanes32 = (picks: readonly number[]): readonly number[] =>
  picks.flatMap((p) => [0, 1, 2, 3].map((b) => 4 * p + b))
/** Lanes of 32 bits picked from two vectors: 0 … 3 of the first, 4 … 7 of the second. */
export const pick = (a: Code<'v128'>, b: Code<'v128'>, picks: readonly number[]): Code<'v128'> =>
  v128.shuffle(a, b, lanes32(picks))
/** a0 b0 a1 b1. */
export const zipLow = (a: Code<'v128'>, b: Code<'v128'>): Code<'v128'> => pick(a, b, [0, 4, 1, 5])
/** a2 b2 a3 b3. */
export const zipHigh = (a: Code<'v128'>, b: Code<'v128'>): Code<'v128'> => pick(a, b, [2, 6, 3, 7])
/** a0 a1 b0 b1. */
export const joinLow = (a: Code<'v128'>, b: Code<'v128'>): Code<'v128'> => pick(a, b, [0, 1, 4, 5])
/** a2 a3 b2 b3. */
export const joinHigh = (a: Code<'v128'>, b: Code<'v128'>): Code<'v128'> => pick(a, b, [2, 3, 6, 7])

/** Four rows of four lanes in locals, transposed in place with the help of four more. */
export const transpose4 = (rows: readonly Local<'v128'>[], help: readonly Local<'v128'>[]): Code => {
  const [a, b, c, d] = rows.map((r) => r.get)
  const [p, q, r, s] = help
  return [
    p.set(zipLow(a, b)),
    q.set(zipHigh(a, b)),
    r.set(zipLow(c, d)),
    s.set(zipHigh(c, d)),
    rows[0].set(joinLow(p.get, r.get)),
    rows[1].set(joinHigh(p.get, r.get)),
    rows[2].set(joinLow(q.get, s.get)),
    rows[3].set(joinHigh(q.get, s.get)),
  ]
}

/** Stores the first `lanes` lanes of a vector that is held in a local. */
export const storeLanes = (address: Code<'i32'>, value: Code<'v128'>, lanes: number, offset: number): Code => {
  if (lanes === 4) return v128.store(address, value, offset)
  return [
    lanes >= 2 ? v128.store64_lane(0, address, value, offset) : v128.store32_lane(0, address, value, offset),
    lanes === 3 ? v128.store32_lane(2, address, value, offset + 8) : [],
  ]
}

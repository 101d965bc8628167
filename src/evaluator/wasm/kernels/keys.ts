/**
 * Selection on the bits of floats: keys that sort as unsigned integers the way the floats do (NaN last, -0 below +0),
 * and the key of a given rank, digit by digit, in linear time whatever the numbers are.
 */
import type { Code } from '../asm/encode.js'
import { control, f32, i32, memory } from '../asm/instructions.js'
import { forLoop, type Func, type Local, type ModuleBuilder, type Scope } from '../asm/module.js'
import { bump, whileLoop, wordAt } from './loops.js'

const INFINITY_BITS = 0x7f800000
const MAGNITUDE = 0x7fffffff
const SIGN = 0x80000000 | 0

/** Bytes of the counters that a selection needs. */
export const COUNTERS = 8192

/** The key of the float (or of its magnitude) whose bits are in `t`; -1 (the largest) for a NaN. */
export const keyOf = (t: Local, abs: boolean): Code<'i32'> =>
  abs
    ? i32.and(t.get, i32.const(MAGNITUDE))
    : control.select(
        i32.const(-1),
        i32.xor(t.get, i32.or(i32.shr_s(t.get, i32.const(31)), i32.const(SIGN))),
        i32.gt_u(i32.and(t.get, i32.const(MAGNITUDE)), i32.const(INFINITY_BITS)),
      )

/** The float of a key; both zeros give +0. */
export const floatOf = (key: Local, abs: boolean): Code<'f32'> => {
  const bits = abs
    ? key.get
    : control.select(
        i32.xor(key.get, i32.const(SIGN)),
        i32.xor(key.get, i32.const(-1)),
        i32.lt_s(key.get, i32.const(0)),
      )
  return f32.add(f32.reinterpret_i32(bits), f32.const(0))
}

/** A function that finds the key of a rank: `(keys or floats, how many, rank, counters) → key`. */
export type Selection = Func<readonly ['i32', 'i32', 'i32', 'i32'], 'i32'>

/** One more in the counter of a digit. */
const countDigit = (address: Local, hist: Code<'i32'>, digit: Code<'i32'>): Code => [
  address.set(wordAt(hist, digit)),
  i32.store(address.get, i32.add(i32.load(address.get), i32.const(1))),
]

/** Walks the counters to the digit that holds rank `r`, which becomes the rank among its keys; leaves the address in `at`. */
const findDigit = (scope: Scope, at: Local, r: Local, hist: Code<'i32'>): Code => {
  const c = scope.local('i32')
  return [
    at.set(hist),
    whileLoop(i32.ge_u(r.get, c.tee(i32.load(at.get))), [r.set(i32.sub(r.get, c.get)), bump(at, 4)]),
  ]
}

/** `(keys, n, r, counters) → key`: the key of rank `r` (from 0) of the `n` keys at `keys`, which it overwrites. */
export const selectKey = (m: ModuleBuilder): Selection =>
  m.func({
    params: ['i32', 'i32', 'i32', 'i32'],
    result: 'i32',
    body: (scope) => {
      const [keys, n, r, hist] = scope.params
      const [shift, p, end, at, key, to] = Array.from({ length: 6 }, () => scope.local('i32'))
      const digit = (k: Code<'i32'>): Code<'i32'> => i32.and(i32.shr_u(k, shift.get), i32.const(255))
      return [
        shift.set(i32.const(24)),
        whileLoop(i32.and(i32.gt_u(n.get, i32.const(1)), i32.ge_s(shift.get, i32.const(0))), [
          memory.fill(hist.get, i32.const(0), i32.const(1024)),
          end.set(wordAt(keys.get, n.get)),
          forLoop(p, keys.get, end.get, 4, countDigit(at, hist.get, digit(i32.load(p.get)))),
          findDigit(scope, at, r, hist.get),
          at.set(i32.shr_u(i32.sub(at.get, hist.get), i32.const(2))),
          to.set(keys.get),
          forLoop(p, keys.get, end.get, 4, [
            key.set(i32.load(p.get)),
            i32.store(to.get, key.get),
            bump(to, i32.shl(i32.eq(digit(key.get), at.get), i32.const(2))),
          ]),
          n.set(i32.shr_u(i32.sub(to.get, keys.get), i32.const(2))),
          shift.set(i32.sub(shift.get, i32.const(8))),
        ]),
        i32.load(keys.get),
      ]
    },
  })

const LEVELS = [
  { shift: 21, digits: 2047 },
  { shift: 10, digits: 2047 },
  { shift: 0, digits: 1023 },
] as const

/** `(x, n, r, counters) → key`: the key of rank `r` of the `n` floats at `x`, which it only reads, three times. */
export const selectInPlace = (m: ModuleBuilder, abs: boolean): Selection =>
  m.func({
    params: ['i32', 'i32', 'i32', 'i32'],
    result: 'i32',
    body: (scope) => {
      const [x, n, r, hist] = scope.params
      const [p, end, at, bits, key, known, prefix] = Array.from({ length: 7 }, () => scope.local('i32'))
      const level = ({ shift, digits }: (typeof LEVELS)[number]): Code => [
        memory.fill(hist.get, i32.const(0), i32.const(COUNTERS)),
        forLoop(p, x.get, end.get, 4, [
          bits.set(i32.load(p.get)),
          key.set(keyOf(bits, abs)),
          control.if(
            i32.eq(i32.and(key.get, known.get), prefix.get),
            countDigit(at, hist.get, i32.and(i32.shr_u(key.get, i32.const(shift)), i32.const(digits))),
          ),
        ]),
        findDigit(scope, at, r, hist.get),
        prefix.set(i32.or(prefix.get, i32.shl(i32.shr_u(i32.sub(at.get, hist.get), i32.const(2)), i32.const(shift)))),
        known.set(i32.or(known.get, i32.const(digits << shift))),
      ]
      return [end.set(wordAt(x.get, n.get)), LEVELS.map(level), prefix.get]
    },
  })

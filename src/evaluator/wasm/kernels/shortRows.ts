/** Rows of a few vectors, as they are when each group or row has a scale: without loops and branches. */
import type { Code } from '../asm/encode.js'
import { control, f32x4, i32, i32x4, v128 } from '../asm/instructions.js'
import type { Func, Local, ModuleBuilder } from '../asm/module.js'
import { SHORT_ROW } from '../machine.js'

/** Are rows of so many elements short, but no shorter than a vector? */
export const isShort = (n: number): boolean => n >= 4 && n <= SHORT_ROW

/** The first element of each vector of a row; the last vector begins as far in as it must. */
const startsOf = (n: number): readonly number[] =>
  Array.from({ length: Math.ceil(n / 4) }, (_, i) => Math.min(4 * i, n - 4))

/** Joins the four lanes of a local; the result stands in each. */
const acrossLanes = (v: Local<'v128'>, join: (a: Code<'v128'>, b: Code<'v128'>) => Code<'v128'>): Code =>
  [8, 4].map((bytes) => {
    const turned = Array.from({ length: 16 }, (_, i) => (i + bytes) % 16)
    return v.set(join(v.get, v128.shuffle(v.get, v.get, turned)))
  })

/** `(from) → largest` of the `n` elements at an address; NaN if any is. Which zero it gives is open. */
export const largestOfShort = (m: ModuleBuilder, n: number, abs: boolean): Func<readonly ['i32'], 'f32'> =>
  m.func({
    params: ['i32'],
    result: 'f32',
    body: (scope) => {
      const [p] = scope.params
      const [mask, even, odd, a, b] = Array.from({ length: 5 }, () => scope.local('v128'))
      const own = startsOf(n).map((start) => {
        const x = v128.load(p.get, 4 * start)
        return abs ? v128.and(x, mask.get) : x
      })
      /** As integers, magnitudes compare as they do as floats, and NaN above them all; of plain numbers, a NaN is chosen. */
      const larger = (x: Code<'v128'>, y: Code<'v128'>): Code<'v128'> =>
        abs
          ? i32x4.max_s(x, y)
          : [a.set(x), b.set(y), v128.bitselect(b.get, f32x4.pmax(a.get, b.get), f32x4.ne(b.get, b.get))]
      return [
        abs ? mask.set(i32x4.const(0x7fffffff)) : [],
        even.set(own[0]),
        odd.set(own[1] ?? own[0]),
        own.slice(2).map((x, i): Code => {
          const best = i % 2 === 0 ? even : odd
          return best.set(larger(best.get, x))
        }),
        even.set(larger(even.get, odd.get)),
        acrossLanes(even, larger),
        f32x4.extract(0, even.get),
      ]
    },
  })

/** `(from, value) → index` of the first of the `n` elements at an address (or of their magnitudes) that equals the value, or -1; NaN equals NaN. */
export const firstEqualOfShort = (m: ModuleBuilder, n: number, abs: boolean): Func<readonly ['i32', 'f32'], 'i32'> =>
  m.func({
    params: ['i32', 'f32'],
    result: 'i32',
    body: (scope) => {
      const [p, value] = scope.params
      const [v, isNaN, x, best] = Array.from({ length: 4 }, () => scope.local('v128'))
      const left = scope.local('i32')
      const same = v128.or(f32x4.eq(x.get, v.get), v128.and(f32x4.ne(x.get, x.get), isNaN.get))
      return [
        v.set(f32x4.splat(value.get)),
        isNaN.set(f32x4.ne(v.get, v.get)),
        // Of equal elements the one with the most elements from it to the end of the row.
        startsOf(n).map((start): Code => {
          const own = v128.load(p.get, 4 * start)
          const toEnd = i32x4.lanes([n - start, n - start - 1, n - start - 2, n - start - 3])
          return [
            x.set(abs ? f32x4.abs(own) : own),
            best.set(start === 0 ? v128.and(same, toEnd) : i32x4.max_s(best.get, v128.and(same, toEnd))),
          ]
        }),
        acrossLanes(best, i32x4.max_s),
        left.set(i32x4.extract(0, best.get)),
        control.select(i32.sub(i32.const(n), left.get), i32.const(-1), left.get),
      ]
    },
  })

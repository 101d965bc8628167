/** Sums of a loop: each unit leaves one partial in float64, and a last stage adds these in the order of the units. */
import { sizeOf } from '../../../data/shape.js'
import type { Code } from '../asm/encode.js'
import { control, f32, f32x4, f64, i32 } from '../asm/instructions.js'
import type { Func, Local, ModuleBuilder, Scope, Units } from '../asm/module.js'
import type { Loop } from './loop.js'
import type { Frame } from './loopFrame.js'
import { unitOffset } from './unitOffset.js'

/** Distances between the partial sums of a group, in bytes: one float64 (or float32) per unit and sum. */
const PARTIAL = 8

/** Where partial sums lie, and of how many units. */
export type Partials = { readonly place: number; readonly units: number }

/** Bytes of the partials of a loop, and of the float64 sums behind them. */
export const partialBytes = (loop: Loop, units: number): number => {
  const most = Math.max(0, ...loop.sums.map((s) => sizeOf(s.node.shape)))
  return loop.sums.length === 0 ? 0 : (loop.sums.length * units + most) * PARTIAL
}

/** Where the partials of sum `k` lie. */
const partialsOf = ({ place, units }: Partials, k: number): number => place + k * units * PARTIAL

const addPair = (sum: Local<'f64'>, v: Local<'v128'>): Code =>
  sum.set(
    f64.add(
      sum.get,
      f64.add(
        f64.add(f64.promote_f32(f32x4.extract(0, v.get)), f64.promote_f32(f32x4.extract(1, v.get))),
        f64.add(f64.promote_f32(f32x4.extract(2, v.get)), f64.promote_f32(f32x4.extract(3, v.get))),
      ),
    ),
  )

/** Leaves the unit's sums among the partials. */
export const storePartials = ({ scope, loop, accs, u }: Frame, partials: Partials): Code => {
  const sum = scope.local('f64')
  return loop.sums.map((_, k): Code => {
    const address = i32.add(i32.mul(u.get, i32.const(PARTIAL)), i32.const(partialsOf(partials, k)))
    return [sum.set(f64.const(0)), accs[k].map((a) => addPair(sum, a)), f64.store(address, sum.get)]
  })
}

/** `body` for u = 0 … count-1. */
const counted = (u: Local, count: number, body: Code): Code => [
  u.set(i32.const(0)),
  control.loop([body, u.set(i32.add(u.get, i32.const(1))), control.br_if(0, i32.lt_u(u.get, i32.const(count)))]),
]

const mean = (sum: Code<'f64'>, divisor: number): Code<'f32'> =>
  f32.demote_f64(divisor === 1 ? sum : f64.div(sum, f64.const(divisor)))

type Sum = Loop['sums'][number]

/** A sum of everything. */
const oneSum = (
  scope: Scope,
  u: Local,
  s: Sum,
  from: number,
  { units, out }: { readonly units: number; readonly out: number },
): Code => {
  const sum = scope.local('f64')
  return [
    sum.set(f64.const(0)),
    counted(u, units, sum.set(f64.add(sum.get, f64.load(i32.mul(u.get, i32.const(PARTIAL)), from)))),
    f32.store(i32.const(out), mean(sum.get, s.divisor)),
  ]
}

/** Adds the partial sums in the order of their units. */
export const emitSums = (
  m: ModuleBuilder,
  loop: Loop,
  places: ReadonlyMap<number, number>,
  partials: Partials,
): Func<Units> =>
  m.func({
    params: ['i32', 'i32'],
    body: (scope) => {
      const [u, place] = [scope.local('i32'), scope.local('i32')]
      const { units } = partials
      return loop.sums.map((s, k): Code => {
        const out = places.get(s.node.id) ?? 0
        const count = sizeOf(s.node.shape)
        const from = partialsOf(partials, k)
        if (count === 1) return oneSum(scope, u, s, from, { units, out })
        // Several results: float64 sums behind the partials, then rounded.
        const sums = partialsOf(partials, loop.sums.length)
        const index = i32.mul(unitOffset(u.get, loop.space, s.strides), i32.const(8))
        const eight = i32.mul(u.get, i32.const(8))
        const partial = i32.mul(u.get, i32.const(PARTIAL))
        return [
          counted(u, count, f64.store(eight, f64.const(0), sums)),
          counted(u, units, [
            place.set(index),
            f64.store(place.get, f64.add(f64.load(place.get, sums), f64.load(partial, from)), sums),
          ]),
          counted(u, count, f32.store(i32.mul(u.get, i32.const(4)), mean(f64.load(eight, sums), s.divisor), out)),
        ]
      })
    },
  })

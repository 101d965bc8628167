/** Rows of a result in float32: taps that stay in registers, times vectors of the room. */
import type { Code } from '../../../asm/encode.js'
import { f32x4, v128 } from '../../../asm/instructions.js'
import type { Local, ModuleBuilder, Scope } from '../../../asm/module.js'
import { advance, range, storeLanes, times, zipHigh, zipLow } from '../code.js'
import { rowBytes } from './rooms.js'
import type { AxisTap, Strips } from './strips.js'

/** What the code of rows is written with: how a vector at a pointer meets a factor, and what becomes of the sum. */
export type Rows = {
  readonly scope: Scope
  readonly strips: Strips
  /** Bytes of an element of the room. */
  readonly element: 2 | 4
  /** The sum, with what stands at a pointer `offset` bytes on times a tap added. */
  readonly add: (sum: Code<'v128'>, room: Code<'i32'>, offset: number, tap: number) => Code<'v128'>
  readonly end: (sum: Code<'v128'>) => Code<'v128'>
}

/** Bytes of the room from one group of columns to the next. */
const STEP = 16

/** The sum of one vector of the result: all taps of a row and of a column, in their order. */
const sumOf = (w: Rows, p: Local, rows: readonly AxisTap[], columns: readonly AxisTap[]): Code<'v128'> => {
  const { strips: s, element } = w
  const row = rowBytes(s, element)
  const sum = rows
    .flatMap((r) =>
      columns.map((c) => ({
        offset: r.at * row + (c.phase * s.pitch + c.at) * element,
        tap: r.tap * s.kernel[1] + c.tap,
      })),
    )
    .reduce((so, { offset, tap }) => w.add(so, p.get, offset, tap), f32x4.const(0))
  return w.end(sum)
}

/** The vectors of a group of columns, of two lists of taps in turn; so many lanes of them are stored. */
const groupCode = (w: Rows, p: Local, to: Local, rows: readonly AxisTap[], lanes: number): Code => {
  const [even, odd, other] = range(3).map(() => w.scope.local('v128'))
  const lists = w.strips.columnTaps
  const first = even.set(sumOf(w, p, rows, lists[0]))
  const store = (v: Local<'v128'>, at: number): Code =>
    lanes > 4 * at ? storeLanes(to.get, v.get, Math.min(4, lanes - 4 * at), 16 * at) : []
  if (lists.length === 1) return [first, store(even, 0)]
  return [
    first,
    odd.set(sumOf(w, p, rows, lists[1])),
    other.set(zipHigh(even.get, odd.get)),
    even.set(zipLow(even.get, odd.get)),
    store(even, 0),
    store(other, 1),
  ]
}

/** A row of the result, from where the room and the result stand. */
const rowCode = (w: Rows, room: Local, out: Local, rows: readonly AxisTap[]): Code => {
  const { scope, strips: s } = w
  const width = 4 * s.columnTaps.length
  const whole = Math.floor(s.out[1] / width)
  const rest = s.out[1] - whole * width
  const [p, to] = [scope.local('i32'), scope.local('i32')]
  return [
    p.set(room.get),
    to.set(out.get),
    times(scope, whole, [groupCode(w, p, to, rows, width), advance(p, STEP), advance(to, 4 * width)]),
    rest === 0 ? [] : groupCode(w, p, to, rows, rest),
  ]
}

/** All rows of a plane, from the room at one address to the result at another. */
export const planeCode = (w: Rows, room: Code<'i32'>, result: Code<'i32'>): Code => {
  const { scope, strips: s, element } = w
  const [at, out] = [scope.local('i32'), scope.local('i32')]
  const row = 4 * s.out[1]
  const turn = (lists: Strips['rowTaps']): Code => [
    lists.map((taps) => [rowCode(w, at, out, taps), advance(out, row)]),
    advance(at, s.rowStep * rowBytes(s, element)),
  ]
  const per = s.rowTaps.length
  return [
    at.set(room),
    out.set(result),
    times(scope, Math.floor(s.out[0] / per), turn(s.rowTaps)),
    s.out[0] % per === 0 ? [] : turn(s.rowTaps.slice(0, s.out[0] % per)),
  ]
}

/** Rows of float32, by taps that stand in locals. */
export const floatRows = (m: ModuleBuilder, scope: Scope, strips: Strips, taps: readonly Local<'v128'>[]): Rows => ({
  scope,
  strips,
  element: 4,
  add: (sum, room, offset, k) => m.multiplyAdd(taps[k].get, v128.load(room, offset), sum),
  end: (sum) => sum,
})

/** Sets taps to the words at an address, one behind the other. */
export const loadTaps = (taps: readonly Local<'v128'>[], from: Code<'i32'>): Code =>
  taps.map((f, k) => f.set(v128.load32_splat(from, 4 * k)))

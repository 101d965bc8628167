/** Places one plane in its room: rows of it, with the columns in phases or as 16-bit integers. Margins are cleared once. */
import type { Code } from '../../../asm/encode.js'
import { f32, f32x4, i16x8, i32, i32x4, v128 } from '../../../asm/instructions.js'
import type { Local, Scope } from '../../../asm/module.js'
import { advance, pick, range, times } from '../code.js'
import type { Quantizer } from '../integers.js'
import type { Span, Strips } from './strips.js'

/** How elements become those of the room: so many at once from a pointer (`offset` bytes on) to another one's. */
export type Mover = {
  /** Bytes of an element of the source. */
  readonly size: 1 | 4
  /** Bytes of an element of the room. */
  readonly room: 2 | 4
  /** From how many at once on, the most first; the last is one. `element` is where the first stands among the row's placed ones. */
  readonly moves: readonly {
    readonly count: number
    readonly move: (from: Local, to: Local, element: number) => Code
  }[]
}

/** Bytes of a row of a room, and of a whole one with room for a vector behind it. */
export const rowBytes = (s: Strips, element: 2 | 4): number => s.phases * s.pitch * element
export const roomBytes = (s: Strips, element: 2 | 4): number =>
  Math.ceil((s.rows.room * rowBytes(s, element)) / 64) * 64 + 64

/** Where column `c` of the room is in its row, in bytes. */
const columnAt = (s: Strips, c: number, element: 2 | 4): number =>
  ((c % s.phases) * s.pitch + Math.floor(c / s.phases)) * element

/** Floats as they are, in one phase or in two. */
export const floatMover = (s: Strips): Mover => {
  const { to } = s.columns
  const at = (element: number): number => columnAt(s, to + element, 4)
  const one = {
    count: 1,
    move: (p: Local, q: Local, e: number): Code => f32.store(q.get, f32.load(p.get, 4 * e), at(e)),
  }
  const four = {
    count: 4,
    move: (p: Local, q: Local, e: number): Code => v128.store(q.get, v128.load(p.get, 4 * e), at(e)),
  }
  const parted = {
    count: 8,
    move: (p: Local, q: Local, e: number): Code => {
      const [a, b] = [v128.load(p.get, 4 * e), v128.load(p.get, 4 * e + 16)]
      return [
        v128.store(q.get, pick(a, b, [0, 2, 4, 6]), at(e)),
        v128.store(q.get, pick(a, b, [1, 3, 5, 7]), at(e + 1)),
      ]
    },
  }
  return { size: 4, room: 4, moves: [s.phases === 1 ? four : parted, one] }
}

/** What float32 adds to an integer that it rounds to: its bits are the integer's above these. */
const MAGIC_BITS = i32x4.const(0x4b400000)

/** Floats on a grid, as 16-bit integers. */
export const quantizedMover = (s: Strips, q: Quantizer): Mover => {
  const at = (element: number): number => columnAt(s, s.columns.to + element, 2)
  const whole = (p: Local, offset: number): Code<'v128'> => i32x4.sub(q.words(v128.load(p.get, offset)), MAGIC_BITS)
  return {
    size: 4,
    room: 2,
    moves: [
      {
        count: 8,
        move: (p, to, e) => v128.store(to.get, i16x8.narrow_i32x4_s(whole(p, 4 * e), whole(p, 4 * e + 16)), at(e)),
      },
      {
        count: 4,
        move: (p, to, e) => v128.store64_lane(0, to.get, i16x8.narrow_i32x4_s(whole(p, 4 * e), f32x4.const(0)), at(e)),
      },
      {
        count: 1,
        move: (p, to, e) => v128.store16_lane(0, to.get, q.words(v128.load32_zero(p.get, 4 * e)), at(e)),
      },
    ],
  }
}

/** Bytes, as 16-bit integers. */
export const byteMover = (s: Strips, signed: boolean): Mover => {
  const at = (element: number): number => columnAt(s, s.columns.to + element, 2)
  const eight = signed ? v128.load8x8_s : v128.load8x8_u
  const extend = signed ? i16x8.extend_low_i8x16_s : i16x8.extend_low_i8x16_u
  const one = signed ? i32.load8_s : i32.load8_u
  return {
    size: 1,
    room: 2,
    moves: [
      { count: 8, move: (p, to, e) => v128.store(to.get, eight(p.get, e), at(e)) },
      {
        count: 4,
        move: (p, to, e) => v128.store64_lane(0, to.get, extend(v128.load32_zero(p.get, e)), at(e)),
      },
      { count: 1, move: (p, to, e) => i32.store16(to.get, one(p.get, e), at(e)) },
    ],
  }
}

/** Moves `count` elements of a row. What is left of a run begins earlier, over elements that are moved already. */
const rowCode = (scope: Scope, { moves, size, room }: Mover, s: Strips, { p, q }: Pointers, { count }: Span): Code => {
  const fitting = moves.filter((m) => m.count <= count)
  if (fitting.length === 0) return []
  const [{ count: many, move }] = fitting
  const runs = Math.floor(count / many)
  const rest = count - many * runs
  const end = rest === 0 ? [] : move(p, q, count - many)
  if (runs <= 4 || many === 1) return [range(runs).map((r) => move(p, q, r * many)), end]
  const [from, to] = [scope.local('i32'), scope.local('i32')]
  return [
    from.set(p.get),
    to.set(q.get),
    times(scope, runs, [move(from, to, 0), advance(from, many * size), advance(to, (many / s.phases) * room)]),
    end,
  ]
}

/** Where rows are read, and where they go. */
type Pointers = { readonly p: Local; readonly q: Local }

/** Code that places the plane at `source` in the room at `room`. */
export const placeCode = (scope: Scope, s: Strips, mover: Mover, source: Code<'i32'>, room: Code<'i32'>): Code => {
  const [p, q] = [scope.local('i32'), scope.local('i32')]
  const row = rowBytes(s, mover.room)
  if (s.rows.count === 0 || s.columns.count === 0) return []
  return [
    p.set(i32.add(source, i32.const((s.rows.first * s.source[1] + s.columns.first) * mover.size))),
    q.set(i32.add(room, i32.const(s.rows.to * row))),
    times(scope, s.rows.count, [
      rowCode(scope, mover, s, { p, q }, s.columns),
      advance(p, s.source[1] * mover.size),
      advance(q, row),
    ]),
  ]
}

/** Fills a room with zeros. */
export const clearCode = (scope: Scope, room: Code<'i32'>, bytes: number): Code => {
  const q = scope.local('i32')
  return [
    q.set(room),
    times(scope, bytes / 64, [range(4).map((i) => v128.store(q.get, f32x4.const(0), 16 * i)), advance(q, 64)]),
  ]
}

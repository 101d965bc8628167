/** Copies between strided places: any slice, permutation, repetition or interleaving of axes is one of these. */
import type { Code } from '../asm/encode.js'
import { control, f32, f32x4, i32, memory, v128 } from '../asm/instructions.js'
import { forLoop, type Local, type Scope } from '../asm/module.js'
import type { Places, Stage } from '../kernel.js'
import { bump, perUnit, shares, whileLoop } from './loops.js'
import { COPY_PARTS, LARGEST_NS, MOVED_NS, NATIVE_COPY_ELEMENTS, ROW_NS, RUN_NS, UNITS } from '../machine.js'

/** Bytes of an element: a float, or an integer of a quantizer that is stored as a byte. */
export type ElementSize = 1 | 4

/** An axis of a copy: its size, and the steps in elements from one index to the next in the source and in the result. */
export type CopyAxis = { readonly size: number; readonly from: number; readonly to: number }

/** A copy from operand `arg`, starting at element `from`, to the result, starting at element `to`. */
export type Copy = {
  readonly arg: number
  readonly from: number
  readonly to: number
  /** From the outermost in. */
  readonly axes: readonly CopyAxis[]
  /** Is 0 added on the way? Makes -0 a 0, as sums that start from 0 do. */
  readonly plusZero?: boolean
}

/** Axes of one element left out, neighbours that are walked as one made one. */
const merged = (axes: readonly CopyAxis[]): readonly CopyAxis[] => {
  const out: CopyAxis[] = []
  for (const axis of axes) {
    if (axis.size === 1) continue
    const last = out[out.length - 1]
    if (last !== undefined && last.from === axis.from * axis.size && last.to === axis.to * axis.size)
      out[out.length - 1] = { ...axis, size: last.size * axis.size }
    else out.push(axis)
  }
  return out.length === 0 ? [{ size: 1, from: 1, to: 1 }] : out
}

type Ends = {
  readonly from: Local
  readonly to: Local
  readonly count: Local
  readonly plusZero: boolean
  readonly size: ElementSize
}

const scaled = (index: Code<'i32'>, size: ElementSize): Code<'i32'> =>
  size === 1 ? index : i32.shl(index, i32.const(2))

/** Moves one element as it is. */
const moveOne = (to: Local, from: Local, size: ElementSize): Code =>
  size === 1 ? i32.store8(to.get, i32.load8_u(from.get)) : f32.store(to.get, f32.load(from.get))

/** Moves on over `count` elements, a vector at a time where both sides are dense. */
const dense = (scope: Scope, { from, to, count, plusZero, size }: Ends, repeat: boolean): Code => {
  const [end, filler] = [scope.local('i32'), scope.local('v128')]
  const read = plusZero ? f32x4.add(v128.load(from.get), f32x4.const(0)) : v128.load(from.get)
  const fill = size === 1 ? v128.load8_splat(from.get) : v128.load32_splat(from.get)
  const one = plusZero ? f32.store(to.get, f32.add(f32.load(from.get), f32.const(0))) : moveOne(to, from, size)
  const advance = (n: number): Code => [repeat ? [] : bump(from, n), bump(to, n)]
  return [
    repeat ? filler.set(fill) : [],
    end.set(i32.add(to.get, scaled(count.get, size))),
    whileLoop(i32.le_u(i32.add(to.get, i32.const(16)), end.get), [
      v128.store(to.get, repeat ? filler.get : read),
      advance(16),
    ]),
    whileLoop(i32.lt_u(to.get, end.get), [one, advance(size)]),
  ]
}

const strided = (scope: Scope, { from, to, count, plusZero, size }: Ends, axis: CopyAxis): Code => {
  const i = scope.local('i32')
  return forLoop(i, i32.const(0), count.get, 1, [
    plusZero ? f32.store(to.get, f32.add(f32.load(from.get), f32.const(0))) : moveOne(to, from, size),
    bump(from, size * axis.from),
    bump(to, size * axis.to),
  ])
}

/** Copies `count` elements along the innermost axis; leaves the pointers anywhere. */
const innermost = (scope: Scope, ends: Ends, axis: CopyAxis): Code => {
  if (axis.to !== 1 || axis.from > 1) return strided(scope, ends, axis)
  if (axis.from === 1 && axis.size >= NATIVE_COPY_ELEMENTS && !ends.plusZero)
    return memory.copy(ends.to.get, ends.from.get, scaled(ends.count.get, ends.size))
  return dense(scope, ends, axis.from === 0)
}

/** Loops over `axes`, innermost last, with pointers of their own at each level. */
const nested = (
  scope: Scope,
  axes: readonly CopyAxis[],
  { from, to, size }: Pick<Ends, 'from' | 'to' | 'size'>,
  inner: (from: Local, to: Local) => Code,
): Code => {
  const [axis, ...rest] = axes
  const [p, q, i] = Array.from({ length: 3 }, () => scope.local('i32'))
  if (axis === undefined) return [p.set(from.get), q.set(to.get), inner(p, q)]
  return [
    p.set(from.get),
    q.set(to.get),
    forLoop(i, i32.const(0), i32.const(axis.size), 1, [
      nested(scope, rest, { from: p, to: q, size }, inner),
      bump(p, size * axis.from),
      bump(q, size * axis.to),
    ]),
  ]
}

/** Adds the offsets of index `index` of the outer axes to both pointers. */
const descend = (
  axes: readonly CopyAxis[],
  index: Local,
  { from, to, size: bytes }: Pick<Ends, 'from' | 'to' | 'size'>,
): Code => {
  let step = 1
  const moves: Code[] = []
  for (const { size, from: f, to: t } of [...axes].reverse()) {
    const digit = i32.rem_u(step === 1 ? index.get : i32.div_u(index.get, i32.const(step)), i32.const(size))
    moves.push(bump(from, i32.mul(digit, i32.const(bytes * f))), bump(to, i32.mul(digit, i32.const(bytes * t))))
    step *= size
  }
  return moves
}

/** What a copy's units are: indices of its outer axes, or parts of a single long run. */
type Task = {
  readonly units: number
  readonly cost: number
  readonly code: (scope: Scope, unit: Code<'i32'>, at: Places) => Code
}

const taskOf = (copy: Copy, bytes: ElementSize): Task => {
  const axes = merged(copy.axes)
  const last = axes[axes.length - 1]
  let cut = 0
  let pieces = 1
  while (cut < axes.length - 1 && pieces < COPY_PARTS.enough) pieces *= axes[cut++].size
  const inside = axes.slice(cut, -1)
  const parts =
    inside.length === 0 && pieces < COPY_PARTS.enough ? Math.max(1, Math.ceil(last.size / COPY_PARTS.elements)) : 1
  const each = Math.ceil(last.size / parts)
  const work = shares(pieces * parts, UNITS.most)
  const size = axes.reduce((n, a) => n * a.size, 1)
  return {
    units: work.count,
    cost: (size / work.count) * (last.to === 1 && last.from <= 1 ? RUN_NS : MOVED_NS) + ROW_NS * work.each,
    code: (scope, unit, at) => {
      const [piece, outer, part, from, to, count, rest] = Array.from({ length: 7 }, () => scope.local('i32'))
      return work.loop(scope, unit, piece, [
        outer.set(parts === 1 ? piece.get : i32.div_u(piece.get, i32.const(parts))),
        from.set(i32.const(at.args[copy.arg] + bytes * copy.from)),
        to.set(i32.const(at.outs[0] + bytes * copy.to)),
        descend(axes.slice(0, cut), outer, { from, to, size: bytes }),
        count.set(i32.const(last.size)),
        parts === 1
          ? []
          : [
              part.set(i32.mul(i32.rem_u(piece.get, i32.const(parts)), i32.const(each))),
              bump(from, i32.mul(part.get, i32.const(bytes * last.from))),
              bump(to, i32.mul(part.get, i32.const(bytes * last.to))),
              rest.set(i32.sub(i32.const(last.size), part.get)),
              count.set(control.select(i32.const(each), rest.get, i32.lt_s(i32.const(each), rest.get))),
              count.set(control.select(count.get, i32.const(0), i32.gt_s(count.get, i32.const(0)))),
            ],
        nested(scope, inside, { from, to, size: bytes }, (p, q) =>
          innermost(scope, { from: p, to: q, count, plusZero: copy.plusZero === true, size: bytes }, last),
        ),
      ])
    },
  }
}

/** One stage that does several copies of elements of so many bytes, which must not overlap in the result. */
export const copyStage = (label: string, copies: readonly Copy[], bytes: ElementSize = 4): Stage => {
  const tasks = copies.map((copy) => taskOf(copy, bytes))
  const units = tasks.reduce((n, t) => n + t.units, 0)
  return {
    label,
    units,
    cost: tasks.reduce((n, t) => n + t.units * t.cost, 0) / units,
    emit: (m, at) =>
      m.func(
        perUnit((unit, scope) => {
          let start = 0
          return tasks.map((task) => {
            const own = i32.sub(unit.get, i32.const(start))
            start += task.units
            return tasks.length === 1
              ? task.code(scope, unit.get, at)
              : control.if(i32.lt_u(own, i32.const(task.units)), task.code(scope, own, at))
          })
        }),
      ),
  }
}

/** One stage that fills the result's `n` elements with a number. */
export const fillStage = (n: number, value: number): Stage => {
  const work = shares(n, Math.ceil(n / COPY_PARTS.elements))
  return {
    label: 'fill',
    units: work.count,
    cost: work.each * LARGEST_NS,
    emit: (m, at) =>
      m.func(
        perUnit((unit, scope) => {
          const [p, end, last] = Array.from({ length: 3 }, () => scope.local('i32'))
          return [
            last.set(i32.const(at.outs[0] + 4 * n)),
            p.set(i32.add(i32.const(at.outs[0]), i32.mul(unit.get, i32.const(4 * work.each)))),
            end.set(i32.add(p.get, i32.const(4 * work.each))),
            end.set(control.select(last.get, end.get, i32.gt_u(end.get, last.get))),
            Object.is(value, 0)
              ? memory.fill(p.get, i32.const(0), i32.sub(end.get, p.get))
              : forLoop(p, p.get, end.get, 4, f32.store(p.get, f32.const(value))),
          ]
        }),
      ),
  }
}

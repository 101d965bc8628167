/** Copies planes (the elements of one channel) into larger ones: with zeros around, cropped, or with gaps. */
import { type Shape, sizeOf, stridesOf } from '../../../../data/shape.js'
import type { Code } from '../../asm/encode.js'
import { control, f32x4, i32, v128 } from '../../asm/instructions.js'
import { forLoop, type Local, type Scope } from '../../asm/module.js'
import type { Places, Stage } from '../../kernel.js'
import { advance, range, times } from './code.js'
import type { Layout, Place } from './layout.js'
import { COPIED_PER_NS, PLANE_ROW_NS } from '../../machine.js'

/** Element i of the source goes to `i * step + lead` along each axis of the target; what falls outside is dropped. */
export type Placement = {
  readonly source: Shape
  readonly target: Shape
  readonly step: readonly number[]
  readonly lead: readonly number[]
}

/** Bytes of a target plane: whole vectors, and one more that zeros may run into, so that neighbours can be written by different threads. */
export const planeBytes = (target: Shape): number => Math.ceil(sizeOf(target) / 4) * 16 + 16

/** Is the placed plane the source itself? */
export const isIdentity = ({ source, target, step, lead }: Placement): boolean =>
  source.every((n, d) => n === target[d] && (step[d] === 1 || n === 1) && lead[d] === 0)

/** The elements of one axis that have a place: the first, how many, and where the first goes. */
const inside = (p: Placement, d: number): { readonly first: number; readonly count: number; readonly to: number } => {
  const first = Math.max(0, Math.ceil(-p.lead[d] / p.step[d]))
  const last = Math.min(p.source[d] - 1, Math.floor((p.target[d] - 1 - p.lead[d]) / p.step[d]))
  return { first, count: Math.max(0, last - first + 1), to: first * p.step[d] + p.lead[d] }
}

/** Where each row of the source starts and where it goes, and how much is empty from its end to the next one, in bytes. */
const rowTable = (p: Placement, size: number): readonly number[] => {
  const spans = p.source.map((_, d) => inside(p, d))
  const last = spans.length - 1
  const [from, to] = [stridesOf(p.source), stridesOf(p.target)]
  let rows: readonly (readonly [number, number])[] = [[spans[last].first, spans[last].to]]
  if (spans.some((s) => s.count === 0)) return []
  for (let d = 0; d < last; d++)
    rows = rows.flatMap(([a, b]) =>
      range(spans[d].count).map(
        (i) => [a + (spans[d].first + i) * from[d], b + (spans[d].to + i * p.step[d]) * to[d]] as const,
      ),
    )
  const end = sizeOf(p.target)
  const length = (spans[last].count - 1) * p.step[last] + 1
  return rows.flatMap(([a, b], i) => [size * a, 4 * b, 4 * ((i + 1 < rows.length ? rows[i + 1][1] : end) - b - length)])
}

/** How four elements, or one, are read at a pointer into the source; lanes are written to the target. */
export type Reader = {
  /** Bytes of an element of the source. */
  readonly size: 1 | 4
  readonly four: (source: Local, offset: number) => Code<'v128'>
  readonly one: (source: Local, offset: number) => Code<'v128'>
}
/** Reads numbers as they are. */
const plain: Reader = {
  size: 4,
  four: (p, offset) => v128.load(p.get, offset),
  one: (p, offset) => v128.load32_zero(p.get, offset),
}

/** Pointers to where numbers are read, and to where they go. */
export type Moving = { readonly p: Local; readonly q: Local }

/** Moves `count` neighbours from pointer p to pointer q, where they go `step` apart; may move the pointers. */
export const moveRow = (scope: Scope, reader: Reader, { p, q }: Moving, count: number, step = 1): Code => {
  const { size } = reader
  const from = (offset: number): number => (offset * size) / 4
  const one = (offset: number): Code => v128.store32_lane(0, q.get, reader.one(p, from(offset)), offset * step)
  if (step !== 1) return times(scope, count, [one(0), advance(p, size), advance(q, 4 * step)])
  if (count < 4) return range(count).map((i) => one(4 * i))
  const vectors = Math.floor(count / 4)
  const four = (offset: number): Code => v128.store(q.get, reader.four(p, from(offset)), offset)
  // The last vector overlaps the one before it.
  const whole =
    vectors <= 8
      ? range(vectors).map((i) => four(16 * i))
      : times(scope, vectors, [four(0), advance(p, 4 * size), advance(q, 16)])
  const rest = count - 4 * vectors
  const end = vectors <= 8 ? 4 * count - 16 : 4 * rest - 16
  if (rest === 0) return whole
  return [whole, end >= 0 ? four(end) : [advance(p, from(end)), advance(q, end), four(0)]]
}

/** Fills so many bytes with zeros, and up to 12 beyond. */
const clear = (scope: Scope, target: Code<'i32'>, bytes: number): Code => {
  const at = scope.local('i32')
  const vectors = Math.ceil(bytes / 16)
  if (vectors === 0) return []
  return [
    at.set(target),
    times(scope, Math.floor(vectors / 4), [range(4).map((i) => v128.store(at.get, ZERO, 16 * i)), advance(at, 64)]),
    range(vectors % 4).map((i) => v128.store(at.get, ZERO, 16 * i)),
  ]
}
const ZERO = f32x4.const(0)

/** What a stage of copies works on. `planesPerStep` source planes make one target plane (2 where a reader joins pairs). */
export type PlaneCopy = {
  readonly label: string
  readonly planes: number
  readonly source: Place
  /** Where the source plane of a unit starts, in bytes from `source`. */
  readonly sourceOf: (unit: Local) => Code<'i32'>
  readonly target: Place
  readonly placement: Placement
  /** Bytes of an element of the source, if not 4. */
  readonly size?: 1 | 4
  readonly reader?: (
    scope: Scope,
    unit: Local,
    at: Places,
  ) => { readonly before: Code; readonly reader: Reader; readonly after: Code }
}

/** The stage that places planes; a unit is one plane of the target. */
export const planeStage = (layout: Layout, copy: PlaneCopy): Stage => {
  const { placement } = copy
  const rows = rowTable(placement, copy.size ?? 4)
  const table = layout.table(rows)
  const bytes = planeBytes(placement.target)
  const d = placement.source.length - 1
  const { count } = inside(placement, d)
  // Rows are written in the order of their places: zeros after one may run into the next, which follows. With gaps within
  // rows, or no rows at all, everything is cleared first.
  const gaps = placement.step[d] !== 1 || rows.length === 0
  const tail = Math.ceil(rows.reduce((most, n, i) => (i % 3 === 2 ? Math.max(most, n) : most), 0) / 16)
  return {
    label: copy.label,
    units: copy.planes,
    cost: bytes / COPIED_PER_NS + rows.length * PLANE_ROW_NS,
    emit: (m, at) =>
      m.func({
        params: ['i32', 'i32'],
        body: (scope) => {
          const [unit, entry, source, target, p, q, z, stop] = range(8).map(() => scope.local('i32'))
          const { before, reader, after } = copy.reader?.(scope, unit, at) ?? { before: [], reader: plain, after: [] }
          const zeros: Code =
            tail === 1
              ? control.if(i32.load(entry.get, 8), v128.store(z.get, ZERO))
              : [
                  stop.set(i32.add(z.get, i32.load(entry.get, 8))),
                  forLoop(z, z.get, stop.get, 16, v128.store(z.get, ZERO)),
                ]
          return forLoop(unit, scope.params[0].get, scope.params[1].get, 1, [
            before,
            source.set(i32.add(i32.const(copy.source(at)), copy.sourceOf(unit))),
            target.set(i32.add(i32.const(copy.target(at)), i32.mul(unit.get, i32.const(bytes)))),
            clear(scope, target.get, gaps ? bytes - 16 : rows[1]),
            forLoop(entry, i32.const(table(at)), i32.const(table(at) + rows.length * 4), 12, [
              p.set(i32.add(source.get, i32.load(entry.get))),
              q.set(i32.add(target.get, i32.load(entry.get, 4))),
              gaps || tail === 0 ? [] : z.set(i32.add(q.get, i32.const(4 * count))),
              moveRow(scope, reader, { p, q }, count, placement.step[d]),
              gaps || tail === 0 ? [] : zeros,
            ]),
            after,
          ])
        },
      }),
  }
}

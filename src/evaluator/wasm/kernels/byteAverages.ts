/**
 * Average pools that read bytes. The numbers of one scale are whole multiples of its last place, none above 2^32 of them, so that doubles add up
 * two million of them without rounding: in any order, and so first down the columns of a window's rows, then along.
 */
import { sizeOf } from '../../../data/shape.js'
import type { Code } from '../asm/encode.js'
import { control, f32, f32x4, f64, f64x2, i32, v128 } from '../asm/instructions.js'
import { forLoop, type Local, type Scope } from '../asm/module.js'
import { fromBytes } from '../elementwise/bytes.js'
import type { Kernel, KernelSpec, Places, Stage } from '../kernel.js'
import { affine, bump, perUnit, rounded, shares } from './loops.js'
import { averageAxes, type AverageAxes } from './poolWindows.js'
import { pack } from './tables.js'
import { AVERAGED_NS, EXACT_DOUBLES, UNITS, UNROLLED_TAPS } from '../machine.js'

/** Windows along one axis: window i covers `[i * stride - before, i * stride - before + size)`, as far as that lies in the axis. */
type Sliding = { readonly size: number; readonly stride: number; readonly before: number }

const slidingOf = (windows: readonly (readonly number[])[], length: number): Sliding | null => {
  if (windows.some((w) => w.length === 0)) return null
  const ends = windows.map((w) => w[w.length - 1] + 1)
  const stride = windows.length < 2 ? length : Math.max(windows[1][0] - windows[0][0], ends[1] - ends[0])
  // The first window may begin before the axis does; a window in the middle tells how long they are.
  const size = Math.max(...windows.map((w) => w.length))
  const before = ends[0] === length ? 0 : size - ends[0]
  const fits = windows.every(
    (w, i) => w[0] === Math.max(0, i * stride - before) && ends[i] === Math.min(length, i * stride - before + size),
  )
  return fits && before >= 0 ? { size, stride, before } : null
}

/** An average pool of planes of h rows of w bytes. */
type Averages = {
  readonly planes: number
  readonly h: number
  readonly w: number
  readonly ho: number
  readonly wo: number
  readonly down: Sliding
  readonly along: Sliding
  readonly divisors: Float64Array
}

const averagesOf = ({ planes, plane, axes, divisors }: AverageAxes): Averages | null => {
  if (axes.length > 2) return null
  const [h, w] = plane.length === 1 ? [1, plane[0]] : plane
  const [rows, columns] = axes.length === 1 ? [[[0]], axes[0]] : axes
  const [down, along] = [slidingOf(rows, h), slidingOf(columns, w)]
  if (down === null || along === null || down.size * along.size > EXACT_DOUBLES) return null
  return { planes, h, w, ho: rows.length, wo: columns.length, down, along, divisors }
}

/** Is it an average pool with a kernel that reads bytes? */
export const averagesBytes = (spec: KernelSpec): boolean => {
  const axes = averageAxes(spec)
  return axes !== null && averagesOf(axes) !== null
}

/** Doubles of a row of sums: what lies before the first column and behind the last is 0. */
const rowLength = ({ w, wo, along }: Averages): number =>
  Math.max(along.before + 4 * Math.ceil(w / 4), (wo - 1) * along.stride + along.size) + 2

const HIGH = [8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7]

/** What the code of a plane is written with: where its bytes and sums are, and the scale in all lanes. */
type Writing = {
  readonly scope: Scope
  readonly a: Averages
  readonly signed: boolean
  readonly x: Local
  readonly sums: Local
  readonly scale: Local<'v128'>
}

/** The sums of all columns over rows `from` … `end - 1`. */
const columnSums = ({ scope, a, signed, x, sums, scale }: Writing, from: Local, end: Local): Code => {
  const [c, y, p, to] = Array.from({ length: 4 }, () => scope.local('i32'))
  const [v, low, high] = Array.from({ length: 3 }, () => scope.local('v128'))
  const behind = a.along.before + a.w
  return [
    to.set(i32.add(sums.get, i32.const(8 * a.along.before))),
    forLoop(c, i32.const(0), i32.const(a.w), 4, [
      [low, high].map((l) => l.set(f64x2.const(0))),
      p.set(i32.add(i32.add(x.get, c.get), i32.mul(from.get, i32.const(a.w)))),
      forLoop(y, from.get, end.get, 1, [
        v.set(f32x4.mul(fromBytes(signed, false, p.get, 0), scale.get)),
        low.set(f64x2.add(low.get, f64x2.promote_low_f32x4(v.get))),
        high.set(f64x2.add(high.get, f64x2.promote_low_f32x4(v128.shuffle(v.get, v.get, HIGH)))),
        bump(p, a.w),
      ]),
      v128.store(to.get, low.get),
      v128.store(to.get, high.get, 16),
      bump(to, 32),
    ]),
    // Vectors went beyond the last column.
    Array.from({ length: rowLength(a) - behind }, (_, k) => f64.store(sums.get, f64.const(0), 8 * (behind + k))),
  ]
}

/** Sums over a window along a row, from `p` on: of one window, or of two whose sums lie side by side. */
const alongSums = <T extends 'f64' | 'v128'>(
  scope: Scope,
  size: number,
  p: Local,
  sum: Local<T>,
  add: (offset: number, q: Local) => Code<T>,
): Code => {
  if (size <= UNROLLED_TAPS) return Array.from({ length: size }, (_, k) => sum.set(add(8 * k, p)))
  const [q, end] = [scope.local('i32'), scope.local('i32')]
  return [end.set(i32.add(p.get, i32.const(8 * size))), forLoop(q, p.get, end.get, 8, sum.set(add(0, q)))]
}

/** One row of results: sums along, each divided by its number. Neighbours that are one column apart are done in pairs. */
const resultRow = ({ scope, a, sums }: Writing, out: Local, divisor: Local): Code => {
  const [j, p] = [scope.local('i32'), scope.local('i32')]
  const [both, one] = [scope.local('v128'), scope.local('f64')]
  const { size, stride } = a.along
  const pairs = stride === 1 ? Math.floor(a.wo / 2) : 0
  const single: Code = [
    one.set(f64.const(0)),
    alongSums(scope, size, p, one, (o, q) => f64.add(one.get, f64.load(q.get, o))),
    f32.store(out.get, f32.demote_f64(f64.div(one.get, f64.load(divisor.get)))),
    bump(p, 8 * stride),
    bump(out, 4),
    bump(divisor, 8),
  ]
  const pair: Code = [
    both.set(f64x2.const(0)),
    alongSums(scope, size, p, both, (o, q) => f64x2.add(both.get, v128.load(q.get, o))),
    v128.store64_lane(0, out.get, f32x4.demote_f64x2_zero(f64x2.div(both.get, v128.load(divisor.get)))),
    bump(p, 16),
    bump(out, 8),
    bump(divisor, 16),
  ]
  return [
    p.set(sums.get),
    pairs === 0 ? [] : forLoop(j, i32.const(0), i32.const(pairs), 1, pair),
    2 * pairs === a.wo ? [] : forLoop(j, i32.const(2 * pairs), i32.const(a.wo), 1, single),
  ]
}

const planeCode = (w: Writing, at: Places, plane: Local): Code => {
  const { scope, a } = w
  const [i, first, from, end, out, divisor] = Array.from({ length: 6 }, () => scope.local('i32'))
  const zero = i32.const(0)
  return [
    w.x.set(affine(at.args[0], plane.get, a.h * a.w)),
    out.set(affine(at.outs[0], plane.get, 4 * a.ho * a.wo)),
    divisor.set(i32.const(at.constants)),
    forLoop(i, zero, i32.const(a.ho), 1, [
      first.set(i32.sub(i32.mul(i.get, i32.const(a.down.stride)), i32.const(a.down.before))),
      from.set(control.select(first.get, zero, i32.gt_s(first.get, zero))),
      end.set(i32.add(first.get, i32.const(a.down.size))),
      end.set(control.select(end.get, i32.const(a.h), i32.lt_s(end.get, i32.const(a.h)))),
      columnSums(w, from, end),
      resultRow(w, out, divisor),
    ]),
  ]
}

/** The kernel of an average pool over bytes, whose scale is operand 1; null where its windows are others, or it is none. */
export const byteAverageKernel = (spec: KernelSpec, signed: boolean): Kernel | null => {
  const axes = averageAxes(spec)
  const a = axes === null ? null : averagesOf(axes)
  if (a === null) return null
  const work = shares(a.planes, UNITS.withScratch)
  const lane = rounded(8 * rowLength(a))
  const tables = pack(a.divisors)
  const taken = a.ho * a.down.size * a.w + a.ho * a.wo * a.along.size
  const stage: Stage = {
    label: spec.op,
    units: work.count,
    cost: work.each * (AVERAGED_NS.element * taken + AVERAGED_NS.window * a.ho * a.wo),
    emit: (m, at) =>
      m.func(
        perUnit((unit, scope) => {
          const [plane, x, sums] = Array.from({ length: 3 }, () => scope.local('i32'))
          const scale = scope.local('v128')
          return [
            scale.set(v128.load32_splat(i32.const(at.args[1]))),
            sums.set(affine(at.scratch, unit.get, lane)),
            Array.from({ length: a.along.before }, (_, k) => f64.store(sums.get, f64.const(0), 8 * k)),
            work.loop(scope, unit.get, plane, planeCode({ scope, a, signed, x, sums, scale }, at, plane)),
          ]
        }),
      ),
  }
  return {
    name: `${spec.op} bytes`,
    scratch: lane * work.count,
    constants: tables.bytes,
    stages: [stage],
    flops: a.planes * taken,
    bytes: sizeOf(spec.shapes[0]) + 4 * sizeOf(spec.shape),
  }
}

/** Max pools from bytes to bytes: of integers of one positive scale the greatest is that of the greatest number. */
import { sizeOf } from '../../../data/shape.js'
import type { Code } from '../asm/encode.js'
import { control, i32, i8x16, v128 } from '../asm/instructions.js'
import { forLoop, type Local, type Scope } from '../asm/module.js'
import type { Kernel, KernelSpec, Places, Stage } from '../kernel.js'
import { affine, bump, perUnit, shares, wordAt } from './loops.js'
import { halved, type Halved } from './pool2x2.js'
import { maxWindows, type MaxWindows } from './poolWindows.js'
import { pack } from './tables.js'
import { OPERATION_NS, TABLED_NS, UNITS, UNROLLED_WINDOWS } from '../machine.js'

const every = (first: number): readonly number[] => Array.from({ length: 16 }, (_, i) => first + 2 * (i % 8))
const [EVEN, ODD] = [every(0), every(1)]

/** Windows that are done at once: 8 where a row has so many, else 4 (or as many as there are). */
const blockOf = (wo: number): 4 | 8 => (wo >= 8 ? 8 : 4)

/** Rows of windows of 2 by 2; the last block of a row overlaps the one before. */
const halvedPlane = (scope: Scope, { h, w, ho, wo }: Halved, signed: boolean, at: Places, plane: Local): Code => {
  const [top, out, y] = Array.from({ length: 3 }, () => scope.local('i32'))
  const both = scope.local('v128')
  const max = signed ? i8x16.max_s : i8x16.max_u
  const n = blockOf(wo)
  const load = n === 8 ? v128.load : v128.load64_zero
  const store = n === 8 ? v128.store64_lane : v128.store32_lane
  const block = (first: number): Code => [
    both.set(max(load(top.get, 2 * first), load(top.get, 2 * first + w))),
    store(0, out.get, max(v128.shuffle(both.get, both.get, EVEN), v128.shuffle(both.get, both.get, ODD)), first),
  ]
  const blocks = Array.from({ length: Math.ceil(wo / n) }, (_, i) => Math.min(n * i, wo - n))
  return [
    top.set(affine(at.args[0], plane.get, h * w)),
    out.set(affine(at.outs[0], plane.get, ho * wo)),
    forLoop(y, i32.const(0), i32.const(ho), 1, [blocks.map(block), bump(top, 2 * w), bump(out, wo)]),
  ]
}

/** Any windows, by table. */
const anyPlane = (
  scope: Scope,
  { size, starts }: MaxWindows,
  signed: boolean,
  [at, tables]: readonly [Places, readonly number[]],
  plane: Local,
): Code => {
  const [x, out, window, p, end, best, v] = Array.from({ length: 7 }, () => scope.local('i32'))
  const load = signed ? i32.load8_s : i32.load8_u
  const start = wordAt(i32.const(at.constants + tables[0]), window.get)
  const n = starts.length - 1
  return [
    x.set(affine(at.args[0], plane.get, size)),
    out.set(affine(at.outs[0], plane.get, n)),
    forLoop(window, i32.const(0), i32.const(n), 1, [
      p.set(wordAt(i32.const(at.constants + tables[1]), i32.load(start))),
      end.set(wordAt(i32.const(at.constants + tables[1]), i32.load(start, 4))),
      best.set(i32.const(-256)),
      forLoop(p, p.get, end.get, 4, [
        v.set(load(i32.add(x.get, i32.load(p.get)))),
        best.set(control.select(v.get, best.get, i32.gt_s(v.get, best.get))),
      ]),
      i32.store8(out.get, best.get),
      bump(out, 1),
    ]),
  ]
}

/** The kernel of a max pool over bytes, or null: the spec is none, or a window has no element. */
export const bytePoolKernel = (spec: KernelSpec, signed: boolean): Kernel | null => {
  const { op, shapes, shape } = spec
  const windows = maxWindows(spec)
  if (windows === null) return null
  const two = halved(spec)
  const fast = two !== null && two.wo <= UNROLLED_WINDOWS ? two : null
  const tables = fast === null ? pack(windows.starts, windows.members) : null
  const work = shares(windows.planes, UNITS.most)
  const n = windows.starts.length - 1
  const stage: Stage = {
    label: op,
    units: work.count,
    cost: work.each * (fast === null ? TABLED_NS * windows.members.length : n * OPERATION_NS),
    emit: (m, at) =>
      m.func(
        perUnit((unit, scope) => {
          const plane = scope.local('i32')
          const body =
            fast === null
              ? anyPlane(scope, windows, signed, [at, tables?.at ?? []], plane)
              : halvedPlane(scope, fast, signed, at, plane)
          return work.loop(scope, unit.get, plane, body)
        }),
      ),
  }
  return {
    name: `${op} bytes ${fast === null ? 'by table' : '2x2'}`,
    scratch: 0,
    constants: tables?.bytes ?? null,
    stages: [stage],
    flops: windows.planes * windows.members.length,
    bytes: sizeOf(shapes[0]) + sizeOf(shape),
  }
}

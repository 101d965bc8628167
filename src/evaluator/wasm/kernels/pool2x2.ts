/** The max pool of 2 by 2 elements, stride 2, without padding, and its gradient: four windows at a time. */
import { sizeOf } from '../../../data/shape.js'
import type { Attr } from '../../../graph/op.js'
import type { Code } from '../asm/encode.js'
import { control, f32x4, i32, memory, v128 } from '../asm/instructions.js'
import { forLoop, type Local, type Scope } from '../asm/module.js'
import type { Kernel, KernelSpec, Places } from '../kernel.js'
import { affine, bump, perUnit, shares } from './loops.js'
import { POOLED_NS, UNITS } from '../machine.js'

const are = (attr: Attr | undefined, n: number): boolean =>
  Array.isArray(attr) && attr.length === 2 && attr.every((v) => v === n)

const lanes = (picks: readonly number[]): readonly number[] =>
  picks.flatMap((l) => [4 * l, 4 * l + 1, 4 * l + 2, 4 * l + 3])
const EVEN = lanes([0, 2, 4, 6])
const ODD = lanes([1, 3, 5, 7])
const LOW = lanes([0, 4, 1, 5])
const HIGH = lanes([2, 6, 3, 7])

/** Planes of h by w elements, seen as ho by wo windows of 2 by 2. */
export type Halved = {
  readonly planes: number
  readonly h: number
  readonly w: number
  readonly ho: number
  readonly wo: number
}

/** The four elements of each of four windows, in the order in which they are compared; and whether any may be NaN. */
type Windows = {
  readonly load: (top: Local, bottom: Local, offset: number) => Code
  readonly each: readonly Local<'v128'>[]
  readonly doubtful: Code<'i32'>
}

const windowsOf = (scope: Scope): Windows => {
  const [a, b, c, d, t] = Array.from({ length: 5 }, () => scope.local('v128'))
  const each = Array.from({ length: 4 }, () => scope.local('v128'))
  return {
    each,
    load: (top, bottom, offset) => [
      a.set(v128.load(top.get, offset)),
      b.set(v128.load(top.get, offset + 16)),
      c.set(v128.load(bottom.get, offset)),
      d.set(v128.load(bottom.get, offset + 16)),
      each[0].set(v128.shuffle(a.get, b.get, EVEN)),
      each[1].set(v128.shuffle(a.get, b.get, ODD)),
      each[2].set(v128.shuffle(c.get, d.get, EVEN)),
      each[3].set(v128.shuffle(c.get, d.get, ODD)),
      // NaN where any of the four is, and where infinities of both signs meet: those are looked at again.
      t.set(f32x4.add(f32x4.add(a.get, b.get), f32x4.add(c.get, d.get))),
    ],
    doubtful: v128.any_true(f32x4.ne(t.get, t.get)),
  }
}

/** Where v beats the best so far; NaN always does, if there may be any. */
const beats = (v: Local<'v128'>, best: Local<'v128'>, nan: boolean): Code<'v128'> =>
  nan ? v128.or(f32x4.gt(v.get, best.get), f32x4.ne(v.get, v.get)) : f32x4.gt(v.get, best.get)

const forwardBlock = (scope: Scope): ((top: Local, bottom: Local, out: Local, at: number) => Code) => {
  const windows = windowsOf(scope)
  const [best, mask] = [scope.local('v128'), scope.local('v128')]
  const [first, ...rest] = windows.each
  return (top, bottom, out, at) => [
    windows.load(top, bottom, 8 * at),
    best.set(first.get),
    control.if(
      windows.doubtful,
      rest.map((v) => [mask.set(beats(v, best, true)), best.set(v128.bitselect(v.get, best.get, mask.get))]),
      rest.map((v) => best.set(f32x4.pmax(best.get, v.get))),
    ),
    v128.store(out.get, best.get, 4 * at),
  ]
}

/** Pointers into a row of windows of the gradient: the two rows of x, those of the result, and the cotangent. */
type GradRow = {
  readonly top: Local
  readonly bottom: Local
  readonly toTop: Local
  readonly toBottom: Local
  readonly g: Local
}

const gradBlock = (scope: Scope, { top, bottom, toTop, toBottom, g }: GradRow): ((at: number) => Code) => {
  const windows = windowsOf(scope)
  const [best, m1, m2, m3, c] = Array.from({ length: 5 }, () => scope.local('v128'))
  const [e0, o0, e1, o1] = windows.each
  const compare = (nan: boolean): Code =>
    [
      [o0, m1],
      [e1, m2],
      [o1, m3],
    ].map(([v, mask]) => [
      mask.set(beats(v, best, nan)),
      best.set(nan ? v128.bitselect(v.get, best.get, mask.get) : f32x4.pmax(best.get, v.get)),
    ])
  const pair = (to: Local, first: Local<'v128'>, second: Local<'v128'>, at: number): Code => [
    v128.store(to.get, v128.shuffle(first.get, second.get, LOW), 8 * at),
    v128.store(to.get, v128.shuffle(first.get, second.get, HIGH), 8 * at + 16),
  ]
  return (at) => [
    windows.load(top, bottom, 8 * at),
    best.set(e0.get),
    control.if(windows.doubtful, compare(true), compare(false)),
    // The reference adds to 0, which makes -0 of g a 0.
    c.set(f32x4.add(v128.load(g.get, 4 * at), f32x4.const(0))),
    // The last that beat the best before it won.
    o1.set(v128.and(c.get, m3.get)),
    c.set(v128.andnot(c.get, m3.get)),
    e1.set(v128.and(c.get, m2.get)),
    c.set(v128.andnot(c.get, m2.get)),
    o0.set(v128.and(c.get, m1.get)),
    c.set(v128.andnot(c.get, m1.get)),
    pair(toTop, c, o0, at),
    pair(toBottom, e1, o1, at),
  ]
}

/** Calls `block` for each four windows of a row; the last four may overlap those before. */
const overRow = (
  scope: Scope,
  wo: number,
  pointers: readonly (readonly [Local, number])[],
  block: (at: number) => Code,
): Code => {
  const whole = Math.floor(wo / 4)
  const rest = wo % 4
  if (whole <= 8) return [Array.from({ length: whole }, (_, i) => block(4 * i)), rest > 0 ? block(wo - 4) : []]
  const i = scope.local('i32')
  const move = (blocks: number): Code => pointers.map(([p, step]) => bump(p, step * blocks))
  const back = rest > 0 ? rest / 4 - 1 : 0
  return [
    forLoop(i, i32.const(0), i32.const(whole), 1, [block(0), move(1)]),
    rest > 0 ? [move(back), block(0)] : [],
    move(-whole - back),
  ]
}

const planeCode = (scope: Scope, { h, w, ho, wo }: Halved, grad: boolean, at: Places, plane: Local): Code => {
  const [top, bottom, toTop, toBottom, small, y] = Array.from({ length: 6 }, () => scope.local('i32'))
  const row = 8 * w
  const xAt = affine(at.args[grad ? 1 : 0], plane.get, 4 * h * w)
  const start: Code = [
    top.set(xAt),
    bottom.set(i32.add(top.get, i32.const(4 * w))),
    small.set(affine(at.outs[0], plane.get, 4 * ho * wo)),
  ]
  if (!grad) {
    const block = forwardBlock(scope)
    return [
      start,
      forLoop(y, i32.const(0), i32.const(ho), 1, [
        overRow(
          scope,
          wo,
          [
            [top, 32],
            [bottom, 32],
            [small, 16],
          ],
          (o) => block(top, bottom, small, o),
        ),
        bump(top, row),
        bump(bottom, row),
        bump(small, 4 * wo),
      ]),
    ]
  }
  const block = gradBlock(scope, { top, bottom, toTop, toBottom, g: small })
  return [
    start,
    small.set(affine(at.args[0], plane.get, 4 * ho * wo)),
    toTop.set(affine(at.outs[0], plane.get, 4 * h * w)),
    toBottom.set(i32.add(toTop.get, i32.const(4 * w))),
    h % 2 === 0 && w % 2 === 0 ? [] : memory.fill(toTop.get, i32.const(0), i32.const(4 * h * w)),
    forLoop(y, i32.const(0), i32.const(ho), 1, [
      overRow(
        scope,
        wo,
        [
          [top, 32],
          [bottom, 32],
          [toTop, 32],
          [toBottom, 32],
          [small, 16],
        ],
        block,
      ),
      [top, bottom, toTop, toBottom].map((p) => bump(p, row)),
      bump(small, 4 * wo),
    ]),
  ]
}

/** The planes of `maxPool` or `maxPoolGrad`, or null where the windows are others, or fewer than four in a row. */
export const halved = ({ op, attrs, shapes, shape }: KernelSpec): Halved | null => {
  if (!are(attrs.kernel, 2) || !are(attrs.stride, 2) || !are(attrs.padding, 0) || !are(attrs.dilation, 1)) return null
  const [large, small] = op === 'maxPoolGrad' ? [shape, shapes[0]] : [shapes[0], shape]
  const [h, w] = large.slice(-2)
  const [ho, wo] = small.slice(-2)
  if (wo < 4 || ho !== Math.floor(h / 2) || wo !== Math.floor(w / 2)) return null
  return { planes: sizeOf(large) / (h * w), h, w, ho, wo }
}

/** The kernel of `maxPool` or `maxPoolGrad`, or null where the windows are others, or fewer than four in a row. */
export const pool2x2 = (spec: KernelSpec): Kernel | null => {
  const geometry = halved(spec)
  if (geometry === null) return null
  const { op, shapes, shape } = spec
  const grad = op === 'maxPoolGrad'
  const [large, small] = grad ? [shape, shapes[0]] : [shapes[0], shape]
  const { ho, wo } = geometry
  const work = shares(geometry.planes, UNITS.most)
  return {
    name: `${op} 2x2`,
    scratch: 0,
    constants: null,
    flops: 3 * sizeOf(small),
    bytes: 4 * ((grad ? 2 : 1) * sizeOf(large) + sizeOf(small)),
    stages: [
      {
        label: op,
        units: work.count,
        cost: work.each * ho * wo * POOLED_NS,
        emit: (m, at) =>
          m.func(
            perUnit((unit, scope) => {
              const plane = scope.local('i32')
              return work.loop(scope, unit.get, plane, planeCode(scope, geometry, grad, at, plane))
            }),
          ),
      },
    ],
  }
}

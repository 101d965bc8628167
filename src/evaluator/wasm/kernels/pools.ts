/** Pools over any windows, read from tables of element numbers; the pool of 2 by 2 elements has its own kernel. */
import { sizeOf } from '../../../data/shape.js'
import type { Code } from '../asm/encode.js'
import { control, f32, f32x4, f64, i32, i32x4, memory, v128 } from '../asm/instructions.js'
import { forLoop, type Local, type Scope } from '../asm/module.js'
import type { Kernel, KernelSpec, Places, Stage } from '../kernel.js'
import { affine, bump, doubleAt, perUnit, rounded, shares, wordAt } from './loops.js'
import { pool2x2 } from './pool2x2.js'
import { poolOf, type Pool } from './poolWindows.js'
import { pack } from './tables.js'
import { MOST_ENTRIES, TABLED_NS, UNITS } from '../machine.js'

/** Addresses of the tables: divisors, starts, members. */
type Tables = { readonly divisors: number; readonly starts: number; readonly members: number }

/** Locals and loops of one plane. */
type Plane = {
  readonly window: Local
  readonly at: Local
  readonly member: Local
  readonly overWindow: (body: Code) => Code
  readonly overWindows: (body: Code) => Code
}

const planeLoops = (scope: Scope, { windows }: Pool, tables: Tables): Plane => {
  const [window, at, end, member, count] = Array.from({ length: 5 }, () => scope.local('i32'))
  const starts = i32.add(i32.const(tables.starts), i32.shl(window.get, i32.const(2)))
  return {
    window,
    at,
    member,
    // `member` is an element's number times 4, its offset in bytes.
    overWindow: (body) => [
      at.set(wordAt(i32.const(tables.members), i32.load(starts))),
      end.set(wordAt(i32.const(tables.members), i32.load(starts, 4))),
      forLoop(at, at.get, end.get, 4, [member.set(i32.load(at.get)), body]),
    ],
    overWindows: (body) => [
      count.set(i32.const(windows.starts.length - 1)),
      forLoop(window, i32.const(0), count.get, 1, body),
    ],
  }
}

/**
 * Leaves the offset of the window's winner in lane 0 of `best` (-1: none) and its value in lane 0 of `value`: the first of
 * equals, the last NaN. In vectors, because engines make a branch of a scalar choice, and this one can't be foretold.
 */
const winner = (scope: Scope, loops: Plane, base: Local, value: Local<'v128'>, best: Local<'v128'>): Code => {
  const [v, wins] = [scope.local('v128'), scope.local('v128')]
  const ahead = v128.or(
    i32x4.lt_s(best.get, i32x4.const(0)),
    v128.or(f32x4.gt(v.get, value.get), f32x4.ne(v.get, v.get)),
  )
  return [
    value.set(f32x4.const(-Infinity)),
    best.set(i32x4.const(-1)),
    loops.overWindow([
      v.set(v128.load32_zero(i32.add(base.get, loops.member.get))),
      wins.set(ahead),
      value.set(v128.bitselect(v.get, value.get, wins.get)),
      best.set(v128.bitselect(v128.load32_zero(loops.at.get), best.get, wins.get)),
    ]),
  ]
}

/** What the code of a plane is written with. */
type Pooling = { readonly scope: Scope; readonly pool: Pool; readonly tables: Tables }

const maximum = ({ scope, pool, tables }: Pooling, x: Local, out: Local): Code => {
  const loops = planeLoops(scope, pool, tables)
  const [value, best] = [scope.local('v128'), scope.local('v128')]
  return loops.overWindows([
    winner(scope, loops, x, value, best),
    v128.store32_lane(0, out.get, value.get),
    bump(out, 4),
  ])
}

const mean = ({ scope, pool, tables }: Pooling, x: Local, out: Local): Code => {
  const loops = planeLoops(scope, pool, tables)
  const sum = scope.local('f64')
  return loops.overWindows([
    sum.set(f64.const(0)),
    loops.overWindow(sum.set(f64.add(sum.get, f64.promote_f32(f32.load(i32.add(x.get, loops.member.get)))))),
    f32.store(
      out.get,
      f32.demote_f64(f64.div(sum.get, f64.load(doubleAt(i32.const(tables.divisors), loops.window.get)))),
    ),
    bump(out, 4),
  ])
}

/** `sums[offset / 4] += v`, in doubles. */
const accumulate = (sums: Local, offset: Code<'i32'>, v: Code<'f64'>, address: Local): Code => [
  address.set(i32.add(sums.get, i32.shl(offset, i32.const(1)))),
  f64.store(address.get, f64.add(f64.load(address.get), v)),
]

const maximumGrad = ({ scope, pool, tables }: Pooling, g: Local, x: Local, sums: Local): Code => {
  const loops = planeLoops(scope, pool, tables)
  const [value, best, at, address] = [scope.local('v128'), scope.local('v128'), scope.local('i32'), scope.local('i32')]
  return loops.overWindows([
    winner(scope, loops, x, value, best),
    at.set(i32x4.extract(0, best.get)),
    control.if(i32.ge_s(at.get, i32.const(0)), accumulate(sums, at.get, f64.promote_f32(f32.load(g.get)), address)),
    bump(g, 4),
  ])
}

const meanGrad = ({ scope, pool, tables }: Pooling, g: Local, sums: Local): Code => {
  const loops = planeLoops(scope, pool, tables)
  const [share, address] = [scope.local('f64'), scope.local('i32')]
  return loops.overWindows([
    share.set(
      f64.div(f64.promote_f32(f32.load(g.get)), f64.load(doubleAt(i32.const(tables.divisors), loops.window.get))),
    ),
    loops.overWindow(accumulate(sums, loops.member.get, share.get, address)),
    bump(g, 4),
  ])
}

/** A plane of sums in double: cleared, filled by `body`, rounded into `out`. */
const throughDoubles = (scope: Scope, size: number, sums: Local, out: Local, body: Code): Code => {
  const [p, end] = [scope.local('i32'), scope.local('i32')]
  return [
    memory.fill(sums.get, i32.const(0), i32.const(8 * size)),
    body,
    end.set(i32.add(sums.get, i32.const(8 * size))),
    forLoop(p, sums.get, end.get, 8, [f32.store(out.get, f32.demote_f64(f64.load(p.get))), bump(out, 4)]),
  ]
}

const OPS = [
  'maxPool',
  'maxPoolGrad',
  'avgPool',
  'avgPoolGrad',
  'adaptiveMaxPool',
  'adaptiveMaxPoolGrad',
  'adaptiveAvgPool',
  'adaptiveAvgPoolGrad',
]

const tableStage = (
  op: string,
  pool: Pool,
  tableAt: readonly number[],
): { readonly stage: Stage; readonly scratch: number } => {
  const { planes, size, windows, divisors } = pool
  const grad = op.endsWith('Grad')
  const work = shares(planes, grad ? UNITS.withScratch : UNITS.most)
  const lane = rounded(8 * size)
  const n = windows.starts.length - 1
  const emit = (unit: Local, scope: Scope, at: Places): Code => {
    const [plane, small, large, sums, x] = Array.from({ length: 5 }, () => scope.local('i32'))
    const [d, starts, members] = tableAt
    const tables: Tables = {
      divisors: at.constants + d,
      starts: at.constants + starts,
      members: at.constants + members,
    }
    const pooling = { scope, pool, tables }
    const [smallAt, largeAt] = grad ? [at.args[0], at.outs[0]] : [at.outs[0], at.args[0]]
    const inner = !grad
      ? (divisors === null ? maximum : mean)(pooling, large, small)
      : throughDoubles(
          scope,
          size,
          sums,
          large,
          divisors === null
            ? [x.set(affine(at.args[1], plane.get, 4 * size)), maximumGrad(pooling, small, x, sums)]
            : meanGrad(pooling, small, sums),
        )
    return [
      sums.set(affine(at.scratch, unit.get, lane)),
      work.loop(scope, unit.get, plane, [
        small.set(affine(smallAt, plane.get, 4 * n)),
        large.set(affine(largeAt, plane.get, 4 * size)),
        inner,
      ]),
    ]
  }
  return {
    stage: {
      label: op,
      units: work.count,
      cost: work.each * (TABLED_NS * windows.members.length + (grad ? size : n)),
      emit: (m, at) => m.func(perUnit((unit, scope) => emit(unit, scope, at))),
    },
    scratch: grad ? lane * work.count : 0,
  }
}

/** The pools, their gradients, and the adaptive ones. Source: torch.nn.functional.max_pool2d, avg_pool2d, adaptive_avg_pool2d. */
export const poolKernel = (spec: KernelSpec): Kernel | null => {
  const { op, shapes, shape } = spec
  if (!OPS.includes(op) || sizeOf(shape) === 0 || shapes.some((s) => sizeOf(s) === 0 || sizeOf(s) >= 2 ** 29))
    return null
  const fast = op === 'maxPool' || op === 'maxPoolGrad' ? pool2x2(spec) : null
  if (fast !== null) return fast
  const pool = poolOf(spec)
  const { starts, members } = pool.windows
  if (members.length > MOST_ENTRIES) return null
  const { at, bytes } = pack(
    pool.divisors ?? new Float64Array(0),
    starts,
    members.map((i) => 4 * i),
  )
  const { stage, scratch } = tableStage(op, pool, at)
  return {
    name: `${op} by table`,
    scratch,
    constants: bytes,
    stages: [stage],
    flops: pool.planes * members.length,
    bytes: 4 * (sizeOf(shape) + shapes.reduce((n, s) => n + sizeOf(s), 0)),
  }
}

/**
 * Sums and means over any axes, accumulated in double. Terms are added in an order of the shape's own (by lanes, runs and
 * chunks), whatever the threads; it isn't the reference's, so the last bit may differ.
 */
import { sizeOf } from '../../../data/shape.js'
import type { Code } from '../asm/encode.js'
import { control, f32, f32x4, f64, f64x2, i32, v128 } from '../asm/instructions.js'
import { forLoop, type Func, type Local, type ModuleBuilder, type Scope, type Units } from '../asm/module.js'
import type { Kernel, KernelSpec, Places, Stage } from '../kernel.js'
import { affine, bump, doubleAt, perUnit, rounded, shares, whileLoop, wordAt } from './loops.js'
import {
  dealOf,
  offsetOf,
  reductionOf,
  stretchOf,
  type Deal,
  type Group,
  type Reduction,
  type Stretch,
} from './reduction.js'
import { JOINED_NS, ROW_NS, SUMMED_NS, UNITS } from '../machine.js'

/** Loops over summed groups, the first of them in its stretch only, moving `p` along. */
const overGroups = (scope: Scope, groups: readonly Group[], stretch: Stretch | null, p: Local, body: Code): Code => {
  const [first, ...rest] = groups
  if (first === undefined) return body
  const i = scope.local('i32')
  const inner = [overGroups(scope, rest, null, p, body), bump(p, first.stride)]
  return stretch === null
    ? [forLoop(i, i32.const(0), i32.const(first.size), 1, inner), bump(p, -first.stride * first.size)]
    : [
        bump(p, i32.mul(stretch.from.get, i32.const(first.stride))),
        forLoop(i, stretch.from.get, stretch.to.get, 1, inner),
      ]
}

const LANES = [0, 8, 16, 24, 32, 40, 48, 56] as const

/** `(p, end) → sum` of the floats between two addresses. */
const sumRun = (m: ModuleBuilder): Func<Units, 'f64'> =>
  m.func({
    params: ['i32', 'i32'],
    result: 'f64',
    body: (scope) => {
      const [p, end] = scope.params
      const sums = LANES.map(() => scope.local('v128'))
      const rest = scope.local('f64')
      const pairs = (step: number): readonly (readonly [Local<'v128'>, Local<'v128'>])[] =>
        sums.slice(0, step).map((s, i) => [s, sums[i + step]])
      return [
        whileLoop(i32.le_u(i32.add(p.get, i32.const(64)), end.get), [
          LANES.map((o, i) => sums[i].set(f64x2.add(sums[i].get, f64x2.promote_low_f32x4(v128.load64_zero(p.get, o))))),
          bump(p, 64),
        ]),
        whileLoop(i32.lt_u(p.get, end.get), [
          rest.set(f64.add(rest.get, f64.promote_f32(f32.load(p.get)))),
          bump(p, 4),
        ]),
        [4, 2, 1].map((step) => pairs(step).map(([a, b]) => a.set(f64x2.add(a.get, b.get)))),
        f64.add(rest.get, f64.add(f64x2.extract(0, sums[0].get), f64x2.extract(1, sums[0].get))),
      ]
    },
  })

const divided = (sum: Code<'f64'>, divisor: number): Code<'f64'> =>
  divisor === 1 ? sum : f64.div(sum, f64.const(divisor))

type Sweep = {
  readonly deal: Deal
  readonly label: string
  readonly emit: (m: ModuleBuilder, at: Places) => (scope: Scope, piece: Local, part: Local) => Code
}

/** The last group is summed: each element of the result is a sum of runs. */
const byRuns = ({ groups, outs, divisor }: Reduction, size: number): Sweep => {
  const [kept, summed] = [groups.filter((g) => g.kept), groups.filter((g) => !g.kept)]
  const run = summed[summed.length - 1]?.size ?? 1
  const around = summed.slice(0, -1)
  const deal = dealOf(outs, size, summed[0]?.size ?? 1)
  return {
    deal,
    label: 'runs',
    emit: (m, at) => {
      const total = sumRun(m)
      return (scope, piece, part) => {
        const [p, sum] = [scope.local('i32'), scope.local('f64')]
        const { stretch, set } = stretchOf(scope, deal, part.get)
        const whole = sum.set(f64.add(sum.get, total.call(p.get, i32.add(p.get, i32.const(4 * run)))))
        return [
          set,
          sum.set(f64.const(0)),
          p.set(i32.add(i32.const(at.args[0]), offsetOf(piece.get, kept))),
          around.length > 0
            ? overGroups(scope, around, stretch, p, whole)
            : sum.set(total.call(wordAt(p.get, stretch.from.get), wordAt(p.get, stretch.to.get))),
          deal.parts === 1
            ? f32.store(wordAt(i32.const(at.outs[0]), piece.get), f32.demote_f64(divided(sum.get, divisor)))
            : f64.store(
                doubleAt(i32.const(at.scratch), i32.add(i32.mul(part.get, i32.const(outs)), piece.get)),
                sum.get,
              ),
        ]
      }
    },
  }
}

const WIDTH = 16

/** Columns that are summed at once: `width` neighbours of the last group, two to a vector, and the odd one. */
const columnBlock = (scope: Scope, width: number) => {
  const pairs = Array.from({ length: Math.floor(width / 2) }, () => scope.local('v128'))
  const odd = width % 2 === 1 ? scope.local('f64') : null
  const last = 4 * (width - 1)
  return {
    clear: [pairs.map((s) => s.set(f64x2.const(0))), odd === null ? [] : odd.set(f64.const(0))],
    add: (p: Local): Code => [
      pairs.map((s, i) => s.set(f64x2.add(s.get, f64x2.promote_low_f32x4(v128.load64_zero(p.get, 8 * i))))),
      odd === null ? [] : odd.set(f64.add(odd.get, f64.promote_f32(f32.load(p.get, last)))),
    ],
    storeResult: (to: Code<'i32'>, divisor: number): Code => [
      pairs.map((s, i) =>
        v128.store64_lane(
          0,
          to,
          f32x4.demote_f64x2_zero(divisor === 1 ? s.get : f64x2.div(s.get, f64x2.const(divisor))),
          8 * i,
        ),
      ),
      odd === null ? [] : f32.store(to, f32.demote_f64(divided(odd.get, divisor)), last),
    ],
    storeSums: (to: Code<'i32'>): Code => [
      pairs.map((s, i) => v128.store(to, s.get, 16 * i)),
      odd === null ? [] : f64.store(to, odd.get, 2 * last),
    ],
  }
}

/** The last group is kept: neighbouring columns are summed together. */
const byColumns = ({ groups, outs, divisor }: Reduction, size: number): Sweep => {
  const [kept, summed] = [groups.filter((g) => g.kept), groups.filter((g) => !g.kept)]
  const columns = kept[kept.length - 1].size
  const blocks = Math.ceil(columns / WIDTH)
  const outer = kept.slice(0, -1)
  const deal = dealOf((outs / columns) * blocks, size, summed[0]?.size ?? 1)
  const tail = columns % WIDTH
  return {
    deal,
    label: 'columns',
    emit: (_m, at) => (scope, piece, part) => {
      const [p, to, block, index] = Array.from({ length: 4 }, () => scope.local('i32'))
      const { stretch, set } = stretchOf(scope, deal, part.get)
      const does = (width: number): Code => {
        const sums = columnBlock(scope, width)
        return [
          sums.clear,
          overGroups(scope, summed, stretch, p, sums.add(p)),
          deal.parts === 1 ? sums.storeResult(to.get, divisor) : sums.storeSums(to.get),
        ]
      }
      const full = columns >= WIDTH ? does(WIDTH) : []
      const withTail = (): Code =>
        columns < WIDTH ? does(tail) : control.if(i32.lt_u(block.get, i32.const(blocks - 1)), full, does(tail))
      return [
        set,
        block.set(i32.rem_u(piece.get, i32.const(blocks))),
        index.set(i32.div_u(piece.get, i32.const(blocks))),
        p.set(i32.add(affine(at.args[0], block.get, 4 * WIDTH), offsetOf(index.get, outer))),
        to.set(i32.add(i32.mul(index.get, i32.const(columns)), i32.mul(block.get, i32.const(WIDTH)))),
        to.set(
          deal.parts === 1
            ? wordAt(i32.const(at.outs[0]), to.get)
            : doubleAt(i32.const(at.scratch), i32.add(to.get, i32.mul(part.get, i32.const(outs)))),
        ),
        tail === 0 ? full : withTail(),
      ]
    },
  }
}

const sweepStage = ({ deal, label, emit }: Sweep, size: number): Stage => {
  const work = shares(deal.pieces * deal.parts, UNITS.most)
  return {
    label,
    units: work.count,
    cost: (SUMMED_NS * size) / work.count + ROW_NS * work.each,
    emit: (m, at) => {
      const body = emit(m, at)
      return m.func(
        perUnit((unit, scope) => {
          const [i, piece, part] = Array.from({ length: 3 }, () => scope.local('i32'))
          return work.loop(scope, unit.get, i, [
            piece.set(i32.rem_u(i.get, i32.const(deal.pieces))),
            part.set(i32.div_u(i.get, i32.const(deal.pieces))),
            body(scope, piece, part),
          ])
        }),
      )
    },
  }
}

/** Adds up the parts of each element. */
const joinStage = (parts: number, outs: number, divisor: number): Stage => {
  const work = shares(outs, UNITS.small)
  return {
    label: 'join',
    units: work.count,
    cost: work.each * parts * JOINED_NS,
    emit: (m, at) =>
      m.func(
        perUnit((unit, scope) => {
          const [j, p, end, sum] = [scope.local('i32'), scope.local('i32'), scope.local('i32'), scope.local('f64')]
          return work.loop(scope, unit.get, j, [
            sum.set(f64.const(0)),
            p.set(doubleAt(i32.const(at.scratch), j.get)),
            end.set(i32.add(p.get, i32.const(8 * outs * parts))),
            forLoop(p, p.get, end.get, 8 * outs, sum.set(f64.add(sum.get, f64.load(p.get)))),
            f32.store(wordAt(i32.const(at.outs[0]), j.get), f32.demote_f64(divided(sum.get, divisor))),
          ])
        }),
      ),
  }
}

/** `sum`, `mean` and `sumTo`. Source: torch.sum, torch.mean, torch sum_to_size. */
export const sumKernel = (spec: KernelSpec): Kernel | null => {
  const reduction = reductionOf(spec)
  const size = sizeOf(spec.shapes[0])
  if (reduction === null || size >= 2 ** 29) return null
  const { groups, outs, divisor } = reduction
  const sweep =
    groups.length > 0 && groups[groups.length - 1].kept ? byColumns(reduction, size) : byRuns(reduction, size)
  const { parts } = sweep.deal
  const first = sweepStage(sweep, size)
  return {
    name: `${spec.op} by ${sweep.label}`,
    scratch: parts === 1 ? 0 : rounded(8 * outs * parts),
    constants: null,
    stages: parts === 1 ? [first] : [first, joinStage(parts, outs, divisor)],
    flops: size,
    bytes: 4 * (size + outs),
  }
}

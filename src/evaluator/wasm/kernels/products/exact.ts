/**
 * A correlation number by number, for operands that hold NaN, infinities or numbers near the end of float32: fast kernels
 * multiply gaps and padding by zero, or add numbers that never meet, which is harmless only as long as all are finite. Here
 * just those products are made that the op's own rule makes, so that an infinity goes where it goes there, and no further.
 */
import { sizeOf, stridesOf } from '../../../../data/shape.js'
import type { Code } from '../../asm/encode.js'
import { control, f32, f32x4, i32, v128 } from '../../asm/instructions.js'
import { forLoop, type Local, type Scope } from '../../asm/module.js'
import type { Kernel, Places, Stage } from '../../kernel.js'
import { advance, indexed, range } from './code.js'
import { correlationFlops, type Correlation } from './geometry.js'
import { argument, newLayout, result, type Place } from './layout.js'
import { EXACT_PRODUCT_NS, SEEN_PER_NS } from '../../machine.js'

/** Where along an axis each tap of each position reads the source, in bytes; -1 where nothing of it stands. */
const axisTable = (
  { placement: p, positions, stride, kernel, dilation }: Correlation,
  d: number,
): readonly number[] => {
  const bytes = 4 * stridesOf(p.source)[d]
  return range(positions[d]).flatMap((i) =>
    range(kernel[d]).map((t) => {
      const s = (i * stride[d] + t * dilation[d] - p.lead[d]) / p.step[d]
      return Number.isInteger(s) && s >= 0 && s < p.source[d] ? s * bytes : -1
    }),
  )
}

/** Where the numbers of the weight lie: bytes from group to group, from one result channel, source channel and tap to the next. */
const weightSteps = (c: Correlation) => {
  const taps = 4 * sizeOf(c.kernel)
  return c.flipped
    ? { group: c.from * c.to * taps, to: taps, from: c.to * taps, first: taps - 4, tap: -4 }
    : { group: c.from * c.to * taps, to: c.from * taps, from: taps, first: 0, tap: 4 }
}

/** Nested loops, one an axis, outermost first; `body` runs inside of all. */
const nested = (counts: readonly number[], loop: (d: number, inside: Code) => Code, body: Code): Code =>
  counts.reduceRight<Code>((inside, _, d) => loop(d, inside), body)

/** Pointers of a unit, and for each axis: row of its table, tap, offset, and whether something stands there. */
type Walk = {
  readonly source: Local
  readonly weight: Local
  readonly out: Local
  readonly group: Local
  readonly p: Local
  readonly q: Local
  readonly end: Local
  readonly missing: Local
  readonly axes: readonly (readonly Local[])[]
  readonly sum: Local<'f32'>
}

const newWalk = (c: Correlation, scope: Scope): Walk => {
  const [source, weight, out, group, p, q, end, missing] = range(8).map(() => scope.local('i32'))
  const axes = c.kernel.map(() => range(4).map(() => scope.local('i32')))
  return { source, weight, out, group, p, q, end, missing, axes, sum: scope.local('f32') }
}

const ZERO = f32.const(0)

/** Adds the products of one position: all taps of all channels. */
const positionCode = (c: Correlation, { source, weight, p, q, end, missing, axes, sum }: Walk): Code => {
  const w = weightSteps(c)
  const [, , lastOffset, lastSign] = axes[axes.length - 1]
  const meet = (x: Code<'f32'>): Code => [
    forLoop(q, weight.get, end.get, w.from, [
      sum.set(f32.add(sum.get, f32.mul(f32.load(q.get), x))),
      advance(p, 4 * sizeOf(c.placement.source)),
    ]),
  ]
  return nested(
    c.kernel,
    (d, inside) => {
      const [row, t, offset, sign] = axes[d]
      const outer = d === 0 ? null : axes[d - 1]
      const here = i32.load(i32.add(row.get, t.get))
      return forLoop(t, i32.const(0), i32.const(4 * c.kernel[d]), 4, [
        offset.set(outer === null ? here : i32.add(outer[2].get, here)),
        sign.set(outer === null ? here : i32.or(outer[3].get, here)),
        inside,
      ])
    },
    [
      missing.set(i32.lt_s(lastSign.get, i32.const(0))),
      p.set(i32.add(source.get, lastOffset.get)),
      end.set(i32.add(weight.get, i32.const(c.from * w.from))),
      // What the forward convolution is padded with are numbers that it multiplies; gaps of the backward one are none.
      control.if(missing.get, c.flipped ? [] : meet(ZERO), meet(f32.load(p.get))),
      advance(weight, w.tap),
    ],
  )
}

/** A unit: all positions of a channel of an image. */
const unitCode = (
  c: Correlation,
  tables: readonly Place[],
  scope: Scope,
): ((at: Places, unit: Code<'i32'>) => Code) => {
  const w = weightSteps(c)
  const walk = newWalk(c, scope)
  const { source, weight, out, group, axes, sum } = walk
  const position = positionCode(c, walk)
  return (at, unit) => {
    const place = i32.div_u(unit, i32.const(c.to))
    const start = i32.add(
      indexed(i32.const(argument(1)(at) + w.first), i32.rem_u(group.get, i32.const(c.groups)), w.group),
      i32.mul(i32.rem_u(unit, i32.const(c.to)), i32.const(w.to)),
    )
    return [
      group.set(place),
      source.set(indexed(i32.const(argument(0)(at)), group.get, c.from * 4 * sizeOf(c.placement.source))),
      out.set(indexed(i32.const(result(at)), unit, 4 * sizeOf(c.positions))),
      nested(
        c.positions,
        (d, inside) => {
          const [row] = axes[d]
          const from = tables[d](at)
          const step = 4 * c.kernel[d]
          return forLoop(row, i32.const(from), i32.const(from + step * c.positions[d]), step, inside)
        },
        [weight.set(start), sum.set(ZERO), position, f32.store(out.get, sum.get), advance(out, 4)],
      ),
    ]
  }
}

/** The correlation of operand 0 with weight 1, one number after the other; a unit is a channel of an image. */
export const exactKernel = (name: string, c: Correlation): Kernel => {
  const layout = newLayout()
  const tables = c.kernel.map((_, d) => layout.table(axisTable(c, d)))
  const stage: Stage = {
    label: 'product',
    units: c.batch * c.groups * c.to,
    cost: EXACT_PRODUCT_NS * c.from * sizeOf(c.positions) * sizeOf(c.kernel),
    emit: (m, at) =>
      m.func({
        params: ['i32', 'i32'],
        body: (scope) => {
          const unit = scope.local('i32')
          const code = unitCode(c, tables, scope)
          return forLoop(unit, scope.params[0].get, scope.params[1].get, 1, code(at, unit.get))
        },
      }),
  }
  return {
    name: `${name} one by one`,
    scratch: layout.scratchBytes(),
    constants: layout.constants(),
    stages: [stage],
    flops: correlationFlops(c),
    bytes: 0,
  }
}

/** Looks at vectors as they pass, and raises a flag at the end if one held a NaN or an infinity. */
export type Watch = { readonly see: (x: Code<'v128'>) => Code; readonly end: Code }

/** A watch whose flag is the i32 at `flag`. A number times zero is zero, unless it is no number. */
export const newWatch = (scope: Scope, flag: Code<'i32'>): Watch => {
  const seen = scope.local('v128')
  return {
    see: (x) => seen.set(f32x4.add(seen.get, f32x4.mul(x, f32x4.const(0)))),
    end: control.if(v128.any_true(f32x4.ne(seen.get, seen.get)), i32.store(flag, i32.const(1))),
  }
}

/** The stage that raises the kernel's flag where an operand of `count` numbers holds a NaN or an infinity. */
export const watchStage = (operand: Place, count: number): Stage => ({
  label: 'look for infinities',
  units: 1,
  cost: count / SEEN_PER_NS,
  emit: (m, at) =>
    m.func({
      params: ['i32', 'i32'],
      body: (scope) => {
        const p = scope.local('i32')
        const watch = newWatch(scope, i32.const(at.flags))
        const [from, whole] = [operand(at), 16 * Math.floor(count / 4)]
        return [
          forLoop(p, i32.const(from), i32.const(from + whole), 16, watch.see(v128.load(p.get))),
          range(count % 4).map((i) => watch.see(v128.load32_zero(i32.const(from + whole + 4 * i)))),
          watch.end,
        ]
      },
    }),
})

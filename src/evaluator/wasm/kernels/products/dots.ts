/**
 * Products with few rows: `out[r][o] = Σ_k x[r][k] * w[o][k]`, vectors along k, so that the large operand is read once, as
 * it lies. Packing it would cost as much as the product.
 */
import type { Code } from '../../asm/encode.js'
import { control, f32x4, i32, i32x4, v128 } from '../../asm/instructions.js'
import { forLoop, type Func, type ModuleBuilder, type Scope } from '../../asm/module.js'
import type { Places, Stage } from '../../kernel.js'
import { advance, indexed, least, range, storeLanes, transpose4 } from './code.js'
import type { Place } from './layout.js'
import { DOTS_PER_NS, DOT_ROWS, DOT_UNIT_NS } from '../../machine.js'

/** Rows of x [rows, terms] times columns of w [columns, terms]: where they lie, and the result. */
export type Dots = {
  readonly x: Place
  readonly w: Place
  readonly out: Place
  readonly rows: number
  readonly columns: number
  readonly terms: number
}

/** Some rows by four columns (or fewer: `lanes`), from where the operands stand. */
type DotTile = {
  readonly rows: number
  readonly lanes: number
  readonly x: Code<'i32'>
  readonly w: Code<'i32'>
  readonly out: Code<'i32'>
}

const dotTile = (
  { multiplyAdd }: ModuleBuilder,
  scope: Scope,
  { terms, columns }: Dots,
  { rows, lanes, x, w, out }: DotTile,
): Code => {
  const [p, q, end] = range(3).map(() => scope.local('i32'))
  const acc = range(rows).map(() => range(4).map(() => scope.local('v128')))
  const xs = range(rows).map(() => scope.local('v128'))
  const ws = range(lanes).map(() => scope.local('v128'))
  const help = range(4).map(() => scope.local('v128'))
  const step = (load: (address: Code<'i32'>, offset: number) => Code<'v128'>): Code => [
    xs.map((v, i) => v.set(load(p.get, i * terms * 4))),
    ws.map((v, l) => v.set(load(q.get, l * terms * 4))),
    acc.map((row, i) => ws.map((v, l) => row[l].set(multiplyAdd(xs[i].get, v.get, row[l].get)))),
  ]
  return [
    acc.flat().map((v) => v.set(i32x4.const(0))),
    p.set(x),
    q.set(w),
    end.set(i32.add(p.get, i32.const(terms * 4 - (terms % 4) * 4))),
    forLoop(p, p.get, end.get, 16, [step(v128.load), advance(q, 16)]),
    // The last few are read one by one, into vectors of zeros.
    range(terms % 4).map((i) => step((address, offset) => v128.load32_zero(address, offset + 4 * i))),
    acc.map((row, i) => {
      const [a, b, c, d] = row.map((v) => v.get)
      return [
        transpose4(row, help),
        row[0].set(f32x4.add(f32x4.add(a, b), f32x4.add(c, d))),
        storeLanes(out, row[0].get, lanes, i * columns * 4),
      ]
    }),
  ]
}

type ColumnFunction = Func<readonly ['i32', 'i32']>

/** `f(w, out)`: all rows by `lanes` columns, some rows at a time. */
const columnFunction = (m: ModuleBuilder, at: Places, d: Dots, lanes: number): ColumnFunction => {
  const heights = [
    ...range(Math.floor(d.rows / DOT_ROWS)).map(() => DOT_ROWS),
    ...range(d.rows % DOT_ROWS).map(() => 1),
  ]
  return m.func({
    params: ['i32', 'i32'],
    body: (scope) =>
      heights.map((rows, i) => {
        const before = heights.slice(0, i).reduce((a, b) => a + b, 0)
        const [w, out] = scope.params
        return dotTile(m, scope, d, {
          rows,
          lanes,
          x: i32.const(d.x(at) + before * d.terms * 4),
          w: w.get,
          out: i32.add(out.get, i32.const(before * d.columns * 4)),
        })
      }),
  })
}

/** The stage of dot products; a unit is some groups of four columns. */
export const dotStage = (d: Dots): Stage => {
  const { columns, terms } = d
  const groups = Math.ceil(columns / 4)
  const cost = (d.rows * 4 * terms) / DOTS_PER_NS
  const block = Math.max(1, Math.min(groups, Math.floor(DOT_UNIT_NS / cost)))
  return {
    label: 'dots',
    units: Math.ceil(groups / block),
    cost: block * cost,
    emit: (m, at) => {
      const whole = columnFunction(m, at, d, 4)
      const rest = columns % 4 === 0 ? null : columnFunction(m, at, d, columns % 4)
      return m.func({
        params: ['i32', 'i32'],
        body: (scope) => {
          const [from, to] = scope.params
          const [g, end] = range(2).map(() => scope.local('i32'))
          const full = Math.floor(columns / 4)
          const call = (f: ColumnFunction): Code =>
            f.call(indexed(i32.const(d.w(at)), g.get, 16 * terms), indexed(i32.const(d.out(at)), g.get, 16))
          const limit = (n: Code<'i32'>, most: number): Code => [end.set(n), end.set(least(end.get, most))]
          return [
            limit(i32.mul(to.get, i32.const(block)), full),
            forLoop(g, i32.mul(from.get, i32.const(block)), end.get, 1, call(whole)),
            rest === null
              ? []
              : [
                  limit(i32.mul(to.get, i32.const(block)), groups),
                  g.set(i32.const(full)),
                  control.if(
                    i32.and(i32.lt_u(g.get, end.get), i32.ge_u(g.get, i32.mul(from.get, i32.const(block)))),
                    call(rest),
                  ),
                ],
          ]
        },
      })
    },
  }
}

/** Rules of sums of branches, and of joins. */
import type { Tensor } from '../../data/tensor.js'
import { concat as concatOp } from '../../ops/concat.js'
import { moves } from '../ops/moves.js'
import { integerAdd } from '../ops/sums.js'
import { INT32, type Range } from '../values.js'
import type { Node } from '../../graph/graph.js'
import { moved, sameNumbers, single, uniform } from './grids.js'
import type { Rule } from './products.js'
import { settle, settleWhole } from './settle.js'
import { ANEW, integer, wholeZero } from './shared.js'
import { append, prevented, type Integer, type Session } from './session.js'

const WIDEST_FACTOR = 2 ** 15

/**
 * Factors that bring two scales to one grid: the `n / m` nearest to their ratio of all that fit, found by its continued fraction. Where one is a power
 * of two times the other it is exact; elsewhere most of them are off by less than 1/m², so that a sum is off by less than a step of its grid.
 */
const factorsFor = (a: number, b: number, room: number): readonly [number, number, number] => {
  const [large, small] = [Math.max(a, b), Math.min(a, b)]
  const ratio = large / small
  const off = ([n, m]: readonly [number, number]): number => Math.abs(n / m - ratio)
  let before: readonly [number, number] = [1, 0]
  let best: readonly [number, number] = [Math.max(1, Math.floor(ratio)), 1]
  for (let rest = ratio - Math.floor(ratio); rest > 0 && off(best) > 0; rest = 1 / rest - Math.floor(1 / rest)) {
    const whole = Math.floor(1 / rest)
    const most = (INT32.hi / room - before[0] - before[1]) / (best[0] + best[1])
    const times = Math.min(whole, Math.floor((WIDEST_FACTOR - before[1]) / best[1]), Math.floor(most))
    const next = [times * best[0] + before[0], times * best[1] + before[1]] as const
    if (times < 1 || off(next) >= off(best)) break
    ;[before, best] = [best, next]
    if (times < whole) break
  }
  const grid = small / best[1]
  return a >= b ? [best[0], best[1], grid] : [best[1], best[0], grid]
}

/** Two operands with whole zero points. */
type Operands = { readonly a: Integer; readonly b: Integer; readonly zeros: readonly [number, number] }

const operandsOf = (s: Session, node: Node): Operands | null => {
  const [a, b] = node.inputs.map((id) => settleWhole(s, id, node))
  if (a === null || b === null) return null
  const [za, zb] = [wholeZero(s, node, a), wholeZero(s, node, b)]
  return za === null || zb === null ? null : { a, b, zeros: [za, zb] }
}

/** What an operand adds to a sum. */
const share = ({ lo, hi }: Range, factor: number, zero: number): Range => {
  const [p, q] = [factor * (lo - zero), factor * (hi - zero)]
  return { lo: Math.min(p, q), hi: Math.max(p, q) }
}

/** Factors for a sum, and its scale; null where the scales allow none. */
const scaling = ({
  a,
  b,
  zeros,
}: Operands): { readonly factors: readonly [number, number]; readonly scale: Tensor } | null => {
  if (sameNumbers(a.grid.scale, b.grid.scale, 1e-5)) return { factors: [1, 1], scale: a.grid.scale }
  const [sa, sb] = [uniform(a.grid.scale), uniform(b.grid.scale)]
  if (sa === null || sb === null || sa <= 0 || sb <= 0) return null
  const reach = [share(a.range, 1, zeros[0]), share(b.range, 1, zeros[1])].flatMap((r) => [-r.lo, r.hi])
  const [fa, fb, grid] = factorsFor(sa, sb, Math.max(1, ...reach))
  return { factors: [fa, fb], scale: single(grid) }
}

/** `a ± b` of two integers. */
const joined =
  (sign: 1 | -1): Rule =>
  (s, node) => {
    const found = operandsOf(s, node)
    if (found === null) return { tag: 'lost' }
    const { a, b, zeros } = found
    const scaled = scaling(found)
    if (scaled === null)
      return prevented(
        s,
        node,
        'its operands have different scales, and not one each',
        'quantize both with one quantizer, as QuantEltwiseAdd does',
      )
    const factors = [scaled.factors[0], sign * scaled.factors[1]]
    const [p, q] = [share(a.range, factors[0], zeros[0]), share(b.range, factors[1], zeros[1])]
    const range = { lo: p.lo + q.lo, hi: p.hi + q.hi }
    if (range.lo < INT32.lo || range.hi > INT32.hi)
      return prevented(s, node, `the sum reaches ${range.lo} … ${range.hi}, which 32 bits do not hold`, ANEW)
    const value = append(s, node.path, integerAdd, [a.value, b.value], { factors, zeros, ...range })
    return integer(value, range, { scale: scaled.scale, zeroPoint: single(0) })
  }

export const add = joined(1)
export const sub = joined(-1)

export const concat: Rule = (s, node) => {
  const parts = node.inputs.map((id) => settle(s, id, node))
  const all = parts.filter((p) => p !== null)
  if (all.length < parts.length) return { tag: 'lost' }
  const range = { lo: Math.min(...all.map((p) => p.range.lo)), hi: Math.max(...all.map((p) => p.range.hi)) }
  const shapes = all.map((p) => p.value.shape)
  const alike = all.every((p) => sameNumbers(p.grid.scale, all[0].grid.scale, 1e-5))
  const scale = alike
    ? all[0].grid.scale
    : moved(
        concatOp,
        node.attrs as { readonly dim: number },
        all.map((p) => p.grid.scale),
        shapes,
      )
  const zeroPoint = moved(
    concatOp,
    node.attrs as { readonly dim: number },
    all.map((p) => p.grid.zeroPoint),
    shapes,
  )
  const value = append(
    s,
    node.path,
    moves.concat.integer,
    all.map((p) => p.value),
    { ...node.attrs, ...range },
  )
  return integer(value, range, { scale, zeroPoint })
}

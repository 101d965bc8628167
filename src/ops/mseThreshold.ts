/** The search for the threshold with the least squared error (Brevitas MSE presets), without a gradient. */
import { exp2, log2, roundHalfEven } from '../data/math.js'
import { finite, positive, word } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import type { Op } from '../graph/op.js'
import { rounding, ROUNDINGS } from './rounding.js'
import { strips } from './support/elementwise.js'

/** Static part of the search: the quantizer's own numbers. */
const attributes = {
  lo: finite,
  hi: finite,
  threshold: positive,
  rounding,
  /** How weights restrict each candidate, which they also bound. */
  restriction: word('none', 'FP', 'LOG_FP', 'CEIL', 'ROUND'),
  minVal: finite,
}
/** Attributes of the search. */
export type MseAttrs = AttrsOf<typeof attributes>

const bounded = (t: number, min: number): number =>
  min === 0 || Number.isNaN(t) ? t : (t >= 0 ? 1 : -1) * Math.max(Math.abs(t), Math.fround(min))

const restricted = (t: number, a: MseAttrs): number => {
  if (a.restriction === 'none' || a.restriction === 'FP') return Math.abs(t)
  const l = Math.fround(log2(t))
  return Math.fround(exp2(a.restriction === 'LOG_FP' ? l : a.restriction === 'CEIL' ? Math.ceil(l) : roundHalfEven(l)))
}

/** The scale that a candidate threshold gives. */
const scaleOf = (candidate: number, a: MseAttrs): number =>
  Math.fround(
    (a.restriction === 'none' ? candidate : bounded(restricted(bounded(candidate, a.minVal), a), a.minVal)) /
      a.threshold,
  )

/** Sum of squared errors over a row, added in float32 by halves, as torch's vectorised sum nearly does. */
const errorOf = (x: Float32Array, start: number, end: number, s: number, a: MseAttrs): number => {
  const f = ROUNDINGS[a.rounding]
  const square = (i: number): number => {
    const r = f(Math.fround(x[i] / s))
    const v = Math.fround((r > a.hi ? a.hi : r < a.lo ? a.lo : r) * s)
    const d = Math.fround(v - x[i])
    return Math.fround(d * d)
  }
  const sum = (from: number, to: number): number => {
    if (to - from > 8) {
      const mid = (from + to) >> 1
      return Math.fround(sum(from, mid) + sum(mid, to))
    }
    let t = 0
    for (let i = from; i < to; i++) t = Math.fround(t + square(i))
    return t
  }
  return sum(start, end)
}

const STEPS = 19

/** The candidates between `max/20` and `max`: linspace over 20 points, of which the first is the start itself. */
const search = (x: Float32Array, start: number, end: number, a: MseAttrs): number => {
  let init = 0
  for (let i = start; i < end; i++) init = Number.isNaN(x[i]) ? NaN : Math.max(init, Math.abs(x[i]))
  const low = Math.fround(init / 20)
  const step = Math.fround((1 - 1 / STEPS) / (STEPS - 1))
  let best = low
  let least = errorOf(x, start, end, scaleOf(low, a), a)
  for (let i = 0; i < STEPS; i++) {
    const t =
      i < STEPS / 2
        ? Math.fround(Math.fround(1 / STEPS) + Math.fround(step * i))
        : Math.fround(1 - Math.fround(step * (STEPS - 1 - i)))
    const candidate = Math.fround(low + Math.fround(Math.fround(init - low) * t))
    const error = errorOf(x, start, end, scaleOf(candidate, a), a)
    if (error < least) [best, least] = [candidate, error]
  }
  return best
}

/** The threshold of each row whose quantization errs least. Operand: rows `[n]` or `[channels, n]`. No gradient. */
export const mseThreshold: Op<MseAttrs> = {
  name: 'mseThreshold',
  doc: 'The threshold with the least squared quantization error, by a grid of 20 (Brevitas MSE).',
  operands: ['x'],
  attributes,
  shape: ([x]) => x.slice(0, -1),
  carry: strips('a statistic of a tensor is used as a plain number'),
  vjp: ({ args }) => args.map(() => null),
  evaluate: ([x], attrs, out) => {
    const n = x.data.length / Math.max(1, out.data.length)
    for (let r = 0; r < out.data.length; r++) out.data[r] = search(x.data, r * n, (r + 1) * n, attrs)
    return null
  },
  examples: [
    {
      args: [{ shape: [9] }],
      attrs: { lo: -8, hi: 7, threshold: 8, rounding: 'ROUND', restriction: 'none', minVal: 0 },
    },
  ],
  smooth: false,
}

declare module '../graph/op.js' {
  interface Primitives {
    mseThreshold: MseAttrs
  }
}

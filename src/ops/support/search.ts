/** What the searches for thresholds and zero points share (Brevitas `MSE`): the candidates, their scales, and errors summed in one order. */
import { exp2, log2, roundHalfEven } from '../../data/math.js'
import { sameShape, showShape, type Shape } from '../../data/shape.js'
import { finite, positive, word } from '../../graph/attr.js'
import type { AttrsOf } from '../../graph/attributes.js'
import { refuse, type Refusal } from '../../graph/op.js'
import { rounding, ROUNDINGS } from '../rounding.js'

/** How a candidate threshold becomes a scale. */
export const candidates = {
  threshold: positive,
  /** How weights restrict each candidate, which they also bound. */
  restriction: word('none', 'FP', 'LOG_FP', 'CEIL', 'ROUND', 'FLOOR'),
  minVal: finite,
}
/** Attributes of a candidate's scale. */
export type CandidateAttrs = AttrsOf<typeof candidates>

/** Bounds and rounding of an integer grid. */
export const integerGrid = { lo: finite, hi: finite, rounding }
/** Attributes of an integer grid. */
export type IntegerGrid = AttrsOf<typeof integerGrid>

const bounded = (t: number, min: number): number =>
  min === 0 || Number.isNaN(t) ? t : (t >= 0 ? 1 : -1) * Math.max(Math.abs(t), Math.fround(min))

const LOG_ROUNDINGS = { LOG_FP: (l: number) => l, CEIL: Math.ceil, ROUND: roundHalfEven, FLOOR: Math.floor } as const

const restricted = (t: number, { restriction }: CandidateAttrs): number =>
  restriction === 'none' || restriction === 'FP'
    ? Math.abs(t)
    : Math.fround(exp2(LOG_ROUNDINGS[restriction](Math.fround(log2(t)))))

/** The scale that a candidate threshold gives. */
export const scaleOf = (candidate: number, a: CandidateAttrs): number =>
  Math.fround(
    (a.restriction === 'none' ? candidate : bounded(restricted(bounded(candidate, a.minVal), a), a.minVal)) /
      a.threshold,
  )

/** Sum of the squared errors of `f` over a stretch, added in float32 by halves, as torch's vectorised sum nearly does. */
export const squaredError = (x: Float32Array, start: number, end: number, f: (v: number) => number): number => {
  const sum = (from: number, to: number): number => {
    if (to - from > 8) {
      const mid = (from + to) >> 1
      return Math.fround(sum(from, mid) + sum(mid, to))
    }
    let t = 0
    for (let i = from; i < to; i++) {
      const d = Math.fround(f(x[i]) - x[i])
      t = Math.fround(t + Math.fround(d * d))
    }
    return t
  }
  return sum(start, end)
}

/** A number between bounds; NaN stays. */
export const clip = (x: number, lo: number, hi: number): number => {
  if (x > hi) return hi
  return x < lo ? lo : x
}

/** A number on an integer grid: `(clamp(round(x/s + z)) - z) * s`. */
export const onIntegers =
  (s: number, z: number, { lo, hi, rounding: name }: IntegerGrid) =>
  (x: number): number => {
    const r = ROUNDINGS[name](Math.fround(Math.fround(x / s) + z))
    return Math.fround(Math.fround(clip(r, lo, hi) - z) * s)
  }

/** `clamp(round(|w|/s + lo))`: the integer zero point that a lower end `w` of a range means. */
export const zeroPointOf = (w: number, s: number, { lo, hi, rounding: name }: IntegerGrid): number => {
  const r = ROUNDINGS[name](Math.fround(Math.fround(Math.abs(w) / s) + lo))
  return clip(r, lo, hi)
}

const STEPS = 19

/** The candidate from `from` to `to` with the least error: linspace over 20 points, of which the first is the start itself; of equals the first. */
export const gridSearch = (from: number, to: number, error: (candidate: number) => number): number => {
  const step = Math.fround((1 - 1 / STEPS) / (STEPS - 1))
  let best = from
  let least = error(from)
  for (let i = 0; i < STEPS; i++) {
    const t =
      i < STEPS / 2
        ? Math.fround(Math.fround(1 / STEPS) + Math.fround(step * i))
        : Math.fround(1 - Math.fround(step * (STEPS - 1 - i)))
    const candidate = Math.fround(from + Math.fround(Math.fround(to - from) * t))
    const e = error(candidate)
    if (e < least) [best, least] = [candidate, e]
  }
  return best
}

/** The search between a twentieth of a threshold and it. */
export const thresholdSearch = (top: number, error: (candidate: number) => number): number =>
  gridSearch(Math.fround(top / 20), top, error)

/** Largest magnitude of a stretch; NaN if any is. */
export const largestMagnitude = (x: Float32Array, start: number, end: number): number => {
  let most = 0
  for (let i = start; i < end; i++) most = Number.isNaN(x[i]) ? NaN : Math.max(most, Math.abs(x[i]))
  return most
}

/** The ends of a stretch, the lower one at most 0; NaN if any number is. */
export const endsOf = (x: Float32Array, start: number, end: number): readonly [low: number, high: number] => {
  let [low, high] = [0, -Infinity]
  for (let i = start; i < end; i++) {
    low = Math.min(low, x[i])
    high = Math.max(high, x[i])
  }
  return [low, high]
}

/** One number per row of the first operand; each further operand has one per row too. */
export const perRow = ([x, ...others]: readonly Shape[]): Shape | Refusal => {
  const rows = x.slice(0, -1)
  const odd = others.find((s) => !sameShape(s, rows))
  return odd === undefined
    ? rows
    : refuse(`${showShape(odd)} is not one number per row of ${showShape(x)}`, `give one of shape ${showShape(rows)}`)
}

/** Calls `of(row, start, end)` for each row of a tensor, and keeps what it gives. */
export const eachRow = (
  x: Float32Array,
  out: Float32Array,
  of: (row: number, start: number, end: number) => number,
): null => {
  const n = x.length / Math.max(1, out.length)
  for (let r = 0; r < out.length; r++) out[r] = of(r, r * n, (r + 1) * n)
  return null
}

/**
 * Multiplier and shift for a function that is known by its steps. The line is fitted to the steps themselves, and then compared with them, integer by
 * integer: how many integers of the range it gets wrong is counted, not estimated.
 */
import { ROUNDINGS, type Rounding } from '../../ops/rounding.js'
import type { Range } from '../values.js'
import { countAt, total, type Steps } from './steps.js'

/** `clamp(round((x * multiplier + offset) / 2^shift))`. */
export type Affine = {
  readonly multiplier: number
  readonly offset: number
  readonly shift: number
  readonly rounding: Rounding
}

/** How far an affine form is from the function: the number of integers of the range with another result, and the largest difference. */
export type Apart = { readonly integers: number; readonly most: number }

/** Multipliers have 31 bits and a sign. */
const WIDEST = 31
/** Products and sums stay below 2^52, so that doubles and int64 hold them. */
const EXACT = 52

const shifted = (a: Affine, x: number): number => ROUNDINGS[a.rounding]((x * a.multiplier + a.offset) / 2 ** a.shift)

/** First x of the range (or hi + 1) at which the form reaches `level`, seen in the direction of the steps; sought around `near`. */
const reaches = (a: Affine, step: 1 | -1, level: number, near: number, { lo, hi }: Range): number => {
  const there = (x: number): boolean => step * shifted(a, x) >= level
  if (a.multiplier * step < 0) return hi + 1
  let [low, high] = [near - 1, near]
  for (let d = 1; low >= lo && there(low); d *= 2) [high, low] = [low, low - d]
  for (let d = 1; high <= hi && !there(high); d *= 2) [low, high] = [high, high + d]
  ;[low, high] = [Math.max(lo - 1, low), Math.min(hi + 1, high)]
  while (high - low > 1) {
    const mid = Math.floor((low + high) / 2)
    if (there(mid)) high = mid
    else low = mid
  }
  return high
}

/** What lies beyond the first and the last step: the form may go on there where the function stays, unless it is cut to the same ends. */
const beyond = (a: Affine, steps: Steps, range: Range, out: Range): Apart => {
  const { start, step } = steps
  let [integers, most] = [0, 0]
  const cut = (x: number): number => step * Math.min(out.hi, Math.max(out.lo, shifted(a, x)))
  const [bottom, top] = [step * start, step * start + total(steps)]
  if (cut(range.hi) > top) {
    integers += range.hi + 1 - reaches(a, step, top + 1, range.hi, range)
    most = cut(range.hi) - top
  }
  if (cut(range.lo) < bottom) {
    integers += reaches(a, step, bottom, range.lo, range) - range.lo
    most = Math.max(most, bottom - cut(range.lo))
  }
  return { integers, most }
}

/** Is the form right everywhere? The outermost steps are asked first: most forms are wrong there. */
const isExact = (a: Affine, steps: Steps, range: Range, out: Range): boolean => {
  const { start, step, at } = steps
  const n = at.length
  for (let i = 0; i < n; i++) {
    const k = i % 2 === 0 ? i >> 1 : n - 1 - (i >> 1)
    const level = step * start + countAt(steps, k)
    if (!(step * shifted(a, at[k]) >= level && step * shifted(a, at[k] - 1) < level)) return false
  }
  return beyond(a, steps, range, out).integers === 0
}

/** Counts how the form, cut to `out`, differs from the steps. */
export const apart = (a: Affine, steps: Steps, range: Range, out: Range): Apart => {
  const { start, step, at } = steps
  let { integers, most } = beyond(a, steps, range, out)
  for (let k = 0; k < at.length; k++) {
    const level = step * start + countAt(steps, k)
    // Most steps are right: two questions say so.
    if (step * shifted(a, at[k]) >= level && step * shifted(a, at[k] - 1) < level) continue
    const t = reaches(a, step, level, at[k], range)
    integers += Math.abs(t - at[k])
    most = Math.max(most, steps.counts === undefined ? crossed(at, k, t) : away(a, step, level, at[k]))
  }
  // Listed places stand for all.
  return { integers: Math.ceil((integers * total(steps)) / Math.max(1, at.length)), most }
}

/** How many steps the form is off just before it makes step `k` at `t`, or at `t` where that is too early. Of several steps at one place the form may have made some. */
const crossed = (at: Float64Array, k: number, t: number): number =>
  t > at[k] ? countBelow(at, t) - k : k + 1 - countBelow(at, t + 1)

/** How many steps the form is off just before and at a place. */
const away = (a: Affine, step: 1 | -1, level: number, place: number): number =>
  Math.max(level - step * shifted(a, place), step * shifted(a, place - 1) - (level - 1), 1)

/** How many steps stand below `x`; they are in order. */
const countBelow = (at: Float64Array, x: number): number => {
  let [low, high] = [0, at.length]
  while (low < high) {
    const mid = (low + high) >> 1
    if (at[mid] < x) low = mid + 1
    else high = mid
  }
  return low
}

/** Feasible heights of a line of slope m through the steps, as the gap between lowest and highest: negative where there is none. */
const gapAt = (steps: Steps, slope: number): { readonly gap: number; readonly middle: number } => {
  const { at } = steps
  let [top, bottom] = [-Infinity, Infinity]
  for (let k = 0; k < at.length; k++) {
    const y = countAt(steps, k) - slope * at[k]
    if (y > top) top = y
    if (y + slope < bottom) bottom = y + slope
  }
  return { gap: bottom - top, middle: (bottom + top) / 2 }
}

/** The line that is furthest from all steps: `floor(slope * x + height)` counts those that x has reached. */
const lineThrough = (steps: Steps, range: Range): { readonly slope: number; readonly height: number } => {
  const { at } = steps
  const n = at.length
  if (n === 1) {
    // One step: so flat a line that it makes no other in the range.
    const slope = 2 ** -Math.ceil(Math.log2(range.hi - range.lo + 2))
    return { slope, height: 1 - slope * at[0] }
  }
  if (at[n - 1] === at[0]) return { slope: n, height: n - n * at[0] }
  const width = at[n - 1] - at[0]
  const rise = total(steps) - countAt(steps, 0)
  let [a, b] = [rise / (width + 2), rise / Math.max(0.25, width - 2)]
  for (let i = 0; i < 90; i++) {
    const [p, q] = [a + (b - a) / 3, b - (b - a) / 3]
    if (gapAt(steps, p).gap < gapAt(steps, q).gap) a = p
    else b = q
  }
  const slope = (a + b) / 2
  return { slope, height: gapAt(steps, slope).middle }
}

/** The forms to try for a line, the smallest numbers first. */
const candidates = (slope: number, height: number, rounding: Rounding, range: Range): readonly Affine[] => {
  const reach = Math.max(Math.abs(range.lo), Math.abs(range.hi), 1)
  const out: Affine[] = []
  // What is cut off says where to begin: floor cuts all of it, the others half of it.
  const base = rounding === 'FLOOR' ? height : height - 0.5
  for (let shift = 0; shift <= 62; shift++) {
    const multiplier = Math.round(slope * 2 ** shift)
    const largest = Math.abs(multiplier) * reach + (Math.abs(height) + 1) * 2 ** shift
    if (Math.abs(multiplier) >= 2 ** WIDEST || largest >= 2 ** EXACT) break
    if (multiplier === 0) continue
    const offset = Math.round(base * 2 ** shift)
    for (const more of [0, -1, 1]) out.push({ multiplier, offset: offset + more, shift, rounding })
  }
  return out
}

/** What a fit gives. */
export type Fit = { readonly form: Affine; readonly apart: Apart }

const constant = (start: number, rounding: Rounding): Affine => ({ multiplier: 0, offset: start, shift: 0, rounding })

/**
 * The best multiplier and shift, with one rounding, for the steps of one class over a range, cut to `out`. The first exact one is taken: it has the
 * smallest numbers.
 */
export const fitSteps = (steps: Steps, rounding: Rounding, range: Range, out: Range): Fit => {
  const { start, step, at } = steps
  if (at.length === 0) return { form: constant(start, rounding), apart: { integers: 0, most: 0 } }
  const line = lineThrough(steps, range)
  // A falling function is the start less what a line counts: `start - floor(v)` is `floor(start + 1 - v)`, but where v is whole.
  const [slope, height] =
    step > 0 ? [line.slope, line.height + start] : [-line.slope, start + 1 - line.height - 2 ** -40]
  const all = candidates(slope, height, rounding, range)
  const exact = all.find((form) => isExact(form, steps, range, out))
  if (exact !== undefined) return { form: exact, apart: { integers: 0, most: 0 } }
  // None is right everywhere: the widest multiplier follows the line most closely.
  let best: Fit = { form: constant(start, rounding), apart: { integers: Infinity, most: Infinity } }
  for (const form of all.slice(-3)) {
    const d = apart(form, steps, range, out)
    if (d.integers < best.apart.integers) best = { form, apart: d }
  }
  return best
}

/**
 * A function of integers as the places where it changes, found by asking it: everywhere where its range is short, else by bisection between the ends.
 * Knows nothing of what the function computes.
 */
import type { Range } from '../values.js'

/** Answers for `points[c * count + k]`, class by class. */
export type IntegerFunction = (points: Float64Array, count: number) => Float64Array

/** A monotone function of one class: what it is at the low end, and where it moves on by 1 (each place as often as it moves there). */
export type Steps = {
  readonly start: number
  readonly step: 1 | -1
  readonly at: Float64Array
  /** How often the function has moved on at each place, where only some places are listed; absent: 1, 2, 3 … */
  readonly counts?: Float64Array
}

/** How often the function has moved on at place k. */
export const countAt = ({ counts }: Steps, k: number): number => counts?.[k] ?? k + 1
/** How often it moves on in all. */
export const total = (s: Steps): number => (s.at.length === 0 ? 0 : countAt(s, s.at.length - 1))

/** What was found of a function: per class its steps, or all its values, where it is not monotone. */
export type Found = {
  readonly steps: readonly Steps[] | null
  /** `values[c * n + (x - lo)]`, where all were asked. */
  readonly values: Float64Array | null
  /** Was every integer of the range asked? Else bisection stands on monotone behaviour, which samples confirmed. */
  readonly everywhere: boolean
  readonly range: Range
}

/** Longest range that is asked everywhere, over all classes. */
const MOST_ASKED = 2 ** 20
/** Longest range of which a table of values is kept. */
export const LONGEST_TABLE = 2 ** 16
/** More places of change than this are not listed: of those that a quantizer of 16 bits has, some stand for all. */
const MOST_STEPS = 2 ** 12
const SAMPLES = 1024

const stepsOf = (x: ArrayLike<number>, y: ArrayLike<number>, from: number, n: number): Steps | null => {
  const rise = Math.sign(y[from + n - 1] - y[from])
  const at: number[] = []
  for (let k = 1; k < n; k++) {
    const d = (y[from + k] - y[from + k - 1]) * (rise < 0 ? -1 : 1)
    if (d < 0) return null
    for (let j = 0; j < d; j++) at.push(x[from + k])
  }
  return { start: y[from], step: rise < 0 ? -1 : 1, at: Float64Array.from(at) }
}

const askedEverywhere = (f: IntegerFunction, range: Range, classes: number): Found => {
  const n = range.hi - range.lo + 1
  const points = new Float64Array(classes * n)
  for (let i = 0; i < points.length; i++) points[i] = range.lo + (i % n)
  const values = f(points, n)
  const steps: Steps[] = []
  for (let c = 0; c < classes; c++) {
    const s = stepsOf(points, values, c * n, n)
    if (s === null) break
    steps.push(s)
  }
  return { steps: steps.length === classes ? steps : null, values, everywhere: true, range }
}

type Interval = { readonly a: number; readonly ya: number; readonly b: number; readonly yb: number }

/** Halves all intervals in which something changes, until each has no inside. */
const narrowed = (
  f: IntegerFunction,
  start: readonly (readonly Interval[])[],
  lo: number,
): readonly (readonly Interval[])[] => {
  let open = start.map((list) => list.filter((i) => i.ya !== i.yb && i.b - i.a > 1))
  const done: Interval[][] = start.map((list) => list.filter((i) => i.ya !== i.yb && i.b - i.a <= 1))
  for (;;) {
    const count = Math.max(...open.map((list) => list.length))
    if (count === 0) return done
    const points = new Float64Array(open.length * count).fill(lo)
    open.forEach((list, c) => list.forEach((i, k) => (points[c * count + k] = Math.floor((i.a + i.b) / 2))))
    const ys = f(points, count)
    open = open.map((list, c) => {
      const next: Interval[] = []
      list.forEach(({ a, ya, b, yb }, k) => {
        const [m, ym] = [points[c * count + k], ys[c * count + k]]
        for (const i of [
          { a, ya, b: m, yb: ym },
          { a: m, ya: ym, b, yb },
        ])
          if (i.ya !== i.yb) (i.b - i.a > 1 ? next : done[c]).push(i)
      })
      return next
    })
  }
}

/** Samples of the range, the same for each class: evenly spread, with both ends. */
const spread = (range: Range, classes: number, n: number): Float64Array => {
  const points = new Float64Array(classes * n)
  for (let i = 0; i < points.length; i++) points[i] = range.lo + Math.round(((i % n) * (range.hi - range.lo)) / (n - 1))
  return points
}

const valueOfSteps = ({ start, step, at }: Steps, x: number): number => {
  let [a, b] = [0, at.length]
  while (a < b) {
    const mid = (a + b) >> 1
    if (at[mid] <= x) a = mid + 1
    else b = mid
  }
  return start + step * a
}

const bisected = (f: IntegerFunction, range: Range, classes: number): Found | null => {
  const n = SAMPLES
  const points = spread(range, classes, n)
  const ys = f(points, n)
  const none: Found = { steps: null, values: null, everywhere: false, range }
  const start: Interval[][] = []
  for (let c = 0; c < classes; c++) {
    const list: Interval[] = []
    for (let k = c * n + 1; k < (c + 1) * n; k++)
      list.push({ a: points[k - 1], ya: ys[k - 1], b: points[k], yb: ys[k] })
    if (Math.abs(ys[(c + 1) * n - 1] - ys[c * n]) > MOST_STEPS) return null
    if (stepsOf(points, ys, c * n, n) === null) return none
    start.push(list)
  }
  const found = narrowed(f, start, range.lo)
  const steps: Steps[] = []
  for (let c = 0; c < classes; c++) {
    const sorted = [...found[c]].sort((p, q) => p.a - q.a)
    const xs = sorted.flatMap((i) => [i.a, i.b])
    const s = stepsOf([range.lo, ...xs], [ys[c * n], ...sorted.flatMap((i) => [i.ya, i.yb])], 0, xs.length + 1)
    if (s === null) return none
    steps.push(s)
  }
  return confirmed(f, steps, range) ? { steps, values: null, everywhere: false, range } : none
}

/** Is the function what its steps say, around each of them? Functions that are monotone but for a last bit show it there. */
const confirmed = (f: IntegerFunction, steps: readonly Steps[], range: Range): boolean => {
  const around = [-17, -5, -2, 2, 5, 17]
  const near = steps.map(({ at }) => {
    const some = at.length <= 512 ? at : at.filter((_, i) => i % Math.ceil(at.length / 512) === 0)
    return [...some].flatMap((t) => around.map((d) => Math.min(range.hi, Math.max(range.lo, t + d))))
  })
  const count = Math.max(1, ...near.map((l) => l.length))
  const points = new Float64Array(steps.length * count).fill(range.lo)
  near.forEach((l, c) => points.set(l, c * count))
  const ys = f(points, count)
  for (let i = 0; i < points.length; i++)
    if (valueOfSteps(steps[Math.floor(i / count)], points[i]) !== ys[i]) return false
  return true
}

/** The places where a function changes over a range, for all classes; null where it has too many to be a quantizer's. */
export const findSteps = (f: IntegerFunction, range: Range, classes: number): Found | null => {
  const n = range.hi - range.lo + 1
  const everywhere = n <= Math.max(2 * SAMPLES, 4096) || n * classes <= 2 ** 17
  return everywhere && n * classes <= MOST_ASKED ? askedEverywhere(f, range, classes) : bisected(f, range, classes)
}

/** How many places stand for all. */
const LISTED = 256

/**
 * Some of the places where a function with very many of them changes: enough to fit a line and to see that it is one. Found by bisection, all at once; null
 * where samples say that the function is not monotone.
 */
export const someSteps = (f: IntegerFunction, range: Range, classes: number): readonly Steps[] | null => {
  const n = SAMPLES
  const points = spread(range, classes, n)
  const ys = f(points, n)
  const first = (c: number): number => ys[c * n]
  const moves = Float64Array.from({ length: classes }, (_, c) => ys[(c + 1) * n - 1] - first(c))
  for (let c = 0; c < classes; c++)
    for (let k = 1; k < n; k++) if ((ys[c * n + k] - ys[c * n + k - 1]) * Math.sign(moves[c]) < 0) return null
  const wanted = Float64Array.from({ length: classes * LISTED }, (_, i) => {
    const all = Math.abs(moves[Math.floor(i / LISTED)])
    return Math.max(1, Math.round(((i % LISTED) * (all - 1)) / (LISTED - 1)) + 1)
  })
  const [low, high] = [new Float64Array(wanted.length).fill(range.lo), new Float64Array(wanted.length).fill(range.hi)]
  for (let width = range.hi - range.lo; width > 1; width = Math.ceil(width / 2)) {
    const middle = low.map((a, i) => Math.floor((a + high[i]) / 2))
    const at = f(middle, LISTED)
    for (let i = 0; i < wanted.length; i++) {
      const c = Math.floor(i / LISTED)
      if (Math.sign(moves[c]) * (at[i] - first(c)) >= wanted[i]) high[i] = middle[i]
      else low[i] = middle[i]
    }
  }
  return Array.from({ length: classes }, (_, c): Steps => {
    const part = (a: Float64Array): Float64Array => a.slice(c * LISTED, (c + 1) * LISTED)
    return moves[c] === 0
      ? { start: first(c), step: 1, at: new Float64Array(0) }
      : { start: first(c), step: moves[c] < 0 ? -1 : 1, at: part(high), counts: part(wanted) }
  })
}

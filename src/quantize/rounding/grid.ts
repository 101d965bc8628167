/** Rounding the weights of one output channel onto a grid, so that its results stay close over samples. */
import { roundHalfEven } from '../../data/math.js'
import { cholesky, permuted, solve } from './linalg.js'

/** What samples say of the inputs of a product: how rows of weights are judged. */
export type Judge = {
  /** Weights of a row. */
  readonly n: number
  /** `(w - target)·a·(w - target)ᵀ` is the error of weights w, a symmetric and positive definite. */
  readonly a: Float64Array
  /** Its factor (`RᵀR = a`) in an order of its own: the last is rounded first, that of the largest input. */
  readonly factor: Float64Array
  readonly order: Int32Array
}

/** A grid: whole multiples of a step, from `lo` to `hi` of them. */
export type Grid = { readonly lo: number; readonly hi: number }

/**
 * A judge of a matrix of second moments, with `damping` times the mean of its diagonal added to the diagonal. Null:
 * nothing ever comes in.
 */
export const judgeOf = (moments: Float64Array, n: number, damping: number): Judge | null => {
  const a = moments.slice()
  let trace = 0
  for (let i = 0; i < n; i++) trace += a[i * n + i]
  if (!(trace > 0)) return null
  const more = (damping * trace) / n
  for (let i = 0; i < n; i++) a[i * n + i] += more
  const order = Int32Array.from({ length: n }, (_, i) => i).sort((i, j) => a[i * n + i] - a[j * n + j] || i - j)
  const factor = permuted(a, n, order)
  return cholesky(factor, n) ? { n, a, factor, order } : null
}

/** The weights that serve best before any rounding: the solution of `x·a = b`. */
export const bestWeights = ({ n, factor, order }: Judge, b: Float64Array): Float64Array => {
  const inOrder = Float64Array.from(order, (i) => b[i])
  solve(factor, n, inOrder)
  const out = new Float64Array(n)
  order.forEach((i, k) => {
    out[i] = inOrder[k]
  })
  return out
}

const onGrid = (x: number, { lo, hi }: Grid): number => Math.min(hi, Math.max(lo, roundHalfEven(x)))

/**
 * Integers of a row by GPTQ: one weight after the other is rounded, and what that costs is made good by those to come.
 * Written as the nearest plane of Babai, which it is (Chen et al., The Geometry of LLM Quantization, 2025), and needs
 * no inverse.
 * Source: Frantar et al., GPTQ (2022), with activation order.
 */
export const nearestPlane = (
  { n, factor, order }: Judge,
  target: Float64Array,
  step: number,
  grid: Grid,
  out: Float64Array,
): void => {
  const off = new Float64Array(n)
  for (let i = n - 1; i >= 0; i--) {
    const row = i * n
    let sum = 0
    for (let j = i + 1; j < n; j++) sum += factor[row + j] * off[j]
    const at = order[i]
    const q = onGrid((target[at] - sum / factor[row + i]) / step, grid)
    out[at] = q
    off[i] = q * step - target[at]
  }
}

/** `v·a`, of a row that is 0 in many places. */
const times = ({ n, a }: Judge, v: Float64Array, out: Float64Array): void => {
  out.fill(0)
  for (let i = 0; i < n; i++) {
    const f = v[i]
    if (f === 0) continue
    const row = i * n
    for (let j = 0; j < n; j++) out[j] += f * a[row + j]
  }
}

/** The slope of the error, halved: `(q·step - target)·a`, where `b` is `target·a`. */
export const slopeOf = (judge: Judge, b: Float64Array, q: Float64Array, step: number): Float64Array => {
  const r = new Float64Array(judge.n)
  times(judge, q, r)
  for (let i = 0; i < judge.n; i++) r[i] = r[i] * step - b[i]
  return r
}

/**
 * Moves one integer after the other to where the error is least, all others as they are, until nothing moves or
 * `sweeps` are over; `r` is the slope, and is kept so. Source: Behdin et al., QuantEase (2023).
 */
export const descend = (
  { n, a }: Judge,
  r: Float64Array,
  q: Float64Array,
  step: number,
  { grid, sweeps }: { readonly grid: Grid; readonly sweeps: number },
): void => {
  for (let s = 0; s < sweeps; s++) {
    let moved = false
    for (let i = 0; i < n; i++) {
      const row = i * n
      const next = onGrid(q[i] - r[i] / a[row + i] / step, grid)
      if (next === q[i]) continue
      const change = (next - q[i]) * step
      // Of a tie, or by rounding, nothing is gained.
      if (change * (2 * r[i] + change * a[row + i]) >= 0) continue
      for (let j = 0; j < n; j++) r[j] += change * a[row + j]
      q[i] = next
      moved = true
    }
    if (!moved) return
  }
}

/** The error of plain rounding where inputs have nothing to do with each other: what steps are first compared by. */
export const roughError = ({ n, a }: Judge, target: Float64Array, step: number, grid: Grid): number => {
  let sum = 0
  for (let i = 0; i < n; i++) {
    const off = target[i] - onGrid(target[i] / step, grid) * step
    sum += off * off * a[i * n + i]
  }
  return sum
}

/** The weights of a product on their grids, by the quantizer's own fields. */
import { intMax, intMin } from '../../data/quant.js'
import type { Tensor } from '../../data/tensor.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import { integerThreshold } from '../../quantizers/scaling.js'
import type { Grid } from './grid.js'
import type { Asked, Problem } from './problem.js'
import { roundRow, roundRows, type Search } from './rows.js'

/** The integers of a quantizer. */
const gridOf = (q: Quantizer): Grid => {
  const bits = q.bitWidth ?? 8
  return { lo: intMin(bits, q.signed, q.narrowRange), hi: intMax(bits, q.signed) }
}

/** Steps that can be stored: float32 thresholds, or powers of two. */
const storedStep =
  (q: Quantizer) =>
  (step: number): number => {
    const t = integerThreshold(q)
    if (q.restrictScalingType !== 'POWER_OF_TWO') return Math.fround(Math.fround(step * t) / t)
    return 2 ** Math.ceil(Math.log2(step))
  }

/** Steps to compare, as parts of the widest. */
const SHRINKS = Array.from({ length: 28 }, (_, i) => 1 - (0.75 * (i + 1)) / 29)
/** Fewer steps are tried out where each try is long. */
const triesFor = (work: number): number => Math.max(1, Math.min(12, Math.floor(1e8 / Math.max(1, work))))

const widestOf = (target: ArrayLike<number>, q: Quantizer): number => {
  let most = 0
  for (let i = 0; i < target.length; i++) most = Math.max(most, Math.abs(target[i]))
  return Math.max(most, q.scalingMinVal ?? 1e-10) / integerThreshold(q)
}

/** The weights as the quantizer itself rounds them. */
export const plainRounding = (float: Tensor, q: Quantizer): Float32Array => {
  const n = float.data.length / float.shape[0]
  const { lo, hi } = gridOf(q)
  const stored = storedStep(q)
  const whole = stored(widestOf(float.data, q))
  return float.data.map((x, i) => {
    const o = Math.floor(i / n)
    const step = q.scalingPerOutputChannel ? stored(widestOf(float.data.subarray(o * n, (o + 1) * n), q)) : whole
    return Math.min(hi, Math.max(lo, Math.round(x / step))) * step
  })
}

/** A weight on its grid: the integers times their steps, and the steps. */
export type Solved = { readonly weight: Float32Array; readonly steps: Float64Array }

/** The weights of a product, rounded. */
export const solved = (float: Tensor, { rows, outputs, n }: Problem, q: Quantizer, asked: Asked): Solved => {
  const search: Search = {
    grid: gridOf(q),
    stored: storedStep(q),
    shrinks: asked.scales === 'keep' ? [] : SHRINKS,
    tries: triesFor(outputs * n * n),
    sweeps: asked.sweeps,
  }
  const out = new Float32Array(float.data.length)
  const steps = new Float64Array(outputs)
  const put = (o: number, step: number, integers: Float64Array): void => {
    steps[o] = step
    for (let i = 0; i < n; i++) out[o * n + i] = integers[i] * step
  }
  const plain = (o: number, step: number): void => {
    const { lo, hi } = search.grid
    const w = float.data.subarray(o * n, (o + 1) * n)
    put(
      o,
      step,
      Float64Array.from(w, (x) => Math.min(hi, Math.max(lo, Math.round(x / step)))),
    )
  }
  // The scale of a quantizer that keeps it is that of the float weights; one that is searched starts from what would
  // serve best.
  const rowOf = (o: number): ArrayLike<number> => {
    const row = rows[o]
    return asked.scales === 'keep' || row === null ? float.data.subarray(o * n, (o + 1) * n) : row.target
  }
  if (q.scalingPerOutputChannel) {
    rows.forEach((row, o) => {
      const widest = widestOf(rowOf(o), q)
      if (row === null) plain(o, search.stored(widest))
      else {
        const { step, q: integers } = roundRow(row, widest, search)
        put(o, step, integers)
      }
    })
    return { weight: out, steps }
  }
  const widest = rows.reduce((most, _, o) => Math.max(most, widestOf(rowOf(o), q)), 0)
  const known = rows.flatMap((row, o) => (row === null ? [] : [{ row, o }]))
  const done = roundRows(
    known.map(({ row }) => row),
    widest,
    search,
  )
  const step = done[0]?.step ?? search.stored(widest)
  rows.forEach((row, o) => {
    if (row === null) plain(o, step)
  })
  done.forEach(({ q: integers }, k) => put(known[k].o, step, integers))
  return { weight: out, steps }
}

/** Steps and integers for the rows of a weight: searched together, row by row or with one step for all. */
import { descend, nearestPlane, roughError, slopeOf, type Grid, type Judge } from './grid.js'

/** A row that is to be rounded: its judge, the weights that would serve best, and these times the judge's matrix. */
export type Row = { readonly judge: Judge; readonly target: Float64Array; readonly b: Float64Array }

/** How steps are found, and how long is searched. */
export type Search = {
  readonly grid: Grid
  /** A step as it can be stored: float32, a power of two. */
  readonly stored: (step: number) => number
  /** Steps to compare, as parts of the one that the largest weight asks for; empty: that one alone. */
  readonly shrinks: readonly number[]
  /** Of these so many are tried out, those that look best. */
  readonly tries: number
  readonly sweeps: number
}

/** Integers of a row on a step, their error, and the step that would suit them best (NaN: none). */
export type Rounded = {
  readonly step: number
  readonly q: Float64Array
  readonly error: number
  readonly best: number
}

const roundOn = ({ judge, target, b }: Row, step: number, search: Search): Rounded => {
  const q = new Float64Array(judge.n)
  nearestPlane(judge, target, step, search.grid, q)
  const r = slopeOf(judge, b, q, step)
  descend(judge, r, q, step, search)
  let [error, along, up] = [0, 0, 0]
  for (let i = 0; i < judge.n; i++) {
    error += (q[i] * step - target[i]) * r[i]
    along += q[i] * r[i]
    up += q[i] * b[i]
  }
  // Least squares: (q·a·target)/(q·a·q).
  const best = (up * step) / (along + up)
  return { step, q, error, best: best > 0 ? best : NaN }
}

/** The best step near one: each time the integers say what would suit them. */
const refined = (row: Row, first: Rounded, search: Search): Rounded => {
  let best = first
  for (let k = 0; k < 3; k++) {
    const next = search.stored(best.best)
    if (!(next > 0) || next === best.step) return best
    const tried = roundOn(row, next, search)
    if (!(tried.error < best.error)) return best
    best = tried
  }
  return best
}

/** Steps that look best by a quick look at all rows, the first as it is asked for by the largest weight. */
const promising = (rows: readonly Row[], widest: number, search: Search): readonly number[] => {
  const steps = [1, ...search.shrinks].map((s) => search.stored(widest * s)).filter((s) => s > 0)
  if (search.shrinks.length === 0) return steps
  const rough = (step: number): number =>
    rows.reduce((sum, { judge, target }) => sum + roughError(judge, target, step, search.grid), 0)
  const ranked = [...new Set(steps)].map((step) => [step, rough(step)] as const).sort((a, b) => a[1] - b[1])
  return ranked.slice(0, search.tries).map(([step]) => step)
}

/** Integers of a row and the step that goes with them; `widest` is the step that the largest weight asks for. */
export const roundRow = (row: Row, widest: number, search: Search): Rounded => {
  const [first, ...others] = promising([row], widest, search)
  const tried = others.reduce(
    (best, step) => {
      const next = roundOn(row, step, search)
      return next.error < best.error ? next : best
    },
    roundOn(row, first, search),
  )
  return search.shrinks.length === 0 ? tried : refined(row, tried, search)
}

/** The same of rows that share one step. */
export const roundRows = (rows: readonly Row[], widest: number, search: Search): readonly Rounded[] => {
  const [first, ...others] = promising(rows, widest, search)
  const on = (step: number): readonly Rounded[] => rows.map((row) => roundOn(row, step, search))
  const total = (all: readonly Rounded[]): number => all.reduce((sum, r) => sum + r.error, 0)
  return others.reduce((best, step) => {
    const next = on(step)
    return total(next) < total(best) ? next : best
  }, on(first))
}

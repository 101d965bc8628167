/** Series of a training, thinned so that drawing costs the same after a minute and after an hour. Pure. */

/** A stretch of steps: its last step, and mean, least and greatest value. */
export type Bucket = { readonly step: number; readonly mean: number; readonly min: number; readonly max: number }

/** At most `most` stretches of equal length; values that are not finite are left out. */
export const bucketed = (
  points: readonly (readonly [step: number, value: number])[],
  most: number,
): readonly Bucket[] => {
  const size = Math.max(1, Math.ceil(points.length / most))
  const out: Bucket[] = []
  for (let i = 0; i < points.length; i += size) {
    const part = points.slice(i, i + size)
    const values = part.map(([, v]) => v).filter(Number.isFinite)
    if (values.length === 0) continue
    out.push({
      step: part[part.length - 1][0],
      mean: values.reduce((a, b) => a + b, 0) / values.length,
      min: Math.min(...values),
      max: Math.max(...values),
    })
  }
  return out
}

/** The course of a noisy series: each mean counts a fifth, so that the line follows within five stretches or so. */
export const smoothed = (
  buckets: readonly Bucket[],
  share = 0.2,
): readonly (readonly [step: number, value: number])[] => {
  let level: number | null = null
  return buckets.map((b) => {
    level = level === null ? b.mean : level + share * (b.mean - level)
    return [b.step, level]
  })
}

/** A scale at a step, and whether it was learned (or a statistic). */
export type ScalePoint = { readonly step: number; readonly scale: number; readonly learned: boolean }

const MOST = 400

/** Appends a point; from 400 points on every second of the older half goes. */
export const remembered = (history: readonly ScalePoint[], p: ScalePoint): readonly ScalePoint[] => {
  const last = history[history.length - 1]
  const next = last?.step === p.step && Number.isFinite(last.scale) ? [...history.slice(0, -1), p] : [...history, p]
  const half = next.length >> 1
  return next.length <= MOST ? next : [...next.slice(0, half).filter((_, i) => i % 2 === 0), ...next.slice(half)]
}

/** The history with a gap after it: what comes next is on other bits, and no line leads there. */
export const broken = (history: readonly ScalePoint[]): readonly ScalePoint[] => {
  const last = history[history.length - 1]
  return last === undefined ? history : [...history, { ...last, scale: NaN }]
}

/** A tenth of the smallest numbers is no number at all. */
const LEAST_ROOM = 1e-12

/** The extent of numbers, widened where it is a point; null if there are none. */
export const extentOf = (values: readonly number[]): readonly [number, number] | null => {
  const finite = values.filter(Number.isFinite)
  if (finite.length === 0) return null
  const [lo, hi] = [Math.min(...finite), Math.max(...finite)]
  if (lo < hi) return [lo, hi]
  const room = hi === 0 ? 1 : Math.max(Math.abs(hi) * 0.1, LEAST_ROOM)
  return [lo >= 0 ? Math.max(0, lo - room) : lo - room, hi + room]
}

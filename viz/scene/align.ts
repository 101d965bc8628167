/** Two columns side by side: stretches the gaps between the rows of both so that rows which belong together stand level. */

/** A row of a column: from the top of its highest item to the bottom of its lowest. */
export type Band = readonly [top: number, bottom: number]

/** Joins ranges that overlap; in order. */
export const bandsOf = (ranges: readonly Band[]): readonly Band[] => {
  const out: [number, number][] = []
  for (const [top, bottom] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const last = out[out.length - 1]
    if (last !== undefined && top <= last[1]) last[1] = Math.max(last[1], bottom)
    else out.push([top, bottom])
  }
  return out
}

/** Moves a coordinate with its row; between rows in proportion. */
export type Warp = (y: number) => number

const warpOf =
  (bands: readonly Band[], tops: readonly number[]): Warp =>
  (y) => {
    if (bands.length === 0) return y
    const next = bands.findIndex((b) => y < b[0])
    const i = (next < 0 ? bands.length : next) - 1
    if (i < 0) return y + tops[0] - bands[0][0]
    const shift = tops[i] - bands[i][0]
    if (y <= bands[i][1] || i === bands.length - 1) return y + shift
    const [from, to] = [bands[i][1], bands[i + 1][0]]
    return from + shift + ((y - from) / (to - from)) * (tops[i + 1] - from - shift)
  }

const at = (bands: readonly Band[], y: number): number => bands.findIndex((b) => y >= b[0] && y <= b[1])

/**
 * Warps for two columns. `pairs`: a coordinate in the first and one in the second whose rows belong together; pairs that
 * cross earlier ones are passed over. Rows keep their heights and orders, and gaps only grow.
 */
export const alignColumns = (
  first: readonly Band[],
  second: readonly Band[],
  pairs: readonly (readonly [number, number])[],
): readonly [Warp, Warp] => {
  const met = new Map<number, number>()
  let last = -1
  for (const [a, b] of [...pairs].sort((p, q) => p[0] - q[0])) {
    const [i, j] = [at(first, a), at(second, b)]
    if (i < 0 || j <= last || met.has(i)) continue
    met.set(i, j)
    last = j
  }
  const [tops, others]: [number[], number[]] = [[], []]
  const natural = (bands: readonly Band[], placed: readonly number[], i: number): number =>
    i === 0 ? bands[0][0] : placed[i - 1] + (bands[i][0] - bands[i - 1][0])
  let next = 0
  first.forEach((band, i) => {
    const j = met.get(i)
    if (j === undefined) return void tops.push(natural(first, tops, i))
    for (; next < j; next++) others.push(natural(second, others, next))
    const [a, b] = [natural(first, tops, i), natural(second, others, j)]
    const [h, k] = [(band[1] - band[0]) / 2, (second[j][1] - second[j][0]) / 2]
    const middle = Math.max(a + h, b + k)
    tops.push(middle - h)
    others.push(middle - k)
    next = j + 1
  })
  for (; next < second.length; next++) others.push(natural(second, others, next))
  return [warpOf(first, tops), warpOf(second, others)]
}

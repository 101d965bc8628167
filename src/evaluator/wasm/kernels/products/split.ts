/** How the work of a stage is cut into units. */

/** Work of one unit in nanoseconds: not much less (a unit costs some itself), not much more (threads should end together). */
const LEAST = 4_000
const MOST = 60_000

/**
 * Numbers of steps per unit for nested levels, outermost first, when one step of the innermost takes so many nanoseconds.
 * Inner levels stay whole as long as a unit holds them. `multiple`: the innermost level is cut at multiples of it only.
 */
export const splitLevels = (counts: readonly number[], nanoseconds: number, multiple = 1): readonly number[] => {
  const total = counts.reduce((n, c) => n * c, nanoseconds)
  const target = Math.min(MOST, Math.max(LEAST, total / 32))
  const blocks = counts.map(() => 1)
  let unit = nanoseconds
  for (let i = counts.length - 1; i >= 0; i--) {
    const fits = Math.max(1, Math.floor(target / unit))
    const least = i === counts.length - 1 ? multiple : 1
    const parts = Math.max(1, Math.ceil(counts[i] / Math.max(least, fits)))
    blocks[i] = Math.min(Math.max(1, counts[i]), Math.ceil(Math.ceil(counts[i] / parts) / least) * least)
    if (blocks[i] < counts[i]) break
    unit *= counts[i]
  }
  return blocks
}

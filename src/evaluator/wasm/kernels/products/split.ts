/** How the work of a stage is cut into units. */
import { UNIT_NS } from '../../machine.js'

/**
 * Numbers of steps per unit for nested levels, outermost first, when one step of the innermost takes so many nanoseconds.
 * Inner levels stay whole as long as a unit holds them. `multiple`: the innermost level is cut at multiples of it only.
 */
export const splitLevels = (counts: readonly number[], nanoseconds: number, multiple = 1): readonly number[] => {
  const total = counts.reduce((n, c) => n * c, nanoseconds)
  const target = Math.min(UNIT_NS.most, Math.max(UNIT_NS.least, total / UNIT_NS.parts))
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

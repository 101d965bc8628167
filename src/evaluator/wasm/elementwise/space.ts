/**
 * The axes of a loop. Operands of element-wise nodes are whole, one number, or repeated along some axes; from the places
 * where that changes follow the few axes over which a group must loop, however many its tensors have.
 */
import { sizeOf, type Shape } from '../../../data/shape.js'

/** Stretches of one kind from the innermost axis outwards: elements that an operand has (`kept`) or repeats. */
export type Run = { readonly size: number; readonly kept: boolean }

/** How an operand of shape `from` lies over a loop of shape `to`, axes of size 1 left out. */
export const runsOf = (from: Shape, to: Shape): readonly Run[] => {
  if (sizeOf(from) === sizeOf(to)) return [{ size: sizeOf(to), kept: true }]
  const runs: { size: number; readonly kept: boolean }[] = []
  for (let d = to.length - 1, s = from.length - 1; d >= 0; d--, s--) {
    if (to[d] === 1) continue
    const kept = s >= 0 && from[s] === to[d]
    const last = runs[runs.length - 1]
    if (last !== undefined && last.kept === kept) last.size *= to[d]
    else runs.push({ size: to[d], kept })
  }
  return runs
}

/** A loop over all elements of a group: sizes of its axes from the innermost outwards; at least one. */
export type Space = { readonly size: number; readonly axes: readonly number[] }

/** Adds the places where runs change, in elements from the innermost. */
export const addCuts = (runs: readonly Run[], cuts: Set<number>): void => {
  let at = 1
  for (let i = 0; i < runs.length - 1; i++) cuts.add((at *= runs[i].size))
}

/** The common axes of operands that are cut at these places, or null where one's axes cut another's apart. */
export const spaceOf = (size: number, cuts: ReadonlySet<number>): Space | null => {
  const sorted = [...cuts].filter((c) => c > 1 && c < size).sort((a, b) => a - b)
  const axes: number[] = []
  let below = 1
  for (const c of [...sorted, size]) {
    if (c % below !== 0) return null
    axes.push(c / below)
    below = c
  }
  return { size, axes }
}

/** An operand's step along each axis of the space, in elements; 0 where it repeats. */
export const stridesIn = (runs: readonly Run[], space: Space): readonly number[] => {
  const strides: number[] = []
  let [at, inner, run, within] = [1, 1, 0, 1]
  for (const n of space.axes) {
    while (run < runs.length - 1 && within >= runs[run].size) {
      inner *= runs[run].kept ? runs[run].size : 1
      run++
      within = 1
    }
    strides.push(runs.length > 0 && runs[run].kept ? inner * within : 0)
    within *= n
    at *= n
  }
  return strides
}

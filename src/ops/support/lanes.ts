/** Pieces of element-wise expressions that several ops share. */
import type { Lanes, LaneMask, Lane } from '../../graph/op.js'

/** Below, then above, NaN kept: where both bind and cross, the upper one wins. A bound that is null does not bind. */
export const raisedThenCut = (e: Lanes, x: Lane, min: number | null, max: number | null): Lane => {
  const raised = min === null ? x : e.pmax(x, e.constant(min))
  return max === null ? raised : e.pmin(raised, e.constant(max))
}

/** Above, then below: where both bind and cross, the lower one wins. */
export const cutThenRaised = (e: Lanes, x: Lane, min: number | null, max: number | null): Lane => {
  const lowered = max === null ? x : e.pmin(x, e.constant(max))
  return min === null ? lowered : e.pmax(lowered, e.constant(min))
}

/** 1 where none of the masks holds, else 0. */
export const unless = (e: Lanes, ...masks: readonly LaneMask[]): Lane =>
  masks.length === 0 ? e.one : e.flag(e.not(masks.reduce((a, b) => e.or(a, b))))

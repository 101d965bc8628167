/** From the lower end of a range to a zero point (SEMANTICS 5, SEMANTICS-2 sections 4 and 5). */
import { intMax, intMin } from '../data/quant.js'
import type { Value } from '../graph/op.js'
import { ROUNDING_OPS } from '../ops/rounding.js'
import { clipped } from './grid.js'
import type { Quantizer } from './quantizer.js'
import { learnedBounds, type Width } from './scaling.js'

/**
 * `clamp(round(|w|/s + lo), lo, hi)`, with the quantizer's own rounding; the sign of w is lost. By half-quadratic search it stays a fraction:
 * `|w|/s`.
 */
export const zeroPointOf = (w: Value, scale: Value, q: Quantizer, width?: Width): Value => {
  const { kit } = w
  const steps = kit.emit('div', [kit.emit('absBinarySign', [w]), scale])
  if (q.zeroPointImpl === 'HQO') return steps
  const rounding = `${ROUNDING_OPS[q.floatToIntImplType]}~identity` as const
  if (width !== undefined) {
    const bounds = learnedBounds(width, q)
    return clipped(kit.emit(rounding, [kit.emit('add', [steps, bounds[0]])]), bounds)
  }
  const b = q.bitWidth ?? 8
  const [lo, hi] = [intMin(b, q.signed, q.narrowRange), intMax(b, q.signed, q.narrowRange)]
  const p = kit.emit('add', [steps, kit.constant(lo)])
  return kit.emit('tensorClamp', [kit.emit(rounding, [p])], { min: lo, max: hi })
}

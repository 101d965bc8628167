/** What the MSE search needs to know of a quantizer. */
import { intMax, intMin } from '../data/quant.js'
import type { MseAttrs } from '../ops/mseThreshold.js'
import { integerThreshold } from './scaling.js'
import type { Quantizer } from './quantizer.js'

/** The attributes of a quantizer's search. */
export const mseAttrs = (q: Quantizer): MseAttrs => {
  const b = q.bitWidth ?? 8
  const weight = q.use === 'weight'
  return {
    lo: intMin(b, q.signed, q.narrowRange),
    hi: intMax(b, q.signed, q.narrowRange),
    threshold: integerThreshold(q),
    rounding: q.floatToIntImplType,
    restriction: !weight
      ? 'none'
      : q.restrictScalingType === 'POWER_OF_TWO'
        ? q.restrictValueFloatToIntImpl
        : q.restrictScalingType,
    minVal: weight ? (q.scalingMinVal ?? 0) : 0,
  }
}

/**
 * What the stored numbers of a quantizer mean, in words. Bit width, sign and narrow range are not among it: they divide a threshold, which
 * itself stays the largest magnitude that is represented.
 */
import type { Quantizer } from './quantizer.js'

const RESTRICTED = {
  FP: '',
  LOG_FP: 'the log2 of ',
  POWER_OF_TWO: 'the log2 of ',
} as const

const ROUNDED = {
  CEIL: ', rounded up to a power of two',
  FLOOR: ', rounded down to a power of two',
  ROUND: ', rounded to the nearest power of two',
} as const

/** What a number is that is stored as the restriction has it, and how it is rounded when it is used. */
const restricted = (q: Quantizer, what: string): string => {
  const rounded = q.restrictScalingType !== 'POWER_OF_TWO' ? '' : ROUNDED[q.restrictValueFloatToIntImpl]
  return `${RESTRICTED[q.restrictScalingType]}${what}${rounded}`
}

/** The learned value of a scale: a threshold, or its logarithm, which a power of two rounds when it is used. */
export const thresholdMeans = (q: Quantizer): string =>
  restricted(q, q.zeroPointImpl !== 'zero' ? 'the width of a range' : 'a threshold')

/** The learned scale of a normed weight: itself, or its logarithm. */
export const scaleMeans = (q: Quantizer): string => restricted(q, 'a scale')

/** The running average of a statistic, before any restriction. */
export const averageMeans = (q: Quantizer): string =>
  `a running average of ${q.search ?? (typeof q.scalingStatsOp === 'string' ? q.scalingStatsOp : q.scalingStatsOp.name)}`

/** The learned value of a zero point. */
export const lowerEndMeans = 'the lower end of a range'

/** Thresholds and scales: restriction, lower bound, threshold of the grid (SEMANTICS 1 and 3, SEMANTICS-2 sections 6, 10 and 11). */
import { exp2, log2, roundHalfEven } from '../data/math.js'
import { intMax, intMin } from '../data/quant.js'
import type { Kit, Value } from '../graph/op.js'
import { largestMinifloat } from './minifloat.js'
import type { Quantizer } from './quantizer.js'

/** A learned bit width while it is traced; absent where it is a number. */
export type Width = Value | undefined

const bitsOf = (q: Quantizer): number => q.bitWidth ?? 8

const logRoundings = { CEIL: Math.ceil, ROUND: roundHalfEven, FLOOR: Math.floor }

/** A threshold sent through the quantizer's own restriction, in float32. */
const restrictNumber = (t: number, q: Quantizer): number => {
  if (q.restrictScalingType === 'FP') return Math.fround(t)
  const l = Math.fround(log2(Math.fround(t)))
  return Math.fround(exp2(q.restrictScalingType === 'LOG_FP' ? l : logRoundings[q.restrictValueFloatToIntImpl](l)))
}

/** The threshold T by which a float threshold is divided. Narrow range does not change that of powers of two. */
export const integerThreshold = (q: Quantizer): number => {
  if (q.quantType === 'FLOAT') return restrictNumber(largestMinifloat(q), q)
  const b = bitsOf(q)
  if (q.restrictScalingType === 'POWER_OF_TWO') return 2 ** (q.signed ? b - 1 : b)
  return restrictNumber(q.signed ? -intMin(b, true, q.narrowRange) : intMax(b, false, q.narrowRange), q)
}

/** `2^(b - less)` of a learned width. */
const powerOf = (b: Value, less: number): Value =>
  b.kit.emit('exp2', [less === 0 ? b : b.kit.emit('sub', [b, b.kit.constant(less)])])
const minus = (v: Value, n: number): Value => (n === 0 ? v : v.kit.emit('sub', [v, v.kit.constant(n)]))

/** The same of a learned width: it is not restricted, since `2^log2(T)` is T, gradient included. */
const learnedThreshold = (b: Value, q: Quantizer): Value => {
  const power = powerOf(b, q.signed ? 1 : 0)
  if (q.restrictScalingType === 'POWER_OF_TWO') return power
  return minus(power, q.signed ? Number(q.narrowRange) : 1 + Number(q.narrowRange))
}

/** Smallest and largest integer of a learned width. */
export const learnedBounds = (b: Value, q: Quantizer): readonly [lo: Value, hi: Value] => {
  const { kit } = b
  const power = powerOf(b, q.signed ? 1 : 0)
  return q.signed
    ? [minus(kit.emit('neg', [power]), q.narrowRange ? -1 : 0), minus(power, 1)]
    : [kit.constant(0), minus(power, 1 + Number(q.narrowRange))]
}

/** What is stored of a threshold: itself, or its base-2 logarithm. */
export const preprocess = (v: Value, q: Quantizer): Value =>
  v.kit.emit(q.restrictScalingType === 'FP' ? 'abs' : 'log2', [v])

/** The same of a number: what `value` starts with. */
export const preprocessNumber = (v: number, q: Quantizer): number =>
  Math.fround(q.restrictScalingType === 'FP' ? Math.abs(v) : log2(Math.fround(v)))

const STRAIGHT_THROUGH = { CEIL: 'ceil~identity', ROUND: 'round~identity', FLOOR: 'floor~identity' } as const

/** The threshold that a stored value means. */
export const restrict = (v: Value, q: Quantizer): Value => {
  const { kit } = v
  switch (q.restrictScalingType) {
    case 'FP':
      return kit.emit('abs', [v])
    case 'LOG_FP':
      return kit.emit('exp2', [v])
    case 'POWER_OF_TWO':
      return kit.emit('exp2', [kit.emit(STRAIGHT_THROUGH[q.restrictValueFloatToIntImpl], [v])])
  }
}

/** The lower bound of a threshold or scale; nothing if there is none. */
export const lowerBound = (v: Value, q: Quantizer): Value =>
  q.scalingMinVal === null || q.scalingMinVal === 0
    ? v
    : v.kit.emit('signedLowerBound~identity', [v], { min: q.scalingMinVal })

/** A threshold divided by that of the grid. */
export const byThreshold = (t: Value, q: Quantizer, width?: Width): Value =>
  t.kit.emit('div', [t, width === undefined ? t.kit.constant(integerThreshold(q)) : learnedThreshold(width, q)])

/** While it collects, a minifloat's threshold is divided by its largest number itself (surprise). */
export const byBareThreshold = (t: Value, q: Quantizer, width?: Width): Value =>
  q.quantType === 'FLOAT' ? t.kit.emit('div', [t, t.kit.constant(largestMinifloat(q))]) : byThreshold(t, q, width)

/** `sclamp(restrict(value)) / T`: the bound applies to the threshold. */
export const scaleInTraining = (value: Value, q: Quantizer, width?: Width): Value =>
  byThreshold(lowerBound(restrict(value, q), q), q, width)
/** `sclamp(restrict(value) / T)`: in eval the bound applies to the scale (surprise). */
export const scaleInEval = (value: Value, q: Quantizer, width?: Width): Value =>
  lowerBound(byThreshold(restrict(value, q), q, width), q)
/** `sclamp(restrict(pre(sclamp(stat)))) / T`: the scale of a statistic that is used as it is (STATS). */
export const scaleOfStatistic = (stat: Value, q: Quantizer, width?: Width): Value =>
  scaleInTraining(preprocess(lowerBound(stat, q), q), q, width)

/**
 * One update of a running average: the first call gives `first(buffer, c)`; then `buffer*(1-m) + m*c`, or the plain
 * mean of all calls where the momentum is null. Each product is rounded on its own.
 */
export const average = (
  kit: Kit,
  { counter, buffer }: { readonly counter: Value; readonly buffer: Value },
  c: Value,
  momentum: number | null,
  first: 'mul' | 'add',
): Value => {
  const started = kit.emit(first, [buffer, c])
  const one = kit.constant(1)
  const next = kit.emit('add', [counter, one])
  const [keep, take] =
    momentum === null
      ? [kit.emit('mul', [buffer, kit.emit('div', [counter, next])]), kit.emit('div', [c, next])]
      : [kit.emit('mul', [buffer, kit.constant(1 - momentum)]), kit.emit('mul', [kit.constant(momentum), c])]
  return kit.emit('select', [kit.emit('less', [counter, kit.constant(1)]), started, kit.emit('add', [keep, take])])
}

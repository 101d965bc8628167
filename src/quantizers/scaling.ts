/** Thresholds and scales: restriction, lower bound, integer threshold (SEMANTICS 1 and 3). */
import { exp2, log2 } from '../data/math.js'
import { intMax, intMin } from '../data/quant.js'
import type { Kit, Value } from '../graph/op.js'
import type { Quantizer } from './quantizer.js'

const bitsOf = (q: Quantizer): number => q.bitWidth ?? 8

/** The integer threshold T by which a float threshold is divided. Narrow range does not change that of powers of two. */
export const integerThreshold = (q: Quantizer): number => {
  const b = bitsOf(q)
  if (q.restrictScalingType === 'POWER_OF_TWO') return 2 ** (q.signed ? b - 1 : b)
  const t = q.signed ? -intMin(b, true, q.narrowRange) : intMax(b, false, q.narrowRange)
  // LOG_FP sends T through its own logarithm and back, in float32.
  return Math.fround(q.restrictScalingType === 'LOG_FP' ? exp2(Math.fround(log2(t))) : t)
}

/** What is stored of a threshold: itself, or its base-2 logarithm. */
export const preprocess = (v: Value, q: Quantizer): Value =>
  v.kit.emit(q.restrictScalingType === 'FP' ? 'abs' : 'log2', [v])

/** The same of a number: what `value` starts with. */
export const preprocessNumber = (v: number, q: Quantizer): number =>
  Math.fround(q.restrictScalingType === 'FP' ? Math.abs(v) : log2(Math.fround(v)))

/** The threshold that a stored value means. */
export const restrict = (v: Value, q: Quantizer): Value => {
  const { kit } = v
  switch (q.restrictScalingType) {
    case 'FP':
      return kit.emit('abs', [v])
    case 'LOG_FP':
      return kit.emit('exp2', [v])
    case 'POWER_OF_TWO':
      return kit.emit('exp2', [
        kit.emit(q.restrictValueFloatToIntImpl === 'CEIL' ? 'ceil~identity' : 'round~identity', [v]),
      ])
  }
}

/** The lower bound of a threshold or scale; nothing if there is none. */
export const lowerBound = (v: Value, q: Quantizer): Value =>
  q.scalingMinVal === null || q.scalingMinVal === 0
    ? v
    : v.kit.emit('signedLowerBound~identity', [v], { min: q.scalingMinVal })

/** A threshold divided by the integer threshold. */
export const byThreshold = (t: Value, q: Quantizer): Value =>
  t.kit.emit('div', [t, t.kit.constant(integerThreshold(q))])

/** `sclamp(restrict(value)) / T`: the bound applies to the threshold. */
export const scaleInTraining = (value: Value, q: Quantizer): Value => byThreshold(lowerBound(restrict(value, q), q), q)
/** `sclamp(restrict(value) / T)`: in eval the bound applies to the scale (surprise). */
export const scaleInEval = (value: Value, q: Quantizer): Value => lowerBound(byThreshold(restrict(value, q), q), q)
/** `sclamp(restrict(pre(sclamp(stat)))) / T`: the scale of a statistic that is used as it is (STATS). */
export const scaleOfStatistic = (stat: Value, q: Quantizer): Value =>
  scaleInTraining(preprocess(lowerBound(stat, q), q), q)

/**
 * One update of a running average: the first call gives `first(buffer, c)`; then `buffer*(1-m) + m*c`, or the plain
 * mean of all calls where the momentum is null. Each product is rounded on its own.
 */
export const average = (
  kit: Kit,
  counter: Value,
  buffer: Value,
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

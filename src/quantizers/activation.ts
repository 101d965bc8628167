/** Activation quantizers: collecting → switch-over → learned, driven by the threaded state alone (SEMANTICS 3 to 6). */
import { intMax, intMin } from '../data/quant.js'
import type { Shape } from '../data/shape.js'
import { ROUNDING_OPS } from '../ops/rounding.js'
import type { Kit, Value } from '../graph/op.js'
import {
  collectingLeaves,
  countLeaf,
  LEARNED,
  nextCounter,
  nextValue,
  type Collector,
  type Leaves,
  type StateLeaf,
} from './collection.js'
import { averageMeans, lowerEndMeans, thresholdMeans } from './meaning.js'
import { mseAttrs } from './mse.js'
import type { Quantizer } from './quantizer.js'
import {
  average,
  byThreshold,
  lowerBound,
  preprocess,
  preprocessNumber,
  scaleInEval,
  scaleInTraining,
  scaleOfStatistic,
} from './scaling.js'
import { lowPercentile, rowsOf, statistic, statisticDims, viewAs } from './statistics.js'

/** A quantizer's state as declared: `scale`, `zeroPoint` and `delay`, as far as it has them. */
export type QuantizerSpec = { readonly [part: string]: { readonly [leaf: string]: StateLeaf } }
/** The same while it is traced. */
export type QuantizerState = { readonly [part: string]: { readonly [leaf: string]: Value } }

/** In which shape the scale lies over the tensor: scalar, or per channel. */
export const scaleShape = (q: Quantizer): Shape =>
  q.scalingPerOutputChannel && q.perChannelBroadcastableShape !== null ? q.perChannelBroadcastableShape : []

/** The threshold that a range gives: the largest magnitude. */
const rangeThreshold = (q: Quantizer): number =>
  q.scalingConst ?? q.scalingInit ?? Math.max(Math.abs(q.minVal ?? 0), Math.abs(q.maxVal ?? 0))

/** A threshold that is learned from the start, as it is stored. */
export const thresholdLeaf = (q: Quantizer, shape: Shape, threshold: number): StateLeaf => ({
  shape,
  learned: true,
  value: preprocessNumber(threshold, q),
  means: thresholdMeans(q),
})

/** The countdown of `quantDelaySteps`. */
export const delayState = (q: Quantizer): QuantizerSpec =>
  q.quantDelaySteps > 0 ? { delay: { remaining: countLeaf(q.quantDelaySteps) } } : {}

/** The state that an activation quantizer needs. */
export const activationState = (q: Quantizer): QuantizerSpec => {
  if (q.quantType === 'BINARY') return delayState(q)
  const shape = scaleShape(q)
  const scale: QuantizerSpec =
    q.scalingImplType === 'PARAMETER_FROM_STATS'
      ? {
          scale: collectingLeaves(
            shape,
            1,
            { buffer: averageMeans(q), value: thresholdMeans(q) },
            { steps: q.collectStatsSteps, take: (value, buffer) => Math.fround(value * preprocessNumber(buffer, q)) },
          ),
        }
      : q.scalingImplType === 'PARAMETER'
        ? { scale: { value: thresholdLeaf(q, shape, rangeThreshold(q)) } }
        : q.scalingImplType === 'STATS'
          ? {
              scale: {
                counter: countLeaf(0),
                runningStats: { shape, learned: false, value: 1, means: averageMeans(q) },
              },
            }
          : {}
  return {
    ...scale,
    ...(q.zeroPointImpl === 'stats'
      ? {
          zeroPoint: collectingLeaves(
            shape,
            0,
            { buffer: `a running average of ${lowerEndMeans}`, value: lowerEndMeans },
            { steps: q.collectStatsSteps, take: (value, buffer) => Math.fround(value + buffer) },
          ),
        }
      : {}),
    ...delayState(q),
  }
}

type Step = readonly [scale: Value, next: Leaves]

const searchOrStatistic = (x: Value, q: Quantizer): Value => {
  const rows = rowsOf(x, statisticDims(q))
  const stat = q.mse ? x.kit.emit('mseThreshold', [rows], mseAttrs(q)) : statistic(rows, q)
  return viewAs(stat, scaleShape(q))
}

/**
 * A statistic plus 0 times the value that is learned later, as in Brevitas: the value's gradient is 0 while collecting, but
 * NaN where that of the statistic is not finite.
 */
const linked = (stat: Value, value: Value): Value =>
  stat.kit.emit('add', [stat, stat.kit.emit('mul', [value, stat.kit.constant(0)])])

/** PARAMETER_FROM_STATS in training: the statistic of this batch while collecting, unrestricted; then the learned value. */
const collectedInTraining = (c: Collector, x: Value, q: Quantizer): Step => {
  const {
    kit,
    state: { counter, buffer },
  } = c
  const value = nextValue(c)
  const [scale, after] = kit.phase({
    counter,
    limit: c.steps,
    warnSteps: null,
    args: [x, buffer, value, counter],
    collect: ([xs, old, v, n], k) => {
      const stat = lowerBound(linked(searchOrStatistic(xs, q), v), q)
      return [byThreshold(stat, q), average(k, n, old, stat, q.scalingStatsMomentum, 'mul')]
    },
    learned: ([, old, v]) => [scaleInTraining(v, q), old],
  })
  return [scale, { counter: nextCounter(c), buffer: after, value }]
}

/** PARAMETER_FROM_STATS in eval: the running average until the value is learned. */
const collectedInEval = ({ kit, state, steps }: Collector, q: Quantizer): Step => {
  const [scale] = kit.phase({
    counter: state.counter,
    limit: LEARNED,
    warnSteps: steps,
    args: [state.buffer, state.value],
    collect: ([buffer]) => [scaleInEval(preprocess(buffer, q), q)],
    learned: ([, value]) => [scaleInEval(value, q)],
  })
  return [scale, state]
}

/** STATS: the batch's statistic in training, the running one in eval. */
const runningScale = (kit: Kit, state: Leaves, x: Value, q: Quantizer): Step => {
  if (kit.mode === 'eval') return [scaleOfStatistic(state.runningStats, q), state]
  const stat = searchOrStatistic(x, q)
  const one = kit.constant(1)
  const runningStats = average(
    kit,
    state.counter,
    state.runningStats,
    kit.emit('detach', [stat]),
    q.scalingStatsMomentum,
    'mul',
  )
  return [scaleOfStatistic(stat, q), { counter: kit.emit('add', [state.counter, one]), runningStats }]
}

/** The scale of this call and the state after it; `leaf` is the path of the quantizer's state. */
export const activationScale = (kit: Kit, state: Leaves, x: Value, q: Quantizer, leaf: string): Step => {
  switch (q.scalingImplType) {
    case 'CONST':
      return [scaleInTraining(kit.constant(preprocessNumber(rangeThreshold(q), q)), q), {}]
    case 'PARAMETER':
      return [scaleInTraining(state.value, q), state]
    case 'STATS':
      return runningScale(kit, state, x, q)
    case 'PARAMETER_FROM_STATS': {
      const take = (value: Value, buffer: Value): Value => kit.emit('mul', [value, preprocess(buffer, q)])
      const c: Collector = { kit, state, steps: q.collectStatsSteps, leaf: `${leaf}.scale.value`, take }
      return kit.mode === 'train' ? collectedInTraining(c, x, q) : collectedInEval(c, q)
    }
  }
}

/** `clamp(round(|w|/s + lo), lo, hi)`, with the quantizer's own rounding; the sign of w is lost. */
export const quantizedZeroPoint = (w: Value, scale: Value, q: Quantizer): Value => {
  const { kit } = w
  const b = q.bitWidth ?? 8
  const [lo, hi] = [intMin(b, q.signed, q.narrowRange), intMax(b, q.signed, q.narrowRange)]
  const rounding = ROUNDING_OPS[q.floatToIntImplType]
  const p = kit.emit('add', [kit.emit('div', [kit.emit('absBinarySign', [w]), scale]), kit.constant(lo)])
  return kit.emit('tensorClamp', [kit.emit(`${rounding}~identity` as const, [p])], { min: lo, max: hi })
}

/** The zero point of a Shifted quantizer: collected, then learned, with a counter of its own. */
const zeroPointOf = (kit: Kit, state: Leaves, x: Value, scale: Value, q: Quantizer, leaf: string): Step => {
  const steps = q.collectStatsSteps
  const take = (value: Value, buffer: Value): Value => kit.emit('add', [value, buffer])
  const c: Collector = { kit, state, steps, leaf: `${leaf}.zeroPoint.value`, take }
  if (kit.mode === 'eval') {
    const [w] = kit.phase({
      counter: state.counter,
      limit: LEARNED,
      warnSteps: steps,
      args: [state.buffer, state.value],
      collect: ([buffer]) => [buffer],
      learned: ([, value]) => [value],
    })
    return [quantizedZeroPoint(w, scale, q), state]
  }
  const value = nextValue(c)
  const [w, buffer] = kit.phase({
    counter: state.counter,
    limit: steps,
    warnSteps: null,
    args: [x, state.buffer, value, state.counter],
    collect: ([xs, old, v, n], k) => {
      const stat = linked(viewAs(lowPercentile(rowsOf(xs, statisticDims(q)), q), scaleShape(q)), v)
      return [stat, average(k, n, old, stat, q.zeroPointStatsMomentum, 'add')]
    },
    learned: ([, old, v]) => [v, old],
  })
  return [quantizedZeroPoint(w, scale, q), { counter: nextCounter(c), buffer, value }]
}

/** Two levels with a constant scale: no state. */
const binary = (kit: Kit, x: Value, q: Quantizer): Value =>
  kit.emit('binaryQuantize', [x, kit.constant(rangeThreshold(q))], { clamped: true, training: kit.mode === 'train' })

/** The first `quantDelaySteps` calls return x with the quantizer's metadata. */
export const delayed = (kit: Kit, y: Value, x: Value, state: QuantizerState): readonly [Value, QuantizerState] => {
  if (state.delay === undefined) return [y, {}]
  const { remaining } = state.delay
  const less = kit.emit('clamp', [kit.emit('sub', [remaining, kit.constant(1)])], { min: 0, max: null })
  return [kit.emit('delay', [y, x, remaining]), { delay: { remaining: less } }]
}

/**
 * Quantizes x and threads the quantizer's state. `leaf` is the path of the quantizer's state, `act.actQuant`.
 * The result is a quant tensor.
 */
export const quantizeActivation = (
  q: Quantizer,
  kit: Kit,
  state: QuantizerState,
  x: Value,
  leaf: string,
): readonly [Value, QuantizerState] => {
  if (q.quantType === 'BINARY') return delayed(kit, binary(kit, x, q), x, state)
  const [scale, scaleState] = activationScale(kit, state.scale ?? {}, x, q, leaf)
  const [zeroPoint, zeroState] =
    q.zeroPointImpl === 'stats' ? zeroPointOf(kit, state.zeroPoint, x, scale, q, leaf) : [kit.constant(0), {}]
  const y = kit.emit('quantize', [x, scale, zeroPoint], {
    bits: q.bitWidth ?? 8,
    signed: q.signed,
    narrow: q.narrowRange,
    rounding: q.floatToIntImplType,
    clamp: 'mask',
    training: kit.mode === 'train',
    zero: q.zeroPointImpl === 'stats' ? 'integer' : 'zero',
  })
  const [out, delayState] = delayed(kit, y, x, state)
  return [
    out,
    {
      ...(state.scale === undefined ? {} : { scale: scaleState }),
      ...(state.zeroPoint === undefined ? {} : { zeroPoint: zeroState }),
      ...delayState,
    },
  ]
}

/** Scales of activations: collected and then learned, given, running, or dynamic (SEMANTICS 3 and 4, SEMANTICS-2 section 8). */
import { sizeOf } from '../data/shape.js'
import type { Kit, Value } from '../graph/op.js'
import {
  earlyCounter,
  earlyValue,
  LEARNED,
  nextCounter,
  nextValue,
  type Collector,
  type Leaves,
  type StateLeaf,
} from './collection.js'
import { activationLayout, type Layout } from './layout.js'
import type { Quantizer } from './quantizer.js'
import {
  average,
  byBareThreshold,
  lowerBound,
  preprocess,
  preprocessNumber,
  scaleInEval,
  scaleInTraining,
  scaleOfStatistic,
  type Width,
} from './scaling.js'
import { thresholdOf } from './search.js'
import { smallestAtMostZero, viewAs } from './statistics.js'

/** A quantizer's state as declared: `scale`, `zeroPoint` and `delay`, as far as it has them. */
export type QuantizerSpec = { readonly [part: string]: { readonly [leaf: string]: StateLeaf } }
/** The same while it is traced. */
export type QuantizerState = { readonly [part: string]: { readonly [leaf: string]: Value } }

/** The threshold that a range gives: the largest magnitude. */
export const rangeThreshold = (q: Quantizer): number =>
  q.scalingConst ?? q.scalingInit ?? Math.max(Math.abs(q.minVal ?? 0), Math.abs(q.maxVal ?? 0))

/** One activation while it is quantized. */
export type Site = {
  readonly q: Quantizer
  readonly kit: Kit
  readonly x: Value
  readonly layout: Layout
  readonly state: QuantizerState
  /** The path of the quantizer's state. */
  readonly leaf: string
  readonly width: Width
}
/** A value of this call, and the leaves of state after it. */
export type Step = readonly [value: Value, next: Leaves]

/**
 * A statistic plus 0 times the value that is learned later, as in Brevitas: the value's gradient is 0 while collecting, but
 * NaN where that of the statistic is not finite.
 */
export const linked = (stat: Value, value: Value): Value =>
  stat.kit.emit('add', [stat, stat.kit.emit('mul', [value, stat.kit.constant(0)])])

/** Is the lower end of the range searched, which looks at the scale that this call learns (surprise)? */
export const isSearched = (q: Quantizer): boolean => q.zeroPointImpl === 'MSE' || q.zeroPointImpl === 'HQO'

const scaleCollector = ({ q, kit, state, leaf }: Site): Collector => ({
  kit,
  state: state.scale,
  steps: q.collectStatsSteps,
  leaf: `${leaf}.scale.value`,
  take: (value, buffer) => kit.emit('mul', [value, preprocess(buffer, q)]),
})

/** The lower end with which a scale is searched: what the last search for it found, at first that of the batch (surprise). */
const lastFound = ({ q, kit, x, layout, state }: Site): Value | null => {
  if (q.zeroPointImpl !== 'MSE' || q.search === null) return null
  const { found, counter } = state.zeroPoint
  const low = viewAs(smallestAtMostZero(layout.rows(layout.cut(x))), layout.scale)
  return kit.emit('select', [kit.emit('less', [counter, kit.constant(1)]), low, found])
}

/** PARAMETER_FROM_STATS in training: the statistic of this batch while collecting, unrestricted; then the learned value. */
const collectedInTraining = (site: Site): Step => {
  const { q, kit, x, layout, width } = site
  const c = scaleCollector(site)
  const { counter, buffer } = c.state
  const value = nextValue(c)
  const low = lastFound(site)
  const given = [...(low === null ? [] : [low]), ...(width === undefined ? [] : [width])]
  const more = (xs: readonly Value[]): readonly [low: Value | null, width: Width] => [
    low === null ? null : xs[4],
    width === undefined ? undefined : xs[xs.length - 1],
  ]
  const [scale, after] = kit.phase({
    counter,
    limit: c.steps,
    warnSteps: null,
    args: [x, buffer, value, counter, ...given],
    collect: (args, k) => {
      const [xs, old, v, n] = args
      const [end, bits] = more(args)
      const stat = lowerBound(linked(thresholdOf(xs, q, layout, end === null ? null : perRow(end)), v), q)
      return [
        byBareThreshold(stat, q, bits),
        average(k, { counter: n, buffer: old }, stat, q.scalingStatsMomentum, 'mul'),
      ]
    },
    learned: (args) => [scaleInTraining(args[2], q, more(args)[1]), args[1]],
  })
  if (!isSearched(q)) return [scale, { counter: nextCounter(c), buffer: after, value }]
  return [scale, { counter: earlyCounter(c), buffer: after, value: earlyValue(c, value, after) }]
}

/** A lower end per row, for a search. */
const perRow = (v: Value): Value => v.kit.emit('reshape', [v], { shape: v.shape.length === 0 ? [] : [sizeOf(v.shape)] })

/** PARAMETER_FROM_STATS in eval: the running average until the value is learned. */
const collectedInEval = (site: Site): Step => {
  const { q, kit, width } = site
  const { state, steps } = scaleCollector(site)
  const more = width === undefined ? [] : [width]
  const [scale] = kit.phase({
    counter: state.counter,
    limit: LEARNED,
    warnSteps: steps,
    args: [state.buffer, state.value, ...more],
    collect: ([buffer, , bits]) => [scaleInEval(preprocess(buffer, q), q, bits)],
    learned: ([, value, bits]) => [scaleInEval(value, q, bits)],
  })
  return [scale, state]
}

/** STATS: the batch's statistic in training, the running one in eval. */
const runningScale = ({ q, kit, x, layout, state: { scale: state }, width }: Site): Step => {
  if (kit.mode === 'eval') return [scaleOfStatistic(state.runningStats, q, width), state]
  const stat = thresholdOf(x, q, layout)
  const one = kit.constant(1)
  const runningStats = average(
    kit,
    { counter: state.counter, buffer: state.runningStats },
    kit.emit('detach', [stat]),
    q.scalingStatsMomentum,
    'mul',
  )
  return [scaleOfStatistic(stat, q, width), { counter: kit.emit('add', [state.counter, one]), runningStats }]
}

/** DYNAMIC: the statistic of this input. Groups bound it before it is restricted, too. */
const dynamicScale = ({ q, x, layout, width }: Site): Step => {
  const stat = thresholdOf(x, q, layout)
  const scale =
    q.scalingOver === 'GROUP' ? scaleOfStatistic(stat, q, width) : scaleInTraining(preprocess(stat, q), q, width)
  return [scale, {}]
}

/** The scale of this call and the state after it. */
export const scaleOf = (site: Site): Step => {
  const { q, kit, state, width } = site
  switch (q.scalingImplType) {
    case 'CONST':
      return [scaleInTraining(kit.constant(preprocessNumber(rangeThreshold(q), q)), q, width), {}]
    case 'PARAMETER':
      return [scaleInTraining(state.scale.value, q, width), state.scale]
    case 'STATS':
      return runningScale(site)
    case 'PARAMETER_FROM_STATS':
      return kit.mode === 'train' ? collectedInTraining(site) : collectedInEval(site)
    case 'DYNAMIC':
      return dynamicScale(site)
    case 'UNIT':
      return [kit.constant(1, [1]), {}]
  }
}

/** The scale of this call and the state after it, of a quantizer that is used for its scale alone; `leaf` is the path of the quantizer's state. */
export const activationScale = (kit: Kit, state: Leaves, x: Value, q: Quantizer, leaf: string): Step =>
  scaleOf({ q, kit, x, layout: activationLayout(q, x), state: { scale: state }, leaf, width: undefined })

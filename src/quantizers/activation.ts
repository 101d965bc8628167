/** Activation quantizers: collecting → switch-over → learned, driven by the threaded state alone (SEMANTICS 3 to 6), or dynamic (SEMANTICS-2). */
import { sizeOf, type Shape } from '../data/shape.js'
import type { Kit, Value } from '../graph/op.js'
import {
  collectingLeaves,
  countLeaf,
  earlyCounter,
  earlyValue,
  LEARNED,
  nextCounter,
  nextValue,
  type Collector,
  type Leaves,
  type StateLeaf,
} from './collection.js'
import { onto } from './grid.js'
import { activationLayout, groupProblem, scaleShape, type Layout } from './layout.js'
import { averageMeans, lowerEndMeans, thresholdMeans } from './meaning.js'
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
import { searchedLowerEnd, solvedLowerEnd, thresholdOf } from './search.js'
import { lowPercentile, smallestAtMostZero, viewAs } from './statistics.js'
import { learnedWidth, widthState } from './width.js'
import { zeroPointOf } from './zeroPoint.js'

/** A quantizer's state as declared: `scale`, `zeroPoint` and `delay`, as far as it has them. */
export type QuantizerSpec = { readonly [part: string]: { readonly [leaf: string]: StateLeaf } }
/** The same while it is traced. */
export type QuantizerState = { readonly [part: string]: { readonly [leaf: string]: Value } }

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

/** The leaves of a scale: collected, given, running, or none. */
const scaleLeaves = (q: Quantizer, shape: Shape): QuantizerSpec => {
  switch (q.scalingImplType) {
    case 'PARAMETER_FROM_STATS': {
      const means = { buffer: averageMeans(q), value: thresholdMeans(q) }
      const take = (value: number, buffer: number): number => Math.fround(value * preprocessNumber(buffer, q))
      return { scale: collectingLeaves(shape, 1, means, { steps: q.collectStatsSteps, take }) }
    }
    case 'PARAMETER':
      return { scale: { value: thresholdLeaf(q, shape, rangeThreshold(q)) } }
    case 'STATS':
      return {
        scale: { counter: countLeaf(0), runningStats: { shape, learned: false, value: 1, means: averageMeans(q) } },
      }
    default:
      return {}
  }
}

/** What a search for a zero point remembers from call to call. */
const searchLeaves = (q: Quantizer, shape: Shape): { readonly [leaf: string]: StateLeaf } => {
  if (q.zeroPointImpl === 'HQO') return { turns: countLeaf(0) }
  if (q.zeroPointImpl !== 'MSE') return {}
  const means = `${lowerEndMeans}, as the last search found it`
  return { found: { shape, learned: false, value: 0, means } }
}

const zeroPointLeaves = (q: Quantizer, shape: Shape): QuantizerSpec => {
  if (q.zeroPointImpl === 'zero' || q.scalingImplType === 'DYNAMIC') return {}
  const means = { buffer: `a running average of ${lowerEndMeans}`, value: lowerEndMeans }
  const take = (value: number, buffer: number): number => Math.fround(value + buffer)
  const collected = collectingLeaves(shape, 0, means, { steps: q.collectStatsSteps, take })
  return { zeroPoint: { ...collected, ...searchLeaves(q, shape) } }
}

/** The state that an activation quantizer needs. */
export const activationState = (q: Quantizer): QuantizerSpec => {
  if (q.quantType === 'BINARY') return delayState(q)
  const shape = scaleShape(q)
  return { ...scaleLeaves(q, shape), ...zeroPointLeaves(q, shape), ...widthState(q), ...delayState(q) }
}

/** One activation while it is quantized. */
type Site = {
  readonly q: Quantizer
  readonly kit: Kit
  readonly x: Value
  readonly layout: Layout
  readonly state: QuantizerState
  /** The path of the quantizer's state. */
  readonly leaf: string
  readonly width: Width
}
type Step = readonly [value: Value, next: Leaves]

/**
 * A statistic plus 0 times the value that is learned later, as in Brevitas: the value's gradient is 0 while collecting, but
 * NaN where that of the statistic is not finite.
 */
const linked = (stat: Value, value: Value): Value =>
  stat.kit.emit('add', [stat, stat.kit.emit('mul', [value, stat.kit.constant(0)])])

/** Is the lower end of the range searched, which looks at the scale that this call learns (surprise)? */
const isSearched = (q: Quantizer): boolean => q.zeroPointImpl === 'MSE' || q.zeroPointImpl === 'HQO'

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
      return [byBareThreshold(stat, q, bits), average(k, n, old, stat, q.scalingStatsMomentum, 'mul')]
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
    state.counter,
    state.runningStats,
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

const scaleOf = (site: Site): Step => {
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

/** What a call finds as the lower end of the range, and what a search remembers of it. */
const lowerEnd = (
  { q, layout }: Site,
  [x, scale, memory]: readonly Value[],
): readonly [low: Value, memory: readonly Value[]] => {
  if (q.zeroPointImpl === 'MSE') {
    const found = searchedLowerEnd(x, scale, q, layout)
    return [found, [found]]
  }
  if (q.zeroPointImpl === 'HQO') {
    const [found, turns] = solvedLowerEnd(x, scale, memory, q, layout)
    return [found, [turns]]
  }
  return [viewAs(lowPercentile(layout.rows(layout.cut(x)), q), layout.scale), []]
}

/** The scale that a search sees: of this call, but in the last collecting call the one that is learned from here on (surprise). */
const scaleForSearch = ({ q, kit, state }: Site, scale: Value, after: Leaves): Value => {
  if (!isSearched(q) || state.scale?.counter === undefined) return scale
  const last = kit.emit('less', [kit.constant(q.collectStatsSteps - 1.5), state.scale.counter])
  const collecting = kit.emit('less', [state.scale.counter, kit.constant(q.collectStatsSteps)])
  const switched = kit.emit('select', [last, scaleInTraining(after.value, q), scale])
  return kit.emit('select', [collecting, switched, scale])
}

const MEMORY = { MSE: 'found', HQO: 'turns' } as const

/** The zero point of a Shifted quantizer: collected, then learned, with a counter of its own. */
const collectedZeroPoint = (site: Site, scale: Value, scaleAfter: Leaves): Step => {
  const { q, kit, x, leaf, width } = site
  const state = site.state.zeroPoint
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
    return [zeroPointOf(w, scale, q, width), state]
  }
  const memory = q.zeroPointImpl === 'MSE' || q.zeroPointImpl === 'HQO' ? MEMORY[q.zeroPointImpl] : null
  const value = nextValue(c)
  const [w, buffer, remembered] = kit.phase({
    counter: state.counter,
    limit: steps,
    warnSteps: null,
    args: [
      x,
      state.buffer,
      value,
      state.counter,
      ...(memory === null ? [] : [scaleForSearch(site, scale, scaleAfter), state[memory]]),
    ],
    collect: ([xs, old, v, n, s, m], k) => {
      const [found, next] = lowerEnd(site, [xs, s, m])
      const stat = linked(found, v)
      return [stat, average(k, n, old, stat, q.zeroPointStatsMomentum, 'add'), ...next]
    },
    learned: ([, old, v, , , m]) => [v, old, ...(memory === null ? [] : [m])],
  })
  return [
    zeroPointOf(w, scale, q, width),
    { counter: nextCounter(c), buffer, value, ...(memory === null ? {} : { [memory]: remembered }) },
  ]
}

const zeroPointFor = (site: Site, scale: Value, scaleAfter: Leaves): Step => {
  const { q, kit, x, layout, width } = site
  if (q.zeroPointImpl === 'zero') return [kit.constant(0), {}]
  if (q.scalingImplType !== 'DYNAMIC') return collectedZeroPoint(site, scale, scaleAfter)
  const low = viewAs(smallestAtMostZero(layout.rows(layout.cut(x))), layout.scale)
  return [zeroPointOf(low, scale, q, width), {}]
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
  const bad = groupProblem(q, x)
  if (bad !== null) return [kit.fail(bad), state]
  const layout = activationLayout(q, x)
  const site: Site = { q, kit, x, layout, state, leaf, width: learnedWidth(q, state.bitWidth) }
  const [scale, scaleState] = scaleOf(site)
  const [zeroPoint, zeroState] = zeroPointFor(site, scale, scaleState)
  const y = layout.join(onto(q, kit, { x: layout.cut(x), scale, zeroPoint, clamp: 'mask', width: site.width }))
  const [out, delayState] = delayed(kit, y, x, state)
  return [
    out,
    {
      ...(state.scale === undefined ? {} : { scale: scaleState }),
      ...(state.zeroPoint === undefined ? {} : { zeroPoint: zeroState }),
      ...(state.bitWidth === undefined ? {} : { bitWidth: state.bitWidth }),
      ...delayState,
    },
  ]
}

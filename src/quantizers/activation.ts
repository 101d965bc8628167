/** Activation quantizers: collecting → switch-over → learned, driven by the threaded state alone (SEMANTICS 3 to 6), or dynamic (SEMANTICS-2). */
import type { Shape } from '../data/shape.js'
import type { Kit, Value } from '../graph/op.js'
import { rangeThreshold, scaleOf, type QuantizerSpec, type QuantizerState, type Site } from './activationScale.js'
import { zeroPointFor } from './activationZeroPoint.js'
import { collectingLeaves, countLeaf, type StateLeaf } from './collection.js'
import { onto } from './grid.js'
import { activationLayout, groupProblem, scaleShape } from './layout.js'
import { averageMeans, lowerEndMeans, thresholdMeans } from './meaning.js'
import type { Quantizer } from './quantizer.js'
import { preprocessNumber } from './scaling.js'
import { learnedWidth, widthState } from './width.js'

export { activationScale, type QuantizerSpec, type QuantizerState } from './activationScale.js'

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

/** Weight and bias quantizers (SEMANTICS 9, SEMANTICS-2): recomputed from the weight at every call, or computed once and then learned. */
import type { Shape } from '../data/shape.js'
import type { Kit, Value } from '../graph/op.js'
import type { QuantizerSpec, QuantizerState } from './activation.js'
import { delayed, delayState, thresholdLeaf } from './activation.js'
import { computedOnce, onceLeaves } from './collection.js'
import { onto, type Clamp } from './grid.js'
import { weightLayout, type Layout } from './layout.js'
import { lowerEndMeans, thresholdMeans } from './meaning.js'
import { preScaled, preScaledLeaves } from './preScaled.js'
import type { Quantizer } from './quantizer.js'
import { lowerBound, preprocess, preprocessNumber, scaleInTraining, scaleOfStatistic, type Width } from './scaling.js'
import { searchedLowerEnd, solvedLowerEnd, thresholdOf } from './search.js'
import { smallestAtMostZero, viewAs } from './statistics.js'
import { learnedWidth, widthState } from './width.js'
import { zeroPointOf } from './zeroPoint.js'

/** The leaves of a scale: given, computed once, or none. */
const scaleLeaves = (q: Quantizer, shape: Shape): QuantizerSpec => {
  if (q.scalingImplType === 'PARAMETER')
    return { scale: { value: thresholdLeaf(q, shape, q.scalingInit ?? q.scalingConst ?? 1) } }
  return q.scalingImplType === 'PARAMETER_FROM_STATS' ? { scale: onceLeaves(shape, thresholdMeans(q)) } : {}
}

/** The state that a weight quantizer needs: none, or what is learned of it. */
export const weightState = (q: Quantizer, weight: Shape, axis: number): QuantizerSpec => {
  if (q.quantType === 'BINARY') return delayState(q)
  const { scale: shape } = weightLayout(q, weight, axis)
  if (q.preScaling !== null) return { ...preScaledLeaves(q, shape), ...delayState(q) }
  return {
    ...scaleLeaves(q, shape),
    ...(isSearched(q) ? { zeroPoint: onceLeaves(shape, lowerEndMeans) } : {}),
    ...widthState(q),
    ...delayState(q),
  }
}

/** Is the zero point searched, once? */
const isSearched = (q: Quantizer): boolean => q.zeroPointImpl === 'MSE' || q.zeroPointImpl === 'HQO'

/** Weights of one quantizer while they are quantized. */
type Site = {
  readonly q: Quantizer
  readonly kit: Kit
  /** What statistics are taken of: the weight, or several side by side. */
  readonly w: Value
  readonly layout: Layout
  readonly state: QuantizerState
  readonly leaf: string
  readonly width: Width
}
type Part = readonly [value: Value, state: QuantizerState]

const scaleOfWeight = ({ q, kit, w, layout, state, leaf, width }: Site): Part => {
  switch (q.scalingImplType) {
    case 'STATS':
    case 'DYNAMIC':
      return [scaleOfStatistic(thresholdOf(w, q, layout), q, width), {}]
    case 'PARAMETER':
      return [scaleInTraining(state.scale.value, q, width), { scale: state.scale }]
    case 'CONST':
      return [scaleInTraining(kit.constant(preprocessNumber(q.scalingConst ?? q.scalingInit ?? 1, q)), q, width), {}]
    case 'UNIT':
      return [kit.constant(1, [1]), {}]
    case 'PARAMETER_FROM_STATS': {
      const [value, scale] = computedOnce(kit, state.scale, `${leaf}.scale.value`, [w], ([x]) =>
        preprocess(lowerBound(thresholdOf(x, q, layout), q), q),
      )
      return [scaleInTraining(value, q, width), { scale }]
    }
  }
}

/** Where the clamp masks: where the scale doesn't follow the weight, or the bit width is learned. */
const clampOf = (q: Quantizer, width: Width): Clamp =>
  width !== undefined || q.scalingImplType === 'PARAMETER' || q.scalingImplType === 'PARAMETER_FROM_STATS'
    ? 'mask'
    : 'ste'

const zeroPointOfWeight = ({ q, kit, w, layout, state, leaf, width }: Site, scale: Value): Part => {
  if (q.zeroPointImpl === 'zero') return [kit.constant(0), {}]
  if (!isSearched(q)) {
    const low = viewAs(smallestAtMostZero(layout.rows(layout.cut(w))), layout.scale)
    return [zeroPointOf(low, scale, q, width), {}]
  }
  const search = ([x, s]: readonly Value[]): Value =>
    q.zeroPointImpl === 'MSE'
      ? searchedLowerEnd(x, s, q, layout)
      : solvedLowerEnd(x, s, x.kit.constant(0), q, layout)[0]
  const [low, zeroPoint] = computedOnce(kit, state.zeroPoint, `${leaf}.zeroPoint.value`, [w, scale], search)
  return [zeroPointOf(low, scale, q), { zeroPoint }]
}

/** How each of the weights is put onto its grid, and the state after the call. */
type Through = readonly [quantized: (w: Value) => Value, state: QuantizerState]

/** Weights that are rounded by another scale than their own. */
const preScaledThrough = (site: Site, input: Value | null): Through => {
  const { q, kit } = site
  const found = preScaled({ ...site, input })
  if (found === null) return [(w) => w, site.state]
  const attrs = {
    bits: q.bitWidth ?? 8,
    signed: q.signed,
    narrow: q.narrowRange,
    rounding: q.floatToIntImplType,
    clamp: q.preScaling === 'DECOUPLED' ? ('ste' as const) : ('mask' as const),
    training: kit.mode === 'train',
    zero: 'zero' as const,
    ...(q.preScaling === 'DECOUPLED'
      ? { doubt: 'no bound keeps the scales from 0: a channel of zeros is divided by 0' }
      : {}),
  }
  return [(w) => kit.emit('fromSteps', [found.toSteps(w), found.scale, kit.constant(0)], attrs), found.state]
}

const gridThrough = (site: Site): Through => {
  const { q, kit, layout, width } = site
  const [scale, scaleState] = scaleOfWeight(site)
  const [zeroPoint, zeroState] = zeroPointOfWeight(site, scale)
  const clamp = clampOf(q, width)
  return [
    (w) => layout.join(onto(q, kit, { x: layout.cut(w), scale, zeroPoint, clamp, width })),
    { ...scaleState, ...zeroState },
  ]
}

const binaryThrough = (q: Quantizer, kit: Kit): Through => {
  const s = kit.constant(q.scalingConst ?? q.scalingInit ?? 1)
  const attrs = { clamped: false, training: kit.mode === 'train' }
  return [(w) => kit.emit('binaryQuantize', [w, s], attrs), {}]
}

const throughOf = (site: Site, input: Value | null): Through => {
  if (site.q.quantType === 'BINARY') return binaryThrough(site.q, site.kit)
  return site.q.preScaling === null ? gridThrough(site) : preScaledThrough(site, input)
}

/** Weights side by side, their channels at the same places: what a statistic over all of them is taken of. */
const sideBySide = (kit: Kit, ws: readonly Value[], axis: number): Value =>
  ws.length === 1 ? ws[0] : kit.emit('concat', ws, { dim: axis === 0 ? 1 : 0 })

/** Where a weight quantizer stands: the weights' axis of output channels, the path of its state, and the layer's input. */
export type WeightSite = { readonly axis: number; readonly leaf: string; readonly input?: Value | null }

/**
 * Quantizes weights that share one quantizer, whose output channels stand at `axis`: one statistic over all of them, one scale, one
 * zero point. The results are quant tensors, in order; each is a call of its own where calls count (a delay). `input` is the layer's
 * quantized input, on whose bit width accumulator-aware weights depend.
 */
export const quantizeWeights = (
  q: Quantizer,
  kit: Kit,
  state: QuantizerState,
  ws: readonly Value[],
  { axis, leaf, input = null }: WeightSite,
): readonly [readonly Value[], QuantizerState] => {
  if (ws.length > 1 && q.scalingOver === 'GROUP') return [ws.map(() => sharedGroups(q, kit)), state]
  const w = sideBySide(kit, ws, axis)
  const site: Site = {
    q,
    kit,
    w,
    layout: weightLayout(q, w.shape, axis),
    state,
    leaf,
    width: learnedWidth(q, state.bitWidth),
  }
  const [quantized, changed] = throughOf(site, input)
  let after = { ...state, ...changed }
  const weights = ws.map((own) => {
    const [out, countdown] = delayed(kit, quantized(own), own, after)
    after = { ...after, ...countdown }
    return out
  })
  return [weights, after]
}

/** Several weights have no groups in common. */
const sharedGroups = (q: Quantizer, kit: Kit): Value =>
  kit.fail({
    op: 'weightQuant',
    tag: 'ConfigError',
    refuse: `${q.name}: scales of groups can not be shared by several weights`,
    fix: 'give each weight a quantizer of its own, or share one with a scale per tensor or channel',
  })

/** Quantizes a bias: on the accumulator's scale (`[1]` or `[C]`), or on a scale of its own; `plain` says which operand has none. */
export const quantizeBias = (
  q: Quantizer,
  kit: Kit,
  b: Value,
  accumulatorScale: Value | null,
  plain: () => string,
): Value => {
  const zeroPoint = kit.constant(0)
  if (q.biasScale === 'internal') {
    const scale = scaleOfStatistic(thresholdOf(b, q, weightLayout(q, b.shape, 0)), q)
    return onto(q, kit, { x: b, scale, zeroPoint, clamp: 'ste' })
  }
  if (accumulatorScale === null)
    return kit.fail({
      op: 'biasQuant',
      tag: 'MetadataError',
      refuse: `Input scale required: ${q.name} lies on the scale of input times weight, but ${plain()}`,
      fix: 'quantize the input (inputQuant, or a quant tensor), or use Int8BiasPerTensorFloatInternalScaling',
    })
  return onto(q, kit, { x: b, scale: accumulatorScale, zeroPoint, clamp: 'mask' })
}

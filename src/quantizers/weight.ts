/** Weight and bias quantizers (SEMANTICS 9): recomputed from the weight at every call, or computed once and then learned. */
import type { Shape } from '../data/shape.js'
import type { Kit, Value } from '../graph/op.js'
import type { QuantizerSpec, QuantizerState } from './activation.js'
import { delayed, delayState, quantizedZeroPoint, thresholdLeaf } from './activation.js'
import { countLeaf } from './collection.js'
import { thresholdMeans } from './meaning.js'
import { mseAttrs } from './mse.js'
import type { Quantizer } from './quantizer.js'
import { lowerBound, preprocess, preprocessNumber, scaleInTraining, scaleOfStatistic } from './scaling.js'
import { rowsOf, smallestAtMostZero, statistic, viewAs } from './statistics.js'

/** The shape of a weight's scale: one number, or one per channel along `axis`. */
export const weightScaleShape = (q: Quantizer, weight: Shape, axis: number): Shape =>
  q.scalingPerOutputChannel ? weight.map((n, i) => (i === axis ? n : 1)) : []

/** The state that a weight quantizer needs: none, or a threshold that is learned. */
export const weightState = (q: Quantizer, weight: Shape, axis: number): QuantizerSpec => {
  if (q.quantType === 'BINARY') return delayState(q)
  const shape = weightScaleShape(q, weight, axis)
  if (q.scalingImplType === 'PARAMETER')
    return {
      scale: { value: thresholdLeaf(q, shape, q.scalingInit ?? q.scalingConst ?? 1) },
      ...delayState(q),
    }
  if (q.scalingImplType !== 'PARAMETER_FROM_STATS') return delayState(q)
  return {
    scale: { initDone: countLeaf(0), value: { shape, learned: true, value: 1, means: thresholdMeans(q) } },
    ...delayState(q),
  }
}

/** The weight as rows for its statistic: `[n]`, or `[channels, n]`. */
const weightRows = (w: Value, q: Quantizer, axis: number): Value =>
  rowsOf(w, q.scalingPerOutputChannel ? [axis, ...w.shape.map((_, i) => i).filter((i) => i !== axis)] : null)

const statisticOf = (w: Value, q: Quantizer, axis: number): Value => {
  const rows = weightRows(w, q, axis)
  const stat = q.mse ? w.kit.emit('mseThreshold', [rows], mseAttrs(q)) : statistic(rows, q)
  return viewAs(stat, weightScaleShape(q, w.shape, axis))
}

type Scaled = { readonly scale: Value; readonly state: QuantizerState; readonly clamp: 'mask' | 'ste' }

/** The threshold that is computed at the first call, in either mode, and learned from then on. */
const computedOnce = (kit: Kit, w: Value, q: Quantizer, axis: number, state: QuantizerState, leaf: string): Scaled => {
  const { initDone, value } = state.scale
  const [threshold] = kit.phase({
    counter: initDone,
    limit: 1,
    warnSteps: null,
    args: [w, value],
    collect: ([weight]) => [preprocess(lowerBound(statisticOf(weight, q, axis), q), q)],
    learned: ([, v]) => [v],
  })
  const assigned = kit.emit('assign', [threshold], { leaf: `${leaf}.scale.value` })
  return {
    scale: scaleInTraining(assigned, q),
    state: { scale: { initDone: kit.constant(1), value: assigned } },
    clamp: 'mask',
  }
}

const scaleOfWeight = (kit: Kit, w: Value, q: Quantizer, axis: number, state: QuantizerState, leaf: string): Scaled => {
  switch (q.scalingImplType) {
    case 'STATS':
      return { scale: scaleOfStatistic(statisticOf(w, q, axis), q), state, clamp: 'ste' }
    case 'PARAMETER':
      return { scale: scaleInTraining(state.scale.value, q), state, clamp: 'mask' }
    case 'CONST':
      return {
        scale: scaleInTraining(kit.constant(preprocessNumber(q.scalingConst ?? q.scalingInit ?? 1, q)), q),
        state,
        clamp: 'ste',
      }
    case 'PARAMETER_FROM_STATS':
      return computedOnce(kit, w, q, axis, state, leaf)
  }
}

const zeroPointOfWeight = (kit: Kit, w: Value, scale: Value, q: Quantizer, axis: number): Value =>
  q.zeroPointImpl === 'zero'
    ? kit.constant(0)
    : quantizedZeroPoint(
        viewAs(smallestAtMostZero(weightRows(w, q, axis)), weightScaleShape(q, w.shape, axis)),
        scale,
        q,
      )

const integerAttrs = (q: Quantizer, kit: Kit, clamp: 'mask' | 'ste') => ({
  bits: q.bitWidth ?? 8,
  signed: q.signed,
  narrow: q.narrowRange,
  rounding: q.floatToIntImplType,
  clamp,
  training: kit.mode === 'train',
  zero: q.zeroPointImpl === 'stats' ? ('integer' as const) : ('zero' as const),
})

/** Weights side by side, their channels at the same places: what a statistic over all of them is taken of. */
const sideBySide = (kit: Kit, ws: readonly Value[], axis: number): Value =>
  ws.length === 1 ? ws[0] : kit.emit('concat', ws, { dim: axis === 0 ? 1 : 0 })

/**
 * Quantizes weights that share one quantizer, whose output channels stand at `axis`: one statistic over all of them, one scale, one
 * zero point. The results are quant tensors, in order; each is a call of its own where calls count (a delay).
 */
export const quantizeWeights = (
  q: Quantizer,
  kit: Kit,
  state: QuantizerState,
  ws: readonly Value[],
  axis: number,
  leaf: string,
): readonly [readonly Value[], QuantizerState] => {
  let after = state
  const through = (quantized: (w: Value) => Value): readonly Value[] =>
    ws.map((w) => {
      const [out, countdown] = delayed(kit, quantized(w), w, after)
      after = { ...after, ...countdown }
      return out
    })
  if (q.quantType === 'BINARY') {
    const s = kit.constant(q.scalingConst ?? q.scalingInit ?? 1)
    const attrs = { clamped: false, training: kit.mode === 'train' }
    return [through((w) => kit.emit('binaryQuantize', [w, s], attrs)), after]
  }
  const all = sideBySide(kit, ws, axis)
  const scaled = scaleOfWeight(kit, all, q, axis, state, leaf)
  const z = zeroPointOfWeight(kit, all, scaled.scale, q, axis)
  const attrs = integerAttrs(q, kit, scaled.clamp)
  after = { ...after, ...scaled.state }
  return [through((w) => kit.emit('quantize', [w, scaled.scale, z], attrs)), after]
}

/** Quantizes a weight whose output channels stand at `axis`; the result is a quant tensor. */
export const quantizeWeight = (
  q: Quantizer,
  kit: Kit,
  state: QuantizerState,
  w: Value,
  axis: number,
  leaf: string,
): readonly [Value, QuantizerState] => {
  const [[out], after] = quantizeWeights(q, kit, state, [w], axis, leaf)
  return [out, after]
}

/** Quantizes a bias: on the accumulator's scale (`[1]` or `[C]`), or on a scale of its own; `plain` says which operand has none. */
export const quantizeBias = (
  q: Quantizer,
  kit: Kit,
  b: Value,
  accumulatorScale: Value | null,
  plain: () => string,
): Value => {
  const zero = kit.constant(0)
  if (q.biasScale === 'internal')
    return kit.emit('quantize', [b, scaleOfStatistic(statisticOf(b, q, 0), q), zero], integerAttrs(q, kit, 'ste'))
  if (accumulatorScale === null)
    return kit.fail({
      op: 'biasQuant',
      tag: 'MetadataError',
      refuse: `Input scale required: ${q.name} lies on the scale of input times weight, but ${plain()}`,
      fix: 'quantize the input (inputQuant, or a quant tensor), or use Int8BiasPerTensorFloatInternalScaling',
    })
  return kit.emit('quantize', [b, accumulatorScale, zero], integerAttrs(q, kit, 'mask'))
}

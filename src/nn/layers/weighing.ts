/** Weights of layers: where they are kept, and how they are quantized, alone or several by one quantizer. */
import { uniform } from '../../data/random.js'
import type { Shape } from '../../data/shape.js'
import type { Kit, Value } from '../../graph/op.js'
import type { QuantizerState } from '../../quantizers/activation.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import { quantizeWeights, weightState } from '../../quantizers/weight.js'
import type { LeafSpec, SpecTree } from './layer.js'
import { quantizerSpec } from './quantizing.js'

/** Does each forward clamp the float weight, so that it is kept in state? */
export const isBinary = (q: Quantizer | null): boolean => q?.quantType === 'BINARY'

/** A learned leaf drawn uniformly from ±bound. */
export const uniformLeaf = (shape: Shape, bound: number): LeafSpec => ({
  shape,
  learned: true,
  init: (g) => {
    const [t, next] = uniform(-bound, bound, shape)(g)
    return [t, next]
  },
})

/** The state of an optional weight quantizer. */
export const weightSpec = (q: Quantizer | null, shape: Shape, axis: number): SpecTree =>
  q === null ? {} : quantizerSpec(weightState(q, shape, axis))

/** A stored weight and the path of its leaf. */
export type Stored = { readonly value: Value; readonly leaf: string }

/** Weights after their quantizer, its state, and the float weights as a binary quantizer leaves them (null: it is none). */
export type Weighed = {
  readonly weights: readonly Value[]
  readonly state: QuantizerState
  readonly clamped: readonly Value[] | null
}

/** Where a weight quantizer stands: the path of its state, and the axis of the weights' output channels. */
export type WeightPlace = {
  readonly leaf: string
  readonly axis: number
  /** The layer's input, on whose bit width accumulator-aware weights depend. */
  readonly input?: Value | null
}

/** Sends weights that share a quantizer (null: none) through it. */
export const weigh = (
  q: Quantizer | null,
  kit: Kit,
  state: unknown,
  stored: readonly Stored[],
  place: WeightPlace,
): Weighed => {
  if (q === null) return { weights: stored.map((s) => s.value), state: {}, clamped: null }
  const bound = q.scalingConst ?? 1
  const clamped = isBinary(q)
    ? stored.map((s) =>
        kit.emit('assign', [kit.emit('clamp', [s.value], { min: -bound, max: bound })], { leaf: s.leaf }),
      )
    : null
  const [weights, after] = kit.scoped('weightQuant', () =>
    quantizeWeights(q, kit, (state ?? {}) as QuantizerState, clamped ?? stored.map((s) => s.value), place),
  )
  return { weights, state: after, clamped }
}

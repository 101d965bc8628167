/** What the attention layers share: masks, their quantizers, and the product of attention (SEMANTICS-3, 3 and 4). */
import { broadcastShapes, sameShape, showShape, type Shape } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import type { Kit, Value } from '../../graph/op.js'
import { Int8ActPerTensorFloat, Uint8ActPerTensorFloat } from '../../quantizers/presets.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import { add, cat, dequantize, reshape, softmax, transpose } from '../functions/index.js'
import { constantLeaf, type SpecTree, type Traced } from './layer.js'
import type { PlaceOptions } from './places.js'
import { actSpec, throughQuantizer, type QuantState } from './quantizing.js'
import { seedLeaf } from './seed.js'

/** Where an attention quantizes, each place with its default. */
export const PLACES = {
  /** The query after the scale. Default Int8ActPerTensorFloat. */
  qScaledQuant: { fallback: Int8ActPerTensorFloat, prefix: 'qScaled', use: 'act' },
  /** The transposed key. Default Int8ActPerTensorFloat. */
  kTransposedQuant: { fallback: Int8ActPerTensorFloat, prefix: 'kTransposed', use: 'act' },
  /** The value. Default Int8ActPerTensorFloat. */
  vQuant: { fallback: Int8ActPerTensorFloat, prefix: 'v', use: 'act' },
  /** The scores, in front of the softmax; none by default. */
  softmaxInputQuant: { fallback: null, prefix: 'softmaxInput', use: 'act' },
  /** The weights. Default Uint8ActPerTensorFloat. */
  attnOutputWeightsQuant: { fallback: Uint8ActPerTensorFloat, prefix: 'attnOutputWeights', use: 'act' },
  /** The result; none by default. */
  sdpaOutputQuant: { fallback: null, prefix: 'sdpaOutput', use: 'act' },
} as const
/** The name of a place. */
export type AttentionPlace = keyof typeof PLACES

/** Options of the quantizers of an attention. */
export interface AttentionQuantizers extends PlaceOptions<typeof PLACES> {}

/** State of one quantizer of an attention. */
export type PlaceState = { readonly actQuant: QuantState }
/** State of the quantizers by place, and of a dropout. */
export type AttendingState = {
  readonly [P in AttentionPlace]?: PlaceState
} & { readonly seed?: Tensor; readonly step?: Tensor }

/** The state that these quantizers, and a dropout of `p`, need. */
export const attendingState = (quantizers: { readonly [place: string]: Quantizer | null }, p: number): SpecTree => ({
  ...Object.fromEntries(Object.entries(quantizers).map(([place, q]) => [place, { actQuant: actSpec(q) }])),
  ...(p > 0 && p < 1 ? { seed: seedLeaf, step: constantLeaf([], 0, false) } : {}),
})

/** One call of an attention: its quantizers, and the state that they hand on. */
export type Attending = {
  /** Sends x through the quantizer of a place; unchanged where that is switched off. */
  readonly at: (place: AttentionPlace, x: Value) => Value
  /** Drops with probability p. */
  readonly drop: (x: Value, p: number) => Value
  readonly after: () => Traced<AttendingState>
}

/** Starts a call. */
export const attending = (
  kit: Kit,
  quantizers: { readonly [place: string]: Quantizer | null },
  state: Traced<AttendingState>,
): Attending => {
  let after: Traced<AttendingState> = state
  return {
    at: (place, x) =>
      kit.scoped(place, () => {
        const [y, actQuant] = throughQuantizer(quantizers[place] ?? null, kit, after[place]?.actQuant, x, 'actQuant')
        after = { ...after, [place]: { actQuant } }
        return y
      }),
    drop: (x, p) => {
      if (p === 0) return x
      if (p === 1) return kit.emit('mul', [x, kit.constant(0)])
      const { seed, step } = after
      if (seed === undefined || step === undefined)
        return kit.fail({
          op: 'dropoutP',
          tag: 'ConfigError',
          refuse: `a dropout of ${p} was asked for in the call only, but its masks come from the layer's state`,
          fix: `give dropoutP: ${p} to the layer itself`,
        })
      const key = cat([reshape(seed, [1]), reshape(step, [1])], 0)
      after = { ...after, step: add(step, 1) }
      return kit.emit('dropout', [x, kit.emit('bernoulliMask', [key], { p, shape: x.shape })], { p })
    },
    after: () => after,
  }
}

/** Says that a mask does not fit what it masks. */
export const misshapen = (kit: Kit, name: string, mask: Value, wanted: Shape): Value | null => {
  const both = broadcastShapes(mask.shape, wanted)
  return both !== null && sameShape(both, wanted)
    ? null
    : kit.fail({
        op: name,
        refuse: `the attention mask ${showShape(mask.shape)} does not broadcast over the scores ${showShape(wanted)}`,
        fix: `give a mask of shape ${showShape(wanted.slice(-2))}, or with the batch axes in front`,
      })
}

/** True above the diagonal, counted from the upper left corner: what a causal attention must not see. */
export const future = (kit: Kit, rows: number, columns: number): Value =>
  kit.emit('less', [
    reshape(kit.emit('arange', [], { size: rows }), [rows, 1]),
    reshape(kit.emit('arange', [], { size: columns }), [1, columns]),
  ])

/** `-inf` where a mask is true (or, with `where` false, where it is not), else 0. */
export const asBias = (kit: Kit, mask: Value, where: boolean): Value => {
  const [inf, zero] = [kit.constant(-Infinity), kit.constant(0)]
  return kit.emit('select', where ? [mask, inf, zero] : [mask, zero, inf])
}

/** Operands of attention: queries scaled, keys and values as they are, what is added to the scores, and which rows are masked throughout. */
export type Attended = {
  readonly q: Value
  readonly k: Value
  readonly v: Value
  readonly bias: Value | null
  readonly full: Value | null
  readonly p: number
}

/** `softmax(q kᵀ + bias) v`, quantized where the call says; gives the result and the quantized weights. */
export const attended = (kit: Kit, call: Attending, { q, k, v, bias, full, p }: Attended): readonly [Value, Value] => {
  const qq = call.at('qScaledQuant', q)
  const kk = call.at('kTransposedQuant', transpose(k, -2, -1))
  const products = kit.emit('matmul', [qq, kk])
  const scores = call.at('softmaxInputQuant', bias === null ? products : kit.emit('add', [products, bias]))
  const shares = softmax(dequantize(scores), -1)
  const seen = full === null ? shares : kit.emit('select', [full, kit.constant(0), shares])
  const weights = call.at('attnOutputWeightsQuant', call.drop(seen, p))
  return [kit.emit('matmul', [weights, call.at('vQuant', v)]), weights]
}

/** A layer norm with quantizers: Brevitas has none; the places are those of its scale-and-bias layers, and one at the normed value. */
import type { OptionsOf } from '../../data/fields.js'
import type { Shape } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import type { Kit, Value } from '../../graph/op.js'
import { add, dequantize, isQuantValue, mul } from '../functions/index.js'
import { demandValue } from '../functions/support.js'
import { constantLeaf, type Layer, type Traced } from './layer.js'
import {
  LAYER_NORM_FIELDS,
  normMisfit,
  notReturned,
  overLastAxes,
  quantizedScale,
  quantizedShift,
} from './normParts.js'
import { bare, quantizedLayer, type PlaceOptions, type Quantizers, type ReturnOption } from './quantizedLayer.js'
import { actSpec, throughQuantizer, type QuantState } from './quantizing.js'
import { weightSpec } from './weighing.js'
import { WEIGHT_PLACES } from './weightLayer.js'

const NAME = 'QuantLayerNorm'
const PLACES = {
  inputQuant: WEIGHT_PLACES.inputQuant,
  /** Of the normed value, in front of the weight; a bias on the scale of their product needs it. */
  normQuant: { fallback: null, prefix: 'norm', use: 'act' },
  weightQuant: WEIGHT_PLACES.weightQuant,
  biasQuant: WEIGHT_PLACES.biasQuant,
  outputQuant: WEIGHT_PLACES.outputQuant,
} as const

/** Options of a quantized layer norm. */
export interface QuantLayerNormOptions
  extends OptionsOf<typeof LAYER_NORM_FIELDS>, PlaceOptions<typeof PLACES>, ReturnOption {}
/** Its parameters, as torch.nn.LayerNorm's. */
export type QuantLayerNormParams = { readonly weight: Tensor; readonly bias: Tensor }
/** State of its quantizers. */
export type QuantLayerNormState = {
  readonly inputQuant: QuantState
  readonly normQuant: QuantState
  readonly weightQuant: QuantState
  readonly outputQuant: QuantState
}

type Forward = (
  p: Traced<QuantLayerNormParams>,
  s: Traced<QuantLayerNormState>,
  x: Value,
  kit: Kit,
) => readonly [Value, Traced<QuantLayerNormState>]

const forward =
  (shape: Shape, eps: number, q: Quantizers<typeof PLACES>, returnQuantTensor: boolean): Forward =>
  (p, s, given, kit) => {
    demandValue(NAME, given)
    const bad = normMisfit(NAME, given, shape)
    if (bad !== null) return [bad, s]
    const [x, inputQuant] = throughQuantizer(q.inputQuant, kit, s.inputQuant, given, 'inputQuant')
    const plain = dequantize(x, 'mean and deviation are those of the plain value')
    const normed = overLastAxes(kit, plain, shape, eps)
    const [n, normQuant] = throughQuantizer(q.normQuant, kit, s.normQuant, normed, 'normQuant')
    const [w, weightQuant] = quantizedScale(q.weightQuant, kit, s.weightQuant, p.weight)
    const product = mul(n, w)
    const b = q.biasQuant === null ? p.bias : quantizedShift(q.biasQuant, kit, p.bias, [n, w, product])
    const [out, outputQuant] = throughQuantizer(q.outputQuant, kit, s.outputQuant, add(product, b), 'outputQuant')
    const after = { inputQuant, normQuant, weightQuant, outputQuant }
    if (!returnQuantTensor) return [bare(NAME, out), after]
    return [isQuantValue(out) ? out : notReturned(NAME, kit, n, w, out), after]
  }

/**
 * A layer norm (torch.nn.LayerNorm) with quantizers: `output(norm(input(x)) * weight + bias)`, mean and deviation in float. Quantizers at the input, the
 * normed value, the weight, the bias and the output; by default the weight's alone.
 */
export const QuantLayerNorm = (o: QuantLayerNormOptions): Layer<QuantLayerNormParams, QuantLayerNormState> =>
  quantizedLayer({
    name: NAME,
    options: o,
    own: LAYER_NORM_FIELDS,
    places: PLACES,
    build: (q, { normalizedShape, eps }, returnQuantTensor) => {
      const shape = typeof normalizedShape === 'number' ? [normalizedShape] : normalizedShape
      return {
        params: { weight: constantLeaf(shape, 1, true), bias: constantLeaf(shape, 0, true) },
        state: {
          inputQuant: actSpec(q.inputQuant),
          normQuant: actSpec(q.normQuant),
          weightQuant: weightSpec(q.weightQuant, shape, 0),
          outputQuant: actSpec(q.outputQuant),
        },
        apply: forward(shape, eps, q, returnQuantTensor),
      }
    },
  })

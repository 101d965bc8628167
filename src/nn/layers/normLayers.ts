/** Normalisation: torch's BatchNorm and LayerNorm, and the scale-and-bias layers into which Brevitas folds a batch norm. */
import { nonNegative, type OptionsOf } from '../../data/fields.js'
import type { Tensor } from '../../data/tensor.js'
import type { Shape } from '../../data/shape.js'
import type { Kit, Value } from '../../graph/op.js'
import type { NormParams } from './batchNorm.js'
import { add, dequantize, isQuantValue, mul, reshape } from '../functions/index.js'
import { demandValue } from '../functions/support.js'
import {
  FEATURES,
  featureView,
  LAYER_NORM_FIELDS,
  normMisfit,
  notReturned,
  overLastAxes,
  quantizedScale,
  quantizedShift,
  VIEWED_FEATURES,
} from './normParts.js'
import { constantLeaf, type Layer, type None, type Traced } from './layer.js'
import { bare, quantizedLayer, type Schema } from './quantizedLayer.js'
import { actSpec, throughQuantizer, type QuantState } from './quantizing.js'
import { weightSpec } from './weighing.js'
import { WEIGHT_PLACES, type WeightQuantizers } from './weightLayer.js'

/** torch.nn.LayerNorm over the last axes; strips. */
export const LayerNorm = (o: OptionsOf<typeof LAYER_NORM_FIELDS>): Layer<NormParams, None> =>
  quantizedLayer({
    name: 'LayerNorm',
    options: o,
    own: LAYER_NORM_FIELDS,
    places: {},
    printed: ({ normalizedShape, eps }) => ({
      normalizedShape: JSON.stringify([normalizedShape].flat()),
      eps: String(eps),
    }),
    build: (_q, { normalizedShape, eps }) => {
      const shape = typeof normalizedShape === 'number' ? [normalizedShape] : normalizedShape
      return {
        params: { weight: constantLeaf(shape, 1, true), bias: constantLeaf(shape, 0, true) },
        state: {},
        apply: (p: Traced<NormParams>, s: Traced<None>, given: Value, kit: Kit) => {
          demandValue('LayerNorm', given)
          const bad = normMisfit('LayerNorm', given, shape)
          if (bad !== null) return [bad, s] as const
          const x = dequantize(given, 'LayerNorm gets the bare value and returns a plain tensor')
          return [kit.emit('add', [kit.emit('mul', [overLastAxes(kit, x, shape, eps), p.weight]), p.bias]), s] as const
        },
      }
    },
  })

/** State of a scale-and-bias layer's quantizers. */
export type ScaleBiasState = {
  readonly inputQuant: QuantState
  readonly weightQuant: QuantState
  readonly outputQuant: QuantState
}

const FOLDED = { ...FEATURES, eps: nonNegative }
type FoldedOptions = OptionsOf<typeof FOLDED> & WeightQuantizers

type ScaleBiasParams = { readonly weight: Tensor; readonly bias?: Tensor }
type ScaleBiasLayer = Layer<ScaleBiasParams, ScaleBiasState>

const scaleBias = (
  name: string,
  options: WeightQuantizers & { readonly numFeatures: number; readonly bias?: boolean },
  viewOf: () => Shape,
  own: Schema,
): ScaleBiasLayer =>
  quantizedLayer({
    name,
    options,
    own,
    places: WEIGHT_PLACES,
    build: (q, _own, returnQuantTensor) => {
      const shape = [options.numFeatures]
      return {
        params: {
          weight: constantLeaf(shape, 1, true),
          ...(options.bias === false ? {} : { bias: constantLeaf(shape, 0, true) }),
        },
        state: {
          inputQuant: actSpec(q.inputQuant),
          outputQuant: actSpec(q.outputQuant),
          weightQuant: weightSpec(q.weightQuant, shape, 0),
        },
        apply: (p: Traced<ScaleBiasParams>, s: Traced<ScaleBiasState>, given: Value, kit) => {
          demandValue(name, given)
          const [x, inputQuant] = throughQuantizer(q.inputQuant, kit, s.inputQuant, given, 'inputQuant')
          const [w, weightQuant] = quantizedScale(q.weightQuant, kit, s.weightQuant, p.weight)
          const view = viewOf()
          const product = mul(x, reshape(w, view))
          const { bias } = p
          const b =
            bias === undefined || q.biasQuant === null ? bias : quantizedShift(q.biasQuant, kit, bias, [x, w, product])
          const y = b === undefined ? product : add(product, reshape(b, view))
          const [out, outputQuant] = throughQuantizer(q.outputQuant, kit, s.outputQuant, y, 'outputQuant')
          const after = { inputQuant, weightQuant, outputQuant }
          if (!returnQuantTensor) return [bare(name, out), after] as const
          return [isQuantValue(out) ? out : notReturned(name, kit, x, w, out), after] as const
        },
      }
    },
  })

/** `x * weight + bias` with quantized weights, both viewed in `runtimeShape` (default `[1, -1, 1, 1]`) (brevitas.nn.QuantScaleBias). */
export const QuantScaleBias = (o: OptionsOf<typeof VIEWED_FEATURES> & WeightQuantizers) =>
  scaleBias('QuantScaleBias', o, () => featureView(o), VIEWED_FEATURES)

const foldedNorm = (name: string, o: FoldedOptions, ones: Shape): ScaleBiasLayer =>
  scaleBias(name, o, () => [1, o.numFeatures, ...ones], FOLDED)
/** A batch norm over `[N, C, L]` as a scale and a bias (brevitas.nn.BatchNorm1dToQuantScaleBias). */
export const BatchNorm1dToQuantScaleBias = (o: FoldedOptions) => foldedNorm('BatchNorm1dToQuantScaleBias', o, [1])
/** A batch norm over `[N, C, H, W]` as a scale and a bias (brevitas.nn.BatchNorm2dToQuantScaleBias). */
export const BatchNorm2dToQuantScaleBias = (o: FoldedOptions) => foldedNorm('BatchNorm2dToQuantScaleBias', o, [1, 1])

/** Normalisation: torch's BatchNorm and LayerNorm, and the scale-and-bias layers into which Brevitas folds a batch norm. */
import { count, flag, nonNegative, required, type Field } from '../../data/fields.js'
import type { Tensor } from '../../data/tensor.js'
import type { Shape } from '../../data/shape.js'
import type { Value } from '../../graph/op.js'
import { Int8WeightPerTensorFloat } from '../../quantizers/presets.js'
import type { NormParams } from './batchNorm.js'
import { add, dequantize, isQuantValue, mul, reshape } from '../functions/index.js'
import { demandValue } from '../functions/support.js'
import { LAYER_NORM_FIELDS, notReturned, overLastAxes, quantizedScale, quantizedShift } from './normParts.js'
import { brokenLayer } from './checks.js'
import { constantLeaf, type Layer, type None, type Traced } from './layer.js'
import { optionProblems } from './options.js'
import { bare, quantizedLayer, type Schema } from './quantizedLayer.js'
import { actSpec, throughQuantizer, type QuantState } from './quantizing.js'
import { weightSpec } from './weighing.js'
import type { WeightQuantizers } from './weightLayers.js'

/** torch.nn.LayerNorm over the last axes; strips. */
export const LayerNorm = (o: {
  readonly normalizedShape: number | Shape
  readonly eps?: number
}): Layer<NormParams, None> => {
  const problems = optionProblems('LayerNorm', o, LAYER_NORM_FIELDS)
  if (problems.length > 0) return brokenLayer('LayerNorm', problems)
  const shape = typeof o.normalizedShape === 'number' ? [o.normalizedShape] : o.normalizedShape
  const eps = o.eps ?? 1e-5
  return {
    layer: 'LayerNorm',
    params: { weight: constantLeaf(shape, 1, true), bias: constantLeaf(shape, 0, true) },
    state: {},
    problems,
    source: { layer: 'LayerNorm', options: o, takes: ['normalizedShape', 'eps'] },
    config: {
      name: 'LayerNorm',
      parts: [
        ['normalizedShape', JSON.stringify(shape)],
        ['eps', String(eps)],
      ],
    },
    apply: (p, s, given, kit) => {
      demandValue('LayerNorm', given)
      const x = dequantize(given, 'LayerNorm gets the bare value and returns a plain tensor')
      return [kit.emit('add', [kit.emit('mul', [overLastAxes(kit, x, shape, eps), p.weight]), p.bias]), s]
    },
  }
}

/** State of a scale-and-bias layer's quantizers. */
export type ScaleBiasState = {
  readonly inputQuant: QuantState
  readonly weightQuant: QuantState
  readonly outputQuant: QuantState
}
type ScaleBiasOptions = WeightQuantizers & { readonly numFeatures: number }

const PLACES = {
  inputQuant: { fallback: null, prefix: 'input', use: 'act' },
  weightQuant: { fallback: Int8WeightPerTensorFloat, prefix: 'weight', use: 'weight' },
  biasQuant: { fallback: null, prefix: 'bias', use: 'bias' },
  outputQuant: { fallback: null, prefix: 'output', use: 'act' },
} as const

type ScaleBiasParams = { readonly weight: Tensor; readonly bias?: Tensor }
type ScaleBiasLayer = Layer<ScaleBiasParams, ScaleBiasState>

const scaleBias = (
  name: string,
  options: ScaleBiasOptions & { readonly bias?: boolean },
  viewOf: (x: Value) => Shape,
  extra: Schema,
): ScaleBiasLayer =>
  quantizedLayer({
    name,
    options,
    own: { numFeatures: required(count), ...extra },
    places: PLACES,
    build: (q, returnQuantTensor) => {
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
          const view = viewOf(x)
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

const runtimeShapeField: Field = {
  says: 'a list of whole numbers, -1 where the features stand',
  like: '[1, -1, 1, 1]',
  holds: (x) => Array.isArray(x) && x.every((n) => Number.isSafeInteger(n) && n >= -1),
}

/** `x * weight + bias` with quantized weights, both viewed in `runtimeShape` (default `[1, -1, 1, 1]`) (brevitas.nn.QuantScaleBias). */
export const QuantScaleBias = (o: ScaleBiasOptions & { readonly bias?: boolean; readonly runtimeShape?: Shape }) =>
  scaleBias('QuantScaleBias', o, () => (o.runtimeShape ?? [1, -1, 1, 1]).map((n) => (n === -1 ? o.numFeatures : n)), {
    runtimeShape: runtimeShapeField,
    bias: flag,
  })

const foldedNorm = (name: string, o: ScaleBiasOptions & { readonly eps?: number }, ones: Shape): ScaleBiasLayer =>
  scaleBias(name, o, () => [1, o.numFeatures, ...ones], { eps: nonNegative })
/** A batch norm over `[N, C, L]` as a scale and a bias (brevitas.nn.BatchNorm1dToQuantScaleBias). */
export const BatchNorm1dToQuantScaleBias = (o: ScaleBiasOptions & { readonly eps?: number }) =>
  foldedNorm('BatchNorm1dToQuantScaleBias', o, [1])
/** A batch norm over `[N, C, H, W]` as a scale and a bias (brevitas.nn.BatchNorm2dToQuantScaleBias). */
export const BatchNorm2dToQuantScaleBias = (o: ScaleBiasOptions & { readonly eps?: number }) =>
  foldedNorm('BatchNorm2dToQuantScaleBias', o, [1, 1])

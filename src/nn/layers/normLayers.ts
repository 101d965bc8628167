/** Normalisation: torch's BatchNorm and LayerNorm, and the scale-and-bias layers into which Brevitas folds a batch norm. */
import { count, flag, nonNegative, required, type Field, type Fields } from '../../data/fields.js'
import type { Tensor } from '../../data/tensor.js'
import { quantOf } from '../../data/quant.js'
import type { Shape } from '../../data/shape.js'
import type { Kit, Value } from '../../graph/op.js'
import { Int8WeightPerTensorFloat } from '../../quantizers/presets.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import type { QuantizerState } from '../../quantizers/activation.js'
import { quantizeBias, quantizeWeight } from '../../quantizers/weight.js'
import { normalized, type NormParams } from './batchNorm.js'
import { NOT_CONFIGURED } from './activationLayers.js'
import { add, dequantize, isQuantValue, mul, reshape } from '../functions/index.js'
import { demandValue } from '../functions/support.js'
import { brokenLayer } from './checks.js'
import { constantLeaf, type Layer, type None, type Traced } from './layer.js'
import { optionProblems } from './options.js'
import { bare, quantizedLayer, type Schema } from './quantizedLayer.js'
import { actSpec, throughQuantizer, type QuantState } from './quantizing.js'
import { weightSpec } from './weighing.js'
import { plainOperand, sayingOf } from './weightLayer.js'
import type { WeightQuantizers } from './weightLayers.js'

const LAYER_NORM_FIELDS: Fields<{ normalizedShape: unknown; eps: unknown }> = {
  normalizedShape: required({
    says: 'a whole number above 0, or a list of such',
    like: '64',
    holds: (x) => count.holds(x) || (Array.isArray(x) && x.length > 0 && x.every(count.holds)),
  }),
  eps: { ...nonNegative, like: '1e-5' },
}

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
      const dims = shape.map((_, i) => x.shape.length - shape.length + i)
      const centred = kit.emit('sub', [x, kit.emit('mean', [x], { dims, keepdim: true })])
      const variance = kit.emit('mean', [kit.emit('mul', [centred, centred])], { dims, keepdim: true })
      return [kit.emit('add', [kit.emit('mul', [normalized(kit, centred, variance, eps), p.weight]), p.bias]), s]
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

/** The scale of the product as a flat list: its own, where it has one; null where input or weight is plain. */
const productScale = (kit: Kit, x: Value, w: Value, product: Value): Value | null => {
  const [qx, qw, qp] = [x, w, product].map((v) => quantOf(v.carried))
  if (qx === null || qw === null) return null
  return qp !== null
    ? reshape(kit.value(qp.scale), [-1])
    : kit.emit('mul', [reshape(kit.value(qx.scale), [-1]), reshape(kit.value(qw.scale), [-1])])
}

const PLACES = {
  inputQuant: { fallback: null, prefix: 'input', use: 'act' },
  weightQuant: { fallback: Int8WeightPerTensorFloat, prefix: 'weight', use: 'weight' },
  biasQuant: { fallback: null, prefix: 'bias', use: 'bias' },
  outputQuant: { fallback: null, prefix: 'output', use: 'act' },
} as const

type ScaleBiasParams = { readonly weight: Tensor; readonly bias?: Tensor }
type ScaleBiasLayer = Layer<ScaleBiasParams, ScaleBiasState>

/** The weight after its quantizer, and that one's state. */
const quantizedScale = (
  q: Quantizer | null,
  kit: Kit,
  state: unknown,
  weight: Value,
): readonly [Value, Traced<QuantState>] => {
  if (q === null) return [weight, {}]
  const leaf = kit.path() === '' ? 'weightQuant' : `${kit.path()}.weightQuant`
  return kit.scoped('weightQuant', () => quantizeWeight(q, kit, state as QuantizerState, weight, 0, leaf))
}

const notReturned = (name: string, kit: Kit, x: Value, w: Value, out: Value): Value =>
  sayingOf(kit, x, w, out).failWith({
    tag: 'LayerError',
    layer: name,
    path: kit.path(),
    message: `${NOT_CONFIGURED}: ${name} was asked for a quant tensor, but ${plainOperand(kit, x, w) ?? `the result is a plain tensor: ${kit.whyPlain(out)}`}`,
    fix: 'quantize the input with zero point 0, or give it an outputQuant',
  })

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

/** The bias after its quantizer, on the scale of the product where it asks for that. */
const quantizedShift = (q: Quantizer, kit: Kit, bias: Value, [x, w, product]: readonly [Value, Value, Value]): Value =>
  kit.scoped('biasQuant', () =>
    quantizeBias(q, sayingOf(kit, x, w), bias, productScale(kit, x, w, product), () => plainOperand(kit, x, w) ?? ''),
  )

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

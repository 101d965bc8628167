/** Normalisation: torch's BatchNorm and LayerNorm, and the scale-and-bias layers into which Brevitas folds a batch norm. */
import { anything, count, flag, nonNegative, required, type Field, type Fields } from '../../data/fields.js'
import type { Tensor } from '../../data/tensor.js'
import { quantOf } from '../../data/quant.js'
import type { Shape } from '../../data/shape.js'
import type { Kit, Value } from '../../graph/op.js'
import { Int8WeightPerTensorFloat } from '../../quantizers/presets.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import type { QuantizerState } from '../../quantizers/activation.js'
import { quantizeBias, quantizeWeight, weightState } from '../../quantizers/weight.js'
import { normalized, type NormParams } from './batchNorm.js'
import { NOT_CONFIGURED } from './activationLayers.js'
import { add, dequantize, isQuantValue, mul, reshape } from '../functions/index.js'
import { demandValue } from '../functions/support.js'
import { brokenLayer } from './checks.js'
import { constantLeaf, type Layer, type None, type SpecTree } from './layer.js'
import { chosen, optionProblems, quantizerFields, recordOf } from './options.js'
import { actSpec, optionalConfig, quantizerSpec, throughQuantizer, type QuantState } from './quantizing.js'
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

const SCALE_BIAS: { readonly [name: string]: Field } = {
  numFeatures: required(count),
  weightQuant: anything,
  biasQuant: anything,
  inputQuant: anything,
  outputQuant: anything,
  returnQuantTensor: flag,
  ...['weight', 'bias', 'input', 'output'].reduce((all, prefix) => ({ ...all, ...quantizerFields(prefix) }), {}),
}

type ScaleBiasLayer = Layer<{ readonly weight: Tensor; readonly bias?: Tensor }, ScaleBiasState>

const scaleBias = (
  name: string,
  options: ScaleBiasOptions & { readonly bias?: boolean },
  viewOf: (x: Value) => Shape,
  extra: { readonly [name: string]: Field },
): ScaleBiasLayer => {
  const given = recordOf(options)
  const pick = (place: string, fallback: Quantizer | null, prefix: string, use: Quantizer['use']) =>
    chosen(name, given, place, fallback, prefix, use)
  const found = {
    input: pick('inputQuant', null, 'input', 'act'),
    weight: pick('weightQuant', Int8WeightPerTensorFloat, 'weight', 'weight'),
    bias: pick('biasQuant', null, 'bias', 'bias'),
    output: pick('outputQuant', null, 'output', 'act'),
  }
  const problems = [
    ...optionProblems(name, options, { ...SCALE_BIAS, ...extra }),
    ...Object.values(found).flatMap((f) => f.problems),
  ]
  if (problems.length > 0) return brokenLayer(name, problems)
  const { numFeatures } = options
  const hasBias = options.bias !== false
  const [qi, qw, qb, qo] = [found.input.quantizer, found.weight.quantizer, found.bias.quantizer, found.output.quantizer]
  const shape = [numFeatures]
  const params: SpecTree = {
    weight: constantLeaf(shape, 1, true),
    ...(hasBias ? { bias: constantLeaf(shape, 0, true) } : {}),
  }
  const returnQuantTensor = given.returnQuantTensor === true
  const takes = [
    'numFeatures',
    'weightQuant',
    'biasQuant',
    'inputQuant',
    'outputQuant',
    'returnQuantTensor',
    ...Object.keys(extra),
  ]
  return {
    layer: name,
    params,
    state: {
      inputQuant: actSpec(qi),
      outputQuant: actSpec(qo),
      weightQuant: qw === null ? {} : quantizerSpec(weightState(qw, shape, 0)),
    },
    problems,
    source: {
      layer: name,
      options: given,
      takes,
      quantizers: { inputQuant: qi, weightQuant: qw, biasQuant: qb, outputQuant: qo },
    },
    config: {
      name,
      parts: [
        ['numFeatures', String(numFeatures)],
        ['inputQuant', optionalConfig(qi)],
        ['weightQuant', optionalConfig(qw)],
        ['biasQuant', optionalConfig(qb)],
        ['outputQuant', optionalConfig(qo)],
        ['returnQuantTensor', String(returnQuantTensor)],
      ],
    },
    apply: (p, s, x, kit) => {
      demandValue(name, x)
      const [x1, inputQuant] = throughQuantizer(qi, kit, s.inputQuant, x, 'inputQuant')
      const path = kit.path()
      const [w, weightQuant] =
        qw === null
          ? [p.weight, {}]
          : kit.scoped('weightQuant', () =>
              quantizeWeight(
                qw,
                kit,
                s.weightQuant as QuantizerState,
                p.weight,
                0,
                `${path === '' ? '' : `${path}.`}weightQuant`,
              ),
            )
      const view = viewOf(x1)
      const product = mul(x1, reshape(w, view))
      const bias = p.bias
      const said = sayingOf(kit, x1, w)
      const b =
        bias === undefined || qb === null
          ? bias
          : kit.scoped('biasQuant', () =>
              quantizeBias(qb, said, bias, productScale(kit, x1, w, product), () => plainOperand(kit, x1, w) ?? ''),
            )
      const y = b === undefined ? product : add(product, reshape(b, view))
      const [out, outputQuant] = throughQuantizer(qo, kit, s.outputQuant, y, 'outputQuant')
      const after = { inputQuant, weightQuant, outputQuant }
      if (!returnQuantTensor)
        return [dequantize(out, `${name} does not return quant tensors; set returnQuantTensor: true`), after]
      if (isQuantValue(out)) return [out, after]
      return [
        sayingOf(kit, x1, w, out).failWith({
          tag: 'LayerError',
          layer: name,
          path,
          message: `${NOT_CONFIGURED}: ${name} was asked for a quant tensor, but ${plainOperand(kit, x1, w) ?? `the result is a plain tensor: ${kit.whyPlain(out)}`}`,
          fix: 'quantize the input with zero point 0, or give it an outputQuant',
        }),
        after,
      ]
    },
  }
}

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

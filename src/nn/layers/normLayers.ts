/** Normalisation: torch's BatchNorm and LayerNorm, and the scale-and-bias layers into which Brevitas folds a batch norm. */
import {
  anything,
  count,
  demandArguments,
  flag,
  fraction,
  nonNegative,
  orNull,
  record,
  required,
  type Field,
  type Fields,
} from '../../data/fields.js'
import { tensorField, type Tensor } from '../../data/tensor.js'
import { quantOf } from '../../data/quant.js'
import { showShape, sizeOf, type Shape } from '../../data/shape.js'
import type { Kit, Value } from '../../graph/op.js'
import { Int8WeightPerTensorFloat } from '../../quantizers/presets.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import type { QuantizerState } from '../../quantizers/activation.js'
import { quantizeBias, quantizeWeight, weightState } from '../../quantizers/weight.js'
import { NOT_CONFIGURED } from './activationLayers.js'
import { add, dequantize, isQuantValue, mul, reshape } from '../functions/index.js'
import { demandValue } from '../functions/support.js'
import { brokenLayer } from './checks.js'
import { constantLeaf, countingLeaf, type Layer, type None, type SpecTree } from './layer.js'
import { chosen, optionProblems, quantizerFields, recordOf } from './options.js'
import { actSpec, optionalConfig, quantizerSpec, throughQuantizer, type QuantState } from './quantizing.js'
import { plainOperand, sayingOf } from './weightLayer.js'
import type { WeightQuantizers } from './weightLayers.js'

/** Scale and shift of a normalisation. */
export type NormParams = { readonly weight: Tensor; readonly bias: Tensor }
/** Running statistics of a batch norm. */
export type BatchNormState = {
  readonly runningMean: Tensor
  readonly runningVar: Tensor
  readonly numBatchesTracked: Tensor
}
/** Options of a batch norm. */
export type BatchNormOptions = {
  readonly numFeatures: number
  readonly eps?: number
  /** Null: the plain mean over all batches. */ readonly momentum?: number | null
}

const channelView = (v: Value, rank: number): Value =>
  reshape(
    v,
    Array.from({ length: rank }, (_, i) => (i === 1 ? sizeOf(v.shape) : 1)),
  )

/** `(x - mean)/sqrt(var + eps)`, from statistics that broadcast over x. */
const normalized = (kit: Kit, centred: Value, variance: Value, eps: number): Value =>
  kit.emit('div', [centred, kit.emit('sqrt', [kit.emit('add', [variance, kit.constant(eps)])])])

const BATCH_NORM_FIELDS: Fields<BatchNormOptions> = {
  numFeatures: required({ ...count, like: '64' }),
  eps: { ...nonNegative, like: '1e-5' },
  momentum: orNull({ ...fraction, like: '0.1' }),
}

/** One value per channel has no variance: the batch norm would give zeros, and its running variance die out (torch refuses, too). */
const oneValue = (kit: Kit, name: string, { shape }: Value): Value =>
  kit.failWith({
    tag: 'ShapeError',
    op: name,
    path: kit.path(),
    message: `${name} is given ${shape[0] === 0 ? 'no' : 'one'} value per channel in training, ${showShape(shape)}: more than one is needed for their variance`,
    fix: 'train on batches of more samples (loader: { dropLast: true } leaves out a last batch of one), or trace this layer with its running statistics: { freeze: its path }',
  })

/** Inputs that torch's batch norms take, by their number of axes. */
type Takes = { readonly ranks: readonly number[]; readonly words: string }

/** Refuses, as torch does, an input of another number of axes or channels. */
const misfit = (name: string, x: Value, numFeatures: number, { ranks, words }: Takes): Value | null => {
  const given = showShape(x.shape)
  const refuse = !ranks.includes(x.shape.length)
    ? `${name} normalises ${words}, not ${given}`
    : x.shape[1] !== numFeatures
      ? `${name} has ${numFeatures} features, but its input ${given} has ${x.shape[1]} channels`
      : null
  return refuse === null
    ? null
    : x.kit.fail({ op: name, refuse, fix: `give it an input ${words} with C = ${numFeatures}, or change the layer` })
}

const batchNorm = (name: string, o: BatchNormOptions, takes: Takes): Layer<NormParams, BatchNormState> => {
  const problems = optionProblems(name, o, BATCH_NORM_FIELDS)
  if (problems.length > 0) return brokenLayer(name, problems)
  const eps = o.eps ?? 1e-5
  const momentum = o.momentum === undefined ? 0.1 : o.momentum
  const shape = [o.numFeatures]
  const leaf = (value: number, learned: boolean) => constantLeaf(shape, value, learned)
  return {
    layer: name,
    params: { weight: leaf(1, true), bias: leaf(0, true) },
    state: { runningMean: leaf(0, false), runningVar: leaf(1, false), numBatchesTracked: countingLeaf },
    problems,
    source: { layer: name, options: o, takes: ['numFeatures', 'eps', 'momentum'] },
    config: {
      name,
      parts: [
        ['numFeatures', String(o.numFeatures)],
        ['eps', String(eps)],
        ['momentum', String(momentum)],
      ],
    },
    apply: (p, s, given, kit) => {
      demandValue(name, given)
      const x = dequantize(given, `${name} gets the bare value and returns a plain tensor`)
      const bad = misfit(name, x, o.numFeatures, takes)
      if (bad !== null) return [bad, s]
      const dims = x.shape.map((_, i) => i).filter((i) => i !== 1)
      const [w, b] = [channelView(p.weight, x.shape.length), channelView(p.bias, x.shape.length)]
      const scaled = (centred: Value, variance: Value): Value =>
        kit.emit('add', [kit.emit('mul', [normalized(kit, centred, variance, eps), w]), b])
      if (kit.mode === 'eval')
        return [
          scaled(
            kit.emit('sub', [x, channelView(s.runningMean, x.shape.length)]),
            channelView(s.runningVar, x.shape.length),
          ),
          s,
        ]
      const n = dims.reduce((c, d) => c * x.shape[d], 1)
      if (x.shape.length > 1 && n < 2) return [oneValue(x.kit, name, x), s]
      const mean = kit.emit('mean', [x], { dims, keepdim: true })
      const centred = kit.emit('sub', [x, mean])
      const variance = kit.emit('mean', [kit.emit('mul', [centred, centred])], { dims, keepdim: true })
      const batches = kit.emit('add', [s.numBatchesTracked, kit.constant(1)])
      const share = momentum === null ? kit.emit('div', [kit.constant(1), batches]) : kit.constant(momentum)
      const rest = momentum === null ? kit.emit('sub', [kit.constant(1), share]) : kit.constant(1 - momentum)
      const blend = (old: Value, now: Value): Value =>
        kit.emit('add', [
          kit.emit('mul', [old, rest]),
          kit.emit('mul', [reshape(kit.emit('detach', [now]), shape), share]),
        ])
      const unbiased = kit.emit('mul', [variance, kit.constant(n / (n - 1))])
      const next = {
        runningMean: blend(s.runningMean, mean),
        runningVar: blend(s.runningVar, unbiased),
        numBatchesTracked: batches,
      }
      return [scaled(centred, variance), next]
    },
  }
}

/** torch.nn.BatchNorm1d: batch statistics in training, running ones in eval. Input `[N, C]` or `[N, C, L]`; strips. */
export const BatchNorm1d = (o: BatchNormOptions): Layer<NormParams, BatchNormState> =>
  batchNorm('BatchNorm1d', o, { ranks: [2, 3], words: '[N, C] or [N, C, L]' })
/** torch.nn.BatchNorm2d. Input `[N, C, H, W]`; strips. */
export const BatchNorm2d = (o: BatchNormOptions): Layer<NormParams, BatchNormState> =>
  batchNorm('BatchNorm2d', o, { ranks: [4], words: '[N, C, H, W]' })

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

const FOLDED = {
  weight: required(tensorField),
  bias: required(tensorField),
  runningMean: required(tensorField),
  runningVar: required(tensorField),
}

/** Folds a trained batch norm: `weight/sqrt(var + eps)` and `bias - mean*weight/sqrt(var + eps)`, in float32 (Brevitas mul_add_from_bn). */
export const foldBatchNorm = (
  bn: NormParams & Pick<BatchNormState, 'runningMean' | 'runningVar'>,
  eps = 1e-5,
): NormParams => {
  demandArguments('foldBatchNorm', { batchNorm: bn, eps }, { batchNorm: required(record), eps: nonNegative })
  demandArguments('foldBatchNorm', bn, FOLDED)
  const factor = bn.weight.data.map((w, i) =>
    Math.fround(w / Math.fround(Math.sqrt(Math.fround(bn.runningVar.data[i] + Math.fround(eps))))),
  )
  const bias = bn.bias.data.map((b, i) => Math.fround(b - Math.fround(bn.runningMean.data[i] * factor[i])))
  return { weight: { shape: bn.weight.shape, data: factor }, bias: { shape: bn.bias.shape, data: bias } }
}

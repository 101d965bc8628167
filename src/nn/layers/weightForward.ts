/** The forward of a layer with weights: quantizers of input, weight, bias and output around one product (SEMANTICS 9 and 12). */
import { gridOf, integersOf, quantOf } from '../../data/quant.js'
import { sizeOf, type Shape } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import { isInvalid } from '../../graph/builder.js'
import type { Kit, Value } from '../../graph/op.js'
import type { QuantizerState } from '../../quantizers/activation.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import { quantizeBias } from '../../quantizers/weight.js'
import { NOT_CONFIGURED } from './refusing.js'
import { dequantize, isQuantValue, reshape } from '../functions/index.js'
import { demandValue } from '../functions/support.js'
import type { Traced } from './layer.js'
import { bare } from './quantizedLayer.js'
import { throughQuantizer, type QuantState } from './quantizing.js'
import { weigh } from './weighing.js'

/** Float parameters; a binary layer keeps its weight in state, because each forward clamps it. */
export type WeightParams = { readonly weight?: Tensor; readonly bias?: Tensor }
/** State of the quantizers. */
export type WeightState = {
  readonly inputQuant: QuantState
  readonly weightQuant: QuantState
  readonly outputQuant: QuantState
  readonly weight?: Tensor
}

/** What tells the layers with weights apart. */
export type Kind = {
  readonly weightShape: Shape
  readonly biasSize: number
  /** Axis of the output channels in the weight. */
  readonly axis: number
  readonly groups: number
  /** Does each output element see each weight of its kernel exactly once (nothing padded with zeros, nothing left out)? */
  readonly whole: boolean
  readonly channelLast: boolean
  /** Spatial axes of a convolution; an input of one axis less than [N, C, …] is a single sample. Null: a linear layer. */
  readonly spatial: number | null
  readonly compute: (x: Value, w: Value) => Value
}

/** A layer with weights whose options are known. */
export type Weighted = {
  readonly name: string
  readonly kind: Kind
  readonly quantizers: {
    readonly [P in 'inputQuant' | 'weightQuant' | 'biasQuant' | 'outputQuant']: Quantizer | null
  }
  /** Right metadata where Brevitas' is a quirk. */
  readonly correct: boolean
  readonly returnQuantTensor: boolean
}

/** The scale of the accumulator y of x and w as a flat list, or null where input or weight is plain. */
export const accumulatorScale = (x: Value, w: Value, y: Value, kit: Kit): Value | null => {
  const [qx, qw, qy] = [x, w, y].map((v) => integersOf(v.carried))
  if (qx === null || qw === null) return null
  const s =
    qy !== null
      ? kit.value(qy.scale)
      : kit.emit('mul', [
          kit.emit('reshape', [kit.value(qx.scale)], { shape: [sizeOf(kit.value(qx.scale).shape)] }),
          kit.emit('reshape', [kit.value(qw.scale)], { shape: [sizeOf(kit.value(qw.scale).shape)] }),
        ])
  return kit.emit('reshape', [s], { shape: [sizeOf(s.shape)] })
}

/** Has each row of the last axis a scale of its own, and are they several? */
const isPerRow = (x: Value): boolean => {
  const q = integersOf(x.carried)
  const scale = q === null ? [] : x.kit.value(q.scale).shape
  return scale.length === x.shape.length && scale[scale.length - 1] === 1 && sizeOf(scale) > 1
}

/** Operands of a product. */
type Operands = { readonly x: Value; readonly w: Value }

/** The product with its bias, quantized where the layer has a quantizer for it. */
const withBias = (
  { kind, quantizers, correct }: Weighted,
  bias: Value | undefined,
  { x, w }: Operands,
  y: Value,
): Value => {
  const { kit } = y
  if (bias === undefined || isInvalid(y)) return y
  if (kind.channelLast && integersOf(w.carried) !== null && isPerRow(x))
    return kit.fail({
      op: 'bias',
      tag: 'ConfigError',
      refuse:
        'a bias is added to what has a scale per row of the input: its rows would be compared with the channels of the bias',
      fix: 'give bias: false and add a bias to the result, or quantize the input with one scale',
    })
  const q = quantizers.biasQuant
  const axis = kind.channelLast ? y.shape.length - 1 : 1
  if (q === null)
    return kit.emit('add', [
      y,
      kit.emit('reshape', [bias], { shape: y.shape.map((_, i) => (i === axis ? kind.biasSize : 1)) }),
    ])
  const s = q.biasScale === 'external' ? accumulatorScale(x, w, y, kit) : null
  const b = kit.scoped('biasQuant', () => quantizeBias(q, kit, bias, s, () => plainOperand(kit, x, w) ?? ''))
  const sameScale = s !== null && (correct || kind.channelLast || sizeOf(s.shape) === 1)
  return kit.emit('addBias', [y, b], { axis, sameScale })
}

/** Which operand of a product is plain, and where it lost its metadata; null where both are quant tensors. */
export const plainOperand = (kit: Kit, x: Value, w: Value): string | null => {
  const plain = [[x, 'the input'] as const, [w, 'the weight'] as const].find(([v]) => !isQuantValue(v))
  return plain === undefined ? null : `${plain[1]} is a plain tensor: ${kit.whyPlain(plain[0])}`
}

/** The kit with which to say what is wrong: one that keeps silent where an operand failed already. */
export const sayingOf = (kit: Kit, ...values: readonly Value[]): Kit => values.find(isInvalid)?.kit ?? kit

/** What a layer that was asked for a quant tensor says when it can't give one. */
const refusal = (name: string, kit: Kit, { x, w }: Operands, y: Value): Value =>
  sayingOf(kit, x, w, y).failWith({
    tag: 'LayerError',
    layer: name,
    path: kit.path(),
    message: `${NOT_CONFIGURED}: ${name} was asked for a quant tensor (returnQuantTensor: true), but ${plainOperand(kit, x, w) ?? `the result is a plain tensor: ${kit.whyPlain(y)}`}`,
    fix: 'give it an outputQuant, quantize input and weight with zero point 0, or drop returnQuantTensor',
  })

/**
 * The input of a layer that must give a quant tensor of its product. Whether a quantized bias on per-channel scales made its
 * zero point 0 only numbers tell (`TracedZeroPoint`): a check, which fails the run as Brevitas does.
 */
const withZeroPointOf0 = (name: string, x: Value, w: Value): Value => {
  const [qx, qw] = [quantOf(x.carried), quantOf(w.carried)]
  return qx?.zero !== 'equalScales' || qw?.zero !== 'zero'
    ? x
    : x.kit.emit('checkZero', [x, x.kit.value(qx.zeroPoint)], {
        message: `${NOT_CONFIGURED}: ${name} was asked for a quant tensor (returnQuantTensor: true), but its input's zero point is not 0: its channels have different scales, on which a quantized bias lies`,
      })
}

/** A result without its batch axis; metadata per channel would have to lose that axis too, and is dropped. */
const oneSample = (y: Value, kit: Kit): Value => {
  if (isInvalid(y)) return y
  const q = gridOf(y.carried)
  const perChannel = q !== null && [q.scale, q.zeroPoint].some((id) => sizeOf(kit.value(id).shape) > 1)
  return reshape(
    perChannel
      ? dequantize(y, 'a single sample has no batch axis, but its per-channel metadata has one; give it a batch of 1')
      : y,
    y.shape.slice(1),
  )
}

/** The quantized weight, the state of its quantizer, and the clamped float weight of a binary layer. */
type Weighing = readonly [weight: Value, after: QuantizerState, clamped: Value | undefined]

/** Sends the weight through its quantizer; `input` is what accumulator-aware weights look at. */
export const weighed = (
  { name, quantizers, kind }: Weighted,
  p: Traced<WeightParams>,
  s: Traced<WeightState>,
  kit: Kit,
  input: Value | null,
): Weighing => {
  const stored = p.weight ?? s.weight
  if (stored === undefined)
    return [
      kit.failWith({
        tag: 'InputError',
        input: 'weight',
        path: kit.path(),
        message: `${name} was called without a weight`,
        fix: 'pass params and state of this layer',
      }),
      {},
      undefined,
    ]
  const place = kit.path() === '' ? '' : `${kit.path()}.`
  const own = { value: stored, leaf: `${place}weight` }
  const at = { axis: kind.axis, leaf: `${place}weightQuant`, input }
  const done = weigh(quantizers.weightQuant, kit, s.weightQuant, [own], at)
  return [done.weights[0], done.state, done.clamped?.[0]]
}

/** The product with its bias, of a batch or of a single sample. */
const product = (layer: Weighted, bias: Value | undefined, { x, w }: Operands, kit: Kit): Value => {
  const { kind, quantizers, returnQuantTensor } = layer
  const single = kind.spatial !== null && x.shape.length === kind.spatial + 1
  const whole = single ? reshape(x, [1, ...x.shape]) : x
  const batch = returnQuantTensor && quantizers.outputQuant === null ? withZeroPointOf0(layer.name, whole, w) : whole
  const sums = withBias(layer, bias, { x: batch, w }, kind.compute(batch, w))
  return single ? oneSample(sums, kit) : sums
}

/** One forward. */
export const forward =
  (layer: Weighted) =>
  (p: Traced<WeightParams>, s: Traced<WeightState>, given: Value, kit: Kit): readonly [Value, Traced<WeightState>] => {
    const { name, quantizers } = layer
    demandValue(name, given)
    const [x, inputQuant] = throughQuantizer(quantizers.inputQuant, kit, s.inputQuant, given, 'inputQuant')
    const [w, weightQuant, clamped] = weighed(layer, p, s, kit, x)
    const y = product(layer, p.bias, { x, w }, kit)
    const [out, outputQuant] = throughQuantizer(quantizers.outputQuant, kit, s.outputQuant, y, 'outputQuant')
    const after: Traced<WeightState> = {
      inputQuant,
      weightQuant,
      outputQuant,
      ...(clamped === undefined ? {} : { weight: clamped }),
    }
    if (!layer.returnQuantTensor) return [bare(name, out), after]
    return [isQuantValue(out) ? out : refusal(name, kit, { x, w }, y), after]
  }

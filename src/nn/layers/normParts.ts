/** What norms and scale-and-bias layers share; not public. */
import { byDefault, count, nonNegative, required, type OptionsOf } from '../../data/fields.js'
import { quantOf } from '../../data/quant.js'
import { sameShape, showShape, type Shape } from '../../data/shape.js'
import type { Kit, Value } from '../../graph/op.js'
import type { QuantizerState } from '../../quantizers/activation.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import { quantizeBias, quantizeWeights } from '../../quantizers/weight.js'
import { NOT_CONFIGURED } from './refusing.js'
import { normalized } from './batchNorm.js'
import { reshape } from '../functions/index.js'
import type { Traced } from './layer.js'
import type { QuantState } from './quantizing.js'
import { BIAS } from './weightLayer.js'
import { plainOperand, sayingOf } from './weightForward.js'

/** Options of a layer norm. */
export const LAYER_NORM_FIELDS = {
  /** The last axes, over which the mean is taken. */
  normalizedShape: required<number | Shape>({
    says: 'a whole number above 0, or a list of such',
    like: '64',
    holds: (x) => count.holds(x) || (Array.isArray(x) && x.length > 0 && x.every(count.holds)),
  }),
  /** Default 1e-5. */
  eps: byDefault({ ...nonNegative, like: '1e-5' }, 1e-5),
}

/** Refuses an input that does not end in the axes that are normed: a shorter axis would be broadcast. */
export const normMisfit = (name: string, x: Value, shape: Shape): Value | null =>
  sameShape(x.shape.slice(-shape.length), shape)
    ? null
    : x.kit.fail({
        op: name,
        refuse: `its input ${showShape(x.shape)} does not end in ${showShape(shape)}`,
        fix: 'set normalizedShape to the last axes of the input',
      })

/** Options of what goes over features. */
export const FEATURES = { numFeatures: required(count) }
/** The same where weight and bias can be viewed in several ways. */
export const VIEWED_FEATURES = {
  ...FEATURES,
  /** How weight and bias are viewed, -1 where the features stand (default `[1, -1, 1, 1]`). */
  runtimeShape: byDefault<Shape>(
    {
      says: 'a list of whole numbers, -1 where the features stand',
      like: '[1, -1, 1, 1]',
      holds: (x) => Array.isArray(x) && x.every((n) => Number.isSafeInteger(n) && n >= -1),
    },
    [1, -1, 1, 1],
  ),
  ...BIAS,
}

/** The shape in which weight and bias are viewed. */
export const featureView = (o: OptionsOf<typeof VIEWED_FEATURES>): Shape =>
  (o.runtimeShape ?? VIEWED_FEATURES.runtimeShape.fallback).map((n) => (n === -1 ? o.numFeatures : n))

/** A plain value without the mean, over the deviation, of its last axes, which have that shape. */
export const overLastAxes = (kit: Kit, x: Value, shape: Shape, eps: number): Value => {
  const dims = shape.map((_, i) => x.shape.length - shape.length + i)
  const centred = kit.emit('sub', [x, kit.emit('mean', [x], { dims, keepdim: true })])
  const variance = kit.emit('mean', [kit.emit('mul', [centred, centred])], { dims, keepdim: true })
  return normalized(kit, centred, variance, eps)
}

/** The scale of the product as a flat list: its own, where it has one; null where input or weight is plain. */
const productScale = (kit: Kit, x: Value, w: Value, product: Value): Value | null => {
  const [qx, qw, qp] = [x, w, product].map((v) => quantOf(v.carried))
  if (qx === null || qw === null) return null
  return qp !== null
    ? reshape(kit.value(qp.scale), [-1])
    : kit.emit('mul', [reshape(kit.value(qx.scale), [-1]), reshape(kit.value(qw.scale), [-1])])
}

/** The weight after its quantizer, and that one's state. */
export const quantizedScale = (
  q: Quantizer | null,
  kit: Kit,
  state: unknown,
  weight: Value,
): readonly [Value, Traced<QuantState>] => {
  if (q === null) return [weight, {}]
  const leaf = kit.path() === '' ? 'weightQuant' : `${kit.path()}.weightQuant`
  const [[scale], after] = kit.scoped('weightQuant', () =>
    quantizeWeights(q, kit, state as QuantizerState, [weight], { axis: 0, leaf }),
  )
  return [scale, after]
}

/** Refuses a quant tensor that the layer can't give. */
export const notReturned = (name: string, kit: Kit, x: Value, w: Value, out: Value): Value =>
  sayingOf(kit, x, w, out).failWith({
    tag: 'LayerError',
    layer: name,
    path: kit.path(),
    message: `${NOT_CONFIGURED}: ${name} was asked for a quant tensor, but ${plainOperand(kit, x, w) ?? `the result is a plain tensor: ${kit.whyPlain(out)}`}`,
    fix: 'quantize the input with zero point 0, or give it an outputQuant',
  })

/** The bias after its quantizer, on the scale of the product where it asks for that. */
export const quantizedShift = (
  q: Quantizer,
  kit: Kit,
  bias: Value,
  [x, w, product]: readonly [Value, Value, Value],
): Value =>
  kit.scoped('biasQuant', () =>
    quantizeBias(q, sayingOf(kit, x, w), bias, productScale(kit, x, w, product), () => plainOperand(kit, x, w) ?? ''),
  )

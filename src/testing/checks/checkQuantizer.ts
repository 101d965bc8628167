/** All laws of a quantizer, for a preset, a composition, or one of a user's own pieces. */
import fc from 'fast-check'
import { orThrow } from '../../data/error.js'
import { record, shapeField } from '../../data/fields.js'
import { broadcastStrides, sizeOf, type Shape } from '../../data/shape.js'
import {
  intRepr,
  isFloatQuantTensor,
  isQuantTensor,
  isValidQuantTensor,
  type QuantTensor,
} from '../../data/quantTensor.js'
import type { Tensor } from '../../data/tensor.js'
import { tensorInput } from '../../graph/trace.js'
import { QuantIdentity } from '../../nn/layers/activationLayers.js'
import type { AnyLayer } from '../../nn/layers/layer.js'
import { QuantLinear } from '../../nn/layers/weightLayers.js'
import { init, run } from '../../nn/program/program.js'
import { walk } from '../../ops/support/elementwise.js'
import { Int8ActPerTensorFloat } from '../../quantizers/presets.js'
import { quantizerField, type Quantizer } from '../../quantizers/quantizer.js'
import { hardTensorArb } from '../programs/numbers.js'
import { checkLayer } from './checkLayer.js'
import { subjectOf, type Subject } from './checkStateThreading.js'
import * as E from 'fp-ts/lib/Either.js'
import {
  guarded,
  misused,
  optionsProblem,
  showData,
  tried,
  verdictOf,
  type CheckOptions,
  type Law,
  type Verdict,
} from './verdict.js'

/** How a quantizer is checked. */
export type CheckQuantizerOptions = CheckOptions & {
  /** Options of the layer that it needs beside itself, without its prefix: `{ groupSize: 2 }`. */
  readonly layerOptions?: { readonly [option: string]: unknown }
  /** Shape of what it is tried on (default [4, 6]); of weights the input of a linear layer. */
  readonly shape?: Shape
}

/** Numbers for a calibration and then for an evaluation. */
type Two = readonly [seen: Tensor, x: Tensor]

/** What the calibrated quantizer makes of numbers in evaluation. */
const evaluatorOf = (s: Subject, seen: Tensor): ((x: Tensor) => QuantTensor) => {
  const { params, state: first } = orThrow(init(s.layer, 1))
  const step = (state: unknown): unknown => orThrow(run(s.train, { params, state, inputs: seen } as never)).state
  const state = step(step(first))
  return (x) => {
    const out = orThrow(run(s.eval, { params, state, inputs: x } as never)).outputs as Tensor | QuantTensor
    if (!isQuantTensor(out)) throw new Error('it gave no quant tensor')
    return out
  }
}

const spread = (t: Tensor, shape: readonly number[]): Float32Array => {
  const out = new Float32Array(sizeOf(shape))
  walk(shape, [broadcastStrides(t.shape, shape)], (i, [j]) => {
    out[i] = t.data[j]
  })
  return out
}

const sameScale = (a: QuantTensor, b: QuantTensor): boolean =>
  a.scale.data.every((x, i) => Object.is(x, b.scale.data[i]))

const onGrid = (q: QuantTensor): string | null => {
  if (q.value.data.some((v) => Number.isNaN(v))) return 'a number became NaN'
  if (q.scale.data.some((v) => !(v > 0 && v < Infinity)))
    return `a scale is ${q.scale.data.find((v) => !(v > 0 && v < Infinity))}`
  return isValidQuantTensor(q) ? null : 'the result is not on its grid, or out of its range'
}

const idempotent = (f: (x: Tensor) => QuantTensor, x: Tensor): string | null => {
  const once = f(x)
  const twice = f(once.value)
  // A scale that follows its input is another one for the quantized numbers.
  if (!sameScale(once, twice)) return null
  const i = once.value.data.findIndex((v, k) => v !== twice.value.data[k])
  return i < 0 ? null : `${x.data[i]} becomes ${once.value.data[i]}, and that ${twice.value.data[i]}`
}

const isMonotone = (q: QuantTensor, x: Tensor): string | null => {
  if (q.scale.data.length > 1 || q.group !== undefined) return null
  const order = [...x.data.keys()].sort((i, j) => x.data[i] - x.data[j])
  const k = order.findIndex((i, n) => n > 0 && q.value.data[i] < q.value.data[order[n - 1]])
  if (k < 0) return null
  const [a, b] = [order[k - 1], order[k]]
  return `${x.data[a]} <= ${x.data[b]}, but they become ${q.value.data[a]} and ${q.value.data[b]}`
}

/** How far a rounding may move a number, in steps. */
const stepsOf = (z: Quantizer): number => (z.floatToIntImplType === 'ROUND' || z.floatToIntImplType === 'DPU' ? 0.5 : 1)

const errorSmall = (z: Quantizer, q: QuantTensor, x: Tensor): string | null => {
  if (z.quantType !== 'INT' || isFloatQuantTensor(q)) return null
  const ints = intRepr(q)
  const [lo, hi] = [Math.min(...rangeOf(q)), Math.max(...rangeOf(q))]
  const [scales, zeros] = [spread(q.scale, x.shape), spread(q.zeroPoint, x.shape)]
  const i = x.data.findIndex((v, k) => {
    const wanted = v / scales[k] + zeros[k]
    return wanted > lo && wanted < hi && Math.abs(wanted - ints.data[k]) > stepsOf(z) * 1.001 + 1e-5 * Math.abs(wanted)
  })
  return i < 0
    ? null
    : `${x.data[i]} becomes ${q.value.data[i]}, more than ${stepsOf(z)} of a step of ${scales[i]} away`
}

const rangeOf = ({ bitWidth, signed }: QuantTensor): readonly number[] => {
  const levels = 2 ** bitWidth.data[0]
  // Narrow ranges are one smaller: what lies between is not inside.
  return signed ? [-levels / 2 + 1, levels / 2 - 1] : [0, levels - 2]
}

const FIX = {
  grid: 'its range, scale, zero point and rounding: every result must be one of its numbers',
  idempotent: 'its rounding or clamp: a number of the grid must stay',
  monotone: 'its rounding or clamp',
  error: 'its scale and zero point: inside the range a number goes to its neighbour',
} as const

const lawsOf = (z: Quantizer, s: Subject, shape: Shape): readonly Law<Two>[] => {
  const law = (
    name: string,
    fix: string,
    holds: (f: (x: Tensor) => QuantTensor, x: Tensor) => string | null,
  ): Law<Two> => ({
    law: name,
    fix,
    inputs: fc.tuple(hardTensorArb(shape), hardTensorArb(shape)),
    holds: ([seen, x]) => holds(evaluatorOf(s, seen), x),
    show: ([seen, x]) => `${showData(x)}, calibrated on ${showData(seen)}`,
  })
  return [
    law('results lie on their grid', FIX.grid, (f, x) => onGrid(f(x))),
    law('quantizing what is quantized changes nothing', FIX.idempotent, idempotent),
    law('a larger number gives no smaller one', FIX.monotone, (f, x) => isMonotone(f(x), x)),
    law('inside the range the error is at most that of the rounding', FIX.error, (f, x) => errorSmall(z, f(x), x)),
  ]
}

const prefixed = (
  options: { readonly [option: string]: unknown },
  prefix: string,
): { readonly [option: string]: unknown } =>
  Object.fromEntries(Object.entries(options).map(([o, v]) => [`${prefix}${o.charAt(0).toUpperCase()}${o.slice(1)}`, v]))

/** What bounds an accumulator must know the width of the input. */
const BOUNDED = { inputQuant: Int8ActPerTensorFloat, inputCollectStatsSteps: 1 }

/** The layer in which a quantizer is tried. */
const layerFor = (z: Quantizer, options: { readonly [option: string]: unknown }, shape: Shape): AnyLayer =>
  z.use === 'act'
    ? QuantIdentity({ actQuant: z, returnQuantTensor: true, ...options })
    : QuantLinear({
        inFeatures: shape[shape.length - 1],
        outFeatures: 3,
        bias: false,
        weightQuant: z,
        ...(z.preScaling === 'A2Q' || z.preScaling === 'A2Q_PLUS' ? BOUNDED : {}),
        ...prefixed(options, 'weight'),
      })

const joined = (of: string, a: Verdict, b: Verdict): Verdict => {
  if (E.isLeft(a)) return E.isLeft(b) ? E.left([...a.left, ...b.left]) : a
  return E.isLeft(b) ? b : E.right({ of, laws: [...a.right.laws, ...b.right.laws] })
}

/**
 * Checks a quantizer of activations or weights in a layer: all laws of `checkLayer`, and of activations, calibrated and in evaluation: results lie on
 * their grid, quantizing twice is quantizing once, larger numbers give no smaller ones, and inside the range no number moves further than its rounding
 * says. Never throws: Left holds each broken law with the smallest inputs that were found.
 * @example
 * const verdict = checkQuantizer(withOptions({ bitWidth: 3 })(Int8ActPerTensorFloat))
 */
export const checkQuantizer = (quantizer: Quantizer, options: CheckQuantizerOptions = {}): Verdict => {
  const wrong = optionsProblem('checkQuantizer', options, { layerOptions: record, shape: shapeField })
  if (wrong !== null) return wrong
  if (!quantizerField.holds(quantizer) || quantizer.use === 'bias')
    return misused(
      'checkQuantizer',
      'it was given no quantizer of activations or weights',
      'give a preset, or one made from it by withOptions',
    )
  const { layerOptions = {}, shape = [4, 6], ...how } = options
  const layer = layerFor(quantizer, layerOptions, shape)
  const declared = tensorInput(shape)
  const whole = checkLayer(layer, declared, how)
  if (quantizer.use !== 'act') return whole
  return guarded(quantizer.name, () => {
    const s = subjectOf(layer, declared)
    return joined(
      quantizer.name,
      whole,
      verdictOf(
        quantizer.name,
        lawsOf(quantizer, s, shape).map((l) => tried(quantizer.name, l, how)),
      ),
    )
  })
}

/** Quant tensors as numbers: what a run takes and gives where metadata is carried (Brevitas IntQuantTensor). */
import { roundHalfEven } from './math.js'
import { leastStep, stepOf, type FloatFormat } from './minifloat.js'
import { intMax, intMin, VALID_DISTANCE, type Group } from './quant.js'
import { demandArguments, either, required, type Field } from './fields.js'
import { broadcastStrides } from './shape.js'
import { isTensor, tensorField, type Tensor } from './tensor.js'

/** `value = (int - zeroPoint) * scale`; `scale` and `zeroPoint` broadcast over `value`, `bitWidth` is a scalar. */
export type QuantTensor = {
  readonly kind: 'quant'
  readonly value: Tensor
  readonly scale: Tensor
  readonly zeroPoint: Tensor
  readonly bitWidth: Tensor
  readonly signed: boolean
  readonly training: boolean
  /** Of groups: their size, axis, and the compact scale and zero point, one per group. */
  readonly group?: GroupScales
  /** Of minifloats: their format. `value = minifloat * scale` then, and `bitWidth` is that of the format. */
  readonly format?: FloatFormat
}

/** The compact metadata of groups: `scale` and `zeroPoint` have the axis of the groups, and behind it one of size 1. */
export type GroupScales = Group & { readonly scale: Tensor; readonly zeroPoint: Tensor }

/** A tensor of minifloats (Brevitas FloatQuantTensor). */
export type FloatQuantTensor = QuantTensor & { readonly format: FloatFormat }

/** What a run gives for each result. */
export type Output = Tensor | QuantTensor

/** Is it a quant tensor? */
export const isQuantTensor = (x: Output): x is QuantTensor =>
  typeof x === 'object' && x !== null && 'kind' in x && x.kind === 'quant'

/** Is it a tensor of minifloats? */
export const isFloatQuantTensor = (x: Output): x is FloatQuantTensor => isQuantTensor(x) && x.format !== undefined

/** A quant tensor, as an argument: all its parts are tensors. */
export const quantTensorField: Field = {
  says: 'a quant tensor, as a run gives it',
  like: 'orThrow(run(program, …)).outputs',
  holds: (given) => {
    const x = given as Output
    return isQuantTensor(x) && [x.value, x.scale, x.zeroPoint, x.bitWidth].every(isTensor)
  },
}
/** A tensor or a quant tensor, as an argument. */
/** A quant tensor of integers, as an argument. */
const integerTensorField: Field = {
  ...quantTensorField,
  says: 'a quant tensor of integers (of minifloats, minifloats(t) gives the numbers)',
  holds: (x) => quantTensorField.holds(x) && !isFloatQuantTensor(x as Output),
}
/** A tensor of minifloats, as an argument. */
export const floatQuantField: Field = {
  says: 'a tensor of minifloats, as a run gives it',
  like: 'orThrow(run(program, …)).outputs',
  holds: (given) => {
    const x = given as Output
    return isFloatQuantTensor(x) && quantTensorField.holds(x)
  },
}
export const outputField: Field = either(tensorField, quantTensorField)

/** The numbers of a result, dequantized. */
export const valueOf = (x: Output): Tensor => {
  const value: unknown = isQuantTensor(x) ? x.value : x
  if (!isTensor(value)) demandArguments('valueOf', { x }, { x: required(outputField) })
  return isQuantTensor(x) ? x.value : x
}

/** Calls `visit` with each element's place and its `value/scale + zeroPoint`, rounded to float32 at each operation. */
export const positions = (
  t: Pick<QuantTensor, 'value' | 'scale' | 'zeroPoint'>,
  visit: (p: number, i: number) => void,
): void => {
  const { shape, data } = t.value
  const s = broadcastStrides(t.scale.shape, shape)
  const z = broadcastStrides(t.zeroPoint.shape, shape)
  const index = new Array<number>(shape.length).fill(0)
  let [j, k] = [0, 0]
  for (let i = 0; i < data.length; i++) {
    visit(Math.fround(Math.fround(data[i] / t.scale.data[j]) + t.zeroPoint.data[k]), i)
    for (let d = shape.length - 1; d >= 0; d--) {
      index[d]++
      j += s[d]
      k += z[d]
      if (index[d] < shape[d]) break
      j -= s[d] * shape[d]
      k -= z[d] * shape[d]
      index[d] = 0
    }
  }
}

/** Is every element of a tensor with one scale and one zero point near an integer from `lo` to `hi`? A NaN is near none. */
const allOnGrid = (data: Float32Array, s: number, z: number, lo: number, hi: number): boolean => {
  for (let i = 0; i < data.length; i++) {
    const p = Math.fround(Math.fround(data[i] / s) + z)
    const q = roundHalfEven(p)
    if (!(Math.abs(p - q) < VALID_DISTANCE && q >= lo && q <= hi)) return false
  }
  return true
}

/**
 * Brevitas' validity: every `value/scale + zeroPoint` is less than 0.2 from an integer that fits the width; below
 * 2 bits: exactly two different integers occur, one of them negative if and only if signed. An empty tensor is not valid.
 */
export const isValid = (
  t: Pick<QuantTensor, 'value' | 'scale' | 'zeroPoint' | 'signed'> & { readonly bits: number },
): boolean => {
  const [lo, hi] = [intMin(t.bits, t.signed), intMax(t.bits, t.signed)]
  const [s, z] = [t.scale.data, t.zeroPoint.data]
  if (t.bits >= 2 && t.value.data.length > 0 && s.length === 1 && z.length === 1)
    return allOnGrid(t.value.data, s[0], z[0], lo, hi)
  const seen = new Set<number>()
  let valid = t.value.data.length > 0
  positions(t, (p) => {
    const q = roundHalfEven(p)
    if (!(Math.abs(p - q) < VALID_DISTANCE)) valid = false
    if (t.bits >= 2 && (q < lo || q > hi)) valid = false
    if (t.bits < 2 && seen.size < 3) seen.add(q + 0)
  })
  return valid && (t.bits >= 2 || (seen.size === 2 && [...seen].some((q) => q < 0) === t.signed))
}

/** The same of a quant tensor that a run gave. */
export const isValidQuantTensor = (t: QuantTensor): boolean => {
  demandArguments('isValidQuantTensor', { t }, { t: required(quantTensorField) })
  return isFloatQuantTensor(t) ? isValidMinifloats(t) : isValid({ ...t, bits: t.bitWidth.data[0] })
}

/** The integers behind a quant tensor, as floats: `round(value/scale + zeroPoint)`, half to even. Meaningful if it is valid; minifloats have none. */
export const intRepr = (t: QuantTensor): Tensor => {
  demandArguments('intRepr', { t }, { t: required(integerTensorField) })
  const data = new Float32Array(t.value.data.length)
  positions(t, (p, i) => {
    data[i] = roundHalfEven(p)
  })
  return { shape: t.value.shape, data }
}

/** Calls `visit` with each element's place and what its `value/scale` is in steps of its minifloats. */
const floatPositions = (
  t: Pick<FloatQuantTensor, 'value' | 'scale' | 'zeroPoint' | 'format'>,
  visit: (steps: number, step: number, i: number) => void,
): void => {
  const { mantissaBits } = t.format
  const least = leastStep(t.format)
  positions(t, (p, i) => {
    const step = stepOf(p, mantissaBits, least)
    visit(p / step, step, i)
  })
}

/** Brevitas' validity of minifloats: every `value/scale` is less than 0.2 of its own step from a number of the format; their range is not looked at. */
const isValidMinifloats = (t: FloatQuantTensor): boolean => {
  let valid = t.value.data.length > 0
  floatPositions(t, (steps) => {
    if (!(Math.abs(steps - roundHalfEven(steps)) < VALID_DISTANCE)) valid = false
  })
  return valid
}

/** The minifloats behind a tensor of them: `value/scale`, moved to the nearest number of the format. Meaningful if it is valid. */
export const minifloats = (t: FloatQuantTensor): Tensor => {
  demandArguments('minifloats', { t }, { t: required(floatQuantField) })
  const data = new Float32Array(t.value.data.length)
  floatPositions(t, (steps, step, i) => {
    data[i] = roundHalfEven(steps) * step
  })
  return { shape: t.value.shape, data }
}

/**
 * What a program was told of a quant input, and whether a given quant tensor keeps it. Every rule of metadata, and every
 * product on integers, builds on the declaration: given something else, backends would compute different numbers.
 */
import { intMax, intMin, showBits, VALID_DISTANCE, type ZeroPointKind } from './quant.js'
import type { QuantTensor } from './quantTensor.js'
import { broadcastShapes, broadcastStrides, sameShape, showShape, type Shape } from './shape.js'

/** The metadata with which a quant input was declared. `valid`: its value lies on the grid (by less than a fifth of a step, as Brevitas has it), in the range of its bits. */
export type Declaration = {
  readonly bits: number
  readonly signed: boolean
  readonly training: boolean
  readonly zero: ZeroPointKind
  readonly valid: boolean
}

const ZERO_IN_WORDS: Readonly<Record<ZeroPointKind, string>> = {
  zero: 'zero point 0',
  integer: 'a zero point that is a whole number in the range of its bits',
  any: 'any zero point',
}

/** A declaration as text: `8s, zero point 0`. */
export const showDeclaration = (d: Declaration): string => `${showBits(d)}, ${ZERO_IN_WORDS[d.zero]}`

/** Smallest and largest integer of a declaration. What one bit stands for, Brevitas leaves to the tensor: -1 and 1, 0 and 1, … */
const rangeOf = ({ bits, signed }: Declaration): readonly [lo: number, hi: number] =>
  bits < 2 ? [-Infinity, Infinity] : [intMin(bits, signed), intMax(bits, signed)]

const firstBad = (data: Float32Array, good: (x: number) => boolean): number => {
  for (let i = 0; i < data.length; i++) if (!good(data[i])) return i
  return -1
}

/** What is wrong with bits, sign, scale or zero point. */
const metadataBreaches = (d: Declaration, t: QuantTensor): readonly string[] => {
  const [lo, hi] = [intMin(d.bits, d.signed), intMax(d.bits, d.signed)]
  const out: string[] = []
  const bits = t.bitWidth.data[0]
  if (t.bitWidth.data.length !== 1) out.push(`its bit width has ${t.bitWidth.data.length} elements`)
  else if (bits !== d.bits || t.signed !== d.signed) out.push(`it has ${showBits({ bits, signed: t.signed })}`)
  const scale = firstBad(t.scale.data, (s) => s > 0 && s < Infinity)
  if (scale >= 0) out.push(`element ${scale} of its scale is ${t.scale.data[scale]}; scales are finite and above 0`)
  const whole = (z: number): boolean => Number.isInteger(z) && z >= lo && z <= hi
  const ofZero = { zero: (z: number): boolean => z === 0, integer: whole, any: Number.isFinite }
  const fits = ofZero[d.zero]
  const zero = firstBad(t.zeroPoint.data, fits)
  if (zero >= 0) out.push(`element ${zero} of its zero point is ${t.zeroPoint.data[zero]}`)
  return out
}

/** 1.5 · 2^52: adding and taking it away again rounds a double below 2^51 to a whole number, half to even. */
const MAGIC = 6755399441055744

/** A value and the range of its integers. Built once for all runs, and taken apart once a run. */
type Searched = { readonly x: Float32Array; readonly lo: number; readonly hi: number }

/** The first of `length` elements from `from` on that is not valid as Brevitas means it, or -1. Roundings as in `positions`. */
const firstOff = (of: Searched, from: number, length: number, scale: number, zero: number): number => {
  const { x, lo, hi } = of
  for (let i = from; i < from + length; i++) {
    const p = Math.fround(Math.fround(x[i] / scale) + zero)
    const q = p + MAGIC - MAGIC
    const off = p - q
    // Written so that a NaN is off.
    if (!(off < VALID_DISTANCE && off > -VALID_DISTANCE && q >= lo && q <= hi)) return i
  }
  return -1
}

/** A float32 number without the digits that only its binary form has. */
const short = (x: number): number => Number(x.toPrecision(7))

/** How many trailing elements share scale and zero point, and the axes before them. */
const sharedRun = (
  shape: Shape,
  s: readonly number[],
  z: readonly number[],
): { readonly run: number; readonly axes: number } => {
  let [run, axes] = [1, shape.length]
  while (axes > 0 && s[axes - 1] === 0 && z[axes - 1] === 0) run *= shape[--axes]
  return { run, axes }
}

/** The first element of a value that lies off its grid or out of range, and why; null where all lie on it. */
const valueBreach = (d: Declaration, t: QuantTensor): string | null => {
  const { shape, data } = t.value
  const [s, z] = [broadcastStrides(t.scale.shape, shape), broadcastStrides(t.zeroPoint.shape, shape)]
  const { run, axes } = sharedRun(shape, s, z)
  const range = rangeOf(d)
  const searched = { x: data, lo: range[0], hi: range[1] }
  const index = new Array<number>(axes).fill(0)
  let [j, k] = [0, 0]
  for (let from = 0; from < data.length; from += run) {
    const [scale, zero] = [t.scale.data[j], t.zeroPoint.data[k]]
    const i = firstOff(searched, from, run, scale, zero)
    if (i >= 0) {
      const p = data[i] / scale + zero
      const where = Math.abs(p - Math.round(p)) < VALID_DISTANCE ? `beyond ${range[0]} … ${range[1]}` : 'off the grid'
      const [x, step] = [short(data[i]), short(scale)]
      return `element ${i} is ${x}, which is ${where}: ${x} / ${step}${zero === 0 ? '' : ` + ${zero}`} = ${short(p)}`
    }
    for (let a = axes - 1; a >= 0; a--) {
      index[a]++
      j += s[a]
      k += z[a]
      if (index[a] < shape[a]) break
      j -= s[a] * shape[a]
      k -= z[a] * shape[a]
      index[a] = 0
    }
  }
  return null
}

/**
 * Everything in which a quant tensor differs from its declaration, in words; empty where it keeps it. Shapes are taken as
 * checked. One pass over the value, no allocation per element; values that were declared as not valid are not looked at.
 */
export const breaches = (d: Declaration, t: QuantTensor): readonly string[] => {
  const metadata = metadataBreaches(d, t)
  if (metadata.length > 0 || !d.valid) return metadata
  const value = valueBreach(d, t)
  return value === null ? [] : [value]
}

/** What is wrong with a declaration itself, or null. */
export const declarationProblem = (
  d: Pick<Declaration, 'bits'> & { readonly shape: Shape; readonly scaleShape: Shape; readonly zeroPointShape: Shape },
): string | null => {
  if (!Number.isInteger(d.bits) || d.bits < 1) return `its bits are ${d.bits}, not a whole number above 0`
  const parts = [
    ['scale', d.scaleShape],
    ['zero point', d.zeroPointShape],
  ] as const
  for (const [name, shape] of parts) {
    const both = broadcastShapes(shape, d.shape)
    if (both === null || !sameShape(both, d.shape))
      return `its ${name} of shape ${showShape(shape)} does not broadcast over ${showShape(d.shape)}`
  }
  return null
}

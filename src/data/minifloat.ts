/**
 * Minifloats as data: how many bits, which bias, which codes stand for infinity and NaN, and what numbers that makes
 * (SEMANTICS-2 section 6). Rounding to one needs no logarithm: the step of a number follows from the bits of its float32.
 */
import { exponentOf, powerOfTwo, roundHalfEven } from './math.js'

/** A minifloat format. Codes are mantissas under the largest exponent, as Brevitas writes them; null: no code is spent. */
export type FloatFormat = {
  readonly exponentBits: number
  readonly mantissaBits: number
  readonly bias: number
  /** Are numbers beyond the largest clipped, or do they become infinity or NaN? */
  readonly saturating: boolean
  readonly infValues: readonly string[] | null
  readonly nanValues: readonly string[] | null
}

/** Most bits of exponent and mantissa that float32 can hold every number of. */
export const WIDEST_EXPONENT = 7
export const WIDEST_MANTISSA = 22

/** The largest number: `(2 - 2^-m) * 2^(2^e - 1 - B)`, less what is spent on codes under the largest exponent. */
export const largestOf = ({ exponentBits: e, mantissaBits: m, bias, infValues, nanValues }: FloatFormat): number => {
  const taken = new Set([...(infValues ?? []), ...(nanValues ?? [])]).size
  const top = 2 ** (2 ** e - 1 - bias)
  // A format whose mantissas are all codes ends with the exponent before; one with a single code at the top ends one step earlier.
  return taken >= 2 ** m ? (2 - 2 ** -m) * (top / 2) : (2 - 2 ** -m - taken * 2 ** -m) * top
}

/** The smallest exponent of a step: that of subnormal numbers, `1 - B - m`. */
export const leastStep = ({ bias, mantissaBits }: Pick<FloatFormat, 'bias' | 'mantissaBits'>): number =>
  1 - bias - mantissaBits

/** Added to magnitudes, so that 0 has an exponent too (Brevitas' `tiny`: the smallest normal float32). */
const TINY = 2 ** -126

/** The step between the minifloats around a float32 number: `2^max(floor(log2|x|) - m, least)`; infinite of an infinity, NaN of a NaN. */
export const stepOf = (x: number, m: number, least: number): number => {
  const size = Math.fround(Math.abs(x) + TINY)
  return size < Infinity ? powerOfTwo(Math.max(exponentOf(size) - m, least)) : size
}

/** A number moved to the nearest minifloat, half to even, before anything is clipped. */
export const roundToFormat = (x: number, m: number, least: number): number => {
  const t = stepOf(x, m, least)
  return Math.fround(t * roundHalfEven(x / t))
}

/** `e4m3`, with the codes that the Open Compute Project gives it, or the bias where it is no ordinary one: `e4m3 (OCP)`, `e4m3 (bias 8)`. */
export const showFormat = (f: FloatFormat): string => {
  const name = `e${f.exponentBits}m${f.mantissaBits}`
  if (f.infValues !== null || f.nanValues !== null) return `${name} (OCP)`
  return f.bias === 2 ** (f.exponentBits - 1) - 1 ? name : `${name} (bias ${f.bias})`
}

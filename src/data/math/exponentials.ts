/** Exponentials and logarithms. */
import { exponentOf, powerOfTwo, scaleByPower } from './doubles.js'

/** ln 2 as a sum whose first part, of 32 bits, gives exact products with exponents. */
const LN2_HI = 0.6931471803691238
const LN2_LO = 1.9082149292705877e-10

/** ln 2 and 1/ln 2 as sums whose first part, of 24 bits, gives exact products with float32 numbers. */
const LN2_F32 = 0.6931471228599548
const LN2_REST = 5.7699990475432854e-8
export const LOG2E_F32 = 1.4426950216293335
const LOG2E_REST = 1.9259629911266175e-8

/** Below this magnitude (2^-54) expm1, log1p, tanh and sin are their argument, to the last bit. */
export const NEGLIGIBLE = 5.551115123125783e-17

/**
 * c of `exp(r) = 1 + r + r c / (2 - c)`, for |r| <= 0.36. From r coth(r/2) = 2 + r^2/6 - r^4/360 + …
 * (Bernoulli numbers): c = r - (r coth(r/2) - 2).
 */
const expCorrection = (r: number): number => {
  const z = r * r
  return (
    r -
    z * (1 / 6 + z * (-1 / 360 + z * (1 / 15120 + z * (-1 / 604800 + z * (1 / 23950080 + z * (-691 / 653837184000))))))
  )
}

/** 2^k exp(hi - lo) where |hi| <= 0.36 and lo is small beside it. */
const expReduced = (hi: number, lo: number, k: number): number => {
  const r = hi - lo
  const c = expCorrection(r)
  return scaleByPower(1 - (lo - (r * c) / (2 - c) - hi), k)
}

/** e^x, error < 1 ulp. Any x; overflows to Infinity above 709.78, is subnormal below -708.4 and 0 below -745.14. */
export const exp = (x: number): number => {
  if (x !== x) return x
  if (x > 709.782712893384) return Infinity
  if (x < -745.1332191019412) return 0
  const k = Math.floor(x * Math.LOG2E + 0.5)
  return expReduced(x - k * LN2_HI, k * LN2_LO, k)
}

/** e^x - 1 without cancellation near 0, error < 2 ulp. Any x; keeps -0; -1 below -40, Infinity above 709.78. */
export const expm1 = (x: number): number => {
  if (x !== x || Math.abs(x) < NEGLIGIBLE) return x
  if (x > 40) return exp(x)
  if (x < -40) return -1
  const k = Math.floor(x * Math.LOG2E + 0.5)
  const hi = x - k * LN2_HI
  const lo = k * LN2_LO
  const r = hi - lo
  const rest = hi - r - lo
  const c = expCorrection(r)
  return powerOfTwo(k) * (1 - powerOfTwo(-k) + r + ((r * c) / (2 - c) + (rest + rest * r)))
}

/** 2^(a + b) where a + b is in (-1075, 1024) and b is small beside 1. */
export const exp2Sum = (a: number, b: number): number => {
  const k = Math.floor(a + b + 0.5)
  const r = a - k
  const first = Math.fround(r)
  return expReduced(first * LN2_F32, -(first * LN2_REST + (r - first + b) * Math.LN2), k)
}

/** 2^x, error < 1 ulp, exact for an integer x (subnormal results too). Any x; Infinity from 1024, 0 from -1075 down. */
export const exp2 = (x: number): number => {
  if (x !== x) return x
  if (x >= 1024) return Infinity
  if (x <= -1075) return 0
  return exp2Sum(x, 0)
}

/**
 * s (f^2/2 + R) with s = f/(2+f), for 1+f in [sqrt 1/2, sqrt 2]; then ln(1+f) = f - (f^2/2 - this).
 * From ln(1+f) = 2 artanh s; R is the series 2 s^2/3 + 2 s^4/5 + ….
 */
const logTail = (f: number): number => {
  const s = f / (2 + f)
  const z = s * s
  const w = z * z
  const odd = z * (2 / 3 + w * (2 / 7 + w * (2 / 11 + w * (2 / 15 + w * (2 / 19)))))
  const even = w * (2 / 5 + w * (2 / 9 + w * (2 / 13 + w * (2 / 17 + w * (2 / 21)))))
  return s * (0.5 * f * f + (odd + even))
}

/** k ln 2 + ln(1+f) + c, where c is tiny. */
const logReduced = (f: number, k: number, c: number): number =>
  k * LN2_HI - (0.5 * f * f - (logTail(f) + (k * LN2_LO + c)) - f)

/** The integer k for which x 2^-k is in [sqrt 1/2, sqrt 2]; x > 2^-1000, finite. */
export const nearestExponent = (x: number): number => exponentOf(x * Math.SQRT1_2) + 1

/** log of an x that has no logarithm or an infinite one; x is NaN, Infinity or <= 0. */
const logOutside = (x: number): number => {
  if (x === 0) return -Infinity
  return x > 0 ? x : NaN
}

/** Where scaling by 2^54 must come first, because x may be subnormal (2^-1000). */
export const SMALL = 9.332636185032189e-302

/** Natural logarithm, error < 1 ulp. x > 0; -Infinity at ±0, NaN below. */
export const log = (x: number): number => {
  if (!(x > 0 && x < Infinity)) return logOutside(x)
  const small = x < SMALL
  const y = small ? x * 18014398509481984 : x
  const k = nearestExponent(y)
  return logReduced(y * powerOfTwo(-k) - 1, small ? k - 54 : k, 0)
}

/** ln(1 + x) without cancellation near 0, error < 1 ulp. x > -1; keeps -0; -Infinity at -1, NaN below. */
export const log1p = (x: number): number => {
  if (Math.abs(x) < NEGLIGIBLE) return x
  if (x > -0.29 && x < 0.41) return logReduced(x, 0, 0)
  const u = 1 + x
  if (!(u > 0 && u < Infinity)) return logOutside(u)
  const k = nearestExponent(u)
  const lost = x >= 1 ? 1 - (u - x) : x - (u - 1)
  return logReduced(u * powerOfTwo(-k) - 1, k, lost / u)
}

/** First part of ln(1+f), of 24 bits. */
export const logFirst = (f: number): number => Math.fround(f - 0.5 * f * f)

/** log2(1+f) - first / ln 2, with the rounding error of the product that `first` starts. */
export const log2Rest = (f: number, first: number): number => {
  const rest = f - first - 0.5 * f * f + logTail(f)
  return first * LOG2E_REST + rest * Math.LOG2E
}

/** Binary logarithm, error < 1 ulp, exact for every power of two (subnormal ones too). x > 0; -Infinity at ±0, NaN below. */
export const log2 = (x: number): number => {
  if (!(x > 0 && x < Infinity)) return logOutside(x)
  const small = x < SMALL
  const y = small ? x * 18014398509481984 : x
  const scale = nearestExponent(y)
  const k = small ? scale - 54 : scale
  const f = y * powerOfTwo(-scale) - 1
  const first = logFirst(f)
  const product = first * LOG2E_F32
  const sum = k + product
  return sum + (log2Rest(f, first) + (k - sum + product))
}

/** Powers of any base. */
import { powerOfTwo } from './doubles.js'
import { exp2Sum, LOG2E_F32, log2Rest, logFirst, nearestExponent, SMALL } from './exponentials.js'

/** x^n for an integer n in 0 … 64 by repeated squaring; exact where the result is a double. */
const powerBySquaring = (x: number, n: number): number => {
  let result = 1
  let square = x
  for (let rest = n; rest > 0; rest >>= 1) {
    if (rest & 1) result *= square
    if (rest > 1) square *= square
  }
  return result
}

/** 2^(y log2 x) for finite x > 0, |y| < 2^64, with log2 x and the product as sums of two doubles. */
const powerByLog = (x: number, y: number): number => {
  const small = x < SMALL
  const scaled = small ? x * 18014398509481984 : x
  const scale = nearestExponent(scaled)
  const k = small ? scale - 54 : scale
  const f = scaled * powerOfTwo(-scale) - 1
  const first = logFirst(f)
  const product = first * LOG2E_F32
  const sum = k + product
  const hi = Math.fround(sum)
  const lo = sum - hi + (log2Rest(f, first) + (k - sum + product))
  const yHi = Math.fround(y)
  const a = yHi * hi
  const b = yHi * lo + (y - yHi) * (hi + lo)
  if (a + b >= 1024) return Infinity
  if (a + b <= -1075) return 0
  return exp2Sum(a, b)
}

/** x^y for x > 0. */
const positivePower = (x: number, y: number): number => {
  if (x === 1) return 1
  if (x === Infinity) return y > 0 ? Infinity : 0
  if (Math.abs(y) > 18446744073709551616) return x > 1 === y > 0 ? Infinity : 0
  if (y === 0.5) return Math.sqrt(x)
  if (Math.floor(y) !== y || Math.abs(y) > 64) return powerByLog(x, y)
  const whole = powerBySquaring(x, Math.abs(y))
  if (y > 0) return whole
  return whole > SMALL && whole < 1e300 ? 1 / whole : powerByLog(x, y)
}

/**
 * x^y. Special cases as in IEEE 754 `pow` (and torch): `pow(x, 0) = pow(1, y) = 1` even for NaN, unlike `Math.pow`; NaN for
 * x < 0 with an y that is no integer. Whole exponents up to 64 are multiplied out, so exact results are exact (error at most
 * about |y|/2 ulp), y = 0.5 is correctly rounded; elsewhere the error measured was below 1 ulp, growing towards 2^-44 of the
 * result where that nears the ends of the range.
 */
export const pow = (x: number, y: number): number => {
  if (y === 0 || x === 1) return 1
  if (x !== x || y !== y) return NaN
  const whole = Math.floor(y) === y
  const odd = whole && Math.abs(y) < Infinity && Math.floor(y * 0.5) * 2 !== y
  if (x === 0) {
    if (y < 0) return odd ? 1 / x : Infinity
    return odd ? x : 0
  }
  if (x > 0) return positivePower(x, y)
  if (!whole && x !== -Infinity) return NaN
  return odd ? -positivePower(-x, y) : positivePower(-x, y)
}

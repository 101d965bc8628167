/**
 * Elementary functions whose bits are the same on every engine. `Math.exp` and its kin are left to the engine by
 * ECMAScript; everything here is built from `+ - * /`, `Math.sqrt`, `Math.abs`, `Math.floor` and `Math.fround`, which
 * IEEE 754 fixes. Double precision throughout; errors (in units in the last place, ulp) were measured against mpmath.
 *
 * Source: argument reductions as described by W. Cody and W. Waite, and as in Sun's fdlibm; the polynomials are the
 * Taylor series of the functions, written as fractions, but for the tail of `erf`.
 */

/** 2^52: adding it to a smaller non-negative double rounds that to an integer, ties to even. */
const TWO_52 = 4503599627370496

/** ln 2 as a sum whose first part, of 32 bits, gives exact products with exponents. */
const LN2_HI = 0.6931471803691238
const LN2_LO = 1.9082149292705877e-10

/** ln 2 and 1/ln 2 as sums whose first part, of 24 bits, gives exact products with float32 numbers. */
const LN2_F32 = 0.6931471228599548
const LN2_REST = 5.7699990475432854e-8
const LOG2E_F32 = 1.4426950216293335
const LOG2E_REST = 1.9259629911266175e-8

/** pi/2 as a sum of three parts of 33 bits and a rest. */
const HALF_PI_1 = 1.5707963267341256
const HALF_PI_2 = 6.077100506303966e-11
const HALF_PI_3 = 2.0222662487111665e-21
const HALF_PI_4 = 8.4784276603689e-32
const TWO_OVER_PI = 0.6366197723675814

/** Below this magnitude (2^-54) expm1, log1p, tanh and sin are their argument, to the last bit. */
const NEGLIGIBLE = 5.551115123125783e-17

// ---------------------------------------------------------------- powers of two

const MIN_EXPONENT = -1074

const powersOfTwo = (): Float64Array => {
  const table = new Float64Array(1023 - MIN_EXPONENT + 1)
  for (let k = 0, value = 1; k <= 1023; k++, value *= 2) table[k - MIN_EXPONENT] = value
  for (let k = -1, value = 0.5; k >= MIN_EXPONENT; k--, value *= 0.5) table[k - MIN_EXPONENT] = value
  return table
}

/** 2^k for k in -1074 … 1023, never written again. */
const POWERS = /* @__PURE__ */ powersOfTwo()

/** 2^k exactly; k an integer in -1074 … 1023. */
export const powerOfTwo = (k: number): number => POWERS[k - MIN_EXPONENT]

/** y 2^k with one rounding; y in [0.5, 2), k an integer in -1076 … 1024. */
const scaleByPower = (y: number, k: number): number => {
  if (k > 1023) return y * powerOfTwo(1023) * 2
  if (k < -1021) return y * powerOfTwo(k + 54) * 5.551115123125783e-17
  return y * powerOfTwo(k)
}

/** Scratch for reading the bits of a double; a function that writes it reads it at once, so no call can see another's. */
const bitsAsDouble = new Float64Array(1)
const bitsAsWords = new Uint32Array(bitsAsDouble.buffer)
const HIGH_WORD = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1 ? 1 : 0

/** floor(log2 x) of a normal x > 0; 1024 of Infinity and NaN. */
export const exponentOf = (x: number): number => {
  bitsAsDouble[0] = x
  return (bitsAsWords[HIGH_WORD] >>> 20) - 1023
}

// ---------------------------------------------------------------- rounding

/** The integer nearest to x, ties to the even one: exact for every double; keeps -0, NaN and the infinities. Source: IEEE 754 roundToIntegralTiesToEven. */
export const roundHalfEven = (x: number): number => {
  const size = Math.abs(x)
  if (!(size < TWO_52) || x === 0) return x
  const rounded = size + TWO_52 - TWO_52
  return x < 0 ? -rounded : rounded
}

// ---------------------------------------------------------------- exponentials

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
const exp2Sum = (a: number, b: number): number => {
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

// ---------------------------------------------------------------- logarithms

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
const nearestExponent = (x: number): number => exponentOf(x * Math.SQRT1_2) + 1

/** log of an x that has no logarithm or an infinite one; x is NaN, Infinity or <= 0. */
const logOutside = (x: number): number => {
  if (x === 0) return -Infinity
  return x > 0 ? x : NaN
}

/** Where scaling by 2^54 must come first, because x may be subnormal (2^-1000). */
const SMALL = 9.332636185032189e-302

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
const logFirst = (f: number): number => Math.fround(f - 0.5 * f * f)

/** log2(1+f) - first / ln 2, with the rounding error of the product that `first` starts. */
const log2Rest = (f: number, first: number): number => {
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

// ---------------------------------------------------------------- powers

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

// ---------------------------------------------------------------- sine and cosine

/** sin(y + tail) for |y| <= 0.79. */
const sinReduced = (y: number, tail: number): number => {
  const z = y * y
  const high =
    1 / 120 +
    z *
      (-1 / 5040 +
        z *
          (1 / 362880 +
            z * (-1 / 39916800 + z * (1 / 6227020800 + z * (-1 / 1307674368000 + z * (1 / 355687428096000))))))
  return y - (z * (0.5 * tail - z * y * high) - tail + (z * y) / 6)
}

/** cos(y + tail) for |y| <= 0.79. */
const cosReduced = (y: number, tail: number): number => {
  const z = y * y
  const high =
    1 / 24 +
    z *
      (-1 / 720 +
        z *
          (1 / 40320 +
            z *
              (-1 / 3628800 +
                z * (1 / 479001600 + z * (-1 / 87178291200 + z * (1 / 20922789888000 + z * (-1 / 6402373705728000)))))))
  const half = 0.5 * z
  const w = 1 - half
  return w + (1 - w - half + (z * z * high - y * tail))
}

/** sin(y + tail + quadrant pi/2). */
const sinOfQuadrant = (y: number, tail: number, quadrant: number): number => {
  const value = quadrant & 1 ? cosReduced(y, tail) : sinReduced(y, tail)
  return quadrant & 2 ? -value : value
}

const FRACTION_BITS = 1200n

/** arctan(1/n), times 2^bits. */
const arctanOfInverse = (n: bigint, bits: bigint): bigint => {
  let power = (1n << bits) / n
  let sum = power
  for (let i = 3n, sign = -1n; power > 0n; i += 2n, sign = -sign) {
    power /= n * n
    sum += (sign * power) / i
  }
  return sum
}

/** pi/2 by Machin's formula, times 2^1200. */
const HALF_PI_BITS = /* @__PURE__ */ (() =>
  (8n * arctanOfInverse(5n, FRACTION_BITS + 32n) - 2n * arctanOfInverse(239n, FRACTION_BITS + 32n)) >> 32n)()

/** sin(x + shift pi/2) for a finite x >= 2^19, by exact division by pi/2. */
const sinOfLarge = (x: number, shift: number): number => {
  const k = exponentOf(x)
  const bits = BigInt(x * powerOfTwo(52 - k)) << (FRACTION_BITS + BigInt(k - 52))
  const turns = (2n * bits + HALF_PI_BITS) / (2n * HALF_PI_BITS)
  const rest = (bits - turns * HALF_PI_BITS) >> (FRACTION_BITS - 200n)
  const y = Number(rest)
  const unit = powerOfTwo(-200)
  return sinOfQuadrant(y * unit, Number(rest - BigInt(y)) * unit, Number(turns & 3n) + shift)
}

/** sin(x + shift pi/2) for x >= 0. */
const sinShifted = (x: number, shift: number): number => {
  if (x < 0.785) return sinOfQuadrant(x, 0, shift)
  if (!(x < Infinity)) return NaN
  if (x > 524288) return sinOfLarge(x, shift)
  const n = Math.floor(x * TWO_OVER_PI + 0.5)
  const first = x - n * HALF_PI_1
  const second = first - n * HALF_PI_2
  const lost = first - second - n * HALF_PI_2
  const third = second - n * HALF_PI_3
  const rest = n * HALF_PI_4 - (lost + (second - third - n * HALF_PI_3))
  const y = third - rest
  return sinOfQuadrant(y, third - y - rest, n + shift)
}

/** Sine, x in radians, error < 1 ulp for every finite x (above 2^19 by slow exact reduction). Keeps -0; NaN at the infinities. */
export const sin = (x: number): number => {
  if (Math.abs(x) < 1e-9) return x
  return x < 0 ? -sinShifted(-x, 0) : sinShifted(x, 0)
}

/** Cosine, x in radians, error < 1 ulp for every finite x (above 2^19 by slow exact reduction). NaN at the infinities. */
export const cos = (x: number): number => sinShifted(Math.abs(x), 1)

// ---------------------------------------------------------------- sigmoids

/** Hyperbolic tangent, error < 3 ulp. Any x; keeps -0; ±1 beyond ±22. */
export const tanh = (x: number): number => {
  const size = Math.abs(x)
  if (x !== x || size < NEGLIGIBLE) return x
  if (size > 22) return x < 0 ? -1 : 1
  const e = expm1(size < 1 ? -2 * size : 2 * size)
  const value = size < 1 ? -e / (e + 2) : 1 - 2 / (e + 2)
  return x < 0 ? -value : value
}

/** Logistic function 1 / (1 + e^-x), in [0, 1], error < 3 ulp also where it is tiny. Any x; no overflow inside. */
export const sigmoid = (x: number): number => {
  if (x >= 0) return 1 / (1 + exp(-x))
  const e = exp(x)
  return e / (1 + e)
}

/** erf(x) for |x| < 1 by its Taylor series, 2/sqrt(pi) times the sum of (-1)^n x^(2n+1) / (n! (2n+1)). */
const erfNearZero = (x: number): number => {
  const z = x * x
  const high =
    1 / 9360 -
    z *
      (1 / 75600 -
        z *
          (1 / 685440 -
            z *
              (1 / 6894720 -
                z *
                  (1 / 76204800 -
                    z *
                      (1 / 918086400 -
                        z *
                          (1 / 11975040000 -
                            z *
                              (1 / 168129561600 -
                                z * (1 / 2528170444800 - z * (1 / 40537905408000 - z / 690452066304000)))))))))
  const sum = z * (1 / 3 - z * (1 / 10 - z * (1 / 42 - z * (1 / 216 - z * (1 / 1320 - z * high)))))
  return x + x * (0.12837916709551256 - 1.1283791670955126 * sum)
}

/**
 * exp(x^2) erfc(x) for 1 <= x <= 6: a Chebyshev fit of degree 15 in t = (x-3)/(x+3), computed with mpmath to 50 digits,
 * error 5e-18.
 */
const scaledErfc = (x: number): number => {
  const t = (x - 3) / (x + 3)
  const high =
    -0.0005970624964924544 +
    t *
      (4.525434558991009e-5 +
        t *
          (6.406279226046039e-5 +
            t *
              (-1.2845780030775907e-5 +
                t *
                  (-8.00978093907608e-6 +
                    t * (2.0135111426447427e-6 + t * (1.2755818949624478e-6 + t * 3.381355142042904e-9))))))
  const middle =
    0.07166583719747308 +
    t * (-0.024392499318915004 + t * (0.004269136356961225 + t * (0.0007077464666941425 + t * high)))
  return (
    0.17900115118138996 +
    t * (-0.3262335600430372 + t * (0.24560380171233487 + t * (-0.15011593650077898 + t * middle)))
  )
}

/** Error function 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x, error < 2 ulp. Any x; keeps -0; ±1 beyond ±6. */
export const erf = (x: number): number => {
  const size = Math.abs(x)
  if (x !== x || x === 0) return x
  if (size < 1) return erfNearZero(x)
  const value = size < 6 ? 1 - exp(-size * size) * scaledErfc(size) : 1
  return x < 0 ? -value : value
}

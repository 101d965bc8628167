/** Sine and cosine. */
import { exponentOf, powerOfTwo } from './doubles.js'

/** pi/2 as a sum of three parts of 33 bits and a rest. */
const HALF_PI_1 = 1.5707963267341256
const HALF_PI_2 = 6.077100506303966e-11
const HALF_PI_3 = 2.0222662487111665e-21
const HALF_PI_4 = 8.4784276603689e-32
const TWO_OVER_PI = 0.6366197723675814

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

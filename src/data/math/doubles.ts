/** Doubles by their parts: powers of two, exponents, rounding to integers. */

/** 2^52: adding it to a smaller non-negative double rounds that to an integer, ties to even. */
const TWO_52 = 4503599627370496

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
export const scaleByPower = (y: number, k: number): number => {
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

/** The integer nearest to x, ties to the even one: exact for every double; keeps -0, NaN and the infinities. Source: IEEE 754 roundToIntegralTiesToEven. */
export const roundHalfEven = (x: number): number => {
  const size = Math.abs(x)
  if (!(size < TWO_52) || x === 0) return x
  const rounded = size + TWO_52 - TWO_52
  return x < 0 ? -rounded : rounded
}

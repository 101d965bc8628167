/**
 * The elementary functions of src/data/math.ts as formulas of doubles, operation for operation and two doubles at a time, so that
 * they give the same bits. They are called with float32 numbers or sums of few of them: doubles beyond that range may come
 * out of an exponential, and not go into a logarithm. Branches are choices: both sides are computed.
 */
import type { LaneFunction } from '../../../graph/lanes.js'
import { bits, chosen, compared, doubles, type Doubles, type Writer } from './doubles.js'

const { add, sub, mul, div, neg, abs, floor, fround, pmin, pmax } = doubles
const { lt, le, gt, ge, eq, ne } = compared

const LN2_HI = 0.6931471803691238
const LN2_LO = 1.9082149292705877e-10
const LN2_F32 = 0.6931471228599548
const LN2_REST = 5.7699990475432854e-8
const LOG2E_F32 = 1.4426950216293335
const LOG2E_REST = 1.9259629911266175e-8
const NEGLIGIBLE = 5.551115123125783e-17

/** How exact a result must be: as a double, or only as what it is after rounding to float32. */
export type Precision = 'double' | 'single'
type Formula = (w: Writer, x: Doubles, precision: Precision) => Doubles

/** `c0 + z (c1 + z (c2 + …))`. */
const series = ({ constant }: Writer, z: Doubles, coefficients: readonly number[]): Doubles =>
  coefficients
    .slice(0, -1)
    .reduceRight<Doubles>((rest, x) => add(constant(x), mul(z, rest)), constant(coefficients[coefficients.length - 1]))

/** `c0 - z (c1 - z (… - z rest))`. */
const alternating = ({ constant }: Writer, z: Doubles, coefficients: readonly number[], rest: Doubles): Doubles =>
  coefficients.reduceRight<Doubles>((inner, x) => sub(constant(x), mul(z, inner)), rest)

// ---------------------------------------------------------------- powers of two

/** A sum with it that is below 2^51 in size has an integer in its low bits: the term and the exponent's bias, 1023. */
const BIASED = 1.5 * 2 ** 52 + 1023

/** 2^k; k an integer in -1022 … 1023. */
const powerOfTwo = ({ constant }: Writer, k: Doubles): Doubles => bits.up(add(k, constant(BIASED)), 52)
/** 2^-k. */
const inversePower = ({ constant }: Writer, k: Doubles): Doubles => bits.up(sub(constant(BIASED), k), 52)

/** y 2^k with one rounding; y in [0.5, 2), k an integer in -1076 … 1024: two powers, of which only the last can round. */
const scaleByPower = (w: Writer, y: Doubles, k: Doubles): Doubles => {
  const first = w.keep(pmin(pmax(k, w.constant(-1021)), w.constant(1023)))
  return mul(mul(y, powerOfTwo(w, first)), powerOfTwo(w, sub(k, first)))
}

// ---------------------------------------------------------------- exponentials

type Reduced = { readonly [N in 'hi' | 'lo' | 'r' | 'quotient']: Doubles }

/** `exp(hi - lo) = 1 + r + quotient`. */
const reduce = (w: Writer, hi: Doubles, lo: Doubles): Reduced => {
  const [h, l] = [w.keep(hi), w.keep(lo)]
  const r = w.keep(sub(h, l))
  const z = w.keep(mul(r, r))
  const t = w.keep(
    sub(r, mul(z, series(w, z, [1 / 6, -1 / 360, 1 / 15120, -1 / 604800, 1 / 23950080, -691 / 653837184000]))),
  )
  return { hi: h, lo: l, r, quotient: w.keep(div(mul(r, t), sub(w.constant(2), t))) }
}

/** `exp(hi - lo)`. */
const expReduced = ({ constant }: Writer, { hi, lo, quotient }: Reduced): Doubles =>
  sub(constant(1), sub(sub(lo, quotient), hi))

/** The multiple of ln 2 that is taken off an exponent. */
const multipleOf = ({ keep, constant }: Writer, x: Doubles): Doubles =>
  keep(floor(add(mul(x, constant(Math.LOG2E)), constant(0.5))))

const reduceBy = (w: Writer, x: Doubles, k: Doubles): Reduced =>
  reduce(w, sub(x, mul(k, w.constant(LN2_HI))), mul(k, w.constant(LN2_LO)))

/** A power, infinite where its exponent is too large for one, and 0 where that is too small. */
const bounded = (w: Writer, power: Doubles, [large, small]: readonly [Doubles, Doubles]): Doubles =>
  bits.without(chosen(large, w.constant(Infinity), power), small)

const exp: Formula = (w, x, precision) => {
  const { constant } = w
  const k = multipleOf(w, x)
  const y = expReduced(w, reduceBy(w, x, k))
  // float32 numbers end at 2^128 and 2^-149.
  return precision === 'single'
    ? bounded(w, mul(y, powerOfTwo(w, k)), [gt(x, constant(700)), lt(x, constant(-700))])
    : bounded(w, scaleByPower(w, y, k), [gt(x, constant(709.782712893384)), lt(x, constant(-745.1332191019412))])
}

/** `e^x - 1` for |x| up to about 40, from its parts. */
const expm1By = (w: Writer, k: Doubles, { hi, lo, r, quotient }: Reduced): Doubles => {
  const rest = w.keep(sub(sub(hi, r), lo))
  return mul(
    powerOfTwo(w, k),
    add(add(sub(w.constant(1), inversePower(w, k)), r), add(quotient, add(rest, mul(rest, r)))),
  )
}

const expm1: Formula = (w, x) => {
  const { keep, constant } = w
  const k = multipleOf(w, x)
  const parts = reduceBy(w, x, k)
  const small = keep(expm1By(w, k, parts))
  const large = bounded(w, scaleByPower(w, expReduced(w, parts), k), [gt(x, constant(709.782712893384)), constant(0)])
  const value = chosen(gt(x, constant(40)), large, chosen(lt(x, constant(-40)), constant(-1), small))
  return chosen(lt(abs(x), constant(NEGLIGIBLE)), x, value)
}

const exp2: Formula = (w, x) => {
  const { keep, constant } = w
  const k = keep(floor(add(add(x, constant(0)), constant(0.5))))
  const r = keep(sub(x, k))
  const first = keep(fround(r))
  const lo = neg(add(mul(first, constant(LN2_REST)), mul(add(sub(r, first), constant(0)), constant(Math.LN2))))
  const y = expReduced(w, reduce(w, mul(first, constant(LN2_F32)), lo))
  return bounded(w, scaleByPower(w, y, k), [ge(x, constant(1024)), le(x, constant(-1075))])
}

// ---------------------------------------------------------------- logarithms

/** `s (f^2/2 + R)` of `ln(1 + f)`. */
const logTail = (w: Writer, f: Doubles): Doubles => {
  const { keep, constant } = w
  const s = keep(div(f, add(constant(2), f)))
  const z = keep(mul(s, s))
  const v = keep(mul(z, z))
  return mul(
    s,
    add(
      mul(mul(constant(0.5), f), f),
      add(
        mul(z, series(w, v, [2 / 3, 2 / 7, 2 / 11, 2 / 15, 2 / 19])),
        mul(v, series(w, v, [2 / 5, 2 / 9, 2 / 13, 2 / 17, 2 / 21])),
      ),
    ),
  )
}

/** The integer k for which `x 2^-k` is in [sqrt 1/2, sqrt 2], and that power less 1. */
const splitPower = (w: Writer, x: Doubles): readonly [k: Doubles, f: Doubles] => {
  const { keep, constant } = w
  // An exponent below the bits of 2^52 is a number of units there.
  const exponent = bits.or(bits.down(mul(x, constant(Math.SQRT1_2)), 52), constant(2 ** 52))
  const k = keep(sub(exponent, constant(2 ** 52 + 1022)))
  return [k, keep(sub(mul(x, inversePower(w, k)), constant(1)))]
}

/** A logarithm of x, put right where x has none or an infinite one. NaN is all ones. */
const logOf = ({ constant }: Writer, x: Doubles, value: Doubles): Doubles =>
  bits.or(
    chosen(eq(x, constant(0)), constant(-Infinity), chosen(eq(x, constant(Infinity)), x, value)),
    bits.not(ge(x, constant(0))),
  )

const log: Formula = (w, x) => {
  const { constant } = w
  const [k, f] = splitPower(w, x)
  const tail = add(logTail(w, f), mul(k, constant(LN2_LO)))
  return logOf(w, x, sub(mul(k, constant(LN2_HI)), sub(sub(mul(mul(constant(0.5), f), f), tail), f)))
}

const log2: Formula = (w, x) => {
  const { keep, constant } = w
  const [k, f] = splitPower(w, x)
  const halfSquare = keep(mul(mul(constant(0.5), f), f))
  const first = keep(fround(sub(f, halfSquare)))
  const product = keep(mul(first, constant(LOG2E_F32)))
  const sum = keep(add(k, product))
  const rest = add(sub(sub(f, first), halfSquare), logTail(w, f))
  return logOf(
    w,
    x,
    add(sum, add(add(mul(first, constant(LOG2E_REST)), mul(rest, constant(Math.LOG2E))), add(sub(k, sum), product))),
  )
}

// ---------------------------------------------------------------- sigmoids

/** `size` with the sign of x. */
const signed = ({ constant }: Writer, size: Doubles, x: Doubles): Doubles => bits.or(size, bits.and(x, constant(-0)))

const tanh: Formula = (w, x) => {
  const { keep, constant } = w
  const size = keep(abs(x))
  const small = keep(lt(size, constant(1)))
  // From 20 on 2 / (e^2x + 1) is lost beside 1.
  const y = keep(mul(chosen(small, constant(-2), constant(2)), pmin(size, constant(20))))
  const k = multipleOf(w, y)
  const e = keep(expm1By(w, k, reduceBy(w, y, k)))
  const quotient = keep(div(chosen(small, neg(e), constant(2)), add(e, constant(2))))
  return signed(w, abs(chosen(small, quotient, sub(constant(1), quotient))), x)
}

const sigmoid: Formula = (w, x, precision) => {
  const { keep, constant } = w
  const e = keep(exp(w, keep(neg(abs(x))), precision))
  return div(chosen(ge(x, constant(0)), constant(1), e), add(constant(1), e))
}

/** `exp(x^2) erfc(x)` for 1 <= x <= 6. */
const scaledErfc = (w: Writer, x: Doubles): Doubles => {
  const three = w.constant(3)
  const t = w.keep(div(sub(x, three), add(x, three)))
  return series(
    w,
    t,
    [
      0.17900115118138996, -0.3262335600430372, 0.24560380171233487, -0.15011593650077898, 0.07166583719747308,
      -0.024392499318915004, 0.004269136356961225, 0.0007077464666941425, -0.0005970624964924544, 4.525434558991009e-5,
      6.406279226046039e-5, -1.2845780030775907e-5, -8.00978093907608e-6, 2.0135111426447427e-6, 1.2755818949624478e-6,
      3.381355142042904e-9,
    ],
  )
}

const ERF_LAST = 1 / 40537905408000
const ERF_HIGH = [
  1 / 9360,
  1 / 75600,
  1 / 685440,
  1 / 6894720,
  1 / 76204800,
  1 / 918086400,
  1 / 11975040000,
  1 / 168129561600,
  1 / 2528170444800,
]
const ERF_LOW = [1 / 3, 1 / 10, 1 / 42, 1 / 216, 1 / 1320]

const erfNearZero = (w: Writer, x: Doubles): Doubles => {
  const { keep, constant } = w
  const z = keep(mul(x, x))
  const high = alternating(w, z, ERF_HIGH, sub(constant(ERF_LAST), div(z, constant(690452066304000))))
  const sum = mul(z, alternating(w, z, ERF_LOW, high))
  return add(x, mul(x, sub(constant(0.12837916709551256), mul(constant(1.1283791670955126), sum))))
}

const erf: Formula = (w, x) => {
  const { keep, constant } = w
  const size = keep(abs(x))
  const near = keep(erfNearZero(w, x))
  const power = keep(exp(w, keep(mul(neg(size), size)), 'double'))
  const far = sub(constant(1), mul(power, scaledErfc(w, size)))
  const beyond = signed(w, chosen(ge(size, constant(6)), constant(1), far), x)
  // Keeps -0 and NaN.
  return chosen(bits.or(eq(x, constant(0)), ne(x, x)), x, chosen(lt(size, constant(1)), near, beyond))
}

/** Formulas of the functions; x is read more than once. */
export const formulas: { readonly [N in LaneFunction]: Formula } = { exp, exp2, expm1, log, log2, tanh, sigmoid, erf }

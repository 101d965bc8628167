/** Functions of the shape of an S: tanh, the logistic function, erf. */
import { exp, expm1, NEGLIGIBLE } from './exponentials.js'

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

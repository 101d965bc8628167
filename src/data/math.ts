/**
 * Elementary functions whose bits are the same on every engine. `Math.exp` and its kin are left to the engine by
 * ECMAScript; everything here is built from `+ - * /`, `Math.sqrt`, `Math.abs`, `Math.floor` and `Math.fround`, which
 * IEEE 754 fixes. Double precision throughout; errors (in units in the last place, ulp) were measured against mpmath.
 *
 * Source: argument reductions as described by W. Cody and W. Waite, and as in Sun's fdlibm; the polynomials are the
 * Taylor series of the functions, written as fractions, but for the tail of `erf`.
 */
export { cos, sin } from './math/angles.js'
export { exponentOf, powerOfTwo, roundHalfEven } from './math/doubles.js'
export { exp, exp2, expm1, log, log1p, log2 } from './math/exponentials.js'
export { pow } from './math/powers.js'
export { erf, sigmoid, tanh } from './math/sigmoids.js'

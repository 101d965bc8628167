/** Straight-through estimators out of two ops of a user's choice. */
import { failure } from '../data/error.js'
import type { Attrs } from './attributes.js'
import { demandOp, type Op } from './op.js'
import { surrogateOf } from './surrogate.js'

/** The rule of g is asked with the operands of f: it must know what to do with as many. */
const demandAlike = (f: Op, g: Op): void => {
  if (!Array.isArray(f.operands) || !Array.isArray(g.operands) || f.operands.length === g.operands.length) return
  throw failure([
    {
      tag: 'ConfigError',
      option: 'g',
      path: '',
      message: `surrogate: ${f.name} takes ${f.operands.length} operands (${f.operands.join(', ')}), and ${g.name} ${g.operands.length} (${g.operands.join(', ')}): it has no gradient for them`,
      fix: 'give two ops of as many operands: surrogate(ops.round, ops.identity)',
    },
  ])
}

/**
 * Forward of `f`, backward of `g`: every straight-through estimator in one line. Its name, `round~identity`,
 * makes the estimator visible in prints and on the page. It has the attributes of both; an attribute of `g` alone takes
 * the value of g's first example in the examples. Law: evaluates as `f`, differentiates as `g`.
 * @example
 * ```ts
 * import { ops, surrogate } from 'quantrace'
 *
 * const roundTanh = surrogate(ops.round, ops.tanh) // rounds; the gradient is that of tanh
 * console.log(roundTanh.name)
 * ```
 * ```text
 * round~tanh
 * ```
 */
export const surrogate = <A extends Attrs>(f: Op<A>, g: Op): Op<A> => {
  demandOp('surrogate', f)
  demandOp('surrogate', g)
  demandAlike(f, g)
  return surrogateOf(f, g)
}

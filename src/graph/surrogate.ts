/** Straight-through estimators: an op that computes as one and differentiates as another. */
import { failure } from '../data/error.js'
import type { Attrs } from './attributes.js'
import { demandOp, hasVjp, computes, attrsFor, type Op, type Vjp } from './op.js'

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
  return {
    ...f,
    ...(f.attributes === undefined || g.attributes === undefined
      ? {}
      : { attributes: { ...g.attributes, ...f.attributes } }),
    name: `${f.name}~${g.name}`,
    doc: `${f.doc} Straight-through: the gradient is that of ${g.name}.`,
    forward: f.forward ?? f,
    backward: g,
    ...(f.layout === 'view' ? { layout: 'alias' } : {}),
    estimator: () => `Computes ${computes(f).name}; its gradient is that of ${g.name}.`,
    examples: f.examples.map((e) => ({ args: e.args, attrs: { ...g.examples[0]?.attrs, ...e.attrs } })),
    smooth: false,
    vjp: hasVjp(g) ? surrogateVjp(g) : g.vjp,
  }
}

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

const surrogateVjp =
  (g: Op & { readonly vjp: Vjp }): Vjp =>
  (v) => {
    const attrs = attrsFor(g, v.attrs)
    return g.vjp({ ...v, attrs, out: () => v.kit.apply(g, v.args, attrs) })
  }

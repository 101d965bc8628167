/** Straight-through estimators: an op that computes as one and differentiates as another. */
import type { Attrs } from './attributes.js'
import { attrsFor, computes, hasVjp, type Op, type Vjp } from './op.js'

/** Forward of `f`, backward of `g`, which are ops of as many operands (`surrogate` looks at those that a user gives). */
export const surrogateOf = <A extends Attrs>(f: Op<A>, g: Op): Op<A> => ({
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
})

const surrogateVjp =
  (g: Op & { readonly vjp: Vjp }): Vjp =>
  (v) => {
    const attrs = attrsFor(g, v.attrs)
    return g.vjp({ ...v, attrs, out: () => v.kit.apply(g, v.args, attrs) })
  }

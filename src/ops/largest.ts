/** The largest element: of a whole tensor, or of each row. NaN wins. */
import type { NoAttrs } from '../graph/attributes.js'
import { sizeOf } from '../data/shape.js'
import { refuse, type Op } from '../graph/op.js'
import { strips } from './support/elementwise.js'

/** Largest of a stretch; NaN if any is. */
const maxOf = (x: Float32Array, start: number, end: number): number => {
  let m = -Infinity
  for (let i = start; i < end; i++) {
    if (Number.isNaN(x[i])) return NaN
    if (x[i] > m) m = x[i]
  }
  return m
}

/** The largest of all elements, a scalar (torch.max). Equal elements share the gradient evenly, and so do several NaN, with infinities beside them. */
export const maxAll: Op = {
  name: 'maxAll',
  doc: 'The largest of all elements (torch.max).',
  operands: ['x'],
  exact: 'zeros',
  attributes: {},
  shape: ([x]) => (x.includes(0) ? refuse('an empty tensor has no largest element', 'give at least one element') : []),
  carry: strips('torch.max gets the bare value and returns a plain tensor'),
  vjp: ({ g, args: [x], out, kit }) => {
    // What is not below the largest; a NaN is below nothing. Where the largest is NaN, what is below infinity is not it. One comparison an element.
    const m = out()
    const top = kit.emit('select', [kit.emit('equal', [m, m]), m, kit.constant(Infinity)])
    const below = kit.emit('less', [x, top])
    const others = kit.emit('sum', [below], { dims: x.shape.map((_, i) => i), keepdim: false })
    const count = kit.emit('sub', [kit.constant(sizeOf(x.shape)), others])
    return [kit.emit('select', [below, kit.constant(0), kit.emit('div', [g, count])])]
  },
  evaluate: ([x], _attrs, out) => {
    out.data[0] = maxOf(x.data, 0, x.data.length)
    return null
  },
  examples: [
    { args: [{ shape: [5] }], attrs: {} },
    { args: [{ shape: [2, 3] }], attrs: {} },
  ],
  smooth: true,
}

/** The largest of each row along the last axis. The first of equal elements takes the gradient. */
export const maxLast: Op = {
  name: 'maxLast',
  doc: 'The largest element of each row along the last axis (torch.max with a dimension).',
  operands: ['x'],
  exact: 'zeros',
  attributes: {},
  shape: ([x]) =>
    x.length === 0 || x[x.length - 1] === 0
      ? refuse('there is no row to take the largest element of', 'give at least one element per row')
      : x.slice(0, -1),
  carry: strips('torch.max gets the bare value and returns a plain tensor'),
  vjp: ({ g, args: [x], out, kit }) => [kit.emit('scatterToFirst', [g, x, out()])],
  evaluate: ([x], _attrs, out) => {
    const n = x.data.length / Math.max(1, out.data.length)
    for (let r = 0; r < out.data.length; r++) out.data[r] = maxOf(x.data, r * n, (r + 1) * n)
    return null
  },
  examples: [
    { args: [{ shape: [5] }], attrs: {} },
    { args: [{ shape: [2, 3] }], attrs: {} },
  ],
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    maxAll: NoAttrs
    maxLast: NoAttrs
  }
}

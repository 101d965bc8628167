/** Picks one entry of each row by its class, and the adjoint. Class numbers are whole floats. */
import { sameShape, showShape } from '../data/shape.js'
import { whole } from '../graph/attr.js'
import type { AttrsOf, NoAttrs } from '../graph/attributes.js'
import { refuse, type Op } from '../graph/op.js'
import { strips } from './support/elementwise.js'

/** What is wrong with class `k` of row `i` among `c` columns, or null. */
const badClass = (k: number, i: number, c: number): string | null =>
  Number.isInteger(k) && k >= 0 && k < c ? null : `class ${k} of row ${i} is not a whole number from 0 to ${c - 1}`

/** `x[n, class n]` of `x [N, C]` and `classes [N]`; the run fails on a class that isn't a whole number from 0 to C-1. */
export const gatherLast: Op = {
  name: 'gatherLast',
  doc: 'The entry of each row that its class names (torch.gather).',
  operands: ['x', 'classes'],
  attributes: {},
  shape: ([x, c]) =>
    x.length === 2 && c.length === 1 && x[0] === c[0]
      ? [x[0]]
      : refuse(`logits ${showShape(x)} and classes ${showShape(c)} don't fit`, 'give logits [N, C] and classes [N]'),
  // Loops take it as a sum of which all terms but one are 0: that is +0 where the entry is -0.
  exact: 'zeros',
  carry: strips('torch.gather gets the bare value and returns a plain tensor'),
  vjp: ({ g, args: [x, classes], kit }) => [kit.emit('scatterLast', [g, classes], { columns: x.shape[1] }), null],
  evaluate: ([x, classes], _attrs, out) => {
    const c = x.shape[1]
    for (let i = 0; i < out.data.length; i++) {
      const k = classes.data[i]
      const bad = badClass(k, i, c)
      if (bad !== null) return bad
      out.data[i] = x.data[i * c + k]
    }
    return null
  },
  examples: [{ args: [{ shape: [3, 4] }, { shape: [3], range: [2, 2], fixed: true }], attrs: {} }],
  smooth: true,
}

const width = { columns: whole }
type Columns = AttrsOf<typeof width>

/** Rows of zeros with g at the column of the class: the gradient of `gatherLast`. */
export const scatterLast: Op<Columns> = {
  name: 'scatterLast',
  doc: 'Rows of zeros with g at the column that each class names.',
  operands: ['g', 'classes'],
  attributes: width,
  shape: ([g, classes], { columns }) =>
    g.length === 1 && sameShape(g, classes)
      ? [g[0], columns]
      : refuse(`a cotangent ${showShape(g)} and classes ${showShape(classes)} don't fit`, 'give both as [N]'),
  carry: strips('a gradient is on no grid'),
  vjp: ({ g, args: [, classes], kit }) => [kit.emit('gatherLast', [g, classes]), null],
  evaluate: ([g, classes], { columns }, out) => {
    out.data.fill(0)
    for (let i = 0; i < g.data.length; i++) {
      // Asked again: where only the gradient is wanted, nobody evaluates gatherLast.
      const bad = badClass(classes.data[i], i, columns)
      if (bad !== null) return bad
      out.data[i * columns + classes.data[i]] = g.data[i]
    }
    return null
  },
  examples: [{ args: [{ shape: [3] }, { shape: [3], range: [1, 1], fixed: true }], attrs: { columns: 4 } }],
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    gatherLast: NoAttrs
    scatterLast: Columns
  }
}

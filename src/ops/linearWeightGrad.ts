/** The gradient of `linear` to its weight. */
import type { Shape } from '../data/shape.js'
import { sameShape, showShape } from '../data/shape.js'
import type { NoAttrs } from '../graph/attributes.js'
import type { Op, Refusal } from '../graph/op.js'
import { refuse } from '../graph/op.js'
import { strips } from './support/elementwise.js'
import { addRows } from './support/products.js'

const weightShape = ([x, g]: readonly Shape[]): Shape | Refusal =>
  x.length >= 1 && g.length >= 1 && sameShape(x.slice(0, -1), g.slice(0, -1))
    ? [g[g.length - 1], x[x.length - 1]]
    : refuse(
        `linearWeightGrad: input ${showShape(x)} and cotangent ${showShape(g)} differ before their last axis`,
        'pass the input of linear and a cotangent of the shape of its result',
      )

/** Cotangent of w in `linear(x, w)`: x [...,I], g [...,O] to [O,I], summed over all leading axes. Linear in both. */
export const linearWeightGrad: Op = {
  name: 'linearWeightGrad',
  doc: 'Gradient of linear to its weight: the sum of outer products of g [...,O] and x [...,I].',
  operands: ['x', 'g'],
  exact: 'sum',
  attributes: {},
  shape: weightShape,
  carry: strips('a gradient is a plain number'),
  vjp: ({ g: h, args: [x, g], needs, kit }) => [
    needs[0] ? kit.emit('matmul', [g, h]) : null,
    needs[1] ? kit.emit('linear', [x, h]) : null,
  ],
  evaluate: ([x, g], _attrs, out) => {
    const [outs, ins] = out.shape
    const rows = outs === 0 ? 0 : g.data.length / outs
    const acc = new Float64Array(ins)
    const operands = { acc, a: g.data, step: outs, b: x.data, count: rows }
    for (let o = 0; o < outs; o++) {
      acc.fill(0)
      addRows(operands, o, 0)
      out.data.set(acc, o * ins)
    }
    return null
  },
  examples: [
    { args: [{ shape: [6, 3] }, { shape: [6, 2] }], attrs: {} },
    { args: [{ shape: [2, 2, 3] }, { shape: [2, 2, 4] }], attrs: {} },
  ],
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    linearWeightGrad: NoAttrs
  }
}

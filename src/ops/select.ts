/** Chooses between two tensors, element by element. Masks choose; they do not multiply, so a NaN that isn't chosen is gone. */
import { broadcastStrides } from '../data/shape.js'
import type { NoAttrs } from '../graph/attributes.js'
import type { Op } from '../graph/op.js'
import { broadcasting, strips, sumTo, walk } from './support/elementwise.js'

/** `condition != 0 ? a : b` with broadcasting (torch.where). Gradient: `g` to the chosen one, exactly 0 to the other. */
export const select: Op = {
  name: 'select',
  doc: 'a where the condition is not 0, else b (torch.where).',
  operands: ['condition', 'a', 'b'],
  attributes: {},
  shape: broadcasting,
  elementwise: true,
  lanes: (e, [condition, a, b]) => e.select(e.truth(condition), a, b),
  carry: strips('torch.where gets bare values and returns a plain tensor: a mix of two grids is on neither'),
  vjp: ({ g, args: [c, a, b], needs, kit }) => {
    const zero = kit.constant(0)
    return [
      null,
      needs[1] ? sumTo(kit.emit('select', [c, g, zero]), a.shape) : null,
      needs[2] ? sumTo(kit.emit('select', [c, zero, g]), b.shape) : null,
    ]
  },
  evaluate: ([c, a, b], _attrs, out) => {
    const z = out.data
    if (c.data.length === z.length && a.data.length === z.length && b.data.length === 1)
      for (let i = 0, y = b.data[0]; i < z.length; i++) z[i] = c.data[i] !== 0 ? a.data[i] : y
    else
      walk(
        out.shape,
        [c, a, b].map((t) => broadcastStrides(t.shape, out.shape)),
        (i, [j, k, l]) => {
          z[i] = c.data[j] !== 0 ? a.data[k] : b.data[l]
        },
      )
    return null
  },
  examples: [
    { args: [{ shape: [5] }, { shape: [5] }, { shape: [5] }], attrs: {} },
    { args: [{ shape: [2, 1] }, { shape: [2, 3] }, { shape: [] }], attrs: {} },
  ],
  smooth: false,
}

declare module '../graph/op.js' {
  interface Primitives {
    select: NoAttrs
  }
}

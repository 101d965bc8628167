/** The same elements in another shape (torch.reshape, view, flatten). */
import { showShape, sizeOf, type Shape } from '../data/shape.js'
import { quantOf } from '../data/quant.js'
import { shape } from '../graph/attr.js'
import type { Op } from '../graph/op.js'
import { refuse } from '../graph/op.js'
import { claim, keep, perTensor } from './support/metadata.js'

/** The same elements, row-major, in another shape of the same size. */
export const reshape: Op<{ readonly shape: Shape }> = {
  name: 'reshape',
  doc: 'The same elements in another shape (torch.reshape, view, flatten).',
  operands: ['x'],
  attributes: { shape },
  keepsOrder: true,
  dtype: 'same',
  shape: ([x], { shape }) =>
    sizeOf(x) === sizeOf(shape) && shape.every((n) => Number.isInteger(n) && n >= 0)
      ? shape
      : refuse(
          `${sizeOf(x)} elements of ${showShape(x)} do not fill ${showShape(shape)}`,
          'give a shape with the same number of elements',
        ),
  carry: (args, _attrs, kit) => {
    const q = quantOf(args[0].carried)
    return q === null || perTensor(q, kit)
      ? keep(args)
      : claim(args, q, 'a per-channel scale keeps its old shape and then broadcasts along other axes')
  },
  vjp: ({ g, args: [x], kit }) => [kit.emit('reshape', [g], { shape: x.shape })],
  evaluate: ([x], _attrs, out) => {
    out.data.set(x.data)
    return null
  },
  examples: [
    { args: [{ shape: [2, 3], quant: { bits: 4, signed: true } }], attrs: { shape: [3, 2] } },
    { args: [{ shape: [4] }], attrs: { shape: [1, 4, 1] } },
  ],
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    reshape: { readonly shape: Shape }
  }
}

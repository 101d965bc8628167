/** The gradient of `pad`. */
import { sizeOf } from '../data/shape.js'
import { shape } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import type { Op } from '../graph/op.js'
import { strips } from './support/elementwise.js'
import { lookupOf, scatterPlanes } from './support/lookup.js'
import { cotangentOf, padAxes, paddedShape, padding } from './support/padding.js'

const attributes = { ...padding, inputShape: shape }
/** Attributes of the padding, and the shape of its input. */
export type PadGradAttrs = AttrsOf<typeof attributes>

/** Cotangent of x in `pad(x)`: each g is added to the element that was copied there. Linear: its gradient is `pad` with value 0. */
export const padGrad: Op<PadGradAttrs> = {
  name: 'padGrad',
  doc: 'Gradient of pad: each cotangent is added to the element that was copied there.',
  operands: ['g'],
  exact: 'sum',
  attributes,
  shape: ([g], attrs) => cotangentOf('padGrad', g, attrs.inputShape, paddedShape(attrs.inputShape, attrs)),
  carry: strips('a gradient is a plain number'),
  vjp: ({ g, attrs: { inputShape: _, ...attrs }, kit }) => [kit.emit('pad', [g], { ...attrs, value: 0 })],
  evaluate: ([g], attrs, out) => {
    const shape = attrs.inputShape
    scatterPlanes(g.data, sizeOf(shape), lookupOf(padAxes(shape, attrs), shape), out.data)
    return null
  },
  examples: [
    {
      args: [{ shape: [3, 6] }],
      attrs: {
        pad: [
          [1, 0],
          [2, 1],
        ],
        mode: 'constant',
        value: 0.5,
        inputShape: [2, 3],
      },
    },
    {
      args: [{ shape: [1, 9] }],
      attrs: {
        pad: [
          [0, 0],
          [3, 2],
        ],
        mode: 'reflect',
        value: 0,
        inputShape: [1, 4],
      },
    },
  ],
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    padGrad: PadGradAttrs
  }
}

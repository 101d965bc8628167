/** Linear, bilinear and trilinear resizing (F.interpolate), and the gradient. */
import { sizeOf } from '../data/shape.js'
import { shape } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import type { Op } from '../graph/op.js'
import { strips } from './support/elementwise.js'
import { mixPlanes, mixtureOf, unmixPlanes } from './support/lookup.js'
import { cotangentOf } from './support/padding.js'
import { type LinearAttrs, linearAxes, linearResizing, resizedShape } from './support/resizing.js'

const backwards = { ...linearResizing, inputShape: shape }
/** Attributes of the resizing, and the shape of its input. */
export type LinearGradAttrs = AttrsOf<typeof backwards>

/** Each element of the result is a mixture of the elements of x around its position, with float32 weights. Source: torch.nn.functional.interpolate. */
export const upsampleLinear: Op<LinearAttrs> = {
  name: 'upsampleLinear',
  homogeneous: true,
  sign: () => 'kept',
  doc: 'The last 1 to 3 axes resized by linear interpolation (torch.nn.functional.interpolate, modes linear, bilinear, trilinear).',
  operands: ['x'],
  exact: 'sum',
  attributes: linearResizing,
  shape: ([x], attrs) => resizedShape('upsampleLinear', x, attrs),
  carry: strips('a mixture of two elements lies between grid points: half way from 0 to s is s/2'),
  vjp: ({ g, args: [x], attrs, kit }) => [kit.emit('upsampleLinearGrad', [g], { ...attrs, inputShape: x.shape })],
  evaluate: ([x], attrs, out) => {
    const plane = x.shape.slice(-attrs.size.length)
    mixPlanes(x.data, sizeOf(plane), mixtureOf(linearAxes(x.shape, attrs), plane), out.data)
    return null
  },
  examples: [
    {
      args: [{ shape: [1, 2, 2, 3], quant: { bits: 4, signed: true } }],
      attrs: { size: [4, 6], scales: [2, 2], alignCorners: false },
    },
    { args: [{ shape: [2, 1, 5] }], attrs: { size: [3], scales: [null], alignCorners: true } },
    { args: [{ shape: [1, 1, 2, 1, 3] }], attrs: { size: [3, 2, 3], scales: [1.5, null, null], alignCorners: false } },
  ],
  smooth: true,
}

/** Cotangent of x in `upsampleLinear(x)`: each g, weighted, goes to every element of its mixture. Linear: its gradient is `upsampleLinear`. */
export const upsampleLinearGrad: Op<LinearGradAttrs> = {
  name: 'upsampleLinearGrad',
  doc: 'Gradient of upsampleLinear: each cotangent, weighted, goes to every element of its mixture.',
  operands: ['g'],
  attributes: backwards,
  shape: ([g], attrs) =>
    cotangentOf('upsampleLinearGrad', g, attrs.inputShape, resizedShape('upsampleLinearGrad', attrs.inputShape, attrs)),
  carry: strips('a gradient is a plain number'),
  vjp: ({ g, attrs: { inputShape: _, ...attrs }, kit }) => [kit.emit('upsampleLinear', [g], attrs)],
  evaluate: ([g], attrs, out) => {
    const plane = attrs.inputShape.slice(-attrs.size.length)
    unmixPlanes(g.data, sizeOf(plane), mixtureOf(linearAxes(attrs.inputShape, attrs), plane), out.data)
    return null
  },
  examples: [
    {
      args: [{ shape: [1, 2, 4, 6] }],
      attrs: { size: [4, 6], scales: [2, 2], alignCorners: false, inputShape: [1, 2, 2, 3] },
    },
    { args: [{ shape: [2, 1, 3] }], attrs: { size: [3], scales: [null], alignCorners: true, inputShape: [2, 1, 5] } },
  ],
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    upsampleLinear: LinearAttrs
    upsampleLinearGrad: LinearGradAttrs
  }
}

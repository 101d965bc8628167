/** The gradient of `avgPool`. */
import { sameShape, showShape, sizeOf } from '../data/shape.js'
import { shape } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import type { Op } from '../graph/op.js'
import { isRefusal, refuse } from '../graph/op.js'
import { avgPooling, avgPoolShape, divisorsOf } from './support/averages.js'
import { strips } from './support/elementwise.js'
import { meanOverGrad, pooledShape, slidingAxes, windowsOf } from './support/windows.js'

const attributes = { ...avgPooling, inputShape: shape }
/** Attributes of the pool, and the shape of its input. */
export type AvgPoolGradAttrs = AttrsOf<typeof attributes>

/** Cotangent of x in `avgPool(x)`: each g, over its divisor, goes to every element of its window. Linear: its gradient is `avgPool`. */
export const avgPoolGrad: Op<AvgPoolGradAttrs> = {
  name: 'avgPoolGrad',
  doc: 'Gradient of avgPool: each cotangent, over its divisor, goes to every element of its window.',
  operands: ['g'],
  exact: 'sum',
  attributes,
  shape: ([g], attrs) => {
    const out = avgPoolShape('avgPoolGrad', attrs.inputShape, attrs)
    if (isRefusal(out) || sameShape(out, g)) return isRefusal(out) ? out : attrs.inputShape
    return refuse(
      `avgPoolGrad: a cotangent of shape ${showShape(g)} does not belong to a pool of ${showShape(attrs.inputShape)}, which gives ${showShape(out)}`,
      `pass one of shape ${showShape(out)}`,
    )
  },
  carry: strips('a gradient is a plain number'),
  vjp: ({ g, attrs: { inputShape: _, ...attrs }, kit }) => [kit.emit('avgPool', [g], attrs)],
  evaluate: ([g], attrs, out) => {
    const plane = pooledShape(attrs.inputShape, attrs.kernel.length)
    const windows = windowsOf(
      slidingAxes(
        attrs.inputShape,
        g.shape,
        attrs,
        attrs.kernel.map(() => 1),
      ),
      plane,
    )
    meanOverGrad(g.data, sizeOf(plane), windows, divisorsOf(attrs.inputShape, g.shape, attrs), out.data)
    return null
  },
  examples: [
    {
      args: [{ shape: [1, 2, 2, 2] }],
      attrs: {
        kernel: [2, 2],
        stride: [2, 2],
        padding: [0, 0],
        ceilMode: false,
        countIncludePad: true,
        divisorOverride: null,
        inputShape: [1, 2, 4, 4],
      },
    },
    {
      args: [{ shape: [1, 2, 4] }],
      attrs: {
        kernel: [3],
        stride: [2],
        padding: [1],
        ceilMode: true,
        countIncludePad: false,
        divisorOverride: null,
        inputShape: [1, 2, 6],
      },
    },
  ],
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    avgPoolGrad: AvgPoolGradAttrs
  }
}

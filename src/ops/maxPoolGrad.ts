/** The gradient of `maxPool`. */
import { sameShape, showShape, sizeOf } from '../data/shape.js'
import type { Op } from '../graph/op.js'
import { isRefusal, refuse } from '../graph/op.js'
import { strips } from './support/elementwise.js'
import { maxPooling, type MaxPoolAttrs } from './maxPool.js'
import { maxOverGrad, pooledShape, slidingAxes, slidingShape, windowsOf } from './support/windows.js'

/** Cotangent of x in `maxPool(x)`: g has the pool's shape, the result x's; each g goes to the first largest element of its window. */
export const maxPoolGrad: Op<MaxPoolAttrs> = {
  name: 'maxPoolGrad',
  doc: 'Gradient of maxPool: each cotangent goes to the element that won its window, the first of equal ones.',
  operands: ['g', 'x'],
  exact: 'sum',
  attributes: maxPooling,
  shape: ([g, x], attrs) => {
    const out = slidingShape('maxPoolGrad', x, attrs, attrs.dilation)
    if (isRefusal(out) || sameShape(out, g)) return isRefusal(out) ? out : x
    return refuse(
      `maxPoolGrad: a cotangent of shape ${showShape(g)} does not belong to a pool of ${showShape(x)}, which gives ${showShape(out)}`,
      `pass one of shape ${showShape(out)}`,
    )
  },
  carry: strips('a gradient is a plain number'),
  vjp: { none: 'the second derivative of maxPool is not defined here; use avgPool where one is needed' },
  evaluate: ([g, x], attrs, out) => {
    const plane = pooledShape(x.shape, attrs.kernel.length)
    maxOverGrad(
      g.data,
      x.data,
      sizeOf(plane),
      windowsOf(slidingAxes(x.shape, g.shape, attrs, attrs.dilation), plane),
      out.data,
    )
    return null
  },
  examples: [
    {
      args: [{ shape: [1, 2, 2, 2] }, { shape: [1, 2, 4, 4] }],
      attrs: { kernel: [2, 2], stride: [2, 2], padding: [0, 0], dilation: [1, 1], ceilMode: false },
    },
  ],
  smooth: false,
}

declare module '../graph/op.js' {
  interface Primitives {
    maxPoolGrad: MaxPoolAttrs
  }
}

/** The gradient of `adaptiveMaxPool`. */
import { sameShape, showShape, sizeOf } from '../data/shape.js'
import type { Op } from '../graph/op.js'
import { isRefusal, refuse } from '../graph/op.js'
import { adaptive, type AdaptiveAttrs } from './adaptiveAvgPool.js'
import { strips } from './support/elementwise.js'
import { adaptiveAxes, adaptiveShape, maxOverGrad, pooledShape, windowsOf } from './support/windows.js'

/** Cotangent of x in `adaptiveMaxPool(x)`: each g goes to the first largest element of its window. */
export const adaptiveMaxPoolGrad: Op<AdaptiveAttrs> = {
  name: 'adaptiveMaxPoolGrad',
  doc: 'Gradient of adaptiveMaxPool: each cotangent goes to the element that won its window, the first of equal ones.',
  operands: ['g', 'x'],
  exact: 'sum',
  attributes: adaptive,
  shape: ([g, x], { outputSize }) => {
    const out = adaptiveShape('adaptiveMaxPoolGrad', x, outputSize)
    if (isRefusal(out) || sameShape(out, g)) return isRefusal(out) ? out : x
    return refuse(
      `adaptiveMaxPoolGrad: a cotangent of shape ${showShape(g)} does not belong to a pool of ${showShape(x)}, which gives ${showShape(out)}`,
      `pass one of shape ${showShape(out)}`,
    )
  },
  carry: strips('a gradient is a plain number'),
  vjp: {
    none: 'the second derivative of adaptiveMaxPool is not defined here; use adaptiveAvgPool where one is needed',
  },
  evaluate: ([g, x], { outputSize }, out) => {
    const plane = pooledShape(x.shape, outputSize.length)
    maxOverGrad(g.data, x.data, sizeOf(plane), windowsOf(adaptiveAxes(x.shape, outputSize), plane), out.data)
    return null
  },
  examples: [{ args: [{ shape: [1, 2, 2, 3] }, { shape: [1, 2, 5, 4] }], attrs: { outputSize: [2, 3] } }],
  smooth: false,
}

declare module '../graph/op.js' {
  interface Primitives {
    adaptiveMaxPoolGrad: AdaptiveAttrs
  }
}

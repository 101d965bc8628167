/** The gradient of `adaptiveAvgPool`. */
import { sameShape, showShape, sizeOf } from '../data/shape.js'
import { shape } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import type { Op } from '../graph/op.js'
import { isRefusal, refuse } from '../graph/op.js'
import { adaptiveAvg } from './adaptiveAvgPool.js'
import { strips } from './support/elementwise.js'
import { adaptiveAxes, adaptiveShape, countsOf, meanOverGrad, pooledShape, windowsOf } from './support/windows.js'

const attributes = { ...adaptiveAvg, inputShape: shape }
/** Attributes of the pool, and the shape of its input. */
export type AdaptiveGradAttrs = AttrsOf<typeof attributes>

/** Cotangent of x in `adaptiveAvgPool(x)`: each g, over its window's size, goes to every element of the window. Linear. */
export const adaptiveAvgPoolGrad: Op<AdaptiveGradAttrs> = {
  name: 'adaptiveAvgPoolGrad',
  doc: "Gradient of adaptiveAvgPool: each cotangent, over its window's size, goes to every element of the window.",
  operands: ['g'],
  exact: 'sum',
  attributes,
  shape: ([g], { outputSize, inputShape }) => {
    const out = adaptiveShape('adaptiveAvgPoolGrad', inputShape, outputSize)
    if (isRefusal(out) || sameShape(out, g)) return isRefusal(out) ? out : inputShape
    return refuse(
      `adaptiveAvgPoolGrad: a cotangent of shape ${showShape(g)} does not belong to a pool of ${showShape(inputShape)}, which gives ${showShape(out)}`,
      `pass one of shape ${showShape(out)}`,
    )
  },
  carry: strips('a gradient is a plain number'),
  vjp: ({ g, attrs: { outputSize }, kit }) => [kit.emit('adaptiveAvgPool', [g], { outputSize })],
  evaluate: ([g], { outputSize, inputShape }, out) => {
    const plane = pooledShape(inputShape, outputSize.length)
    const windows = windowsOf(adaptiveAxes(inputShape, outputSize), plane)
    meanOverGrad(g.data, sizeOf(plane), windows, countsOf(windows), out.data)
    return null
  },
  examples: [
    { args: [{ shape: [2, 2, 2, 3] }], attrs: { outputSize: [2, 3], inputShape: [2, 2, 5, 4] } },
    { args: [{ shape: [1, 2, 3] }], attrs: { outputSize: [3], inputShape: [1, 2, 5] } },
  ],
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    adaptiveAvgPoolGrad: AdaptiveGradAttrs
  }
}

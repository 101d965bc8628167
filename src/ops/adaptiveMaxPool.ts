/** Adaptive max pooling over any number of trailing axes. Brevitas keeps metadata (F.adaptive_max_pool*; SEMANTICS 11). */
import { sizeOf } from '../data/shape.js'
import type { Op } from '../graph/op.js'
import { adaptive, type AdaptiveAttrs } from './adaptiveAvgPool.js'
import { carryMax } from './support/poolCarry.js'
import { adaptiveAxes, adaptiveShape, maxOver, pooledShape, windowsOf } from './support/windows.js'

/**
 * The largest element of each of `outputSize` windows that cover x [N,C,*S] evenly; NaN wins. Gradient: to the first of
 * equal elements (`adaptiveMaxPoolGrad`). Source: torch.nn.functional.adaptive_max_pool1d, 2d, 3d.
 */
export const adaptiveMaxPool: Op<AdaptiveAttrs> = {
  name: 'adaptiveMaxPool',
  homogeneous: true,
  sign: () => 'kept',
  doc: 'The largest elements of outputSize windows that cover the last axes (torch.nn.functional.adaptive_max_pool1d, 2d, 3d).',
  operands: ['x'],
  exact: 'zeros',
  attributes: adaptive,
  shape: ([x], { outputSize }) => adaptiveShape('adaptiveMaxPool', x, outputSize),
  grids: 'all',
  carry: (args, { outputSize }, kit) => carryMax(args, outputSize.length, false, kit),
  vjp: ({ g, args: [x], attrs, kit }) => [kit.emit('adaptiveMaxPoolGrad', [g, x], attrs)],
  evaluate: ([x], { outputSize }, out) => {
    const plane = pooledShape(x.shape, outputSize.length)
    maxOver(x.data, sizeOf(plane), windowsOf(adaptiveAxes(x.shape, outputSize), plane), out.data)
    return null
  },
  examples: [
    { args: [{ shape: [2, 2, 5, 4] }], attrs: { outputSize: [2, 3] } },
    { args: [{ shape: [1, 2, 5] }], attrs: { outputSize: [3] } },
    {
      args: [{ shape: [1, 2, 4, 4], quant: { bits: 8, signed: true, scaleShape: [1, 2, 1, 1] } }],
      attrs: { outputSize: [2, 2] },
    },
  ],
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    adaptiveMaxPool: AdaptiveAttrs
  }
}

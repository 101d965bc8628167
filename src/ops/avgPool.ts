/** Average pooling over any number of trailing axes. Brevitas: F.avg_pool2d of a quant tensor (SEMANTICS 11). */
import { sizeOf } from '../data/shape.js'
import type { Op } from '../graph/op.js'
import type { AvgPoolAttrs } from './support/averages.js'
import { avgPooling, avgPoolShape, divisorsOf } from './support/averages.js'
import { carryAverage } from './support/poolCarry.js'
import { meanOver, pooledShape, slidingAxes, windowsOf } from './support/windows.js'

const ones = (kernel: readonly number[]): readonly number[] => kernel.map(() => 1)

/**
 * The mean of each window of x [N,C,*S]; padding is zeros. Gradient: `avgPoolGrad`. Over two axes the result is a quant
 * tensor of scale s/k. Source: torch.nn.functional.avg_pool1d, avg_pool2d, avg_pool3d.
 */
export const avgPool: Op<AvgPoolAttrs> = {
  name: 'avgPool',
  homogeneous: true,
  sign: () => 'kept',
  doc: 'The mean of each window of the last axes (torch.nn.functional.avg_pool1d, avg_pool2d, avg_pool3d).',
  operands: ['x'],
  exact: 'sum',
  attributes: avgPooling,
  shape: ([x], attrs) => avgPoolShape('avgPool', x, attrs),
  grids: 'learned',
  carry: (args, attrs, kit, shape) => {
    const terms = sizeOf(attrs.kernel)
    const divisor = attrs.divisorOverride ?? terms
    const odd = divisorsOf(args[0].shape, shape, attrs).find((n) => n !== divisor)
    const uneven =
      odd === undefined
        ? null
        : `a window at the border is divided by ${odd} (${attrs.countIncludePad ? 'ceilMode' : 'countIncludePad: false'}), the scale by ${divisor}: 1*s/${odd} is no multiple of s/${divisor}`
    return carryAverage(
      args,
      { spatial: attrs.kernel.length, divisor, terms, uneven, correct: attrs.correct === true },
      kit,
    )
  },
  vjp: ({ g, args: [x], attrs, kit }) => [kit.emit('avgPoolGrad', [g], { ...attrs, inputShape: x.shape })],
  evaluate: ([x], attrs, out) => {
    const plane = pooledShape(x.shape, attrs.kernel.length)
    const windows = windowsOf(slidingAxes(x.shape, out.shape, attrs, ones(attrs.kernel)), plane)
    meanOver(x.data, sizeOf(plane), windows, divisorsOf(x.shape, out.shape, attrs), out.data)
    return null
  },
  examples: [
    {
      args: [{ shape: [2, 2, 4, 4] }],
      attrs: {
        kernel: [2, 2],
        stride: [2, 2],
        padding: [0, 0],
        ceilMode: false,
        countIncludePad: true,
        divisorOverride: null,
      },
    },
    {
      args: [{ shape: [1, 2, 6] }],
      attrs: { kernel: [3], stride: [2], padding: [1], ceilMode: true, countIncludePad: false, divisorOverride: null },
    },
    {
      args: [{ shape: [1, 1, 3, 3, 2] }],
      attrs: {
        kernel: [2, 2, 2],
        stride: [1, 1, 1],
        padding: [0, 1, 0],
        ceilMode: false,
        countIncludePad: true,
        divisorOverride: 3,
      },
    },
    {
      args: [{ shape: [1, 2, 4, 4], quant: { bits: 4, signed: true } }],
      attrs: {
        kernel: [2, 2],
        stride: [2, 2],
        padding: [1, 1],
        ceilMode: false,
        countIncludePad: true,
        divisorOverride: null,
      },
    },
    {
      args: [{ shape: [1, 2, 4, 4], quant: { bits: 4, signed: false, scaleShape: [1, 2, 1, 1] } }],
      attrs: {
        kernel: [2, 3],
        stride: [1, 1],
        padding: [0, 0],
        ceilMode: false,
        countIncludePad: true,
        divisorOverride: 7,
      },
    },
  ],
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    avgPool: AvgPoolAttrs
  }
}

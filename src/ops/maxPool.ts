/** Max pooling over any number of trailing axes. Brevitas keeps metadata (F.max_pool1d, 2d, 3d; SEMANTICS 11). */
import { sizeOf } from '../data/shape.js'
import { count, list } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import type { Op } from '../graph/op.js'
import { carryMax } from './support/poolCarry.js'
import { maxOver, pooledShape, pooling, slidingAxes, slidingShape, windowsOf } from './support/windows.js'

/** Geometry of a max pool, one entry per pooled axis. */
export const maxPooling = { ...pooling, dilation: list(count) }
/** Attributes of a max pool. */
export type MaxPoolAttrs = AttrsOf<typeof maxPooling>

/**
 * The largest element of each window of x [N,C,*S]; padding is -Infinity, NaN wins. Gradient: to the first of equal
 * elements in row-major order (`maxPoolGrad`). Source: torch.nn.functional.max_pool1d, max_pool2d, max_pool3d.
 */
export const maxPool: Op<MaxPoolAttrs> = {
  name: 'maxPool',
  homogeneous: true,
  sign: () => 'kept',
  doc: 'The largest element of each window of the last axes (torch.nn.functional.max_pool1d, max_pool2d, max_pool3d).',
  operands: ['x'],
  exact: 'zeros',
  attributes: maxPooling,
  shape: ([x], attrs) => slidingShape('maxPool', x, attrs, attrs.dilation),
  grids: 'all',
  carry: (args, attrs, kit, shape) => {
    const empty = slidingAxes(args[0].shape, shape, attrs, attrs.dilation).some((axis) =>
      axis.some((w) => w.length === 0),
    )
    return carryMax(args, attrs.kernel.length, empty, kit)
  },
  vjp: ({ g, args: [x], attrs, kit }) => [kit.emit('maxPoolGrad', [g, x], attrs)],
  evaluate: ([x], attrs, out) => {
    const plane = pooledShape(x.shape, attrs.kernel.length)
    maxOver(x.data, sizeOf(plane), windowsOf(slidingAxes(x.shape, out.shape, attrs, attrs.dilation), plane), out.data)
    return null
  },
  examples: [
    {
      args: [{ shape: [2, 2, 4, 4] }],
      attrs: { kernel: [2, 2], stride: [2, 2], padding: [0, 0], dilation: [1, 1], ceilMode: false },
    },
    { args: [{ shape: [1, 2, 7] }], attrs: { kernel: [3], stride: [2], padding: [1], dilation: [1], ceilMode: true } },
    {
      args: [{ shape: [1, 1, 3, 4, 3] }],
      attrs: { kernel: [2, 2, 2], stride: [1, 1, 1], padding: [0, 0, 0], dilation: [1, 2, 1], ceilMode: false },
    },
    {
      args: [{ shape: [1, 2, 4, 4], quant: { bits: 8, signed: false, zero: 'integer' } }],
      attrs: { kernel: [3, 3], stride: [2, 2], padding: [1, 1], dilation: [1, 1], ceilMode: false },
    },
  ],
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    maxPool: MaxPoolAttrs
  }
}

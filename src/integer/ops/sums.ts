/** Sums of integers: a bias, joins of branches, windows, axes. */
import { flag, integer, list, whole } from '../../graph/attr.js'
import type { AttrsOf } from '../../graph/attributes.js'
import { refuse } from '../../graph/op.js'
import { sum } from '../../ops/sum.js'
import { asFirst, broadcasting, walk } from '../../ops/support/elementwise.js'
import { meanOver, pooledShape, pooling, slidingAxes, slidingShape, windowsOf } from '../../ops/support/windows.js'
import { broadcastStrides, sizeOf } from '../../data/shape.js'
import { centred } from '../values.js'
import { integerOp, ranged } from './record.js'

const small = { range: [-8, 7] as const, quant: { bits: 4, signed: true } }
const wide = { lo: -4096, hi: 4096 }

/** `x + b`, b one number per channel, in the shape in which it broadcasts. */
export const integerBias = integerOp<AttrsOf<typeof ranged>>({
  name: 'integerBias',
  doc: 'x + b, a bias of whole numbers that broadcasts to x.',
  operands: ['x', 'bias'],
  attributes: ranged,
  elementwise: true,
  shape: asFirst,
  integers: ([x, b], _attrs, out) =>
    walk(out.shape, [broadcastStrides(b.shape, out.shape)], (i, [k]) => {
      out.data[i] = x.data[i] + b.data[k]
    }),
  examples: [
    {
      args: [
        { ...small, shape: [2, 3, 2] },
        { ...small, shape: [1, 3, 1] },
      ],
      attrs: wide,
    },
  ],
})

const joining = { factors: list(integer), zeros: list(integer), ...ranged }

/** `Σ factor_i * (x_i - zero_i)`: a residual join; a factor other than ±1 brings a coarser grid to a finer one. */
export const integerAdd = integerOp<AttrsOf<typeof joining>>({
  name: 'integerAdd',
  doc: 'The sum of factor * (x - zero) over its operands, with broadcasting.',
  operands: { each: 'x', least: 1 },
  attributes: joining,
  elementwise: true,
  shape: (shapes, { factors, zeros }) =>
    factors.length === shapes.length && zeros.length === shapes.length
      ? broadcasting(shapes)
      : refuse(
          `${factors.length} factors and ${zeros.length} zero points for ${shapes.length} operands`,
          'give one of each per operand',
        ),
  integers: (args, { factors, zeros }, out) => {
    out.data.fill(0)
    args.forEach((x, a) =>
      walk(out.shape, [broadcastStrides(x.shape, out.shape)], (i, [k]) => {
        out.data[i] += factors[a] * (x.data[k] - zeros[a])
      }),
    )
  },
  examples: [
    {
      args: [
        { ...small, shape: [2, 3] },
        { ...small, shape: [3] },
      ],
      attrs: { factors: [1, -4], zeros: [0, 2], ...wide },
    },
  ],
})

const pooled = { ...pooling, zero: integer, ...ranged }

/** The sum of `x - zero` over each window; padding adds nothing. */
export const integerSumPool = integerOp<AttrsOf<typeof pooled>>({
  name: 'integerSumPool',
  doc: 'The sum of `x - zero` over each window of the last axes: an average pool whose division went into the scale.',
  operands: ['x'],
  attributes: pooled,
  shape: ([x], attrs) =>
    slidingShape(
      'integerSumPool',
      x,
      attrs,
      attrs.kernel.map(() => 1),
    ),
  integers: ([x], attrs, out) => {
    const plane = pooledShape(x.shape, attrs.kernel.length)
    const windows = windowsOf(
      slidingAxes(
        x.shape,
        out.shape,
        attrs,
        attrs.kernel.map(() => 1),
      ),
      plane,
    )
    const ones = new Float64Array(windows.starts.length - 1).fill(1)
    meanOver(centred(x.data, attrs.zero), sizeOf(plane), windows, ones, out.data)
  },
  examples: [
    {
      args: [{ ...small, shape: [1, 2, 4, 4] }],
      attrs: { kernel: [2, 2], stride: [2, 2], padding: [0, 0], ceilMode: false, zero: 1, ...wide },
    },
  ],
})

const axes = { dims: list(whole), keepdim: flag, zero: integer, ...ranged }

/** The sum of `x - zero` over whole axes. */
export const integerSum = integerOp<AttrsOf<typeof axes>>({
  name: 'integerSum',
  doc: 'The sum of `x - zero` over some axes.',
  operands: ['x'],
  attributes: axes,
  shape: (shapes, { dims, keepdim }) => sum.shape(shapes, { dims, keepdim }),
  integers: ([x], { dims, zero }, out) => {
    out.data.fill(0)
    const kept = x.shape.map((n, i) => (dims.includes(i) ? 1 : n))
    walk(x.shape, [broadcastStrides(kept, x.shape)], (i, [k]) => {
      out.data[k] += x.data[i] - zero
    })
  },
  examples: [{ args: [{ ...small, shape: [2, 3, 2] }], attrs: { dims: [0, 2], keepdim: false, zero: 1, ...wide } }],
})

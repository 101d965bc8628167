/** Broadcasting and its adjoint, summing down to a shape: each is the other's gradient. */
import { broadcastShapes, broadcastStrides, sameShape, showShape, type Shape } from '../data/shape.js'
import { shape } from '../graph/attr.js'
import type { Op, Refusal } from '../graph/op.js'
import { refuse } from '../graph/op.js'
import { strips, walk } from './support/elementwise.js'

type To = { readonly shape: Shape }

const reaches = (small: Shape, large: Shape): boolean => sameShape(broadcastShapes(small, large) ?? [-1], large)

const notBroadcastable = (small: Shape, large: Shape): Refusal =>
  refuse(
    `${showShape(small)} does not broadcast to ${showShape(large)}`,
    'make the axes equal (or 1), counted from the last one',
  )

/** Sums a tensor down to a shape that broadcasts to it; accumulates in double, rounds once. */
export const sumTo: Op<To> = {
  name: 'sumTo',
  doc: 'Sums down to a shape that broadcasts to the operand (torch sum_to_size).',
  operands: ['x'],
  exact: 'sum',
  reduces: { join: 'sum', over: (_shapes, _attrs, shape) => shape },
  attributes: { shape },
  shape: ([x], { shape }) => (reaches(shape, x) ? shape : notBroadcastable(shape, x)),
  carry: strips('a sum over an axis outgrows the bit width of its terms'),
  vjp: ({ g, args: [x], kit }) => [kit.emit('broadcastTo', [g], { shape: x.shape })],
  evaluate: ([x], _attrs, out) => {
    const sums = new Float64Array(out.data.length)
    walk(x.shape, [broadcastStrides(out.shape, x.shape)], (i, [j]) => {
      sums[j] += x.data[i]
    })
    out.data.set(sums)
    return null
  },
  examples: [
    { args: [{ shape: [2, 3] }], attrs: { shape: [3] } },
    { args: [{ shape: [2, 3, 2] }], attrs: { shape: [1, 3, 1] } },
  ],
  smooth: true,
}

/** Fills a tensor into a larger shape (torch expand). */
export const broadcastTo: Op<To> = {
  name: 'broadcastTo',
  doc: 'Repeats the operand to fill a larger shape (torch expand).',
  operands: ['x'],
  layout: 'move',
  lanes: (_e, [x]) => x,
  attributes: { shape },
  shape: ([x], { shape }) => (reaches(x, shape) ? shape : notBroadcastable(x, shape)),
  carry: strips('torch.expand gets the bare value and returns a plain tensor'),
  vjp: ({ g, args: [x], kit }) => [kit.emit('sumTo', [g], { shape: x.shape })],
  evaluate: ([x], _attrs, out) => {
    if (x.data.length === 1) out.data.fill(x.data[0])
    else
      walk(out.shape, [broadcastStrides(x.shape, out.shape)], (i, [j]) => {
        out.data[i] = x.data[j]
      })
    return null
  },
  examples: [
    { args: [{ shape: [3] }], attrs: { shape: [2, 3] } },
    { args: [{ shape: [1, 3, 1] }], attrs: { shape: [2, 3, 2] } },
  ],
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    sumTo: To
    broadcastTo: To
  }
}

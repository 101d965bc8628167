/**
 * One integer from one integer: the three forms that a quantizer, with all that stands before it, can take. Their numbers may differ along any axes:
 * they stand in tensors that broadcast to x, and a form with several numbers per element has them along one more axis, the last.
 */
import type { AttrsOf } from '../../graph/attributes.js'
import { isRefusal, refuse, type Refusal } from '../../graph/op.js'
import { integer } from '../../graph/attr.js'
import { rounding, ROUNDINGS } from '../../ops/rounding.js'
import { asFirst, walk } from '../../ops/support/elementwise.js'
import { broadcastStrides, showShape, type Shape } from '../../data/shape.js'
import { integerOp, ranged } from './record.js'

const small = { range: [-8, 7] as const, quant: { bits: 4, signed: true } }

const shifting = { rounding, ...ranged }

/**
 * `clamp(round((x * multiplier + offset) / 2^shift))`. The product and the sum stay below 2^53, so that a double holds them as an int64 does.
 * A multiplier of 1 without shift only moves and cuts; one of 1 with a shift is the requantization between power-of-two scales.
 */
export const requantize = integerOp<AttrsOf<typeof shifting>>({
  name: 'requantize',
  doc: 'x * multiplier + offset, divided by 2^shift, rounded, and cut to lo … hi: a new scale by multiplier and shift.',
  operands: ['x', 'multiplier', 'offset', 'shift'],
  attributes: shifting,
  elementwise: true,
  shape: asFirst,
  integers: ([x, m, o, s], { rounding, lo, hi }, out) => {
    const round = ROUNDINGS[rounding]
    const strides = [m, o, s].map((t) => broadcastStrides(t.shape, out.shape))
    walk(out.shape, strides, (i, [a, b, c]) => {
      const r = round((x.data[i] * m.data[a] + o.data[b]) / 2 ** s.data[c])
      out.data[i] = Math.min(hi, Math.max(lo, r))
    })
  },
  examples: [
    {
      args: [
        { ...small, shape: [2, 3, 2] },
        { ...small, shape: [1, 3, 1] },
        { ...small, shape: [1, 3, 1] },
        { shape: [], range: [1, 1] },
      ],
      attrs: { rounding: 'ROUND', lo: -4, hi: 3 },
    },
  ],
})

/** The shape of the parameters of a map with several numbers per element, or a refusal. */
const behindLast = (x: Shape, table: Shape, ...others: readonly Shape[]): Shape | Refusal => {
  if (table.length < 1)
    return refuse(`a table ${showShape(table)} has no axis of entries`, 'give the entries along the last axis')
  const fits = asFirst([x, table.slice(0, -1), ...others])
  return isRefusal(fits) ? fits : x
}

/** How many of the sorted numbers `data[from … from+n-1]` are at most v. */
const countAtMost = (data: ArrayLike<number>, from: number, n: number, v: number): number => {
  let [a, b] = [0, n]
  while (a < b) {
    const mid = (a + b) >> 1
    if (data[from + mid] <= v) a = mid + 1
    else b = mid
  }
  return a
}

const climbing = { ...ranged }

/**
 * `start + step * (number of thresholds <= x)`, step 1 or -1: FINN's MultiThreshold. Exact for every monotone chain of operations behind an accumulator. A
 * threshold that is there twice skips an integer; one above all x stands where a channel has fewer.
 */
export const thresholds = integerOp<AttrsOf<typeof climbing>>({
  name: 'thresholds',
  doc: 'start + step * (number of thresholds that x reaches): a quantizer as the places at which its integer changes (FINN MultiThreshold).',
  operands: ['x', 'thresholds', 'start', 'step'],
  attributes: climbing,
  shape: ([x, t, start, step]) => behindLast(x, t, start, step),
  integers: ([x, t, start, step], _attrs, out) => {
    const n = t.shape[t.shape.length - 1]
    const strides = [t.shape.slice(0, -1), start.shape, step.shape].map((s) => broadcastStrides(s, out.shape))
    walk(out.shape, strides, (i, [a, b, c]) => {
      out.data[i] = start.data[b] + step.data[c] * countAtMost(t.data, a * n, n, x.data[i])
    })
  },
  examples: [
    {
      args: [
        { ...small, shape: [2, 3] },
        { shape: [4], range: [-2, 5] },
        { shape: [], range: [0, 0] },
        { shape: [], range: [1, 1] },
      ],
      attrs: { lo: 0, hi: 4 },
    },
  ],
})

const looking = { first: integer, ...ranged }

/** `table[x - first]`: any function of an integer of few bits. */
export const lookup = integerOp<AttrsOf<typeof looking>>({
  name: 'lookup',
  doc: 'The entry x - first of a table: any function of a narrow integer, such as a quantized sigmoid.',
  operands: ['x', 'table'],
  attributes: looking,
  shape: ([x, table]) => behindLast(x, table),
  integers: ([x, table], { first }, out) => {
    const n = table.shape[table.shape.length - 1]
    walk(out.shape, [broadcastStrides(table.shape.slice(0, -1), out.shape)], (i, [a]) => {
      out.data[i] = table.data[a * n + Math.min(n - 1, Math.max(0, x.data[i] - first))]
    })
  },
  examples: [
    {
      args: [
        { ...small, shape: [2, 3] },
        { ...small, shape: [16] },
      ],
      attrs: { first: -8, lo: -8, hi: 7 },
    },
  ],
})

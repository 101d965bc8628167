/** The search for the threshold with the least squared error (Brevitas MSE presets), without a gradient. */
import type { AttrsOf } from '../graph/attributes.js'
import type { Op } from '../graph/op.js'
import { strips } from './support/elementwise.js'
import {
  candidates,
  eachRow,
  integerGrid,
  largestMagnitude,
  onIntegers,
  scaleOf,
  squaredError,
  thresholdSearch,
} from './support/search.js'

/** Static part of the search: the quantizer's own numbers. */
const attributes = { ...integerGrid, ...candidates }
/** Attributes of the search. */
export type MseAttrs = AttrsOf<typeof attributes>

/** The threshold of each row whose quantization errs least. Operand: rows `[n]` or `[channels, n]`. No gradient. */
export const mseThreshold: Op<MseAttrs> = {
  name: 'mseThreshold',
  doc: 'The threshold with the least squared quantization error, by a grid of 20 (Brevitas MSE).',
  operands: ['x'],
  attributes,
  shape: ([x]) => x.slice(0, -1),
  carry: strips('a statistic of a tensor is used as a plain number'),
  vjp: ({ args }) => args.map(() => null),
  evaluate: ([x], attrs, out) =>
    eachRow(x.data, out.data, (_row, start, end) =>
      thresholdSearch(largestMagnitude(x.data, start, end), (c) =>
        squaredError(x.data, start, end, onIntegers(scaleOf(c, attrs), 0, attrs)),
      ),
    ),
  examples: [
    {
      args: [{ shape: [9] }],
      attrs: { lo: -8, hi: 7, threshold: 8, rounding: 'ROUND', restriction: 'none', minVal: 0 },
    },
    {
      args: [{ shape: [2, 9] }],
      attrs: { lo: -8, hi: 7, threshold: 8, rounding: 'ROUND', restriction: 'FLOOR', minVal: 1e-10 },
    },
  ],
  smooth: false,
}

declare module '../graph/op.js' {
  interface Primitives {
    mseThreshold: MseAttrs
  }
}

/** The search for the threshold of minifloats with the least squared error (Brevitas MSE), without a gradient. */
import { leastStep, roundToFormat } from '../data/minifloat.js'
import { flag, positive } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import type { Op } from '../graph/op.js'
import { floatWidths } from './quantizeFloat.js'
import { strips } from './support/elementwise.js'
import {
  candidates,
  clip,
  eachRow,
  largestMagnitude,
  scaleOf,
  squaredError,
  thresholdSearch,
} from './support/search.js'

const attributes = { ...floatWidths, largest: positive, signed: flag, ...candidates }
type FloatSearch = AttrsOf<typeof attributes>

/** A number on the grid of minifloats with scale s. */
const onMinifloats =
  (s: number, a: FloatSearch) =>
  (x: number): number => {
    const r = roundToFormat(Math.fround(x / s), a.mantissaBits, leastStep(a))
    const least = a.signed ? -a.largest : 0
    return Math.fround(clip(r, least, a.largest) * s)
  }

/** The threshold of each row whose quantization to minifloats errs least. Operand: rows `[n]` or `[channels, n]`. */
export const mseFloatThreshold: Op<FloatSearch> = {
  name: 'mseFloatThreshold',
  doc: 'The threshold of minifloats with the least squared error, by a grid of 20 (Brevitas MSE).',
  operands: ['x'],
  attributes,
  shape: ([x]) => x.slice(0, -1),
  carry: strips('a statistic of a tensor is used as a plain number'),
  vjp: ({ args }) => args.map(() => null),
  evaluate: ([x], attrs, out) =>
    eachRow(x.data, out.data, (_row, start, end) =>
      thresholdSearch(largestMagnitude(x.data, start, end), (c) =>
        squaredError(x.data, start, end, onMinifloats(scaleOf(c, attrs), attrs)),
      ),
    ),
  examples: [
    {
      args: [{ shape: [2, 9] }],
      attrs: {
        exponentBits: 4,
        mantissaBits: 3,
        bias: 7,
        largest: 448,
        signed: true,
        threshold: 448,
        restriction: 'FP',
        minVal: 1e-10,
      },
    },
  ],
  smooth: false,
}

declare module '../graph/op.js' {
  interface Primitives {
    mseFloatThreshold: FloatSearch
  }
}

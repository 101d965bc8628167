/** The searches of shifted quantizers: for the width of the range with a given lower end, and for the lower end with a given scale. */
import type { AttrsOf } from '../graph/attributes.js'
import type { Op } from '../graph/op.js'
import { strips } from './support/elementwise.js'
import {
  candidates,
  eachRow,
  endsOf,
  gridSearch,
  integerGrid,
  onIntegers,
  perRow,
  scaleOf,
  squaredError,
  thresholdSearch,
  zeroPointOf,
} from './support/search.js'

const range = { ...integerGrid, ...candidates }
type RangeAttrs = AttrsOf<typeof range>
type GridAttrs = AttrsOf<typeof integerGrid>

const plainNumber = strips('a statistic of a tensor is used as a plain number')
const UINT4 = { lo: 0, hi: 15, rounding: 'ROUND' } as const

/** The width of the range of each row whose quantization errs least, its lower end given (SEMANTICS-2 section 4). No gradient. */
export const mseRange: Op<RangeAttrs> = {
  name: 'mseRange',
  doc: 'The width of a range with the least squared error of a shifted quantizer, by a grid of 20 (Brevitas MSE).',
  operands: ['x', 'lowerEnd'],
  attributes: range,
  shape: perRow,
  carry: plainNumber,
  vjp: ({ args }) => args.map(() => null),
  evaluate: ([x, low], attrs, out) =>
    eachRow(x.data, out.data, (row, start, end) => {
      const [least, most] = endsOf(x.data, start, end)
      return thresholdSearch(Math.abs(Math.fround(most - least)), (c) => {
        const s = scaleOf(c, attrs)
        return squaredError(x.data, start, end, onIntegers(s, zeroPointOf(low.data[row], s, attrs), attrs))
      })
    }),
  examples: [
    {
      args: [{ shape: [2, 9] }, { shape: [2], range: [-1, 0] }],
      attrs: { ...UINT4, threshold: 15, restriction: 'FP', minVal: 1e-10 },
    },
  ],
  smooth: false,
}

/** The lower end of each row, at most 0, whose quantization with a given scale errs least (SEMANTICS-2 section 4). No gradient. */
export const mseLowerEnd: Op<GridAttrs> = {
  name: 'mseLowerEnd',
  doc: 'The lower end of a range with the least squared error of a shifted quantizer, by a grid of 20 (Brevitas MSE).',
  operands: ['x', 'scale'],
  attributes: integerGrid,
  shape: perRow,
  carry: plainNumber,
  vjp: ({ args }) => args.map(() => null),
  evaluate: ([x, scale], attrs, out) =>
    eachRow(x.data, out.data, (row, start, end) => {
      const [low] = endsOf(x.data, start, end)
      const s = scale.data[row]
      return gridSearch(low, Math.fround(low / 20), (c) =>
        squaredError(x.data, start, end, onIntegers(s, zeroPointOf(c, s, attrs), attrs)),
      )
    }),
  examples: [{ args: [{ shape: [2, 9] }, { shape: [2], range: [0.1, 1] }], attrs: UINT4 }],
  smooth: false,
}

declare module '../graph/op.js' {
  interface Primitives {
    mseRange: RangeAttrs
    mseLowerEnd: GridAttrs
  }
}

/** Comparisons: 1 where they hold, else 0. NaN compares false. No gradient. */
import type { NoAttrs } from '../graph/attributes.js'
import type { Lanes, LaneMask, Lane, Op } from '../graph/op.js'
import { binary, noPath, strips } from './support/elementwise.js'

const comparison = (
  name: string,
  symbol: string,
  f: (a: number, b: number) => number,
  compare: (e: Lanes, a: Lane, b: Lane) => LaneMask,
): Op =>
  binary({
    name,
    doc: `1 where a ${symbol} b, else 0.`,
    f,
    lanes: (e, [a, b]) => e.flag(compare(e, a, b)),
    bounded: true,
    dtype: 'boolean',
    carry: strips('a comparison gives 0 and 1, not numbers on a grid'),
    vjp: noPath,
    smooth: false,
  })

/** 1 where `a < b`. */
export const less: Op = comparison(
  'less',
  '<',
  (a, b) => (a < b ? 1 : 0),
  (e, a, b) => e.lt(a, b),
)
/** 1 where `a <= b`. */
export const lessEqual: Op = comparison(
  'lessEqual',
  '<=',
  (a, b) => (a <= b ? 1 : 0),
  (e, a, b) => e.le(a, b),
)
/** 1 where `a = b`. */
export const equal: Op = comparison(
  'equal',
  '=',
  (a, b) => (a === b ? 1 : 0),
  (e, a, b) => e.eq(a, b),
)
declare module '../graph/op.js' {
  interface Primitives {
    less: NoAttrs
    lessEqual: NoAttrs
    equal: NoAttrs
  }
}

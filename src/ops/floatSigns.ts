/** `-x` and `|x|` of minifloats: both lie on the grid again (SEMANTICS-2 section 7). */
import { gridOf, type Carried } from '../data/quant.js'
import type { NoAttrs } from '../graph/attributes.js'
import type { Op, Value } from '../graph/op.js'
import { scaledBy, unary } from './support/elementwise.js'
import { keep } from './support/metadata.js'

/** The same grid, without a sign. */
const unsigned = (args: readonly Value[]): Carried => {
  const carried = keep(args)
  const grid = gridOf(carried)
  return grid === null || (carried.tag !== 'carries' && carried.tag !== 'claimed')
    ? carried
    : { ...carried, quant: { ...grid, signed: false } }
}

/** `-x` of minifloats. */
export const floatNeg: Op = unary({
  name: 'floatNeg',
  doc: '-x of minifloats (Brevitas FloatQuantTensor.__neg__).',
  attrs: {},
  f: (x) => -x,
  grids: 'all',
  carry: keep,
  vjp: ({ g, kit }) => [kit.emit('neg', [g])],
})

/** `|x|` of minifloats, unsigned. */
export const floatAbs: Op = unary({
  name: 'floatAbs',
  doc: '|x| of minifloats, which become unsigned (Brevitas FloatQuantTensor.__abs__).',
  attrs: {},
  f: Math.abs,
  grids: 'all',
  carry: unsigned,
  vjp: scaledBy((x) => x.kit.emit('sign', [x])),
})

declare module '../graph/op.js' {
  interface Primitives {
    floatNeg: NoAttrs
    floatAbs: NoAttrs
  }
}

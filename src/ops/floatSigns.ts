/** `-x` and `|x|` of minifloats: both lie on the grid again (SEMANTICS-2 section 7). */
import { isFloatGrid, stripped, type Carried } from '../data/quant.js'
import type { NoAttrs } from '../graph/attributes.js'
import type { Op, Value } from '../graph/op.js'
import { scaledBy, unary } from './support/elementwise.js'
import { keep } from './support/metadata.js'

/** The metadata of minifloats, with this sign; of integers nothing is known here. */
const ofMinifloats =
  (signed: boolean) =>
  (args: readonly Value[]): Carried => {
    const carried = keep(args)
    if (carried.tag !== 'carries' && carried.tag !== 'claimed') return carried
    const { quant } = carried
    if (!isFloatGrid(quant)) return stripped('it carries integers: write neg(x) and abs(x), which know them')
    return { ...carried, quant: { ...quant, signed } }
  }

/** `-x` of minifloats. */
export const floatNeg: Op = unary({
  name: 'floatNeg',
  doc: '-x of minifloats (Brevitas FloatQuantTensor.__neg__).',
  attrs: {},
  f: (x) => -x,
  lanes: (e, [x]) => e.neg(x),
  grids: 'all',
  carry: ofMinifloats(true),
  vjp: ({ g, kit }) => [kit.emit('neg', [g])],
})

/** `|x|` of minifloats, unsigned. */
export const floatAbs: Op = unary({
  name: 'floatAbs',
  doc: '|x| of minifloats, which become unsigned (Brevitas FloatQuantTensor.__abs__).',
  attrs: {},
  f: Math.abs,
  lanes: (e, [x]) => e.abs(x),
  grids: 'all',
  carry: ofMinifloats(false),
  vjp: scaledBy((x) => x.kit.emit('sign', [x])),
})

declare module '../graph/op.js' {
  interface Primitives {
    floatNeg: NoAttrs
    floatAbs: NoAttrs
  }
}

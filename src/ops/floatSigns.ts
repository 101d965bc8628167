/**
 * `-x` and `|x|` of minifloats: both lie on the grid again (SEMANTICS-2 section 7). So do those of integers with scales of groups, of which
 * Brevitas' own fail: it asks them for minifloats.
 */
import { isFloatGrid, stripped, type Carried, type Quant } from '../data/quant.js'
import type { NoAttrs } from '../graph/attributes.js'
import type { Kit, Op, Value } from '../graph/op.js'
import { magnitude, negated, noMagnitude, noOpposite } from './quantSigns.js'
import { scaledBy, unary } from './support/elementwise.js'
import { conclude, keep } from './support/metadata.js'

/** The metadata of minifloats, with this sign, or of integers in groups without a zero point, as `ofIntegers` makes it. */
const signsOf =
  (signed: boolean, ofIntegers: (q: Quant, kit: Kit) => readonly [quant: Quant, otherwise: string]) =>
  (args: readonly Value[], _attrs: NoAttrs, kit: Kit): Carried => {
    const carried = keep(args)
    if (carried.tag !== 'carries' && carried.tag !== 'claimed') return carried
    const { quant } = carried
    if (isFloatGrid(quant)) return { ...carried, quant: { ...quant, signed } }
    if (quant.group === undefined) return stripped('it carries integers: write neg(x) and abs(x), which know them')
    if (quant.zero !== 'zero' || quant.learned === true)
      return stripped('its groups have zero points, or a width that is learned; quantize the result again')
    return conclude(args, ...ofIntegers(quant, kit))
  }

/** `-x` of minifloats, and of integers in groups. */
export const floatNeg: Op = unary({
  name: 'floatNeg',
  doc: '-x of minifloats (Brevitas FloatQuantTensor.__neg__).',
  attrs: {},
  f: (x) => -x,
  lanes: (e, [x]) => e.neg(x),
  grids: 'all',
  carry: signsOf(true, (q, kit) => [negated(q, false, kit), noOpposite(q)]),
  vjp: ({ g, kit }) => [kit.emit('neg', [g])],
})

/** `|x|` of minifloats, and of integers in groups, unsigned. */
export const floatAbs: Op = unary({
  name: 'floatAbs',
  doc: '|x| of minifloats, which become unsigned (Brevitas FloatQuantTensor.__abs__).',
  attrs: {},
  f: Math.abs,
  lanes: (e, [x]) => e.abs(x),
  grids: 'all',
  carry: signsOf(false, (q, kit) => [magnitude(q, false, kit), noMagnitude(q)]),
  vjp: scaledBy((x) => x.kit.emit('sign', [x])),
})

declare module '../graph/op.js' {
  interface Primitives {
    floatNeg: NoAttrs
    floatAbs: NoAttrs
  }
}

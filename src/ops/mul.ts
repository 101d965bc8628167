/** `a * b`. Brevitas: the operator `*` of quant tensors (SEMANTICS 11). */
import type { Carried, Quant } from '../data/quant.js'
import { HALF_ULP, integersOf, reach, stripped } from '../data/quant.js'
import type { NoAttrs } from '../graph/attributes.js'
import type { Kit, Op, Value } from '../graph/op.js'
import { binary, sumTo } from './support/elementwise.js'
import { conclude, overRank, rankOf, widthBy } from './support/metadata.js'

/** Extremes of the products of two integer intervals. */
export const productRange = (a: Quant, b: Quant): readonly [number, number] => {
  const corners = [a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi]
  return [Math.min(...corners), Math.max(...corners)]
}

const productQuant = (a: Quant, b: Quant, kit: Kit): Quant => {
  const [lo, hi] = productRange(a, b)
  const width = widthBy(
    [a, b],
    kit,
    ([m, n]) => m + n,
    ([m, n]) => kit.emit('add', [m, n]),
  )
  return {
    scale: kit.emit('mul', [kit.value(a.scale), kit.value(b.scale)]).id,
    zeroPoint: kit.emit('mul', [kit.value(a.zeroPoint), kit.value(b.zeroPoint)]).id,
    ...width,
    signed: a.signed || b.signed,
    training: a.training || b.training,
    zero: 'zero',
    lo,
    hi,
    // Each factor is off by its slack, the product and the scale's product are rounded once each.
    slack: a.slack * reach(b) + b.slack * reach(a) + a.slack * b.slack + 2 * HALF_ULP * reach(a) * reach(b),
  }
}

const carry = (args: readonly Value[], _attrs: object, kit: Kit): Carried => {
  const [qa, qb] = args.map((a) => integersOf(a.carried))
  if (qa === null || qb === null)
    return stripped('one factor is a plain tensor, so the product is on no known grid; quantize the other factor too')
  const q = overRank(productQuant(qa, qb, kit), rankOf(args), kit)
  return conclude(
    args,
    q,
    `the product of ${qa.bits} and ${qb.bits} bits does not fit ${q.bits} ${q.signed ? 'signed' : 'unsigned'} bits or float32`,
  )
}

/** A product of quant tensors needs zero points that are 0; where only numbers can tell, a check asks them. */
export const needsZeroPointsOf =
  (name: string) =>
  (args: readonly Value[], _attrs: object, kit: Kit): readonly Value[] => {
    const quants = args.map((a) => integersOf(a.carried))
    if (quants.some((q) => q === null)) return args
    return args.map((a, i) => {
      const q = quants[i]
      return q === null || q.zero === 'zero'
        ? a
        : kit.emit('checkZero', [a, kit.value(q.zeroPoint)], {
            message: `Zero-points of ${name} operands are non-zero, not supported.`,
          })
    })
  }

/** `a * b` with broadcasting. Gradient: `g*b` and `g*a`. */
export const mul: Op = binary({
  name: 'mul',
  sign: () => 'kept',
  doc: 'a * b with broadcasting (torch.mul; the operator * of quant tensors).',
  f: (a, b) => a * b,
  lanes: (e, [a, b]) => e.mul(a, b),
  infix: { sign: '·', binds: 2 },
  guard: needsZeroPointsOf('mul'),
  carry,
  grids: 'learned',
  vjp: ({ g, args: [a, b], needs, kit }) => [
    needs[0] ? sumTo(kit.emit('mul', [g, b]), a.shape) : null,
    needs[1] ? sumTo(kit.emit('mul', [g, a]), b.shape) : null,
  ],
  examples: [
    { args: [{ shape: [5] }, { shape: [5] }], attrs: {} },
    { args: [{ shape: [2, 3] }, { shape: [3] }], attrs: {} },
    {
      args: [
        { shape: [2, 3], quant: { bits: 4, signed: true } },
        { shape: [2, 3], quant: { bits: 3, signed: false } },
      ],
      attrs: {},
    },
  ],
})

declare module '../graph/op.js' {
  interface Primitives {
    mul: NoAttrs
  }
}

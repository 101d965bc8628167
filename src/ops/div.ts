/** `a / b`. Brevitas: the operator `/` of quant tensors (SEMANTICS 11). */
import type { Carried, Quant } from '../data/quant.js'
import { intMax, intMin, integersOf, stripped } from '../data/quant.js'
import type { NoAttrs } from '../graph/attributes.js'
import type { Kit, Op, Value } from '../graph/op.js'
import { binary, sumTo } from './support/elementwise.js'
import { claim, overRank, rankOf, widthBy } from './support/metadata.js'
import { needsZeroPointsOf } from './mul.js'

const quotientQuant = (a: Quant, b: Quant, kit: Kit): Quant => {
  const { bits, ...width } = widthBy(
    [a, b],
    kit,
    ([m, n]) => m + n,
    ([m, n]) => kit.emit('add', [m, n]),
  )
  const signed = a.signed || b.signed
  const sign = b.signed ? 1 : 0
  const largest =
    b.learned === true
      ? kit.emit('exp2', [kit.emit('sub', [kit.value(b.bitWidth), kit.constant(sign)])])
      : kit.constant(2 ** (b.bits - sign))
  const divisor = kit.emit('mul', [kit.value(b.scale), largest])
  return {
    ...a,
    scale: kit.emit('div', [kit.value(a.scale), divisor]).id,
    zeroPoint: kit.emit('mul', [kit.value(a.zeroPoint), kit.value(b.zeroPoint)]).id,
    ...width,
    bits,
    signed,
    training: a.training || b.training,
    zero: 'zero',
    lo: intMin(bits, signed),
    hi: intMax(bits, signed),
  }
}

const carry = (args: readonly Value[], _attrs: object, kit: Kit): Carried => {
  const [qa, qb] = args.map((a) => integersOf(a.carried))
  if (qa === null || qb === null)
    return stripped(
      'one operand is a plain tensor, so the quotient is on no known grid; quantize the other operand too',
    )
  return claim(
    args,
    overRank(quotientQuant(qa, qb, kit), rankOf(args), kit),
    'a quotient of integers is hardly ever an integer: 1/3 is on no grid',
  )
}

/** `a / b` with broadcasting; a true division. Gradient: `g/b` and `-g*(a/b)/b`. */
export const div: Op = binary({
  name: 'div',
  doc: 'a / b with broadcasting (torch.div; the operator / of quant tensors).',
  f: (a, b) => a / b,
  lanes: (e, [a, b]) => e.div(a, b),
  infix: { sign: '/', binds: 2, left: true },
  guard: needsZeroPointsOf('div'),
  carry,
  grids: 'learned',
  vjp: ({ g, args: [a, b], needs, kit }) => {
    const byB = kit.emit('div', [g, b])
    return [
      needs[0] ? sumTo(byB, a.shape) : null,
      needs[1] ? sumTo(kit.emit('neg', [kit.emit('mul', [byB, kit.emit('div', [a, b])])]), b.shape) : null,
    ]
  },
  examples: [
    { args: [{ shape: [5] }, { shape: [5], range: [0.5, 2] }], attrs: {} },
    { args: [{ shape: [2, 3] }, { shape: [3], range: [-2, -0.5] }], attrs: {} },
  ],
})

declare module '../graph/op.js' {
  interface Primitives {
    div: NoAttrs
  }
}

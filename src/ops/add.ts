/** `a + b`. Brevitas: the operator `+` of quant tensors (SEMANTICS 11). */
import type { Carried, Quant } from '../data/quant.js'
import { HALF_ULP, integersOf, mayBeFraction, reach, stripped } from '../data/quant.js'
import type { NoAttrs } from '../graph/attributes.js'
import type { Kit, Op, Value } from '../graph/op.js'
import { binary, sumTo } from './support/elementwise.js'
import { claim, conclude, ofLayer, overRank, rankOf, twoMeet, wider, widthOf } from './support/metadata.js'

/** The sum of a zero point and itself is still a single 0 or none. */
const zeroOfSum = (a: Quant, b: Quant): Quant['zero'] => {
  if (a.zero === 'zero' && b.zero === 'zero') return 'zero'
  if (a.zero === 'equalScales' && a.zeroPoint === b.zeroPoint) return 'equalScales'
  return mayBeFraction(a.zero) || mayBeFraction(b.zero) ? 'any' : 'integer'
}

/** Scale, zero point and width of a sum of two quant tensors. */
const sumQuant = (a: Quant, b: Quant, kit: Kit): Quant => {
  const [sa, sb] = [kit.value(a.scale), kit.value(b.scale)]
  const width = widthOf(
    [a, b],
    kit,
    ([m, n]) => m + n,
    ([m, n]) => kit.emit('add', [m, n]),
  )
  return {
    scale: kit.same(a.scale, b.scale)
      ? wider(a.scale, b.scale, kit)
      : kit.emit('div', [kit.emit('add', [sa, sb]), kit.constant(2)]).id,
    zeroPoint: kit.emit('add', [kit.value(a.zeroPoint), kit.value(b.zeroPoint)]).id,
    ...width,
    signed: a.signed || b.signed,
    training: a.training || b.training,
    zero: zeroOfSum(a, b),
    lo: a.lo + b.lo,
    hi: a.hi + b.hi,
    slack: a.slack + b.slack + HALF_ULP * (reach(a) + reach(b)),
  }
}

/** The zero point takes the addend: `z - y/s`, element by element. */
const shifted = (q: Quant, y: Value, kit: Kit): Quant => {
  const steps = kit.emit('div', [y, kit.value(q.scale)])
  return { ...q, zeroPoint: kit.emit('sub', [kit.value(q.zeroPoint), steps]).id, zero: 'any' }
}

const carry = (args: readonly Value[], _attrs: object, kit: Kit): Carried => {
  const [qa, qb] = args.map((a) => integersOf(a.carried))
  if (qa === null)
    return stripped('the left operand is a plain tensor, and plain + quant is plain; write quant + plain')
  if (qb === null)
    // The integers stay; only the zero point moves. The promise ends where float32 has no fraction left: |y/s| above 2^20.
    return conclude(args, overRank(shifted(qa, args[1], kit), rankOf(args), kit), 'float32 can not hold the moved grid')
  const sum = overRank(sumQuant(qa, qb, kit), rankOf(args), kit)
  if (!kit.same(qa.scale, qb.scale))
    return claim(
      args,
      sum,
      `two scales, ${ofLayer(qa.scale, kit)} and ${ofLayer(qb.scale, kit)}, meet: their mean is the scale of neither (0.1 + 0.2 is no multiple of 0.15); ${twoMeet(qa.scale, qb.scale, kit, 'quantize both operands with one quantizer, as QuantEltwiseAdd does: it re-quantizes what it is given')}`,
    )
  return conclude(
    args,
    sum,
    `the sum does not fit ${sum.bits} ${sum.signed ? 'signed' : 'unsigned'} bits: it reaches ${sum.hi}`,
  )
}

/** In eval different scales must be equal in value; in training Brevitas takes their mean. */
const guard = (args: readonly Value[], _attrs: object, kit: Kit): readonly Value[] => {
  const qa = integersOf(args[0].carried)
  if (qa === null || qa.training) return args
  const qb = integersOf(args[1].carried)
  if (qb === null || kit.same(qa.scale, qb.scale)) return args
  const [sa, sb] = [kit.value(qa.scale), kit.value(qb.scale)]
  return [
    kit.emit('checkClose', [args[0], sa, sb], {
      message: 'Scaling factors are different',
      names: [kit.whereIs(qa.scale), kit.whereIs(qb.scale)],
    }),
    args[1],
  ]
}

/** `a + b` with broadcasting. Gradient: to both. */
export const add: Op = binary({
  name: 'add',
  homogeneous: true,
  sign: () => 'kept',
  doc: 'a + b with broadcasting (torch.add; the operator + of quant tensors).',
  f: (a, b) => a + b,
  lanes: (e, [a, b]) => e.add(a, b),
  infix: { sign: ' + ', binds: 1 },
  guard,
  carry,
  grids: 'learned',
  vjp: ({ g, args: [a, b] }) => [sumTo(g, a.shape), sumTo(g, b.shape)],
  examples: [
    { args: [{ shape: [5] }, { shape: [5] }], attrs: {} },
    { args: [{ shape: [2, 3] }, { shape: [3] }], attrs: {} },
    { args: [{ shape: [2, 1, 2] }, { shape: [3, 1] }], attrs: {} },
    { args: [{ shape: [2, 3], quant: { bits: 4, signed: true } }, { shape: [2, 3] }], attrs: {} },
  ],
})

declare module '../graph/op.js' {
  interface Primitives {
    add: NoAttrs
  }
}

/**
 * `-x` and `|x|` of quant tensors, which Brevitas computes on the integers (SEMANTICS 11). With a zero point that is
 * not 0 Brevitas' formulas are off by a multiple of it (quirk); `correct` gives the right numbers.
 */
import type { Tensor } from '../data/tensor.js'
import type { Carried, Quant } from '../data/quant.js'
import { HALF_ULP, quantOf, reach, stripped } from '../data/quant.js'
import { roundHalfEven } from '../data/math.js'
import { broadcastStrides } from '../data/shape.js'
import { flag } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import type { Example, Kit, Op, Value } from '../graph/op.js'
import { asFirst, sumTo, walk } from './support/elementwise.js'
import { conclude } from './support/metadata.js'

const attributes = {
  /** `-x` and `|x|` exactly, with the zero point adapted. Else Brevitas' `(-int - z)*s` and `(|int| - z)*s`. */
  correct: flag,
}
type Signs = AttrsOf<typeof attributes>

/** Evaluates `f(int, z) * s` over the integers of a quant tensor. */
const overIntegers = (f: (q: number, z: number) => number, [x, s, z]: readonly Tensor[], out: Tensor): null => {
  walk(
    x.shape,
    [s, z].map((t) => broadcastStrides(t.shape, x.shape)),
    (i, [j, k]) => {
      const q = roundHalfEven(Math.fround(Math.fround(x.data[i] / s.data[j]) + z.data[k]))
      out.data[i] = Math.fround(f(q, z.data[k])) * s.data[j]
    },
  )
  return null
}

/** Why `-x` of these integers may not fit. */
export const noOpposite = ({ lo, bits, signed }: Quant): string =>
  `the smallest signed integer has no opposite: -(${lo}) does not fit ${signed ? bits : bits + 1} signed bits`
/** Why `|x|` of these integers may not fit. */
export const noMagnitude = ({ lo, bits }: Quant, hi = -lo): string =>
  `the smallest signed integer has no absolute value in ${bits - 1} unsigned bits: |${lo}| = ${hi}`

const rounded = (q: Quant): number => HALF_ULP * Math.max(Math.abs(q.lo), Math.abs(q.hi), reach(q))

/** The metadata of `-x`. */
export const negated = (q: Quant, correct: boolean, kit: Kit): Quant => {
  const bits = q.signed ? q.bits : q.bits + 1
  const zeroPoint = correct && q.zero !== 'zero' ? kit.emit('neg', [kit.value(q.zeroPoint)]).id : q.zeroPoint
  return {
    ...q,
    bits,
    signed: true,
    lo: -q.hi,
    hi: -q.lo,
    zeroPoint,
    bitWidth: kit.constant(bits).id,
    slack: rounded(q),
  }
}

const negCarry = (args: readonly Value[], { correct }: Signs, kit: Kit): Carried => {
  const q = quantOf(args[0].carried)
  if (q === null) return stripped('it is not a quant tensor')
  const to = negated(q, correct, kit)
  return conclude(args, to, noOpposite(q))
}

/** The metadata of `|x|`. */
export const magnitude = (q: Quant, correct: boolean, kit: Kit): Quant => {
  const hi = correct ? reach(q) : Math.max(Math.abs(q.lo), Math.abs(q.hi))
  const zeroPoint = correct ? kit.constant(0, kit.value(q.zeroPoint).shape).id : q.zeroPoint
  const zero = correct ? 'zero' : q.zero
  return {
    ...q,
    bits: q.bits - 1,
    signed: false,
    lo: 0,
    hi,
    zeroPoint,
    zero,
    bitWidth: kit.constant(q.bits - 1).id,
    slack: rounded(q),
  }
}

const absCarry = (args: readonly Value[], { correct }: Signs, kit: Kit): Carried => {
  const q = quantOf(args[0].carried)
  if (q === null) return stripped('it is not a quant tensor')
  const to = magnitude(q, correct, kit)
  return conclude(args, to, noMagnitude(q, to.hi))
}

/**
 * The gradient with `int = x/s + z`, rounding straight-through. `sgn` is d|int| or -1, `dz` the derivative to z in
 * units of s: `dx = g*sgn`, `ds = g*(y - sgn*x)/s`, `dz = g*s*(sgn - 1)`.
 */
const throughIntegers =
  (sgn: (x: Value, s: Value, z: Value) => Value): Op<Signs>['vjp'] =>
  ({ g, args: [x, s, z], attrs, out, needs, kit }) => {
    const slope = sgn(x, s, z)
    const dx = kit.emit('mul', [g, slope])
    if (attrs.correct) return [dx, null, null]
    const y = kit.emit('div', [kit.emit('sub', [kit.emit('mul', [g, out()]), kit.emit('mul', [dx, x])]), s])
    return [
      dx,
      needs[1] ? sumTo(y, s.shape) : null,
      needs[2] ? sumTo(kit.emit('mul', [kit.emit('sub', [dx, g]), s]), z.shape) : null,
    ]
  }

const examples: readonly Example<Signs>[] = [false, true].map((correct) => ({
  args: [
    { shape: [4], quant: { bits: 4, signed: true } },
    { shape: [], range: [0.5, 0.5] },
    { shape: [], range: [0, 0] },
  ],
  attrs: { correct },
}))

/** `-x` of a quant tensor: `(-int - z) * s`; unsigned gains a bit and becomes signed. Operands: value, scale, zero point. */
export const quantNeg: Op<Signs> = {
  name: 'quantNeg',
  doc: '-x of a quant tensor, on its integers (Brevitas QuantTensor.__neg__).',
  operands: ['x', 'scale', 'zeroPoint'],
  flow: 1,
  attributes,
  shape: asFirst,
  elementwise: true,
  carry: negCarry,
  vjp: throughIntegers((x) => x.kit.constant(-1)),
  evaluate: (args, { correct }, out) => overIntegers(correct ? (q, z) => z - q : (q, z) => -q - z, args, out),
  examples,
  smooth: false,
}

/** `|x|` of a signed quant tensor: `(|int| - z) * s`, one bit less, unsigned. Operands: value, scale, zero point. */
export const quantAbs: Op<Signs> = {
  name: 'quantAbs',
  doc: '|x| of a signed quant tensor, on its integers (Brevitas QuantTensor.__abs__).',
  operands: ['x', 'scale', 'zeroPoint'],
  flow: 1,
  attributes,
  shape: asFirst,
  elementwise: true,
  carry: absCarry,
  vjp: throughIntegers((x, s, z) => {
    const { kit } = x
    return kit.emit('sign', [kit.emit('round', [kit.emit('add', [kit.emit('div', [x, s]), z])])])
  }),
  evaluate: (args, { correct }, out) =>
    overIntegers(correct ? (q, z) => Math.abs(q - z) : (q, z) => Math.abs(q) - z, args, out),
  examples,
  smooth: false,
}

declare module '../graph/op.js' {
  interface Primitives {
    quantNeg: Signs
    quantAbs: Signs
  }
}

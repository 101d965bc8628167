/** Binary quantization: two levels, `s` and `-s` (Brevitas ClampedBinaryQuant and BinaryQuant). */
import type { Carried } from '../data/quant.js'
import { claimed, exactly, HALF_ULP } from '../data/quant.js'
import { sameShape, showShape, sizeOf } from '../data/shape.js'
import { flag } from '../graph/attr.js'
import type { AttrsOf, NoAttrs } from '../graph/attributes.js'
import { refuse, type Kit, type Op, type Value } from '../graph/op.js'
import { broadcasting, evaluateBinary, sumTo } from './support/elementwise.js'

const attributes = {
  /** Elements beyond the scale get no gradient (activations); weights let everything through. */
  clamped: flag,
  /** The `training` flag of the quant tensor. */
  training: flag,
}
type Binary = AttrsOf<typeof attributes>

const born = (args: readonly Value[], { training }: Binary, kit: Kit): Carried =>
  exactly(
    {
      scale: args[1].id,
      zeroPoint: kit.constant(0).id,
      bitWidth: kit.constant(1).id,
      bits: 1,
      signed: true,
      training,
      zero: 'zero',
      lo: -1,
      hi: 1,
      slack: HALF_ULP,
    },
    'one bit is valid only if both of its integers, -1 and 1, occur; all weights may be positive',
  )

const examples = [false, true].map((clamped) => ({
  args: [{ shape: [6] }, { shape: [], range: [0.5, 1] as const }],
  attrs: { clamped, training: true },
}))

/** `s * (x >= 0 ? 1 : -1)`, so that 0 gives `s` and NaN `-s`. Gradient `g * s`, 0 where clamped. */
export const binaryQuantize: Op<Binary> = {
  name: 'binaryQuantize',
  doc: 's where x >= 0, else -s (Brevitas BinaryQuant).',
  operands: ['x', 'scale'],
  attributes,
  shape: broadcasting,
  births: true,
  elementwise: true,
  flow: 1,
  lanes: (e, [x, s]) => e.select(e.ge(x, e.zero), s, e.neg(s)),
  estimator: ({ clamped }) =>
    clamped
      ? 'The derivative of a step is 0. This one hands on s times the gradient where |x| ≤ s, and 0 elsewhere.'
      : 'The derivative of a step is 0. This one hands on s times the gradient.',
  carry: born,
  vjp: ({ g, args: [x, s], attrs, needs, kit }) => {
    const gs = kit.emit('mul', [g, s])
    const inside = kit.emit('less', [s, kit.emit('abs', [x])])
    return [
      attrs.clamped ? kit.emit('select', [inside, kit.constant(0), gs]) : gs,
      needs[1] ? sumTo(kit.emit('mul', [g, kit.emit('binarySign', [x])]), s.shape) : null,
    ]
  },
  evaluate: ([x, s], _attrs, out) => evaluateBinary((v, t) => (v >= 0 ? t : -t), x, s, out),
  examples,
  smooth: false,
}

/** What the first `quantDelaySteps` calls return: x while calls remain, else the quantized value; with the quantizer's metadata. */
export const delay: Op = {
  name: 'delay',
  doc: 'x while delay steps remain (third operand > 0), else the quantized value (Brevitas DelayWrapper).',
  operands: ['quantized', 'x', 'remaining'],
  attributes: {},
  lanes: (e, [q, x, left]) => e.select(e.gt(left, e.zero), x, q),
  shape: ([q, x, left]) =>
    sameShape(q, x) && sizeOf(left) === 1
      ? q
      : refuse(
          `a quantized value ${showShape(q)}, a value ${showShape(x)} and a count ${showShape(left)} do not fit`,
          'give two values of one shape and a single number',
        ),
  grids: 'all',
  carry: ([q]) =>
    q.carried.tag === 'carries' || q.carried.tag === 'claimed'
      ? claimed(q.carried.quant, 'the first quantDelaySteps calls return the value unquantized')
      : q.carried,
  vjp: ({ g, args: [, , left], kit }) => {
    const [zero, waiting] = [kit.constant(0), kit.emit('less', [kit.constant(0), left])]
    return [kit.emit('select', [waiting, zero, g]), kit.emit('select', [waiting, g, zero]), null]
  },
  evaluate: ([q, x, left], _attrs, out) => {
    out.data.set(left.data[0] > 0 ? x.data : q.data)
    return null
  },
  examples: [
    { args: [{ shape: [3] }, { shape: [3] }, { shape: [], range: [0, 0] }], attrs: {} },
    { args: [{ shape: [3] }, { shape: [3] }, { shape: [], range: [1, 2] }], attrs: {} },
  ],
  smooth: false,
}

declare module '../graph/op.js' {
  interface Primitives {
    binaryQuantize: Binary
    delay: NoAttrs
  }
}

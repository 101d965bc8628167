/** Two ways back onto an integer grid: from a number of steps, and from a value near its grid. */
import type { Carried } from '../data/quant.js'
import {
  carries,
  claimed,
  exactly,
  HALF_ULP,
  integersFit,
  intMax,
  intMin,
  mayBeFraction,
  quantOf,
  stripped,
} from '../data/quant.js'
import { between, flag, integer, optional, text, word } from '../graph/attr.js'
import type { AttrsOf, NoAttrs } from '../graph/attributes.js'
import type { Kit, Op, Value } from '../graph/op.js'
import { rounding, ROUNDING_OPS, ROUNDINGS } from './rounding.js'
import { widestExact, zeroPointKind } from './quantize.js'
import { broadcasting, asFirst, sumTo, walk } from './support/elementwise.js'
import { broadcastStrides } from '../data/shape.js'
import { claim, keep } from './support/metadata.js'

/** The grid that is reached. */
const attributes = {
  bits: between(1, 32),
  signed: flag,
  /** Without the lowest integer (signed) or the highest; false if absent. */
  narrow: optional(flag),
  rounding,
  /** Do clipped elements lose their gradient (`mask`, if absent), or does it pass straight through? */
  clamp: optional(word('mask', 'ste')),
  training: flag,
  zero: zeroPointKind,
  /** Bounds in place of those of the bit width, which may hold fewer: the least and the largest number of steps that can occur. */
  lo: optional(integer),
  hi: optional(integer),
  /** Why the steps may be no numbers: then the grid is only claimed. */
  doubt: optional(text),
}
type StepAttrs = AttrsOf<typeof attributes>

const limits = ({ bits, signed, narrow = false, lo, hi }: StepAttrs): readonly [number, number] => [
  lo ?? intMin(bits, signed, narrow),
  hi ?? intMax(bits, signed, narrow),
]

const born = (args: readonly Value[], a: StepAttrs, kit: Kit): Carried => {
  const [lo, hi] = limits(a)
  const quant = {
    scale: args[1].id,
    zeroPoint: args[2].id,
    bitWidth: kit.constant(a.bits).id,
    bits: a.bits,
    signed: a.signed,
    training: a.training,
    zero: a.zero,
    lo,
    hi,
    slack: HALF_ULP * 2 ** a.bits,
  }
  if (a.doubt !== undefined) return exactly(quant, a.doubt)
  if (!integersFit(quant)) return claimed(quant, `${lo} … ${hi} may be more than ${a.bits} bits hold`)
  return a.bits < 2 || a.bits > widestExact(a.signed)
    ? exactly(
        quant,
        a.bits < 2
          ? 'one bit is valid only if both of its two integers occur'
          : `float32 can not hold a grid of ${a.bits} bits`,
      )
    : carries(quant)
}

const STAIRS = 'The derivative of a staircase is 0. Its gradient is an estimate.'

/** `(clamp(round(u)) - z) * s` of a number of steps u. Rounding straight-through, the clamp masks (Brevitas TruncIntQuant). */
export const fromSteps: Op<StepAttrs> = {
  name: 'fromSteps',
  doc: '(clamp(round(u)) - z) * s: the value of a number of steps, on the integers of the bit width.',
  operands: ['steps', 'scale', 'zeroPoint'],
  attributes,
  shape: broadcasting,
  births: true,
  elementwise: true,
  flow: 1,
  estimator: () => STAIRS,
  carry: born,
  vjp: ({ g, args: [u, s, z], attrs, needs, kit }) => {
    const [min, max] = limits(attrs)
    const bounds = { min, max }
    const r = kit.emit(ROUNDING_OPS[attrs.rounding], [u])
    const gs = kit.emit('mul', [g, s])
    return [
      sumTo(
        attrs.clamp === 'ste' ? gs : kit.emit('select', [kit.emit('within', [r], bounds), gs, kit.constant(0)]),
        u.shape,
      ),
      needs[1] ? sumTo(kit.emit('mul', [g, kit.emit('sub', [kit.emit('clamp', [r], bounds), z])]), s.shape) : null,
      needs[2] ? sumTo(kit.emit('neg', [gs]), z.shape) : null,
    ]
  },
  evaluate: ([u, s, z], a, out) => {
    const f = ROUNDINGS[a.rounding]
    const [lo, hi] = limits(a)
    walk(
      out.shape,
      [u, s, z].map((t) => broadcastStrides(t.shape, out.shape)),
      (i, [j, k, l]) => {
        let r = f(u.data[j])
        if (r > hi) r = hi
        else if (r < lo) r = lo
        out.data[i] = Math.fround(r - z.data[l]) * s.data[k]
      },
    )
    return null
  },
  examples: [
    {
      args: [{ shape: [5] }, { shape: [], range: [0.1, 1] }, { shape: [], range: [0, 0] }],
      attrs: { bits: 3, signed: true, rounding: 'ROUND', training: false, zero: 'zero' },
    },
    {
      args: [{ shape: [2, 3] }, { shape: [2, 1], range: [0.1, 1] }, { shape: [], range: [0, 0] }],
      attrs: {
        bits: 3,
        signed: true,
        narrow: true,
        rounding: 'ROUND_TO_ZERO',
        clamp: 'ste',
        training: false,
        zero: 'zero',
      },
    },
    {
      args: [
        { shape: [3], range: [-9, 9] },
        { shape: [], range: [0.1, 1] },
        { shape: [], range: [0, 0] },
      ],
      attrs: { bits: 4, signed: true, lo: -10, hi: 10, rounding: 'ROUND', training: false, zero: 'zero' },
    },
  ],
  smooth: false,
}

/**
 * `round(v/s) * s`: a value moved to the nearest multiple of the scale, with the metadata of the third operand
 * (Brevitas' bilinear upsampling). Straight-through.
 */
export const snapToGrid: Op = {
  name: 'snapToGrid',
  doc: 'round(v/s) * s with the metadata of the third operand (Brevitas QuantUpsamplingBilinear2d).',
  operands: ['x', 'scale', 'like'],
  attributes: {},
  estimator: () => STAIRS,
  shape: ([v, s]) => asFirst([v, s]),
  carry: (args) => {
    const like = [args[2]]
    const q = quantOf(args[2].carried)
    if (q === null) return stripped('there is no grid to snap to')
    return mayBeFraction(q.zero)
      ? claim(like, q, 'its zero point may be a fraction, but the value is moved to multiples of the scale')
      : keep(like)
  },
  vjp: ({ g, args: [v, s], needs, kit }) => {
    const p = kit.emit('div', [v, s])
    return [
      // A scale of 0, NaN or infinity makes NaN of every cotangent that is multiplied by it and divided by it.
      kit.emit('mul', [g, kit.emit('div', [s, s])]),
      needs[1] ? sumTo(kit.emit('mul', [g, kit.emit('sub', [kit.emit('round', [p]), p])]), s.shape) : null,
      null,
    ]
  },
  evaluate: ([v, s], _attrs, out) => {
    walk(out.shape, [broadcastStrides(s.shape, out.shape)], (i, [j]) => {
      out.data[i] = Math.fround(ROUNDINGS.ROUND(Math.fround(v.data[i] / s.data[j]))) * s.data[j]
    })
    return null
  },
  examples: [{ args: [{ shape: [5] }, { shape: [], range: [0.1, 1] }, { shape: [2] }], attrs: {} }],
  smooth: false,
}

declare module '../graph/op.js' {
  interface Primitives {
    fromSteps: StepAttrs
    snapToGrid: NoAttrs
  }
}

/**
 * Checks that only numbers can decide. Each hands its first operand on, metadata and gradient included, and fails the
 * run with the given message where the numbers don't fit.
 */
import type { Tensor } from '../data/tensor.js'
import {
  carries,
  gridOf,
  HALF_ULP,
  intMax,
  intMin,
  isFloatGrid,
  isPlainInteger,
  quantOf,
  VALID_DISTANCE,
  type Carried,
  type Quant,
} from '../data/quant.js'
import { roundHalfEven } from '../data/math.js'
import { leastStep, stepOf } from '../data/minifloat.js'
import { floatWidths } from './quantizeFloat.js'
import { broadcastShapes, broadcastStrides, type Shape } from '../data/shape.js'
import { isValid } from '../data/quantTensor.js'
import { flag, list, optional, text, whole } from '../graph/attr.js'
import type { AttrsOf, AttrSchema, NoAttrs } from '../graph/attributes.js'
import { isRefusal, type Attrs, type Op, type Operands, type Refusal, type Value } from '../graph/op.js'
import { asFirst, broadcasting, sameAsFirst, walk } from './support/elementwise.js'
import { keep } from './support/metadata.js'

/** What a check has of its own. */
type CheckSpec<A extends Attrs> = Pick<Op<A>, 'name' | 'doc' | 'shape' | 'carry' | 'examples'> & {
  readonly operands: Operands
  readonly attributes: AttrSchema<A>
  /** What is wrong with the numbers, or null. */
  readonly test: (args: readonly Tensor[], attrs: A) => string | null
}

const check = <A extends Attrs>({ test, ...spec }: CheckSpec<A>): Op<A> => ({
  ...spec,
  guards: true,
  grids: 'all',
  flow: 1,
  vjp: ({ g, args }) => args.map((_, i) => (i === 0 ? g : null)),
  evaluate: (args, attrs, out) => {
    const failure = test(args, attrs)
    if (failure === null) out.data.set(args[0].data)
    return failure
  },
  smooth: false,
})

/** The first operand's shape, if the two behind it broadcast against each other. */
const besideTwo = ([x, ...others]: readonly Shape[]): Shape | Refusal => {
  const shape = broadcasting(others)
  return isRefusal(shape) ? shape : x
}

const saying = { message: text }
const comparing = { message: text, names: optional(list(text)) }
/** `names`: the layers that made the two compared operands. */
type Comparison = AttrsOf<typeof comparing>
type Message = AttrsOf<typeof saying>

/** Largest differences of `torch.allclose`'s defaults: `|a - b| <= 1e-8 + 1e-5 * |b|`. */
const close = (a: number, b: number): boolean => a === b || Math.abs(a - b) <= 1e-8 + 1e-5 * Math.abs(b)

const firstApart = (a: Tensor, b: Tensor): readonly [number, number] | null => {
  const shape = broadcastShapes(a.shape, b.shape) ?? []
  let apart: readonly [number, number] | null = null
  walk(shape, [broadcastStrides(a.shape, shape), broadcastStrides(b.shape, shape)], (_i, [j, k]) => {
    if (apart === null && !close(a.data[j], b.data[k])) apart = [a.data[j], b.data[k]]
  })
  return apart
}

/** Hands x on if the other two are close, as torch.allclose with its defaults decides; else fails with `message`. */
export const checkClose: Op<Comparison> = check<Comparison>({
  name: 'checkClose',
  doc: 'x, if the other two operands are close (torch.allclose).',
  operands: ['x', 'a', 'b'],
  attributes: comparing,
  shape: besideTwo,
  carry: keep,
  test: ([, a, b], { message, names }) => {
    const apart = firstApart(a, b)
    const of = (i: number): string => (names?.[i] === undefined ? '' : ` (of ${names[i]})`)
    return apart === null ? null : `${message}: ${apart[0]}${of(0)} and ${apart[1]}${of(1)}`
  },
  examples: [
    {
      args: [{ shape: [3] }, { shape: [], range: [1, 1] }, { shape: [], range: [1, 1] }],
      attrs: { message: 'different' },
    },
  ],
})

/** Hands x on if the second operand is 0 everywhere; else fails with `message`. */
export const checkZero: Op<Message> = check<Message>({
  name: 'checkZero',
  doc: 'x, if the second operand is 0 everywhere.',
  operands: ['x', 'zero'],
  attributes: saying,
  shape: sameAsFirst,
  carry: keepWithZero,
  test: ([, z], { message }) => (z.data.some((v) => v !== 0) ? message : null),
  examples: [{ args: [{ shape: [3] }, { shape: [], range: [0, 0] }], attrs: { message: 'not zero' } }],
})

/** What passed the check has zero point 0 from here on: a single one, where equal scales made it. */
function keepWithZero(args: readonly Value[]): Carried {
  const carried = keep(args)
  if (carried.tag !== 'carries' && carried.tag !== 'claimed') return carried
  const { quant } = carried
  if (!isPlainInteger(quant)) return carried
  const zeroPoint = quant.zero === 'equalScales' ? args[0].kit.constant(0, [1]).id : quant.zeroPoint
  return { ...carried, quant: { ...quant, zero: 'zero', zeroPoint } }
}

const width = { bits: whole, signed: flag }
type Width = AttrsOf<typeof width>

/** Hands x on if it is a valid quant tensor for the given scale and zero point; else fails: `QuantTensor not valid.` */
export const checkValid: Op<Width> = check<Width>({
  name: 'checkValid',
  doc: 'x, if it is a valid quant tensor (Brevitas is_valid).',
  operands: ['x', 'scale', 'zeroPoint'],
  attributes: width,
  shape: asFirst,
  carry: keepValid,
  test: ([x, s, z], { bits, signed }) =>
    isValid({ value: x, scale: s, zeroPoint: z, bits, signed }) ? null : 'QuantTensor not valid.',
  examples: [
    {
      args: [
        { shape: [4], range: [0, 0] },
        { shape: [], range: [1, 1] },
        { shape: [], range: [0, 0] },
      ],
      attrs: { bits: 4, signed: true },
    },
  ],
})

type FloatWidths = AttrsOf<typeof floatWidths>

/** Hands x on if it lies on the grid of minifloats with the given scale; else fails: `QuantTensor not valid.` */
export const checkValidFloat: Op<FloatWidths> = check<FloatWidths>({
  name: 'checkValidFloat',
  doc: 'x, if it is a valid tensor of minifloats (Brevitas is_valid).',
  operands: ['x', 'scale'],
  attributes: floatWidths,
  shape: asFirst,
  carry: (args) => {
    const grid = gridOf(args[0].carried)
    return grid !== null && isFloatGrid(grid) ? carries(grid) : keep(args)
  },
  test: ([x, s], { mantissaBits, bias }) => {
    const least = leastStep({ mantissaBits, bias })
    let valid = true
    walk(x.shape, [broadcastStrides(s.shape, x.shape)], (i, [j]) => {
      const p = Math.fround(x.data[i] / s.data[j])
      const steps = p / stepOf(p, mantissaBits, least)
      if (!(Math.abs(steps - roundHalfEven(steps)) < VALID_DISTANCE)) valid = false
    })
    return valid ? null : 'QuantTensor not valid.'
  },
  examples: [
    {
      args: [
        { shape: [4], range: [0, 0] },
        { shape: [], range: [1, 1] },
      ],
      attrs: { exponentBits: 4, mantissaBits: 3, bias: 7 },
    },
  ],
})

/** What passed the check is on its grid from here on, whatever was only claimed before. */
function keepValid(args: readonly Value[]): Carried {
  const quant = quantOf(args[0].carried)
  if (quant === null || quant.bits < 2) return keep(args)
  const within: Quant = {
    ...quant,
    lo: intMin(quant.bits, quant.signed),
    hi: intMax(quant.bits, quant.signed),
    slack: Math.max(0, VALID_DISTANCE - 4 * HALF_ULP * 2 ** quant.bits),
  }
  return args[0].carried.tag === 'carries' ? args[0].carried : { tag: 'carries', quant: within }
}

const named = { names: list(text) }

/** Hands the first of any number of single numbers on if all are finite; else fails with the name of the first that isn't. */
export const checkFinite: Op<AttrsOf<typeof named>> = {
  ...check<AttrsOf<typeof named>>({
    name: 'checkFinite',
    doc: 'the first operand, if all are finite.',
    operands: { each: 'x', least: 1 },
    attributes: named,
    shape: sameAsFirst,
    carry: keep,
    test: (args, { names }) => {
      // Part of every step of a training: nothing is allocated.
      for (let k = 0; k < args.length; k++) {
        const { data } = args[k]
        for (let i = 0; i < data.length; i++)
          if (!Number.isFinite(data[i])) return `${names[k] ?? `operand ${k}`} is not finite`
      }
      return null
    },
    examples: [{ args: [{ shape: [] }, { shape: [] }], attrs: { names: ['the first', 'the second'] } }],
  }),
  finds: 'NonFinite',
}

/** 1 if the operands are close everywhere (torch.allclose), broadcast against each other; else 0. No gradient. */
export const allClose: Op = {
  name: 'allClose',
  doc: '1 if both operands are close everywhere (torch.allclose), else 0.',
  operands: ['a', 'b'],
  attributes: {},
  shape: (shapes) => {
    const shape = broadcasting(shapes)
    return isRefusal(shape) ? shape : []
  },
  carry: () => ({ tag: 'stripped', why: 'a comparison gives 0 or 1' }),
  vjp: ({ args }) => args.map(() => null),
  evaluate: ([a, b], _attrs, out) => {
    out.data[0] = firstApart(a, b) === null ? 1 : 0
    return null
  },
  examples: [{ args: [{ shape: [2] }, { shape: [2] }], attrs: {} }],
  smooth: false,
}

declare module '../graph/op.js' {
  interface Primitives {
    checkClose: AttrsOf<typeof comparing>
    checkZero: Message
    checkValid: Width
    checkFinite: AttrsOf<typeof named>
    checkValidFloat: FloatWidths
    allClose: NoAttrs
  }
}

/** Tensors joined along an axis. Brevitas: `torch.cat` of quant tensors (SEMANTICS 11). */
import { showFormat } from '../data/minifloat.js'
import type { Carried, FloatQuant, NodeId, Quant, TracedZeroPoint } from '../data/quant.js'
import { carries, claimed, gridOf, isFloatGrid, mayBeFraction, quantOf, stripped } from '../data/quant.js'
import type { Shape } from '../data/shape.js'
import { broadcastShapes, sameShape, showShape, sizeOf } from '../data/shape.js'
import { whole } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import type { Kit, Op, Refusal, Value } from '../graph/op.js'
import { refuse } from '../graph/op.js'
import { claim, conclude, keep, ofLayer, perTensor, twoMeet, wider } from './support/metadata.js'

const ONE_QUANTIZER = 'quantize all members with one quantizer, as QuantCat does: it re-quantizes what it is given'

const attributes = {
  /** The axis along which tensors are joined. */
  dim: whole,
}
type ConcatAttrs = AttrsOf<typeof attributes>

const list = (shapes: readonly Shape[]): string => shapes.map(showShape).join(', ')

const joined = (shapes: readonly Shape[], { dim }: ConcatAttrs): Shape | Refusal => {
  if (shapes.length === 0) return refuse('concat of no tensors at all', 'give at least one value')
  const [first] = shapes
  if (!Number.isInteger(dim) || dim < 0 || dim >= first.length)
    return refuse(
      `there is no axis ${dim} in ${showShape(first)}`,
      first.length === 0 ? 'reshape scalars to [1] first' : `name an axis from 0 to ${first.length - 1}`,
    )
  const fits = (s: Shape): boolean => s.length === first.length && s.every((n, i) => i === dim || n === first[i])
  if (!shapes.every(fits))
    return refuse(`shapes ${list(shapes)} cannot be joined along axis ${dim}`, `make all axes but axis ${dim} equal`)
  const total = shapes.reduce((n, s) => n + s[dim], 0)
  return first.map((n, i) => (i === dim ? total : n))
}

/** The metadata of all members, or null where one is plain (or the only one: it is handed on as it is). */
const quantsOf = (args: readonly Value[]): readonly Quant[] | null => {
  const quants = args.map((a) => quantOf(a.carried)).filter((q) => q !== null)
  return quants.length === args.length && args.length > 1 ? quants : null
}

/** What can be refused before a number is known, in the words of Brevitas. */
const mismatch = (first: Quant, later: Quant, kit: Kit): Refusal | null => {
  const shapes = (id: (q: Quant) => NodeId): readonly [Shape, Shape] => [
    kit.value(id(first)).shape,
    kit.value(id(later)).shape,
  ]
  const odd = [shapes((q) => q.scale), shapes((q) => q.zeroPoint)].find(([a, b]) => broadcastShapes(a, b) === null)
  if (odd !== undefined)
    return refuse(
      `scales or zero points of shapes ${list(odd)} do not broadcast`,
      'quantize all members with one quantizer, per tensor',
      'MetadataError',
    )
  if (first.bits !== later.bits)
    return refuse(
      `Bit widths are different: ${first.bits} and ${later.bits}`,
      'quantize all members with one bit width',
      'MetadataError',
    )
  return first.signed === later.signed
    ? null
    : refuse(
        'Signs are different: one member is signed, another is not',
        'quantize all members with one quantizer',
        'MetadataError',
      )
}

/** Are both zero points known to be 0 (and of one shape)? */
const bothZero = (a: Quant, b: Quant, kit: Kit): boolean =>
  a.zero === 'zero' && b.zero === 'zero' && sameShape(kit.value(a.zeroPoint).shape, kit.value(b.zeroPoint).shape)

/** The metadata of members that are all minifloats of one tensor-wide scale each, or null. */
const floatsOf = (args: readonly Value[], kit: Kit): readonly FloatQuant[] | null => {
  const grids = args.map((a) => gridOf(a.carried)).filter((g) => g !== null && isFloatGrid(g))
  const whole = grids.every((g) => g.group === undefined && perTensor(g, kit))
  return whole && grids.length === args.length && args.length > 1 ? grids : null
}

/** Why minifloats of two members can't stand in one tensor, in the words of Brevitas. */
const floatMismatch = (a: FloatQuant, b: FloatQuant): Refusal | null => {
  if (JSON.stringify(a.format) !== JSON.stringify(b.format))
    return refuse(
      `Bit widths are different: minifloats ${showFormat(a.format)} and ${showFormat(b.format)}`,
      'quantize all members to one format',
      'MetadataError',
    )
  return a.signed === b.signed
    ? null
    : refuse(
        'Signs are different: one member is signed, another is not',
        'quantize all with one quantizer',
        'MetadataError',
      )
}

const SCALES_DIFFER = 'Scaling factors are different'

const guardFloats = (args: readonly Value[], floats: readonly FloatQuant[], kit: Kit): readonly Value[] | Refusal => {
  const [first, ...later] = floats
  const bad = later.map((g) => floatMismatch(first, g)).find((r) => r !== null) ?? null
  if (bad !== null || first.training) return bad ?? args
  const checked = later.reduce(
    (x, { scale }) =>
      kit.same(first.scale, scale)
        ? x
        : kit.emit('checkClose', [x, kit.value(first.scale), kit.value(scale)], {
            message: SCALES_DIFFER,
            names: [kit.whereIs(first.scale), kit.whereIs(scale)],
          }),
    args[0],
  )
  return [checked, ...args.slice(1)]
}

/** Joined minifloats: on the grid of one scale, or of the mean of several, which is that of none. */
const joinedFloats = (args: readonly Value[], floats: readonly FloatQuant[], kit: Kit): Carried => {
  const [first] = floats
  const training = floats.some((g) => g.training)
  const scale = training
    ? meanOf(
        floats.map((g) => g.scale),
        kit,
      )
    : first.scale
  const quant = { ...first, scale, training }
  const doubt = args.map((a) => a.carried).find((c) => c.tag === 'claimed')
  if (doubt?.tag === 'claimed') return claimed(quant, `operand: ${doubt.why}`)
  const other = floats.find((g) => !kit.same(g.scale, first.scale))
  return other === undefined
    ? carries(quant)
    : claimed(
        quant,
        `two scales, ${ofLayer(first.scale, kit)} and ${ofLayer(other.scale, kit)}, meet in one tensor; ${twoMeet(first.scale, other.scale, kit, ONE_QUANTIZER)}`,
      )
}

/** In eval every later member must have the first one's scale and zero point; widths and signs must always agree. */
const guard = (args: readonly Value[], _attrs: ConcatAttrs, kit: Kit): readonly Value[] | Refusal => {
  const floats = floatsOf(args, kit)
  if (floats !== null) return guardFloats(args, floats, kit)
  const quants = quantsOf(args)
  if (quants === null) return args
  const [first, ...later] = quants
  const bad = later.map((q) => mismatch(first, q, kit)).find((r) => r !== null) ?? null
  if (bad !== null || first.training) return bad ?? args
  const same = (x: Value, a: NodeId, b: NodeId, message: string): Value =>
    kit.same(a, b)
      ? x
      : kit.emit('checkClose', [x, kit.value(a), kit.value(b)], { message, names: [kit.whereIs(a), kit.whereIs(b)] })
  const checked = later.reduce((x, q) => {
    const scaled = same(x, first.scale, q.scale, SCALES_DIFFER)
    return bothZero(first, q, kit) ? scaled : same(scaled, first.zeroPoint, q.zeroPoint, 'Zero points are different')
  }, args[0])
  return [checked, ...args.slice(1)]
}

/** The mean of nodes: summed in order, then divided; one node where all are the same. */
const meanOf = (ids: readonly NodeId[], kit: Kit): NodeId => {
  if (ids.every((id) => kit.same(id, ids[0]))) return ids.reduce((a, b) => wider(a, b, kit))
  const total = ids.map((id) => kit.value(id)).reduce((a, b) => kit.emit('add', [a, b]))
  return kit.emit('div', [total, kit.constant(ids.length)]).id
}

const kindOf = (quants: readonly Quant[]): TracedZeroPoint => {
  const [first] = quants
  if (quants.every((q) => q.zero === 'zero')) return 'zero'
  if (quants.every((q) => q.zero === 'equalScales' && q.zeroPoint === first.zeroPoint)) return 'equalScales'
  return quants.some((q) => mayBeFraction(q.zero)) ? 'any' : 'integer'
}

const joinedQuant = (quants: readonly Quant[], kit: Kit): Quant => {
  const [first] = quants
  const training = quants.some((q) => q.training)
  const zeros = quants.every((q) => bothZero(first, q, kit))
  return {
    ...first,
    scale: training
      ? meanOf(
          quants.map((q) => q.scale),
          kit,
        )
      : first.scale,
    zeroPoint:
      training && !zeros
        ? meanOf(
            quants.map((q) => q.zeroPoint),
            kit,
          )
        : first.zeroPoint,
    training,
    zero: kindOf(quants),
    lo: Math.min(...quants.map((q) => q.lo)),
    hi: Math.max(...quants.map((q) => q.hi)),
    slack: Math.max(...quants.map((q) => q.slack)),
  }
}

/** Up to this width (2^16 * 1e-5 < 1), integers that pass the check of closeness are equal. */
const CLOSE_BITS = 16

/** Why the members may lie on different grids, or null. */
const apart = (quants: readonly Quant[], kit: Kit): string | null => {
  const [first] = quants
  const other = quants.find((q) => !kit.same(q.scale, first.scale))
  if (other !== undefined)
    return `two scales, ${ofLayer(first.scale, kit)} and ${ofLayer(other.scale, kit)}, meet in one tensor, whose scale is ${quants.some((q) => q.training) ? 'their mean' : 'the first, which the others match to 1e-5 only'}; ${twoMeet(first.scale, other.scale, kit, ONE_QUANTIZER)}`
  if (!quants.every((q) => perTensor(q, kit)))
    return 'per-channel scales are not joined: the result has the scales of the first member'
  const moved = quants.find(
    (q) => !kit.same(q.zeroPoint, first.zeroPoint) && !(q.zero === 'zero' && first.zero === 'zero'),
  )
  if (moved === undefined) return null
  const checked = !quants.some((q) => q.training) && !mayBeFraction(kindOf(quants)) && first.bits <= CLOSE_BITS
  return checked
    ? null
    : `two zero points, ${ofLayer(first.zeroPoint, kit)} and ${ofLayer(moved.zeroPoint, kit)}, meet in one tensor; ${twoMeet(first.zeroPoint, moved.zeroPoint, kit, ONE_QUANTIZER)}`
}

const carry = (args: readonly Value[], _attrs: ConcatAttrs, kit: Kit): Carried => {
  if (args.length === 1) return keep(args)
  const floats = floatsOf(args, kit)
  if (floats !== null) return joinedFloats(args, floats, kit)
  const quants = quantsOf(args)
  if (quants === null) {
    const plain = args.findIndex((a) => gridOf(a.carried) === null)
    if (plain < 0)
      return stripped('the members carry different kinds of numbers, or scales of groups; quantize the result again')
    return stripped(
      `member ${plain} is a plain tensor, and torch.cat with any plain member gives a plain tensor; quantize it too`,
    )
  }
  const quant = joinedQuant(quants, kit)
  const why = apart(quants, kit)
  return why === null
    ? conclude(args, quant, 'the members may be off their grid by 0.2 steps or more in float32')
    : claim(args, quant, why)
}

/** The members one after the other along `dim` (torch.cat). Gradient: each member's own `slice`. */
export const concat: Op<ConcatAttrs> = {
  name: 'concat',
  sign: () => 'kept',
  doc: 'Tensors one after the other along an axis (torch.cat).',
  operands: { each: 'x', least: 1 },
  dtype: 'same',
  attributes,
  shape: joined,
  guard,
  grids: 'all',
  carry,
  vjp: ({ g, args, attrs: { dim }, needs, kit }) => {
    let start = 0
    return args.map((a, i) => {
      const end = start + a.shape[dim]
      const part = needs[i] ? kit.emit('slice', [g], { dim, start, end }) : null
      start = end
      return part
    })
  },
  evaluate: (args, { dim }, out) => {
    const rows = sizeOf(out.shape.slice(0, dim))
    const inner = sizeOf(out.shape.slice(dim))
    let offset = 0
    for (const { shape, data } of args) {
      const n = sizeOf(shape.slice(dim))
      for (let r = 0; r < rows; r++) out.data.set(data.subarray(r * n, (r + 1) * n), r * inner + offset)
      offset += n
    }
    return null
  },
  examples: [
    { args: [{ shape: [2, 3] }, { shape: [1, 3] }], attrs: { dim: 0 } },
    { args: [{ shape: [2, 1, 2] }, { shape: [2, 3, 2] }, { shape: [2, 2, 2] }], attrs: { dim: 1 } },
    { args: [{ shape: [2, 3], quant: { bits: 4, signed: true } }], attrs: { dim: 1 } },
    { args: [{ shape: [2, 2], quant: { bits: 4, signed: true } }, { shape: [2, 1] }], attrs: { dim: 1 } },
  ],
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    concat: ConcatAttrs
  }
}

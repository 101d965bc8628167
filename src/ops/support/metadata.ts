/** Shared pieces of metadata rules. The reasons are the words that prints and pages show. */
import type { Carried, Grid, NodeId, Quant } from '../../data/quant.js'
import {
  carries,
  claimed,
  exactly,
  gridOf,
  isFloatGrid,
  integersFit,
  mayBeFraction,
  provablyValid,
  stripped,
} from '../../data/quant.js'
import type { Shape } from '../../data/shape.js'
import { sizeOf } from '../../data/shape.js'
import type { Kit, Value } from '../../graph/op.js'

/** The first reason for which an operand is only claimed, or null; `exact`: claimed in float32 alone. */
const claimOf = (args: readonly Value[], exact = false): string | null => {
  const c = args.map((a) => a.carried).find((x) => x.tag === 'claimed' && (x.exact === true) === exact)
  return c?.tag === 'claimed' ? c.why : null
}
const LEARNED = 'its bit width is learned: whether it holds the result, only a run tells'
const ofOperand = (why: string): string => (why.startsWith('operand: ') ? why : `operand: ${why}`)

/**
 * The metadata `quant` for a result of `args`: carried where every operand is on its grid and float32 provably keeps
 * the result on its own; else claimed, because an operand was, or because of `otherwise`. Where all integers are right
 * and only float32 may not keep them, the claim is exact.
 */
export const conclude = (args: readonly Value[], quant: Quant, otherwise: string): Carried => {
  const doubt = claimOf(args)
  if (doubt !== null) return claimed(quant, ofOperand(doubt))
  if (!integersFit(quant)) return claimed(quant, quant.learned === true ? LEARNED : otherwise)
  const wide = claimOf(args, true)
  if (wide !== null) return exactly(quant, ofOperand(wide))
  return provablyValid(quant) ? carries(quant) : exactly(quant, otherwise)
}

/** Metadata that Brevitas keeps although the value may leave the grid, for the given reason. */
export const claim = (args: readonly Value[], quant: Grid, why: string): Carried => claimed(quant, claimOf(args) ?? why)

/** Metadata of a value of this rank, with no more axes: one number may stand over more of them, those before a reshape, and widens what it meets. */
export const overRank = <Q extends Grid>(q: Q, rank: number, kit: Kit): Q => {
  const [scale, zeroPoint] = [q.scale, q.zeroPoint].map((id) => {
    // What could not be computed has been told already.
    if (id < 0) return id
    const v = kit.value(id)
    const extra = v.shape.length - rank
    return extra > 0 && sizeOf(v.shape) > 1 && v.shape.slice(0, extra).every((n) => n === 1)
      ? kit.emit('reshape', [v], { shape: v.shape.slice(extra) }).id
      : id
  })
  return scale === q.scale && zeroPoint === q.zeroPoint ? q : { ...q, scale, zeroPoint }
}

/** The rank of what is broadcast. */
export const rankOf = (args: readonly Value[]): number => Math.max(...args.map((a) => a.shape.length))

/** Hands the first operand's metadata on, unchanged. */
export const keep = ([x]: readonly Value[]): Carried =>
  gridOf(x.carried) === null ? stripped('the quant tensor is not the first operand') : x.carried

/**
 * For rules of ops that move elements about: metadata of groups is lost with a reason, since neighbours no longer share a scale. Null
 * where the operand has no groups.
 */
export const losesGroups = ([x]: readonly Value[], how: string): Carried | null => {
  const group = gridOf(x.carried)?.group
  return group === undefined
    ? null
    : stripped(
        `its scales are those of groups of ${group.size} along axis ${group.dim}, and ${how}; quantize the result again`,
      )
}

/** Is the scale a single number? */
export const perTensor = (q: Grid, kit: Kit): boolean =>
  sizeOf(kit.value(q.scale).shape) === 1 && sizeOf(kit.value(q.zeroPoint).shape) === 1

/** Axes of a value of this rank along which its scale or zero point varies. */
export const channelAxes = (q: Grid, rank: number, kit: Kit): readonly number[] => {
  const axes = (s: Shape): readonly number[] =>
    s.map((n, i) => (n > 1 ? i - s.length + rank : -1)).filter((i) => i >= 0)
  return [...axes(kit.value(q.scale).shape), ...axes(kit.value(q.zeroPoint).shape)]
}

/** `ceil(log2(x))` as Brevitas computes it: in float32, so that adding 10 and 32 bits gives 32. */
export const ceilLog2 = (x: number): number => {
  const v = Math.fround(x)
  let bits = 0
  for (let p = 1; p < v; p *= 2) bits++
  // Just above a power of two the true logarithm rounds down to the integer.
  const below = 2 ** (bits - 1)
  return bits > 0 && Math.fround(bits - 1 + (v / below - 1) / Math.LN2) === bits - 1 ? bits - 1 : bits
}

/** Can 0 leave the grid? It is on it when the zero point is an integer of the range. */
export const zeroIsOnGrid = (q: Grid): boolean =>
  isFloatGrid(q) || (!mayBeFraction(q.zero) && (q.zero !== 'zero' || (q.lo <= 0 && q.hi >= 0)))

/** Most bits that a learned width is said to have. */
const WIDEST_LEARNED = 32

/** The width of a result: a number, `ceil(log2(largest))`, or a node where an operand's is learned; `largest` is computed of `2^b - 1` of each. */
export const widthOf = (
  quants: readonly Quant[],
  kit: Kit,
  largest: (spans: readonly number[]) => number,
  ofValues: (spans: readonly Value[]) => Value,
): Pick<Quant, 'bits' | 'bitWidth' | 'learned'> => {
  if (quants.every((q) => q.learned !== true)) {
    const bits = ceilLog2(largest(quants.map((q) => 2 ** q.bits - 1)))
    return { bitWidth: kit.constant(bits).id, bits }
  }
  const spans = quants.map((q) => kit.emit('sub', [kit.emit('exp2', [kit.value(q.bitWidth)]), kit.constant(1)]))
  const bitWidth = kit.emit('ceil~identity', [kit.emit('log2', [ofValues(spans)])])
  return { bitWidth: bitWidth.id, bits: WIDEST_LEARNED, learned: true }
}

/** The width of a result that is made of its operands' widths, and not of their integers: a number, or a node where an operand's is learned. */
export const widthBy = (
  quants: readonly Quant[],
  kit: Kit,
  ofBits: (bits: readonly number[]) => number,
  ofValues: (bits: readonly Value[]) => Value,
): Pick<Quant, 'bits' | 'bitWidth' | 'learned'> => {
  if (quants.every((q) => q.learned !== true)) {
    const bits = ofBits(quants.map((q) => q.bits))
    return { bitWidth: kit.constant(bits).id, bits }
  }
  return { bitWidth: ofValues(quants.map((q) => kit.value(q.bitWidth))).id, bits: WIDEST_LEARNED, learned: true }
}

/** A scale or zero point in words: its node, and the layer that made it. */
export const ofLayer = (id: NodeId, kit: Kit): string => `%${id} (of ${kit.whereIs(id)})`

/** What to do about two scales or zero points that meet: `otherwise`, or, where they are of two calls of one quantizer, why they are two. */
export const twoMeet = (a: NodeId, b: NodeId, kit: Kit, otherwise: string): string => {
  const where = kit.whereIs(a)
  return where === kit.whereIs(b) && where.endsWith('Quant')
    ? `both calls are of ${where}, and in training each that collects has numbers of its own, as in Brevitas; in eval they are one`
    : otherwise
}

/** Of two nodes with the same numbers the one with more axes: the shape to which both broadcast. */
export const wider = (a: NodeId, b: NodeId, kit: Kit): NodeId =>
  kit.value(b).shape.length > kit.value(a).shape.length ? b : a

/**
 * Quantization metadata as data: what a value carries, and the integer ranges behind it.
 * Knows Brevitas' rules for ranges and validity (SEMANTICS.md sections 1 and 10); knows nothing of graphs but ids.
 */

import { showFormat, type FloatFormat } from './minifloat.js'

/** Identifies a node of a graph: its index in `Graph.nodes`. */
export type NodeId = number

/**
 * What is known of a zero point before a program runs: `zero`; `integer` (maybe not zero, but an integer inside the
 * tensor's integer range); `any` (maybe a fraction, as after adding a float tensor).
 */
export type ZeroPointKind = 'zero' | 'integer' | 'any'

/**
 * What is known of a traced zero point: also `equalScales`, that of a per-channel accumulator with a quantized bias. Brevitas
 * makes it a single 0 where the scales of all channels turn out to be equal, else a number of steps per channel, and only a
 * run can tell. The steps are never +0, so that +0 everywhere says the first (`src/ops/addBias.ts`).
 */
export type TracedZeroPoint = ZeroPointKind | 'equalScales'

/** May the zero point be a fraction? */
export const mayBeFraction = (zero: TracedZeroPoint): boolean => zero === 'any' || zero === 'equalScales'

/**
 * Scales of groups: one per `size` elements along an axis, whose last group may be cut short. The scale and zero point of such
 * metadata are the compact ones: that axis is two, the groups and a 1. `dim` is the axis as it was asked for; negative ones count from the back.
 */
export type Group = { readonly size: number; readonly dim: number }

/** What all metadata of a traced value has: nodes for scale, zero point and bit width, and what is static. */
type GridParts = {
  readonly scale: NodeId
  readonly zeroPoint: NodeId
  readonly bitWidth: NodeId
  /** The bit width; where it is learned, the most that it can be. */
  readonly bits: number
  readonly signed: boolean
  readonly training: boolean
  readonly group?: Group
}

/**
 * Integer metadata of a traced value: `value = (int - zeroPoint) * scale`.
 * `scale`, `zeroPoint` and `bitWidth` are nodes; the rest is static. `lo` and `hi` bound the integers that can occur
 * (never wider than the bit width allows while the value is `carries`). `slack` bounds, in integer steps, how far
 * float32 rounding can move a value off its grid; Brevitas' validity allows 0.2. `learned`: only a run knows the bit width.
 */
export type Quant = GridParts & {
  readonly zero: TracedZeroPoint
  readonly lo: number
  readonly hi: number
  readonly slack: number
  readonly learned?: true
}

/** Metadata of a value on a grid of minifloats: `value = minifloat * scale`, its zero point 0. */
export type FloatQuant = GridParts & { readonly format: FloatFormat }

/** Metadata of any kind: of integers or minifloats, in groups or not. */
export type Grid = Quant | FloatQuant

/** Is it metadata of minifloats? */
export const isFloatGrid = (g: Grid): g is FloatQuant => 'format' in g
/** Is it metadata of integers, whose scales lie as they broadcast, and whose width is a number? */
export const isPlainInteger = (g: Grid): g is Quant => !isFloatGrid(g) && g.group === undefined && g.learned !== true
/** Is it metadata of integers, whose scales lie as they broadcast? Their width may be learned. */
export const isInteger = (g: Grid): g is Quant => !isFloatGrid(g) && g.group === undefined
/** The nodes that metadata names. */
export const nodesOfGrid = (g: Pick<GridParts, 'scale' | 'zeroPoint' | 'bitWidth'>): readonly NodeId[] => [
  g.scale,
  g.zeroPoint,
  g.bitWidth,
]

/**
 * What a value carries, known from the trace alone. `carries`: it lies on the grid of `quant`. That holds of finite
 * inputs, a finite scale that isn't 0, and float addends and biases below 2^20 steps: of a NaN, which lies on no grid, nothing
 * is promised, and whoever takes integers checks the numbers (`int`).
 * `claimed`: Brevitas keeps the metadata, but the value need not lie on the grid, because `why`; `exact`: its integers
 * are right, and only the float32 view of them, or Brevitas' test of validity, may not be.
 * `stripped`: its operands had metadata and it was lost here, because `why`. `float`: no operand had any.
 */
export type Carried =
  | { readonly tag: 'carries'; readonly quant: Grid }
  | { readonly tag: 'claimed'; readonly quant: Grid; readonly why: string; readonly exact?: boolean }
  | { readonly tag: 'stripped'; readonly why: string }
  | { readonly tag: 'float' }

/** The value lies on the grid of `quant`, if what it is made of is finite. */
export const carries = (quant: Grid): Carried => ({ tag: 'carries', quant })
/** Metadata that Brevitas keeps although it may be false; `why` is the counterexample. */
export const claimed = (quant: Grid, why: string): Carried => ({ tag: 'claimed', quant, why })
/** A claim that is true of the integers: float32 can't hold their grid, or Brevitas' test of validity doesn't know it. */
export const exactly = (quant: Grid, why: string): Carried => ({ tag: 'claimed', quant, why, exact: true })
/** Metadata is lost here. */
export const stripped = (why: string): Carried => ({ tag: 'stripped', why })
/** Never had metadata. */
export const float: Carried = { tag: 'float' }

/** The metadata of a value that carries or claims any, else null. */
export const gridOf = (c: Carried): Grid | null => (c.tag === 'carries' || c.tag === 'claimed' ? c.quant : null)

/**
 * The metadata of a value that carries or claims plain integers: no minifloats, no groups, no learned width. Null of all others, so that
 * who computes with integers can't mistake them.
 */
export const quantOf = (c: Carried): Quant | null => {
  const g = gridOf(c)
  return g !== null && isPlainInteger(g) ? g : null
}

/** The same of integers whose width may be learned. */
export const integersOf = (c: Carried): Quant | null => {
  const g = gridOf(c)
  return g !== null && isInteger(g) ? g : null
}

/** Smallest integer of a width: `-2^(b-1)` signed (narrow: one more), else 0. */
export const intMin = (bits: number, signed: boolean, narrow = false): number =>
  signed ? -(2 ** (bits - 1)) + (narrow ? 1 : 0) : 0

/** Largest integer of a width: `2^(b-1) - 1` signed, else `2^b - 1` (narrow: one less). */
export const intMax = (bits: number, signed: boolean, narrow = false): number =>
  signed ? 2 ** (bits - 1) - 1 : 2 ** bits - 1 - (narrow ? 1 : 0)

/** Half an ulp of float32, relative: the largest relative error of one rounding. */
export const HALF_ULP = 2 ** -24

/** Largest distance from the grid, in steps, at which Brevitas still calls a tensor valid (SEMANTICS 10). */
export const VALID_DISTANCE = 0.2

/** Widest interval length `hi - lo` of the integers, used as the bound of `|int - zeroPoint|`. */
export const reach = (q: Quant): number => (q.zero === 'zero' ? Math.max(Math.abs(q.lo), Math.abs(q.hi)) : q.hi - q.lo)

/** Do all integers that can occur fit the width? */
export const integersFit = (q: Quant): boolean => q.lo >= intMin(q.bits, q.signed) && q.hi <= intMax(q.bits, q.signed)

/**
 * Does the static knowledge prove that the value is valid in Brevitas' sense? The integers fit the width, and float32
 * rounding (the slack, plus the division that reads the integers back) stays below 0.2 of a step.
 */
export const provablyValid = (q: Quant): boolean =>
  integersFit(q) && q.bits >= 2 && q.slack + 2 * HALF_ULP * reach(q) < VALID_DISTANCE

/** `bits` and sign as text: `8s`, `4u`. */
export const showBits = (q: { readonly bits: number; readonly signed: boolean }): string =>
  `${q.bits}${q.signed ? 's' : 'u'}`

/** A kind of numbers as text: `8s`, `e4m3 (OCP)`, `≤8s` where the width is learned; ` · 32` behind it where scales are those of groups. */
export const showKind = (g: {
  readonly bits: number
  readonly signed: boolean
  readonly learned?: boolean
  readonly format?: FloatFormat
  readonly group?: Group
}): string => {
  const numbers =
    g.format === undefined
      ? `${g.learned === true ? '≤' : ''}${showBits(g)}`
      : `${showFormat(g.format)}${g.signed ? '' : ' unsigned'}`
  return g.group === undefined ? numbers : `${numbers} · ${g.group.size}`
}

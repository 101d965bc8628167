/** Metadata of pools (SEMANTICS 11). */
import type { Carried, Grid, Quant } from '../../data/quant.js'
import { gridOf, HALF_ULP, integersOf, intMax, intMin, reach, stripped } from '../../data/quant.js'
import { showShape } from '../../data/shape.js'
import type { Kit, Value } from '../../graph/op.js'
import { channelAxes, claim, conclude, keep, losesGroups, widthOf } from './metadata.js'

/** Why scales that vary along a pooled axis make the result doubtful, or null if they don't. */
const variesWhy = (x: Value, q: Grid, spatial: number, kit: Kit): string | null => {
  const rank = x.shape.length
  const axis = channelAxes(q, rank, kit).find((d) => d >= rank - spatial || d < 0)
  return axis === undefined
    ? null
    : `the scale ${showShape(kit.value(q.scale).shape)} varies along pooled axis ${axis} of ${showShape(x.shape)}, so one window mixes several grids`
}

/** A maximum is one of its operands: metadata is kept. `empty`: some window has no element, and its maximum is -Infinity. */
export const carryMax = (args: readonly Value[], spatial: number, empty: boolean, kit: Kit): Carried => {
  const q = gridOf(args[0].carried)
  if (q === null) return keep(args)
  const lost = losesGroups(args, 'one window mixes several of them')
  if (lost !== null) return lost
  const why =
    variesWhy(args[0], q, spatial, kit) ??
    (empty ? 'a window lies in the padding alone, and -Infinity is on no grid' : null)
  return why === null ? keep(args) : claim(args, q, why)
}

/** What is particular to one average pool. */
export type Average = {
  /** Number of pooled axes. Brevitas knows a rule for 2 only. */
  readonly spatial: number
  /** By which Brevitas divides the scale. */
  readonly divisor: number
  /** Most elements that one window sums. */
  readonly terms: number
  /** Why some window is not divided by `divisor`, or null. */
  readonly uneven: string | null
  /** Right metadata instead of Brevitas' quirks: the zero point is multiplied too, and uneven windows strip. */
  readonly correct: boolean
}

const averaged = (q: Quant, { divisor, terms, correct }: Average, kit: Kit): Quant => {
  const width = widthOf(
    [q],
    kit,
    ([span]) => span * divisor,
    ([span]) => kit.emit('mul', [span, kit.constant(divisor)]),
  )
  return {
    ...q,
    zeroPoint:
      correct && q.zero !== 'zero' ? kit.emit('mul', [kit.value(q.zeroPoint), kit.constant(terms)]).id : q.zeroPoint,
    scale: kit.emit('div', [kit.value(q.scale), kit.constant(divisor)]).id,
    ...width,
    // Padding adds zeros, so that a window may sum fewer terms; hence the hull with 0.
    lo: Math.min(0, q.lo) * terms,
    hi: Math.max(0, q.hi) * terms,
    // Each element is off by its slack; the mean and the scale's quotient are rounded once each.
    slack: terms * q.slack + 2 * HALF_ULP * terms * reach(q),
  }
}

const tooWide = (q: Quant, terms: number): string =>
  q.bits < 2 || q.lo < intMin(q.bits, q.signed) || q.hi > intMax(q.bits, q.signed)
    ? `${terms} elements sum to ${q.lo} … ${q.hi}, which does not fit ${q.bits} ${q.signed ? 'signed' : 'unsigned'} bits`
    : `a sum of ${terms} elements may be off by 0.2 steps or more in float32 (${q.slack.toPrecision(2)}); use fewer bits or a smaller window`

/** What an average carries: scale `s/k`, zero point kept, bits for `k` times the largest integer. */
export const carryAverage = (args: readonly Value[], a: Average, kit: Kit): Carried => {
  const q = integersOf(args[0].carried)
  if (q === null) return keep(args)
  if (a.spatial !== 2)
    return stripped(
      `an average over ${a.spatial} axes is in no table of Brevitas and gives a plain tensor (only avg_pool2d and adaptive_avg_pool2d keep metadata); quantize the result again`,
    )
  if (a.correct && a.uneven !== null) return stripped(a.uneven)
  const quant = averaged(q, a, kit)
  const why = variesWhy(args[0], q, a.spatial, kit) ?? a.uneven
  if (why !== null) return claim(args, quant, why)
  if (q.zero !== 'zero' && a.terms > 1 && !a.correct)
    return claim(
      args,
      quant,
      `the zero point z is kept instead of multiplied by ${a.divisor}: a window of ${a.terms} elements with integer 0 has the integer -${a.terms - 1}*z`,
    )
  return conclude(args, quant, tooWide(quant, a.terms))
}

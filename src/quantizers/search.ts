/** The searches that stand where a statistic would: for a threshold, or for the lower end of a range (SEMANTICS-2 sections 4 to 6). */
import { intMax, intMin } from '../data/quant.js'
import type { Value } from '../graph/op.js'
import type { CandidateAttrs, IntegerGrid } from '../ops/support/search.js'
import type { Layout } from './layout.js'
import type { Quantizer } from './quantizer.js'
import { integerThreshold } from './scaling.js'
import { formatOf, largestMinifloat } from './minifloat.js'
import { smallestAtMostZero, statistic, viewAs } from './statistics.js'

const integerGrid = (q: Quantizer): IntegerGrid => {
  const b = q.bitWidth ?? 8
  return {
    lo: intMin(b, q.signed, q.narrowRange),
    hi: intMax(b, q.signed, q.narrowRange),
    rounding: q.floatToIntImplType,
  }
}

const restrictionOf = (q: Quantizer): CandidateAttrs['restriction'] => {
  if (q.use !== 'weight') return 'none'
  return q.restrictScalingType === 'POWER_OF_TWO' ? q.restrictValueFloatToIntImpl : q.restrictScalingType
}

/** How weights restrict and bound the candidates; activations divide them by the threshold as they are. */
const candidatesOf = (q: Quantizer): CandidateAttrs => ({
  threshold: q.use !== 'weight' && q.quantType === 'FLOAT' ? largestMinifloat(q) : integerThreshold(q),
  restriction: restrictionOf(q),
  minVal: q.use === 'weight' ? (q.scalingMinVal ?? 0) : 0,
})

/** The threshold that a search finds for each row; `lowerEnd` is that of the range, of quantizers whose zero point is searched too. */
const searched = (rows: Value, q: Quantizer, lowerEnd: Value | null): Value => {
  const { kit } = rows
  if (q.search === 'HQO')
    return kit.emit('hqoThreshold', [rows], {
      ...integerGrid(q),
      threshold: integerThreshold(q),
      minVal: q.scalingMinVal ?? 0,
    })
  if (q.quantType === 'FLOAT') {
    const { exponentBits, mantissaBits, bias } = formatOf(q)
    const format = { exponentBits, mantissaBits, bias, largest: largestMinifloat(q), signed: q.signed }
    return kit.emit('mseFloatThreshold', [rows], { ...format, ...candidatesOf(q) })
  }
  const attrs = { ...integerGrid(q), ...candidatesOf(q) }
  return q.zeroPointImpl === 'zero' || q.zeroPointImpl === 'stats'
    ? kit.emit('mseThreshold', [rows], attrs)
    : kit.emit('mseRange', [rows, lowerEnd ?? smallestAtMostZero(rows)], attrs)
}

/** The threshold of a tensor, in the shape of the scale: a statistic of it, or what a search finds. */
export const thresholdOf = (x: Value, q: Quantizer, layout: Layout, lowerEnd: Value | null = null): Value => {
  const rows = layout.rows(layout.cut(x))
  return viewAs(q.search === null ? statistic(rows, q) : searched(rows, q, lowerEnd), layout.scale)
}

/** One number per row, from a tensor in the shape of the scale. */
const perRow = (v: Value, rows: Value): Value => v.kit.emit('reshape', [v], { shape: rows.shape.slice(0, -1) })

/** The lower end that a search with a given scale finds, in the shape of the scale. */
export const searchedLowerEnd = (x: Value, scale: Value, q: Quantizer, layout: Layout): Value => {
  const rows = layout.rows(layout.cut(x))
  const found = rows.kit.emit('mseLowerEnd', [rows, perRow(scale, rows)], integerGrid(q))
  return viewAs(found, layout.scale)
}

/** The same by half-quadratic steps, and how many turns have been made in all. */
export const solvedLowerEnd = (
  x: Value,
  scale: Value,
  turns: Value,
  q: Quantizer,
  layout: Layout,
): readonly [end: Value, turns: Value] => {
  const rows = layout.rows(layout.cut(x))
  const { kit } = rows
  const found = kit.emit('hqoLowerEnd', [rows, perRow(scale, rows), turns], {
    ...integerGrid(q),
    padded: layout.padded,
  })
  const n = found.shape[0] - 1
  const part = (start: number, end: number): Value => kit.emit('slice', [found], { dim: 0, start, end })
  return [viewAs(part(0, n), layout.scale), kit.emit('reshape', [part(n, n + 1)], { shape: [] })]
}

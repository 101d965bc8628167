/** ReLU and its bounded relatives. They keep metadata, as `F.relu` does; the bounds make it a claim. */
import type { Carried } from '../data/quant.js'
import { carries, gridOf, isPlainInteger } from '../data/quant.js'
import { finite, orNull } from '../graph/attr.js'
import type { AttrsOf, NoAttrs } from '../graph/attributes.js'
import type { Op, Value } from '../graph/op.js'
import { maskedBy, unary, unaryExamples } from './support/elementwise.js'
import { raisedThenCut } from './support/lanes.js'
import { claim, keep, zeroIsOnGrid } from './support/metadata.js'

const reluCarry = (args: readonly Value[], positive = true): Carried => {
  const q = gridOf(args[0].carried)
  if (q === null) return keep(args)
  if (!zeroIsOnGrid(q))
    return claim(args, q, 'its zero point may be a fraction or out of range, and then 0 is off the grid')
  if (!isPlainInteger(q)) return keep(args)
  const quant = positive && q.zero === 'zero' ? { ...q, lo: Math.max(q.lo, 0) } : q
  const before = args[0].carried
  return before.tag === 'claimed' ? { ...before, quant } : carries(quant)
}

/** `max(x, 0)`, NaN kept; gradient 0 at 0, 1 at NaN (F.relu). */
export const relu: Op = unary({
  name: 'relu',
  homogeneous: true,
  sign: () => 'nonNegative',
  cuts: () => [0, null],
  doc: 'max(x, 0), with gradient 0 at 0 (F.relu).',
  attrs: {},
  f: (x) => {
    if (x > 0) return x
    return Number.isNaN(x) ? x : 0
  },
  grids: 'all',
  // x < 0 ? 0 : x keeps -0, which the addition of 0 makes 0.
  lanes: (e, [x]) => e.add(e.pmax(x, e.zero), e.zero),
  carry: (args) => reluCarry(args),
  vjp: maskedBy((x) => x.kit.emit('inside', [x], { min: 0, max: null })),
})

/** A bound that is null does not bind (JSON has no infinity). */
const bounds = { minVal: orNull(finite), maxVal: orNull(finite) }
type Bounds = AttrsOf<typeof bounds>

const hardtanhCarry = (args: readonly Value[], { minVal, maxVal }: Bounds): Carried => {
  const q = gridOf(args[0].carried)
  if (q === null) return keep(args)
  const off = [minVal, maxVal].find((b) => b !== null && b !== 0)
  if (off !== undefined)
    return claim(
      args,
      q,
      `the bounds ${minVal ?? 'none'} and ${maxVal ?? 'none'} are off the grid as a rule: ${off} is no multiple of a scale of 0.7`,
    )
  return minVal === null && maxVal === null ? keep(args) : reluCarry(args, false)
}

/** x cut to `minVal … maxVal`, NaN kept; gradient 0 **at** both bounds, 1 at NaN (F.hardtanh). */
export const hardtanh: Op<Bounds> = unary<Bounds>({
  name: 'hardtanh',
  sign: ({ minVal, maxVal }) =>
    minVal !== null && minVal >= 0 && (maxVal === null || maxVal >= 0) ? 'nonNegative' : null,
  cuts: ({ minVal, maxVal }) => (minVal !== null && maxVal !== null && minVal > maxVal ? null : [minVal, maxVal]),
  doc: 'x cut to minVal … maxVal, with gradient 0 at both bounds (F.hardtanh).',
  attributes: bounds,
  attrs: { minVal: -1, maxVal: 1 },
  f: (x, { minVal, maxVal }) => {
    if (maxVal !== null && x > maxVal) return Math.fround(maxVal)
    return minVal !== null && x < minVal ? Math.fround(minVal) : x
  },
  grids: 'all',
  lanes: (e, [x], { minVal, maxVal }) => {
    const [min, max] = [minVal, maxVal].map((b) => (b === null ? null : Math.fround(b)))
    // Where the bounds cross, or lie between float32 numbers, the order of the comparisons tells.
    if (min === null || max === null || (min <= max && min === minVal && max === maxVal))
      return raisedThenCut(e, x, min, max)
    return e.select(
      e.gt(x, e.constant(maxVal ?? max)),
      e.constant(max),
      e.select(e.lt(x, e.constant(minVal ?? min)), e.constant(min), x),
    )
  },
  carry: hardtanhCarry,
  vjp: maskedBy((x, { minVal, maxVal }) => x.kit.emit('inside', [x], { min: minVal, max: maxVal })),
  examples: [
    ...unaryExamples<Bounds>({ minVal: -1, maxVal: 1 }),
    ...unaryExamples<Bounds>({ minVal: 0, maxVal: null }),
  ],
})

/** x cut to 0 … 6, NaN kept; gradient 0 at both bounds, 1 at NaN (F.relu6). */
export const relu6: Op = unary({
  name: 'relu6',
  sign: () => 'nonNegative',
  cuts: () => [0, 6],
  doc: 'x cut to 0 … 6, with gradient 0 at both bounds (F.relu6).',
  attrs: {},
  f: (x) => {
    if (x > 6) return 6
    return x < 0 ? 0 : x
  },
  grids: 'all',
  lanes: (e, [x]) => raisedThenCut(e, x, 0, 6),
  carry: (args) => {
    const q = gridOf(args[0].carried)
    return q === null ? keep(args) : claim(args, q, '6 is off the grid as a rule: it is no multiple of a scale of 0.7')
  },
  vjp: maskedBy((x) => x.kit.emit('inside', [x], { min: 0, max: 6 })),
})

declare module '../graph/op.js' {
  interface Primitives {
    relu: NoAttrs
    hardtanh: Bounds
    relu6: NoAttrs
  }
}

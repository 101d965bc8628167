/** Learned bit widths (SEMANTICS-2 section 11): a leaf of state whose rounded magnitude, above a least width, is the bit width. */
import type { Value } from '../graph/op.js'
import type { Leaves, StateLeaf } from './collection.js'
import type { Quantizer } from './quantizer.js'
import type { Width } from './scaling.js'

/** Is the bit width of a quantizer learned? Pre-scaled weights ignore the option (surprise), as do other kinds than integers. */
export const learnsWidth = (q: Quantizer): boolean =>
  q.bitWidthImplType === 'PARAMETER' && q.quantType === 'INT' && q.preScaling === null && q.use !== 'bias'

/** The part of a quantizer's state that holds the offset; none where the width is a number. */
export const widthState = (q: Quantizer): { readonly [part: string]: { readonly [leaf: string]: StateLeaf } } =>
  learnsWidth(q)
    ? {
        bitWidth: {
          offset: {
            shape: [],
            learned: true,
            value: (q.bitWidth ?? 8) - q.minBitWidth,
            means: `bits above ${q.minBitWidth}, of which the magnitude counts`,
          },
        },
      }
    : {}

/** The bounds hold of the width itself, not of the offset (surprise); straight-through. */
const bounded = (b: Value, { bitWidthOffsetMinVal: min, bitWidthOffsetMaxVal: max }: Quantizer): Value => {
  if (min === null) return b
  return max === null
    ? b.kit.emit('signedLowerBound~identity', [b], { min })
    : b.kit.emit('clamp~identity', [b], { min, max })
}

/** The width that a quantizer's state means: `round(|offset| + least)`; undefined where it is a number. */
export const learnedWidth = (q: Quantizer, state: Leaves | undefined): Width => {
  if (state === undefined || !learnsWidth(q)) return undefined
  const { offset } = state
  const { kit } = offset
  const above = kit.emit('add', [kit.emit('absBinarySign', [offset]), kit.constant(q.minBitWidth)])
  return bounded(kit.emit('round~identity', [above]), q)
}

/** How scales lie over a tensor, and what QuantizeLinear and DequantizeLinear say of that. */
import type { Shape } from '../../../data/shape.js'
import { int, type Attribute } from '../writer.js'

/** How scales lie over a tensor: one, a vector along an axis, or blocks along one. */
export type Layout = { readonly shape: Shape; readonly axis: number | null; readonly block: number | null }

/** How a scale of this shape lies over a tensor; null where no axis is one block. */
export const layoutOf = (shape: Shape, scale: Shape): Layout | null => {
  const varying = scale.flatMap((n, i) => (n > 1 ? [i + shape.length - scale.length] : []))
  if (varying.length === 0) return { shape: [], axis: null, block: null }
  if (varying.length === 1) return { shape: [shape[varying[0]]], axis: varying[0], block: null }
  const single = scale.flatMap((n, i) => (n === 1 && shape[i] > 1 ? [i] : []))
  return scale.length === shape.length && single.length === 1
    ? { shape: scale, axis: single[0], block: shape[single[0]] }
    : null
}

/** What QuantizeLinear and DequantizeLinear say of it. */
export const attributesOf = ({ axis, block }: Layout): { readonly [name: string]: Attribute | undefined } => ({
  ...(axis === null ? {} : { axis: int(axis) }),
  ...(block === null ? {} : { block_size: int(block) }),
})

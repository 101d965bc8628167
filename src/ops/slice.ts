/** A stretch of one axis (torch.narrow, torch.split, indexing with a range). */
import { showShape, sizeOf, type Shape } from '../data/shape.js'
import { whole } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import type { Op, Refusal } from '../graph/op.js'
import { refuse } from '../graph/op.js'
import { strips } from './support/elementwise.js'

/** Indices `start … end-1` of axis `dim`. */
const attributes = { dim: whole, start: whole, end: whole }
type SliceAttrs = AttrsOf<typeof attributes>

const sliced = ([x]: readonly Shape[], { dim, start, end }: SliceAttrs): Shape | Refusal => {
  if (!Number.isInteger(dim) || dim < 0 || dim >= x.length)
    return refuse(
      `there is no axis ${dim} in ${showShape(x)}`,
      x.length === 0 ? 'a scalar cannot be sliced' : `name an axis from 0 to ${x.length - 1}`,
    )
  if (!Number.isInteger(start) || !Number.isInteger(end) || start < 0 || end < start || end > x[dim])
    return refuse(
      `indices ${start} to ${end} are no stretch of axis ${dim} of ${showShape(x)}`,
      `give whole numbers with 0 <= start <= end <= ${x[dim]}`,
    )
  return x.map((n, i) => (i === dim ? end - start : n))
}

/** Elements `start … end-1` along `dim` (torch.narrow). Gradient: `pad` with zeros. */
export const slice: Op<SliceAttrs> = {
  name: 'slice',
  doc: 'Elements start … end-1 along an axis (torch.narrow, torch.split).',
  operands: ['x'],
  dtype: 'same',
  attributes,
  shape: sliced,
  carry: strips(
    'torch.split and indexing are in no table of Brevitas: they get the bare value and return a plain tensor; quantize the parts again',
  ),
  vjp: ({ g, args: [x], attrs: { dim, start, end }, kit }) => [
    kit.emit('pad', [g], {
      pad: x.shape.map((n, i) => (i === dim ? [start, n - end] : [0, 0])),
      mode: 'constant',
      value: 0,
    }),
  ],
  evaluate: ([x], { dim, start }, out) => {
    const rows = sizeOf(x.shape.slice(0, dim))
    const step = sizeOf(x.shape.slice(dim))
    const n = sizeOf(out.shape.slice(dim))
    const first = start * sizeOf(x.shape.slice(dim + 1))
    for (let r = 0; r < rows; r++) out.data.set(x.data.subarray(r * step + first, r * step + first + n), r * n)
    return null
  },
  examples: [
    { args: [{ shape: [5] }], attrs: { dim: 0, start: 1, end: 4 } },
    { args: [{ shape: [2, 3, 2], quant: { bits: 4, signed: true } }], attrs: { dim: 1, start: 0, end: 2 } },
  ],
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    slice: SliceAttrs
  }
}

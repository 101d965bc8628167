/** 0, 1, 2, …: what masks by position are made of. */
import { float } from '../data/quant.js'
import { between } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import type { Op } from '../graph/op.js'

/** As many as float32 can count. */
const attributes = { size: between(0, 2 ** 24) }
type Size = AttrsOf<typeof attributes>

/** The whole numbers from 0 to `size - 1` (torch.arange). */
export const arange: Op<Size> = {
  name: 'arange',
  doc: 'The whole numbers from 0 on (torch.arange).',
  operands: [],
  attributes,
  dtype: 'integer',
  shape: (_shapes, { size }) => [size],
  carry: () => float,
  vjp: () => [],
  evaluate: (_args, _attrs, out) => {
    for (let i = 0; i < out.data.length; i++) out.data[i] = i
    return null
  },
  examples: [{ args: [], attrs: { size: 5 } }],
  smooth: false,
}

declare module '../graph/op.js' {
  interface Primitives {
    arange: Size
  }
}

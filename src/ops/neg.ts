/** `-x` of a plain tensor. Of quant tensors see `quantNeg`. */
import type { NoAttrs } from '../graph/attributes.js'
import type { Op } from '../graph/op.js'
import { strips, unary } from './support/elementwise.js'

/** `-x` (torch.neg). */
export const neg: Op = unary({
  name: 'neg',
  doc: '-x (torch.neg).',
  attrs: {},
  f: (x) => -x,
  lanes: (e, [x]) => e.neg(x),
  carry: strips(
    'torch.neg gets the bare value and returns a plain tensor; write neg(x), the operator of quant tensors',
  ),
  vjp: ({ g, kit }) => [kit.emit('neg', [g])],
})

declare module '../graph/op.js' {
  interface Primitives {
    neg: NoAttrs
  }
}

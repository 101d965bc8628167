/** Softsign: the example of how little a new unary op needs (this file, and one line in index.ts). */
import type { Op } from '../graph/op.js'
import { scaledBy, strips, unary } from './support/elementwise.js'

/** `x/(1 + |x|)` (F.softsign). */
export const softsign: Op = unary({
  name: 'softsign',
  doc: 'x/(1 + |x|) (F.softsign).',
  attrs: {},
  f: (x) => x / (1 + Math.abs(x)),
  carry: strips('x/(1 + |x|) is on no grid: softsign(1) = 0.5'),
  vjp: scaledBy((x) => {
    const { kit } = x
    const d = kit.emit('add', [kit.constant(1), kit.emit('abs', [x])])
    return kit.emit('div', [kit.constant(1), kit.emit('mul', [d, d])])
  }),
})

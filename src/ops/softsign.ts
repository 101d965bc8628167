/** Softsign: the example of how little a new unary op needs (this file, and one line in all.ts). */
import type { NoAttrs } from '../graph/attributes.js'
import type { Op } from '../graph/op.js'
import { strips, unary } from './support/elementwise.js'

/** `x/(1 + |x|)` (F.softsign). */
export const softsign: Op = unary({
  name: 'softsign',
  doc: 'x/(1 + |x|) (F.softsign).',
  attrs: {},
  f: (x) => x / (1 + Math.abs(x)),
  lanes: (e, [x]) => e.div(x, e.add(e.one, e.abs(x))),
  carry: strips('x/(1 + |x|) is on no grid: softsign(1) = 0.5'),
  // g/d - g/d*|x/d| with d = 1 + |x|, as torch has it: NaN where x/d is, at the infinities.
  vjp: ({ g, args: [x], out, kit }) => {
    const byD = kit.emit('div', [g, kit.emit('add', [kit.constant(1), kit.emit('abs', [x])])])
    return [kit.emit('sub', [byD, kit.emit('mul', [byD, kit.emit('abs', [out()])])])]
  },
})

declare module '../graph/op.js' {
  interface Primitives {
    softsign: NoAttrs
  }
}

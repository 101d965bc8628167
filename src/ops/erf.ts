/** The error function, of which foreign models compose gelu. */
import { erf as erfOf } from '../data/math.js'
import type { NoAttrs } from '../graph/attributes.js'
import type { Op } from '../graph/op.js'
import { scaledBy, strips, unary } from './support/elementwise.js'

const TWO_OVER_SQRT_PI = 2 / Math.sqrt(Math.PI)

/** `2/√π ∫₀ˣ e^-t² dt` (torch.erf). */
export const erf: Op = unary({
  name: 'erf',
  doc: 'The error function (torch.erf).',
  attrs: {},
  f: erfOf,
  lanes: (e, [x]) => e.erf(x),
  carry: strips('erf(x) is on no grid of x: erf(1) = 0.843'),
  vjp: scaledBy((x) =>
    x.kit.emit('mul', [
      x.kit.emit('exp', [x.kit.emit('neg', [x.kit.emit('mul', [x, x])])]),
      x.kit.constant(TWO_OVER_SQRT_PI),
    ]),
  ),
})

declare module '../graph/op.js' {
  interface Primitives {
    readonly erf: NoAttrs
  }
}

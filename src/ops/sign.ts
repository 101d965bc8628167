/** The two signs: torch's with `sign(0) = 0`, and the binary one with `sign(0) = +1`. */
import type { NoAttrs } from '../graph/attributes.js'
import type { Op } from '../graph/op.js'
import { noPath, strips, unary } from './support/elementwise.js'

/** -1, 0 or 1 (torch.sign; NaN gives 0); no gradient. */
export const sign: Op = unary({
  name: 'sign',
  doc: 'The sign of x: -1, 0 or 1 (torch.sign).',
  attrs: {},
  smooth: false,
  f: (x) => {
    if (x > 0) return 1
    return x < 0 ? -1 : 0
  },
  lanes: (e, [x]) => e.sub(e.flag(e.gt(x, e.zero)), e.flag(e.lt(x, e.zero))),
  bounded: true,
  carry: strips('signs are -1, 0 and 1, which lie on no grid with scale 0.7'),
  vjp: noPath,
})

/** 1 where `x >= 0`, else -1, so that 0 gives 1 and NaN gives -1 (Brevitas `binary_sign`); no gradient. */
export const binarySign: Op = unary({
  name: 'binarySign',
  doc: '1 where x >= 0, else -1 (Brevitas binary_sign).',
  attrs: {},
  smooth: false,
  f: (x) => (x >= 0 ? 1 : -1),
  lanes: (e, [x]) => e.select(e.ge(x, e.zero), e.one, e.constant(-1)),
  bounded: true,
  carry: strips('signs are -1 and 1, which lie on no grid with scale 0.7'),
  vjp: noPath,
})

declare module '../graph/op.js' {
  interface Primitives {
    sign: NoAttrs
    binarySign: NoAttrs
  }
}

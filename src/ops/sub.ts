/** `a - b` of plain tensors. Of quant tensors `x - y` is `x + (-y)`: see `sub` in src/nn. */
import type { NoAttrs } from '../graph/attributes.js'
import type { Op } from '../graph/op.js'
import { binary, strips, sumTo } from './support/elementwise.js'

/** `a - b` with broadcasting (torch.sub). Gradient: `g` and `-g`. */
export const sub: Op = binary({
  name: 'sub',
  homogeneous: true,
  doc: 'a - b with broadcasting (torch.sub).',
  f: (a, b) => a - b,
  lanes: (e, [a, b]) => e.sub(a, b),
  infix: { sign: ' - ', binds: 1, left: true },
  carry: strips('torch.sub gets bare values and returns a plain tensor; write sub(x, y), which is x + (-y)'),
  vjp: ({ g, args: [a, b], needs, kit }) => [sumTo(g, a.shape), needs[1] ? sumTo(kit.emit('neg', [g]), b.shape) : null],
})

declare module '../graph/op.js' {
  interface Primitives {
    sub: NoAttrs
  }
}

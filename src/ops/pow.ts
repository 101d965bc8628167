/** `a^b` of two tensors, as foreign models raise to powers. */
import { pow as powOf } from '../data/math.js'
import type { NoAttrs } from '../graph/attributes.js'
import type { Op } from '../graph/op.js'
import { binary, strips, sumTo } from './support/elementwise.js'

const positive: readonly [number, number] = [0.25, 3]

/** `a^b` with broadcasting (torch.pow). Gradient: `g*b*a^(b-1)`, 0 where b is 0; `g*a^b*ln a`, 0 where a is 0 and b isn't below 0. */
export const pow: Op = binary({
  name: 'pow',
  doc: 'a to the power of b (torch.pow).',
  f: powOf,
  carry: strips('a power of a multiple of s is no multiple of s'),
  vjp: ({ g, args: [a, b], needs, out, kit }) => {
    const zero = kit.constant(0)
    const below = (): typeof a => kit.emit('pow', [a, kit.emit('sub', [b, kit.constant(1)])])
    const toA = (): typeof a =>
      kit.emit('select', [kit.emit('equal', [b, zero]), zero, kit.emit('mul', [g, kit.emit('mul', [b, below()])])])
    const none = (): typeof a => kit.emit('mul', [kit.emit('equal', [a, zero]), kit.emit('lessEqual', [zero, b])])
    const toB = (): typeof a =>
      kit.emit('select', [none(), zero, kit.emit('mul', [g, kit.emit('mul', [out(), kit.emit('log', [a])])])])
    return [needs[0] ? sumTo(toA(), a.shape) : null, needs[1] ? sumTo(toB(), b.shape) : null]
  },
  examples: [
    { args: [{ shape: [5], range: positive }, { shape: [5] }], attrs: {} },
    { args: [{ shape: [2, 3], range: positive }, { shape: [3] }], attrs: {} },
    { args: [{ shape: [2, 1, 2], range: positive }, { shape: [3, 1] }], attrs: {} },
  ],
})

declare module '../graph/op.js' {
  interface Primitives {
    readonly pow: NoAttrs
  }
}

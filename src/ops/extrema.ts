/**
 * Element-wise maximum and minimum of two tensors (torch.maximum, torch.minimum): NaN wins; ties share the gradient evenly, and
 * where either is NaN both take all of it, as in torch.
 */
import type { NoAttrs } from '../graph/attributes.js'
import type { Op, Vjp } from '../graph/op.js'
import { binary, strips, sumTo } from './support/elementwise.js'

/** The gradient to the operand that did not lose; half of it to each of two equals. A NaN loses to nothing, nor does it win. */
const toWinner =
  (wins: 'less' | 'greater'): Vjp =>
  ({ g, args: [a, b], kit }) => {
    const [hi, lo] = wins === 'greater' ? [a, b] : [b, a]
    const half = kit.emit('mul', [g, kit.constant(0.5)])
    const tie = kit.emit('equal', [a, b])
    const share = (first: typeof a, second: typeof a) =>
      kit.emit('select', [tie, half, kit.emit('select', [kit.emit('less', [first, second]), kit.constant(0), g])])
    return [sumTo(share(hi, lo), a.shape), sumTo(share(lo, hi), b.shape)]
  }

/** The larger of two, element by element; NaN if either is. */
export const maximum: Op = binary({
  name: 'maximum',
  doc: 'The larger of a and b (torch.maximum).',
  f: Math.max,
  lanes: (e, [a, b]) => e.max(a, b),
  carry: strips('torch.maximum gets bare values; the larger of two grids is on neither'),
  vjp: toWinner('greater'),
})
/** The smaller of two, element by element; NaN if either is. */
export const minimum: Op = binary({
  name: 'minimum',
  doc: 'The smaller of a and b (torch.minimum).',
  f: Math.min,
  lanes: (e, [a, b]) => e.min(a, b),
  carry: strips('torch.minimum gets bare values; the smaller of two grids is on neither'),
  vjp: toWinner('less'),
})

declare module '../graph/op.js' {
  interface Primitives {
    maximum: NoAttrs
    minimum: NoAttrs
  }
}

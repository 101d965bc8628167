/** Absolute values: torch's, and the one whose gradient is a binary sign. Of quant tensors see `quantAbs`. */
import type { NoAttrs } from '../graph/attributes.js'
import type { Op } from '../graph/op.js'
import { scaledBy, strips, unary } from './support/elementwise.js'

/** `|x|`; gradient 0 at 0 (torch.abs). */
export const abs: Op = unary({
  name: 'abs',
  sign: () => 'nonNegative',
  doc: '|x|, with gradient 0 at 0 (torch.abs).',
  attrs: {},
  f: Math.abs,
  lanes: (e, [x]) => e.abs(x),
  carry: strips(
    'torch.abs gets the bare value and returns a plain tensor; write abs(x), the function of quant tensors',
  ),
  vjp: scaledBy((x) => x.kit.emit('sign', [x])),
})

/** `|x|` whose gradient at 0 is +1 (Brevitas' `abs_binary_sign_grad`). */
export const absBinarySign: Op = {
  ...abs,
  name: 'absBinarySign',
  doc: '|x|, with gradient +1 at 0 (Brevitas abs_binary_sign_grad).',
  vjp: scaledBy((x) => x.kit.emit('binarySign', [x])),
  smooth: false,
}

declare module '../graph/op.js' {
  interface Primitives {
    abs: NoAttrs
    absBinarySign: NoAttrs
  }
}

/** What layers say that can not give the quant tensor that they were asked for; not public. */
import type { Kit, Value } from '../../graph/op.js'

/** Brevitas' words for a quant tensor that can't be given. */
export const NOT_CONFIGURED = 'QuantLayer is not correctly configured, check if warnings were raised'

/** Says that there is no quant tensor to resize or truncate. */
export const notQuant = (kit: Kit, layer: string, x: Value): Value =>
  x.kit.failWith({
    tag: 'LayerError',
    layer,
    path: kit.path(),
    message: `${NOT_CONFIGURED}: ${layer} was asked for a quant tensor, but its input is a plain tensor: ${kit.whyPlain(x)}`,
    fix: 'feed it a quant tensor, or set returnQuantTensor: false',
  })

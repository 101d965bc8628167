/** What a quantizer says of its rounding, and how to ask for one. */
import type { Node } from '../../graph/graph.js'
import { ROUNDINGS, type Rounding } from '../../ops/rounding.js'

const isRounding = (x: unknown): x is Rounding => typeof x === 'string' && Object.hasOwn(ROUNDINGS, x)

/** The rounding of a quantizer; half to even where it doesn't say. */
export const roundingOf = (node: Node): Rounding => (isRounding(node.attrs.rounding) ? node.attrs.rounding : 'ROUND')

/** How floats become integers. */
export const fieldsOfQuantizer =
  'quantize the input: put a QuantIdentity({ returnQuantTensor: true }) in front, or give the layer an inputQuant'

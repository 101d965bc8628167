/** Which nodes quantize, and onto what: ops in which metadata is born of a value, users' own too. */
import type { Node } from '../../src/graph/graph.js'
import type { Op } from '../../src/graph/op.js'

/** What an operand is when a quantizer is drawn alone: the scale 1, the zero point 0. */
const ALONE: { readonly [role: string]: number } = { scale: 1, zeroPoint: 0 }

/** The operands behind the first one for drawing an op alone; null where these are no scale and zero point. */
export const operandsAlone = ({ operands = [] }: Op): readonly number[] | null => {
  const roles: readonly string[] = 'each' in operands ? [] : operands
  const rest = roles.slice(1)
  return roles[0] === 'x' && rest.every((role) => Object.hasOwn(ALONE, role)) ? rest.map((role) => ALONE[role]) : null
}

/** Does a node quantize a value: onto the integers of its bits, or onto levels of its own? */
export const quantizes = ({ op, attrs }: Node): 'integers' | 'levels' | undefined => {
  if (op.births !== true || operandsAlone(op) === null) return undefined
  return typeof attrs.bits === 'number' ? 'integers' : 'levels'
}

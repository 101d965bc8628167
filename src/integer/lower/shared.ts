/** What rules of joins, pools and moves share. */
import type { Node } from '../../graph/graph.js'
import { computes } from '../../graph/op.js'
import { moves, pools } from '../ops/moves.js'
import type { Range } from '../values.js'
import { uniform } from './grids.js'
import { append, prevented, type Integer, type Lowered, type Session } from './session.js'

/** How a value that stands on no usable grid gets one. */
export const ANEW = 'quantize it in front of this op, with a QuantIdentity'

/** A float op that moves or chooses, of integers. */
export const moveInteger = (s: Session, node: Node, x: Integer['value'], range: Range): Integer['value'] => {
  const name = computes(node.op).name
  return append(s, node.path, (moves[name] ?? pools[name]).integer, [x], { ...node.attrs, ...range })
}

/** An integer as what a rule returns. */
export const integer = (value: Integer['value'], range: Range, grid: Integer['grid']): Lowered => ({
  tag: 'integer',
  integer: { value, range, grid },
})

/** The one zero point, or one per operand's own: whole numbers only. */
export const wholeZero = (s: Session, node: Node, x: Integer): number | null => {
  const zero = uniform(x.grid.zeroPoint)
  if (zero !== null && Number.isInteger(zero)) return zero
  prevented(s, node, 'an operand has a zero point per channel, or one that is no integer', ANEW)
  return null
}

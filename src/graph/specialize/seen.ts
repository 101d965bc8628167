/** Values while a program is specialized: fixed ones, which become constants when somebody reads them, and nodes of the new graph. */
import type { Carried, NodeId, Quant, TracedZeroPoint } from '../../data/quant.js'
import { isFloatGrid, mayBeFraction } from '../../data/quant.js'
import type { QuantError } from '../../data/error.js'
import type { Tensor } from '../../data/tensor.js'
import type { Builder } from '../builder.js'
import type { Node } from '../graph.js'
import type { OpTable, Value } from '../op.js'

/** A value while the program is walked: fixed, with where it comes from, or a node of the new graph. */
type Fixture = { readonly tensor: Tensor; readonly path: string }
export type Seen =
  | { readonly fixed: null; readonly node: Value }
  | {
      readonly fixed: Fixture
      /** The constant, once somebody reads it. */
      node: Value | null
      /** Behind a kept node: the value as it is computed from that, for operands; metadata reads the constant. */
      kept: Value | null
    }

/** What a walk works with, and what it has found so far. */
export type Walk = {
  readonly b: Builder
  readonly keep: (node: Node) => boolean
  readonly unroll: boolean
  readonly table: OpTable
  readonly constants: Record<string, Tensor>
  readonly tensors: Map<NodeId, Tensor>
  readonly keys: Map<NodeId, string>
  readonly errors: QuantError[]
}

/** The one number that fills a tensor, or null. */
const uniform = ({ data }: Tensor): number | null => {
  if (data.length === 0) return null
  for (let i = 1; i < data.length; i++) if (!Object.is(data[i], data[0])) return null
  return data[0]
}

/** The node of a value; a constant becomes one when somebody reads it. */
export const nodeOf = (w: Walk, seen: Seen): Value => {
  if (seen.fixed === null) return seen.node
  if (seen.node !== null) return seen.node
  const { tensor, path } = seen.fixed
  const fill = uniform(tensor)
  const made = w.b.scoped(path, () => {
    if (fill !== null) return w.b.constant(fill, tensor.shape)
    const key = `c${Object.keys(w.constants).length}`
    w.constants[key] = tensor
    const v = w.b.input('param', key, tensor.shape)
    w.keys.set(v.id, key)
    return v
  })
  w.tensors.set(made.id, tensor)
  seen.node = made
  return made
}

const zeroKind = (w: Walk, id: NodeId, q: Quant): TracedZeroPoint => {
  const zeroPoint = w.tensors.get(id)
  if (zeroPoint === undefined) return q.zero
  if (zeroPoint.data.every((z) => z === 0)) return 'zero'
  if (!mayBeFraction(q.zero)) return q.zero
  return zeroPoint.data.every((z) => Number.isInteger(z) && z >= q.lo && z <= q.hi) ? 'integer' : 'any'
}

/** The node of a zero point: a single 0 where equal scales turn out to have made it. */
const zeroNode = (w: Walk, id: NodeId, q: Quant): NodeId =>
  q.zero === 'equalScales' && w.tensors.get(id)?.data.every((z) => Object.is(z, 0)) === true
    ? w.b.constant(0, [1]).id
    : id

/** Metadata with its ids in the new graph; a zero point that is known now is said to be 0 where it is. */
export const carriedIn = (w: Walk, seen: readonly Seen[], c: Carried): Carried => {
  if (c.tag !== 'carries' && c.tag !== 'claimed') return c
  const [scale, zeroPoint, bitWidth] = [c.quant.scale, c.quant.zeroPoint, c.quant.bitWidth].map(
    (id) => nodeOf(w, seen[id]).id,
  )
  if (isFloatGrid(c.quant)) return { ...c, quant: { ...c.quant, scale, zeroPoint, bitWidth } }
  const zero = zeroKind(w, zeroPoint, c.quant)
  return { ...c, quant: { ...c.quant, scale, zeroPoint: zeroNode(w, zeroPoint, c.quant), bitWidth, zero } }
}

/** The node that an operand reads: of a constant behind a kept node, that one. */
export const operandOf = (w: Walk, seen: Seen): Value =>
  seen.fixed === null ? seen.node : (seen.kept ?? nodeOf(w, seen))

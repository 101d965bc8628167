/** Which values of a graph are never negative, whatever is fed to it: what its ops and its grids say. */
import { quantOf, type NodeId } from '../data/quant.js'
import type { Graph, Node } from './graph.js'
import { constantOf, constOp } from './structural.js'

const byGrid = ({ carried }: Node): boolean => {
  const q = carried.tag === 'carries' ? quantOf(carried) : null
  return q !== null && q.lo >= 0 && q.zero === 'zero'
}

/** Is each value of a graph known not to be negative (NaN aside)? By node; inputs, parameters and state may be anything. */
export const neverNegative = (graph: Pick<Graph, 'nodes'>): ((id: NodeId) => boolean) => {
  const known: boolean[] = []
  for (const node of graph.nodes) {
    const { op, inputs, attrs } = node
    const says = op.layout === undefined ? (op.sign?.(attrs) ?? null) : 'kept'
    const values = inputs.slice(0, op.flow ?? inputs.length)
    const kept = says === 'kept' && values.length > 0 && values.every((id) => known[id])
    known.push(says === 'nonNegative' || kept || byGrid(node) || (op === constOp && constantOf(attrs) >= 0))
  }
  return (id) => known[id] === true
}

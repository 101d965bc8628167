/** Which scales are the same scale: nodes that compute the same expression have one identity. */
import type { Graph, Node } from '../../src/graph/graph.js'
import { inputOp } from '../../src/graph/structural.js'

const keyOf = (node: Node, same: readonly number[]): string =>
  JSON.stringify([node.op.name, node.attrs, node.inputs.map((i) => same[i])])

/** For each node the first node that computes the same (looking through layout). Value numbering, linear in the nodes. */
export const identities = (graph: Graph): readonly number[] => {
  const same: number[] = []
  const first = new Map<string, number>()
  for (const node of graph.nodes) {
    // Laid out anew, a scale stays the same scale.
    if (node.op.layout !== undefined && node.inputs.length === 1) same.push(same[node.inputs[0]])
    else if (node.op === inputOp || node.branches !== undefined) same.push(node.id)
    else {
      const key = keyOf(node, same)
      const known = first.get(key)
      if (known === undefined) first.set(key, node.id)
      same.push(known ?? node.id)
    }
  }
  return same
}

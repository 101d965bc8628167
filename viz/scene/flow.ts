/** Which nodes are on the way of the values, and which only compute scales, zero points and counters. */
import type { Graph, Node } from '../../src/graph/graph.js'

/** Operands through which values flow. */
const valueOperands = ({ op, inputs }: Node): readonly number[] => inputs.slice(0, op.flow)

/** For each node: is it on the way of the values that end in one of `roots`? */
export const flowOf = (graph: Graph, roots: readonly number[]): readonly boolean[] => {
  const flow = graph.nodes.map(() => false)
  for (const id of roots) flow[id] = true
  for (let id = graph.nodes.length - 1; id >= 0; id--) {
    if (flow[id]) for (const i of valueOperands(graph.nodes[id])) flow[i] = true
  }
  return flow
}

/**
 * For each node: is it on the way of the gradients: of the backward pass, made for a node on the way of the values (a
 * parameter included), and dependent on a cotangent?
 */
export const backwardFlowOf = (graph: Graph, flow: readonly boolean[]): readonly boolean[] => {
  const cotangents = new Set(graph.nodes.flatMap((n) => n.cotangent ?? []))
  const out: boolean[] = []
  for (const n of graph.nodes)
    out.push(
      n.backwardOf !== undefined &&
        flow[n.backwardOf] &&
        (cotangents.has(n.id) || n.inputs.some((i) => out[i] || cotangents.has(i))),
    )
  return out
}

/** Does the operand `slot` of a node carry values (rather than a scale or a zero point)? */
export const isValueOperand = (node: Node, slot: number): boolean => slot < valueOperands(node).length

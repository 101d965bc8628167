/** The traced graph as plain frozen data. Knows nodes and their order; knows nothing of how they are made or run. */
import type { NodeId } from '../data/quant.js'
import type { Emitted } from './op.js'

/**
 * One node: a primitive applied to earlier nodes. Its `id` is its index in `Graph.nodes`.
 * Structural nodes have the ops of `structural.ts`: `input`, `const`, `phase` (with two `branches`), `scan` (with its body) and `get`.
 */
export type Node = Emitted & {
  /** Of a `phase` the graph that runs while collecting, and the one that runs once learned; of a `scan` its body. */
  readonly branches?: readonly Graph[]
  /** Source location of the call, with `trace({ locations: true })`. */
  readonly location?: string
  /** In a backward pass: the node of this graph whose gradient rule emitted this one, or, of a sum, whose cotangents it adds. Of several that share it the first. */
  readonly backwardOf?: NodeId
  /** Of a differentiated node: the node that holds its cotangent, the gradient with respect to its value. */
  readonly cotangent?: NodeId
}

/** Nodes in topological order: every input of a node stands before it. */
export type Graph = {
  readonly nodes: readonly Node[]
  readonly inputs: readonly NodeId[]
  readonly outputs: readonly NodeId[]
}

/** Which nodes use each node, by id, in order; a node that uses another twice is named twice. */
export const usersOf = (graph: Graph): readonly (readonly NodeId[])[] => {
  const users: NodeId[][] = graph.nodes.map(() => [])
  for (const node of graph.nodes) for (const id of node.inputs) users[id].push(node.id)
  return users
}

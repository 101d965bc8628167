/** What the passes of differentiation share. */
import type { NodeId } from '../data/quant.js'
import type { Builder } from '../graph/builder.js'
import type { Graph, Node } from '../graph/graph.js'
import type { Value } from '../graph/op.js'

/** Which nodes depend on a node for which a gradient is wanted. */
export const dependents = (nodes: readonly Node[], wanted: ReadonlySet<NodeId>): Uint8Array => {
  const needs = new Uint8Array(nodes.length)
  for (const { id, inputs } of nodes) {
    let needed = wanted.has(id)
    for (let k = 0; k < inputs.length && !needed; k++) needed = needs[inputs[k]] === 1
    needs[id] = needed ? 1 : 0
  }
  return needs
}

/** Cotangents under construction: the sum of what each node has been handed. */
export type Cotangents = Map<NodeId, Value>

/** Adds a cotangent to those of a node; the sum belongs to that node, not to the rule that handed it on. */
export const accumulate = (b: Builder, cts: Cotangents, id: NodeId, g: Value, fwd: (id: NodeId) => Value): void => {
  const before = cts.get(id)
  cts.set(id, before === undefined ? g : b.differentiating(fwd(id).id, () => b.emit('add', [before, g])))
}

/** What is wanted besides gradients of nodes: those of learned leaves of state that the body of a loop assigns, by path. */
export type Differentiating = {
  /** Nodes whose gradients are wanted. */
  readonly wanted: ReadonlySet<NodeId>
  readonly leaves: ReadonlySet<string>
  /** Cotangents of such leaves, found in loops of this graph. */
  readonly found: Map<string, Value>
  /** Walks a graph backwards; handed on, since bodies are graphs too. */
  readonly backward: Backward
}

/** Walks a graph backwards from the seeds and leaves a cotangent at every node that the wanted ones feed. */
export type Backward = {
  walk(b: Builder, graph: Graph, fwd: (id: NodeId) => Value, cts: Cotangents, ctx: Differentiating): void
}['walk']

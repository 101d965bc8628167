/** How large the values of a program are, known before anything is allocated for them. */
import { bytesOf, MOST_BYTES, MOST_ELEMENTS, showBytes, showShape, sizeOf } from '../data/shape.js'
import type { Graph, Node } from './graph.js'
import type { Program } from './program.js'

/** Nodes that a run computes: what feeds an output, and checks with all that feeds them. */
const wanted = (graph: Graph): Uint8Array => {
  const live = new Uint8Array(graph.nodes.length)
  for (const id of graph.outputs) live[id] = 1
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const node = graph.nodes[i]
    if (live[i] === 0 && node.op.guards !== true) continue
    live[i] = 1
    for (const id of node.inputs) live[id] = 1
  }
  return live
}

/** Is there a value with more elements than a tensor can have? Mostly not, and then nobody asks which are computed. */
const isAbsurd = (graph: Graph): boolean => {
  for (const { shape, branches } of graph.nodes)
    if (sizeOf(shape) > MOST_ELEMENTS || (branches !== undefined && branches.some(isAbsurd))) return true
  return false
}

/** The largest value of a graph and of its phases, or null for one without nodes. */
const largest = (graph: Graph): Node | null => {
  const live = wanted(graph)
  let most: Node | null = null
  for (const node of graph.nodes) {
    if (live[node.id] === 0) continue
    const inner = (node.branches ?? []).map(largest)
    for (const n of [node, ...inner])
      if (n !== null && (most === null || bytesOf(n.shape) > bytesOf(most.shape))) most = n
  }
  return most
}

/**
 * Why no engine can hold the values of a program, in words, or null: one of them has more elements than a tensor can have, or its inputs and
 * outputs together are larger than `together`.
 */
export const sizeProblem = (program: Program, together: number): string | null => {
  const { graph, inputs } = program
  const most = isAbsurd(graph) ? largest(graph) : null
  if (most !== null && bytesOf(most.shape) > MOST_BYTES)
    return `%${most.id} = ${most.op.name}${most.path === '' ? '' : ` in ${most.path}`} of shape ${showShape(most.shape)} takes ${showBytes(bytesOf(most.shape))}; a value holds at most ${showBytes(MOST_BYTES)}`
  const own = new Set([...inputs.map((i) => i.node), ...graph.outputs])
  const bytes = [...own].reduce((n, id) => n + bytesOf(graph.nodes[id].shape), 0)
  return bytes > together
    ? `its inputs and outputs take ${showBytes(bytes)}; there is room for ${showBytes(together)}`
    : null
}

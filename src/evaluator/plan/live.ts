/** What of a graph must be computed: dead nodes are never looked at, and loops give only what is read of them. */
import type { NodeId } from '../../data/quant.js'
import type { Graph } from '../../graph/graph.js'
import { isLicence, productLicence } from '../../graph/licence.js'
import { scanOp } from '../../graph/structural.js'
import { prune, readResults, type Pruned } from './loops.js'

/** Which nodes of a graph are wanted: what feeds an output, and checks with all that feeds them. Of a loop, what its wanted results need; `loops` notes it. */
export const liveIn = (graph: Graph, loops: Map<NodeId, Pruned> = new Map()): Uint8Array => {
  const live = new Uint8Array(graph.nodes.length)
  for (const id of graph.outputs) live[id] = 1
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const node = graph.nodes[i]
    if (live[i] === 0 && node.op.guards !== true) continue
    live[i] = 1
    const pruned = node.op === scanOp ? prune(node, readResults(graph, live, i), (body) => liveIn(body)) : null
    if (pruned !== null) loops.set(i, pruned)
    for (const id of (pruned?.node ?? node).inputs) live[id] = 1
    if (node.op.product === undefined) continue
    // A licence to run on integers needs the scales, which a quant tensor that is an input may bring unread.
    const licensed = productLicence(graph, node)
    if (licensed !== null && isLicence(licensed)) live[licensed.x.scale] = live[licensed.w.scale] = 1
  }
  return live
}

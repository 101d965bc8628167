/** Where values go in a network, as far as metadata goes with them: who reads what an activation quantizer made. */
import { gridOf, type NodeId } from '../data/quant.js'
import { usersOf } from '../graph/graph.js'
import type { Flow } from '../nn/merging/flow.js'

/** The layer of a set that a path lies in, or undefined. */
export const layerAt = (layers: ReadonlySet<string>, path: string): string | undefined => {
  for (let p = path; ; p = p.slice(0, p.lastIndexOf('.'))) {
    if (layers.has(p)) return p
    if (!p.includes('.')) return undefined
  }
}

/**
 * Which of these layers read a value while it carries metadata, through pools, layout and whatever else keeps it; null
 * among them: it becomes a result of the network.
 */
export const readersOf = (
  flow: Flow,
  layers: ReadonlySet<string>,
): ((id: NodeId, of: string) => ReadonlySet<string | null>) => {
  const { nodes, outputs } = flow.graph
  const users = usersOf(flow.graph)
  const results = new Set(outputs)
  return (start, of) => {
    const [found, seen] = [new Set<string | null>(), new Set<NodeId>([start])]
    const todo = [start]
    for (let id = todo.pop(); id !== undefined; id = todo.pop()) {
      if (results.has(id) && flow.users(id).includes(null)) found.add(null)
      for (const user of users[id]) {
        if (seen.has(user)) continue
        seen.add(user)
        const at = layerAt(layers, nodes[user].path)
        if (at !== undefined && at !== of) found.add(at)
        else if (gridOf(nodes[user].carried) !== null) todo.push(user)
      }
    }
    return found
  }
}

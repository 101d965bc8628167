/** Rebuilds a flat program node by node. */
import { withoutDead, type Flat, type FlatNode, type Ref } from './flatten.js'

/** Adds a node; gives its id. */
export type Push = (node: Omit<FlatNode, 'id'>) => number

const isAt = (node: Omit<FlatNode, 'id'>, id: number): node is FlatNode => 'id' in node && node.id === id

/** A node with operands elsewhere. */
const readdressed = (old: FlatNode, moved: (r: Ref) => Ref): FlatNode => {
  const { licence } = old
  const args = old.args.map(moved)
  return typeof licence === 'object'
    ? { ...old, args, licence: { ...licence, scales: [moved(licence.scales[0]), moved(licence.scales[1])] } }
    : { ...old, args }
}

/**
 * Rebuilds a flat program: `start` is given the nodes that are made so far and a way to add one, and gives what is asked of
 * each old node, its operands being new already: the id of what stands for it. What nobody needs is dropped at the end.
 */
export const rebuilt = (
  flat: Flat,
  start: (nodes: readonly FlatNode[], push: Push) => (node: FlatNode, old: FlatNode) => number,
): Flat => {
  const nodes: FlatNode[] = []
  const to = new Int32Array(flat.nodes.length)
  const moved = (r: Ref): Ref => ({ id: to[r.id], shape: r.shape })
  const replaced = start(nodes, (node) => {
    const id = nodes.length
    return nodes.push(isAt(node, id) ? node : { ...node, id }) - 1
  })
  // Up to the first change of an id every node is what it was; mostly there is none.
  let shifted = false
  for (const old of flat.nodes) {
    to[old.id] = replaced(shifted ? readdressed(old, moved) : old, old)
    shifted ||= to[old.id] !== old.id
  }
  return withoutDead({
    nodes,
    inputs: flat.inputs.map((i) => (i < 0 ? -1 : to[i])),
    outputs: flat.outputs.map(moved),
    tests: flat.tests.map((t) => ({ ...t, counter: moved(t.counter) })),
  })
}

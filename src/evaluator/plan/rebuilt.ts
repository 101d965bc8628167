/** Rebuilds a flat program node by node. */
import { withoutDead, type Flat, type FlatNode, type Ref } from './flatten.js'

/** Adds a node; gives its id. */
export type Push = (node: Omit<FlatNode, 'id'>) => number

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
  const replaced = start(nodes, (node) => nodes.push({ ...node, id: nodes.length }) - 1)
  for (const old of flat.nodes) {
    const { licence } = old
    const node: FlatNode = {
      ...old,
      args: old.args.map(moved),
      ...(typeof licence === 'object'
        ? { licence: { ...licence, scales: [moved(licence.scales[0]), moved(licence.scales[1])] as const } }
        : {}),
    }
    to[old.id] = replaced(node, old)
  }
  return withoutDead({
    nodes,
    inputs: flat.inputs.map((i) => (i < 0 ? -1 : to[i])),
    outputs: flat.outputs.map(moved),
    tests: flat.tests.map((t) => ({ ...t, counter: moved(t.counter) })),
  })
}

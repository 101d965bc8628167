/**
 * What stored nodes claim to carry, asked of the ops' own rules once more. Backends compute on integers where a value
 * `carries`, so a file alone must not be able to say so; a claim that the rules of this version don't confirm stays what
 * it is in Brevitas' sense, but is only claimed. Older files may hold some: rules get better, and files stay.
 */
import { claimed, gridOf, isFloatGrid, type Carried, type Grid, type NodeId } from '../data/quant.js'
import { newBuilder, type Builder } from './builder.js'
import { latestNamed } from './claims.js'
import type { Graph, Node } from './graph.js'
import type { OpTable, Value } from './op.js'
import { inputOp } from './structural.js'

/** How the stored program was traced. */
export type TracedHow = { readonly table: OpTable; readonly mode: 'train' | 'eval'; readonly strict: boolean }

const WHY = 'the file says that it carries this grid, which the rules of this version do not confirm'

/** Metadata with its nodes in another graph. */
const moved = (q: Grid, to: (id: NodeId) => NodeId): Grid => ({
  ...q,
  scale: to(q.scale),
  zeroPoint: to(q.zeroPoint),
  bitWidth: to(q.bitWidth),
})

/** Are two pieces of JSON with the same order of fields the same? */
const sameStatic = (a: object | null, b: object | null): boolean => JSON.stringify(a) === JSON.stringify(b)

/** Is it the same grid? How far integers reach within it is looked at when a program runs. */
const sameGrid = (a: Grid, b: Grid): boolean =>
  (['scale', 'zeroPoint', 'bitWidth', 'bits', 'signed', 'training'] as const).every((k) => a[k] === b[k]) &&
  (isFloatGrid(a) ? null : a.zero) === (isFloatGrid(b) ? null : b.zero) &&
  sameStatic(isFloatGrid(a) ? a.format : null, isFloatGrid(b) ? b.format : null) &&
  sameStatic(a.group ?? null, b.group ?? null)

/** What the op's own rule says of a node, or null where it throws: rules trust their callers. */
const ruleOf = (b: Builder, node: Node, args: readonly Value[]): Grid | null => {
  try {
    const said = b.scoped(node.path, () => node.op.carry(args, node.attrs, b, node.shape))
    return said.tag === 'carries' ? said.quant : null
  } catch {
    return null
  }
}

/** The graph with `claimed` in place of every `carries` that the rules do not confirm; the same graph if there is none. */
export const confirmed = (graph: Graph, how: TracedHow): Graph => {
  if (!graph.nodes.some((n) => n.carried.tag === 'carries' && n.op !== inputOp)) return graph
  const b = newBuilder(how)
  const values: Value[] = []
  const waiting = new Set<NodeId>()
  /** What a node carries, in the graph that is built here. */
  const here = (carried: Carried): Carried => {
    const q = gridOf(carried)
    return q === null || (carried.tag !== 'carries' && carried.tag !== 'claimed')
      ? carried
      : { ...carried, quant: moved(q, (id) => values[id].id) }
  }
  const nodes = graph.nodes.map((node): Node => {
    for (const id of waiting)
      if (latestNamed(graph.nodes[id].carried) < node.id) {
        values[id] = b.declare(values[id], here(graph.nodes[id].carried))
        waiting.delete(id)
      }
    const args = node.inputs.map((i) => values[i])
    if (node.op === inputOp && gridOf(node.carried) !== null) waiting.add(node.id)
    const stored = waiting.has(node.id) ? node.carried : here(node.carried)
    const rule = node.op !== inputOp && stored.tag === 'carries' ? ruleOf(b, node, args) : null
    const doubtful = node.op !== inputOp && stored.tag === 'carries' && (rule === null || !sameGrid(rule, stored.quant))
    const carried = doubtful && node.carried.tag === 'carries' ? claimed(node.carried.quant, WHY) : node.carried
    values.push(b.copy({ ...node, carried: waiting.has(node.id) ? { tag: 'float' } : here(carried) }, args))
    return carried === node.carried ? node : { ...node, carried }
  })
  return { ...graph, nodes }
}

/** Programs as graphology graphs, for pages and for graph algorithms: plain attributes on nodes and edges. */
import { MultiDirectedGraph } from 'graphology'
import { topologicalSort } from 'graphology-dag'
import { bfsFromNode } from 'graphology-traversal'
import type { Carried, NodeId } from '../data/quant.js'
import { gridOf } from '../data/quant.js'
import { demandArguments, required, whole, type Field } from '../data/fields.js'
import type { Shape } from '../data/shape.js'
import type { Graph } from './graph.js'
import type { Attrs } from './op.js'
import { branchName } from './print.js'
import { demandProgram, type Program } from './program.js'

/** Metadata as flat attributes; null where there is none. */
export type CarryAttributes = {
  readonly carry: Carried['tag']
  readonly bits: number | null
  readonly signed: boolean | null
  /** Node of the scale. */
  readonly scale: NodeId | null
  readonly why: string | null
}
/** Attributes of a node of the view; its key is its id as text. */
export type NodeAttributes = CarryAttributes & {
  readonly id: NodeId
  readonly op: string
  readonly path: string
  readonly shape: Shape
  readonly attrs: Attrs
}
/** Attributes of an edge: which operand it is, and the metadata of the value that flows along it. Its key is `node:slot`. */
export type EdgeAttributes = CarryAttributes & { readonly slot: number }
/** A program, or a branch of a phase, as a graphology graph. */
export type ProgramGraph = MultiDirectedGraph<NodeAttributes, EdgeAttributes>

const carryOf = (c: Carried): CarryAttributes => {
  const q = gridOf(c)
  return {
    carry: c.tag,
    bits: q?.bits ?? null,
    signed: q?.signed ?? null,
    scale: q?.scale ?? null,
    why: c.tag === 'claimed' || c.tag === 'stripped' ? c.why : null,
  }
}

/** A graph, for instance a branch of a phase, as a graphology graph. */
export const graphToGraphology = (graph: Graph): ProgramGraph => {
  const view: ProgramGraph = new MultiDirectedGraph<NodeAttributes, EdgeAttributes>()
  for (const { id, op, path, shape, attrs, carried, inputs } of graph.nodes) {
    view.addNode(String(id), { id, op: op.name, path, shape, attrs, ...carryOf(carried) })
    inputs.forEach((from, slot) =>
      view.addDirectedEdgeWithKey(`${id}:${slot}`, String(from), String(id), {
        slot,
        ...carryOf(graph.nodes[from].carried),
      }),
    )
  }
  return view
}

/** A program as a graphology graph: an edge runs from each operand to the node that uses it. A phase is one node. */
export const toGraphology = (program: Program): ProgramGraph => {
  demandProgram('toGraphology', program)
  return graphToGraphology(program.graph)
}

/** A place where metadata is lost, or kept although it may be false. */
export type Loss = {
  readonly node: NodeId
  readonly op: string
  readonly path: string
  readonly tag: 'stripped' | 'claimed'
  readonly why: string
  /** Empty, or the branches of phases in which the node stands: `%12 collect`; `node` counts within the innermost. */
  readonly within: readonly string[]
}

/** The layer that a path belongs to: quantizers (`act.actQuant`) are parts of theirs. */
const layerOf = (path: string): string => path.replace(/(^|\.)[^.]*Quant(?=\.|$).*$/, '')

/**
 * For each node: does its value leave its layer, or the graph as a result, without metadata being carried again on the way? A layer that
 * takes its operand's integers apart and gives a quant tensor again has lost nothing.
 */
const leaving = (graph: Graph, results: readonly NodeId[]): Uint8Array => {
  const leaves = new Uint8Array(graph.nodes.length)
  for (const id of results) leaves[id] = 1
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const user = graph.nodes[i]
    for (const id of user.inputs) {
      const outside = layerOf(graph.nodes[id].path) !== layerOf(user.path)
      if (outside || (leaves[i] === 1 && user.carried.tag !== 'carries')) leaves[id] = 1
    }
  }
  return leaves
}

const lossesIn = (graph: Graph, results: readonly NodeId[], within: readonly string[]): readonly Loss[] => {
  const leaves = leaving(graph, results)
  return graph.nodes.flatMap((node) => {
    const { id, op, path, carried: c, branches } = node
    return [
      ...((c.tag === 'stripped' || c.tag === 'claimed') && leaves[id] === 1
        ? [{ node: id, op: op.name, path, tag: c.tag, why: c.why, within }]
        : []),
      ...(branches ?? []).flatMap((b, i) => lossesIn(b, b.outputs, [...within, `%${id} ${branchName(node, i)}`])),
    ]
  })
}

/**
 * Every node that is stripped or claimed, in order, with the reason in its rule's own words. What happens inside a layer whose result
 * carries metadata is none.
 */
export const lossesOf = (program: Program): readonly Loss[] => {
  demandProgram('lossesOf', program)
  const results = program.outputs.filter((o) => o.kind === 'result').map((o) => o.node)
  return lossesIn(program.graph, results, [])
}

const reached = (view: ProgramGraph, node: NodeId, mode: 'out' | 'in'): readonly NodeId[] => {
  const out: NodeId[] = []
  if (view.hasNode(String(node)))
    bfsFromNode(view, String(node), (key) => void (key === String(node) || out.push(Number(key))), { mode })
  return out.sort((a, b) => a - b)
}

const VIEW: { readonly [name: string]: Field } = {
  view: required({
    says: 'a view, as toGraphology makes it',
    like: 'toGraphology(program)',
    holds: (x) => x instanceof MultiDirectedGraph,
  }),
  node: required({ ...whole, says: 'the id of a node' }),
}

/** Nodes that depend on a node, in order, without itself. */
export const dependents = (view: ProgramGraph, node: NodeId): readonly NodeId[] => {
  demandArguments('dependents', { view, node }, VIEW)
  return reached(view, node, 'out')
}
/** Nodes on which a node depends, in order, without itself. */
export const sources = (view: ProgramGraph, node: NodeId): readonly NodeId[] => {
  demandArguments('sources', { view, node }, VIEW)
  return reached(view, node, 'in')
}
/** All nodes so that each stands after those it depends on. */
export const inOrder = (view: ProgramGraph): readonly NodeId[] => topologicalSort(view).map(Number)

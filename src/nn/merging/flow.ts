/** How values flow between the layers of a network, as one trace in evaluation shows it: who gives what to whom. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import type { NodeId } from '../../data/quant.js'
import { usersOf, type Graph } from '../../graph/graph.js'
import type { Value } from '../../graph/op.js'
import { isValue } from '../../graph/trace.js'
import type { AnyLayer, Layer } from '../layers/layer.js'
import { trace, type InputsOf } from '../program/program.js'
import { changedLayers, layersBelow, type Placed } from './places.js'

/** One call of a layer: what it was given and what it gave, where these are single values. */
export type Call = { readonly path: string; readonly x: Value | null; readonly y: Value | null }

/** A network's layers, their calls, and who uses a node. */
export type Flow = {
  /** Layers without layers in them, by path. */
  readonly layers: ReadonlyMap<string, Placed>
  /** Calls by the path of the layer. */
  readonly calls: ReadonlyMap<string, readonly Call[]>
  readonly graph: Graph
  /** Paths of the nodes that use a node, and `null` where it is a result. */
  readonly users: (id: NodeId) => readonly (string | null)[]
}

const liesIn = (path: string, layer: string): boolean => path === layer || path.startsWith(`${layer}.`)

/** Is a value used by nothing but this layer? */
export const onlyUsedIn = (flow: Flow, id: NodeId, layer: string): boolean =>
  flow.users(id).every((user) => user !== null && liesIn(user, layer))

/** The same layer, which tells of its calls. */
const told = ({ path, layer }: Placed, calls: Call[]): AnyLayer => ({
  ...layer,
  apply: (params, state, x, kit) => {
    const out = layer.apply(params, state, x, kit)
    calls.push({ path, x: isValue(x) ? x : null, y: isValue(out[0]) ? out[0] : null })
    return out
  },
})

/** Nodes that a result or a next state needs. */
const needed = (graph: Graph, results: readonly NodeId[]): ReadonlySet<NodeId> => {
  const seen = new Set<NodeId>(results)
  for (let id = graph.nodes.length - 1; id >= 0; id--)
    if (seen.has(id)) graph.nodes[id].inputs.forEach((i) => seen.add(i))
  return seen
}

/** Traces a network in evaluation and looks at who gives what to whom. */
export const flowOf = <P, S, I, O>(net: Layer<P, S, I, O>, inputs: InputsOf<I>): E.Either<QuantErrors, Flow> => {
  const calls: Call[] = []
  const layers = new Map(layersBelow(net).map((placed) => [placed.path, placed] as const))
  const telling = new Map([...layers].map(([path, placed]) => [path, told(placed, calls)] as const))
  return E.map(({ graph, outputs }: Traced): Flow => {
    const results = outputs.map((o) => o.node)
    const live = needed(graph, results)
    const users = usersOf(graph)
    return {
      layers,
      calls: new Map([...layers.keys()].map((path) => [path, calls.filter((c) => c.path === path)] as const)),
      graph,
      users: (id) => [
        ...users[id].filter((u) => live.has(u)).map((u) => graph.nodes[u].path),
        ...(results.includes(id) ? [null] : []),
      ],
    }
  })(trace(changedLayers(net, telling) as Layer<P, S, I, O>, inputs, { mode: 'eval' }))
}

type Traced = { readonly graph: Graph; readonly outputs: readonly { readonly node: NodeId }[] }

/**
 * Where channels of a float network can be scaled: layers that make values, layers that read them, and nothing between
 * that would notice.
 */
import type { NodeId } from '../data/quant.js'
import type { Shape } from '../data/shape.js'
import { usersOf, type Node } from '../graph/graph.js'
import type { AnyLayer } from '../nn/layers/layer.js'
import type { Flow } from '../nn/merging/flow.js'
import { layerAt } from './places.js'

/**
 * A layer on one side of a region: `repeat` of its channels, one after the other, are one of the region (a flattened
 * image has many).
 */
export type Member = { readonly path: string; readonly layer: AnyLayer; readonly repeat: number }

/** Channels that can be scaled by any positive numbers: divided where they are made, multiplied where they are read. */
export type Region = {
  readonly channels: number
  readonly sources: readonly Member[]
  readonly sinks: readonly Member[]
}

/** A layer with weights that is called once, between single values, whose channels stand at axis 1. */
type Ends = { readonly path: string; readonly layer: AnyLayer; readonly x: NodeId; readonly y: NodeId }

const endsOf = (flow: Flow): readonly Ends[] =>
  [...flow.layers.values()].flatMap(({ path, layer }): readonly Ends[] => {
    const calls = flow.calls.get(path) ?? []
    const [call] = calls
    if (layer.absorb === undefined || calls.length !== 1 || call.x === null || call.y === null) return []
    const channelsFirst = [call.x, call.y].every((v) => layer.absorb?.channels(v.shape.length) === 1)
    return channelsFirst ? [{ path, layer, x: call.x.id, y: call.y.id }] : []
  })

const size = (shape: Shape): number => shape[1] ?? 0

/** Does a node pass scaled channels on: by its rule, or as layout that keeps them together? */
const passes = (node: Node, operand: Node): boolean => {
  if (node.op.homogeneous === true) return size(node.shape) === size(operand.shape)
  if (node.op.layout !== 'view' && node.op.layout !== 'alias') return false
  // A flattened image: each channel is a run of features.
  return node.shape[0] === operand.shape[0] && size(node.shape) % Math.max(1, size(operand.shape)) === 0
}

type Search = {
  readonly flow: Flow
  readonly users: readonly (readonly NodeId[])[]
  readonly byX: ReadonlyMap<NodeId, readonly Ends[]>
  readonly byY: ReadonlyMap<NodeId, Ends>
  readonly paths: ReadonlySet<string>
}

/** The region around the result of a layer; null: something there would notice. */
const regionFrom = (s: Search, start: Ends): Region | null => {
  const { nodes, outputs } = s.flow.graph
  const channels = size(nodes[start.y].shape)
  const [sources, sinks] = [new Map<string, Member>(), new Map<string, Member>()]
  const seen = new Set<NodeId>([start.y])
  const todo = [start.y]
  const member = ({ path, layer }: Ends, id: NodeId): Member => ({
    path,
    layer,
    repeat: size(nodes[id].shape) / channels,
  })
  const reach = (id: NodeId): void => {
    if (seen.has(id)) return
    seen.add(id)
    todo.push(id)
  }
  for (let id = todo.pop(); id !== undefined; id = todo.pop()) {
    if (outputs.includes(id) && s.flow.users(id).includes(null)) return null
    const source = s.byY.get(id)
    const node = nodes[id]
    if (source !== undefined) sources.set(source.path, member(source, id))
    else if (node.inputs.length > 0 && node.inputs.every((i) => passes(node, nodes[i]))) node.inputs.forEach(reach)
    else return null
    for (const user of s.users[id]) {
      const sink = (s.byX.get(id) ?? []).find((e) => layerAt(s.paths, nodes[user].path) === e.path)
      if (sink !== undefined) sinks.set(sink.path, member(sink, id))
      else if (passes(nodes[user], node)) reach(user)
      else return null
    }
  }
  const whole = [...sources.values(), ...sinks.values()].every((m) => Number.isInteger(m.repeat) && m.repeat > 0)
  return whole && sinks.size > 0 && [...sources.values()].every((m) => m.repeat === 1)
    ? { channels, sources: [...sources.values()], sinks: [...sinks.values()] }
    : null
}

/** All regions of a float network, each once. */
export const regionsOf = (flow: Flow): readonly Region[] => {
  const ends = endsOf(flow)
  const byX = new Map<NodeId, readonly Ends[]>()
  for (const e of ends) byX.set(e.x, [...(byX.get(e.x) ?? []), e])
  const search: Search = {
    flow,
    users: usersOf(flow.graph),
    byX,
    byY: new Map(ends.map((e) => [e.y, e] as const)),
    paths: new Set(ends.map((e) => e.path)),
  }
  const known = new Set<string>()
  return ends.flatMap((e) => {
    if (known.has(e.path)) return []
    const region = regionFrom(search, e)
    region?.sources.forEach((m) => known.add(m.path))
    return region === null ? [] : [region]
  })
}

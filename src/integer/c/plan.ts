/** What becomes a loop of its own, what runs inside another's, and where each value lies. */
import type { NodeId } from '../../data/quant.js'
import { sameShape, sizeOf } from '../../data/shape.js'
import type { Graph, Node } from '../../graph/graph.js'
import { usersOf } from '../../graph/graph.js'
import { constOp, inputOp } from '../../graph/structural.js'
import { moves } from '../ops/moves.js'
import type { IntegerProgram } from '../program.js'
import { typeFor, WIDTHS, type IntegerType, type Range } from '../values.js'
import { placeAll, type Lifetime } from './arena.js'
import { tails } from './tails.js'

/** One loop nest: what computes an element, and what is done with it before it is stored. */
export type Group = { readonly head: Node; readonly tail: readonly Node[]; readonly result: Node }

/** Where a value lies: behind a pointer of the caller, or in the arena at an offset. */
export type Place = { readonly type: IntegerType; readonly pointer: string; readonly offset: number | null }

/** The loops in order, and the place of each value that one of them reads or writes. */
export type Plan = {
  readonly groups: readonly Group[]
  readonly places: ReadonlyMap<NodeId, Place>
  /** Results that are inputs, or other results: they are copied. */
  readonly copies: readonly {
    readonly from: NodeId
    readonly to: string
    readonly size: number
    readonly path: string
  }[]
  readonly arena: number
}

const rangeOfNode = (p: IntegerProgram, node: Node): Range => {
  const border = p.inputs.find((i) => i.node === node.id)
  return border?.range ?? { lo: Number(node.attrs.lo), hi: Number(node.attrs.hi) }
}

/** The type that holds a value; it has been proved that 32 bits do. */
export const typeOfNode = (p: IntegerProgram, node: Node): IntegerType => typeFor(rangeOfNode(p, node)) ?? 'int32'

const isMap = (node: Node): boolean => tails[node.op.name] !== undefined

/** A reshape is no loop: its elements lie where they lay. */
const isAlias = (node: Node): boolean => node.op.name === moves.reshape.integer.name

const groupsOf = (graph: Graph, results: ReadonlySet<NodeId>): readonly Group[] => {
  const users = usersOf(graph)
  const fused = new Set<NodeId>()
  const groups: Group[] = []
  for (const node of graph.nodes) {
    if (node.op === inputOp || node.op === constOp || fused.has(node.id) || isAlias(node)) continue
    const tail: Node[] = []
    let last = node
    for (;;) {
      const [next, ...others] = users[last.id].map((id) => graph.nodes[id])
      const goesOn =
        next !== undefined &&
        others.length === 0 &&
        !results.has(last.id) &&
        isMap(next) &&
        next.inputs[0] === last.id &&
        sameShape(next.shape, last.shape)
      if (!goesOn) break
      tail.push(next)
      fused.add(next.id)
      last = next
    }
    groups.push({ head: node, tail, result: last })
  }
  return groups
}

/** The node whose elements a value is, reshapes looked through. */
export const sourceOf = (graph: Graph, id: NodeId): NodeId => {
  let at = graph.nodes[id]
  while (isAlias(at)) at = graph.nodes[at.inputs[0]]
  return at.id
}

/** When each group's result is last read. */
const lifetimes = (p: IntegerProgram, groups: readonly Group[], external: ReadonlySet<NodeId>): readonly Lifetime[] => {
  const { graph } = p.program
  const made = new Map(groups.map((g, i) => [g.result.id, i] as const))
  const last = new Map<NodeId, number>(made)
  groups.forEach((g, i) => {
    for (const id of [...g.head.inputs, ...g.tail.flatMap((t) => t.inputs.slice(1))]) last.set(sourceOf(graph, id), i)
  })
  for (const o of p.outputs) last.set(sourceOf(graph, o.node), groups.length)
  return groups.flatMap((g, i): readonly Lifetime[] => {
    const { id, shape } = g.result
    if (external.has(id)) return []
    const bytes = Math.max(1, sizeOf(shape)) * WIDTHS[typeOfNode(p, g.result)]
    return [{ id, bytes, from: i, to: last.get(id) ?? i }]
  })
}

/** Plans a program whose inputs and results have these pointers. */
export const planOf = (p: IntegerProgram, inputs: readonly string[], outputs: readonly string[]): Plan => {
  const { graph } = p.program
  const groups = groupsOf(graph, new Set(p.outputs.map((o) => o.node)))
  const places = new Map<NodeId, Place>()
  p.inputs.forEach((i, k) =>
    places.set(i.node, { type: typeOfNode(p, graph.nodes[i.node]), pointer: inputs[k], offset: null }),
  )
  const copies: Plan['copies'][number][] = []
  p.outputs.forEach((o, k) => {
    const from = sourceOf(graph, o.node)
    if (places.has(from)) copies.push({ from, to: outputs[k], size: sizeOf(o.shape), path: o.name })
    else places.set(from, { type: typeOfNode(p, graph.nodes[from]), pointer: outputs[k], offset: null })
  })
  const { offsets, bytes } = placeAll(lifetimes(p, groups, new Set(places.keys())))
  for (const g of groups) {
    const offset = offsets.get(g.result.id)
    if (offset === undefined) continue
    places.set(g.result.id, { type: typeOfNode(p, g.result), pointer: `v${g.result.id}`, offset })
  }
  return { groups, places, copies, arena: bytes }
}

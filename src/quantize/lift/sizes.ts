/**
 * Which numbers of a graph follow the size of the batch: two traces of one network, at two sizes, are laid side by
 * side. A forward that replays one of them can then be traced at any size.
 */
import type { NodeId } from '../../data/quant.js'
import { sameShape, type Shape } from '../../data/shape.js'
import type { Graph, Node } from '../../graph/graph.js'
import type { Attrs } from '../../graph/op.js'

/** Attributes and shape of a node at a size of the batch. */
export type AtSize = (node: Node, size: number) => { readonly attrs: Attrs; readonly shape: Shape }

/** As it was traced, whatever the size. */
export const asTraced: AtSize = ({ attrs, shape }) => ({ attrs, shape })

const isRecord = (x: unknown): x is { readonly [key: string]: unknown } =>
  typeof x === 'object' && x !== null && !Array.isArray(x)

/**
 * What is `a` at size n and `b` at size n + 1, at size n + by; undefined where it does not follow a line of whole
 * numbers.
 */
const along = (a: unknown, b: unknown, by: number): unknown => {
  if (Object.is(a, b)) return a
  if (typeof a === 'number' && typeof b === 'number')
    return Number.isInteger(a) && Number.isInteger(b) ? a + (b - a) * by : undefined
  if (Array.isArray(a) && Array.isArray(b) && a.length === b.length) {
    const all = a.map((e: unknown, i): unknown => along(e, b[i], by))
    return all.includes(undefined) ? undefined : all
  }
  if (!isRecord(a) || !isRecord(b) || Object.keys(a).join() !== Object.keys(b).join()) return undefined
  const all = Object.keys(a).map((k) => [k, along(a[k], b[k], by)] as const)
  return all.some(([, v]) => v === undefined) ? undefined : Object.fromEntries(all)
}

/**
 * How the nodes of a graph follow the size of the batch, from the same graph with a sample more; null: they do not, or
 * not in a line.
 */
export const following = (graph: Graph, more: Graph, size: number, fixed: ReadonlySet<NodeId>): AtSize | null => {
  const same = graph.nodes.length === more.nodes.length
  if (!same) return null
  for (const [i, a] of graph.nodes.entries()) {
    const b = more.nodes[i]
    const known = a.op === b.op && a.inputs.join() === b.inputs.join() && a.branches === undefined
    if (!known || along([a.attrs, a.shape], [b.attrs, b.shape], 1) === undefined) return null
    if (fixed.has(a.id) && !sameShape(a.shape, b.shape)) return null
  }
  return ({ id, attrs, shape }, n) => {
    const b = more.nodes[id]
    const by = n - size
    return { attrs: along(attrs, b.attrs, by) as Attrs, shape: along(shape, b.shape, by) as Shape }
  }
}

/** Are two loops the same but for the layer that they stand in? Then they share plan and code. */
import type { Graph, Node } from '../../graph/graph.js'
import type { Attrs } from '../../graph/op.js'

/** What says where something stands, and computes nothing. */
const NAMES: ReadonlySet<string> = new Set(['leaf', 'name', 'why'])

const sameAttrs = (a: Attrs, b: Attrs): boolean => {
  if (a === b) return true
  const keys = Object.keys(a)
  return (
    keys.length === Object.keys(b).length &&
    keys.every((k) => NAMES.has(k) || a[k] === b[k] || JSON.stringify(a[k]) === JSON.stringify(b[k]))
  )
}

const sameList = (a: readonly number[], b: readonly number[]): boolean =>
  a.length === b.length && a.every((x, i) => x === b[i])

const sameNode = (a: Node, b: Node): boolean =>
  a.op === b.op &&
  sameList(a.inputs, b.inputs) &&
  sameList(a.shape, b.shape) &&
  sameAttrs(a.attrs, b.attrs) &&
  (a.carried.tag === b.carried.tag && a.carried.tag === 'float'
    ? true
    : JSON.stringify(a.carried, withoutWhy) === JSON.stringify(b.carried, withoutWhy)) &&
  sameGraphs(a.branches ?? [], b.branches ?? [])

const withoutWhy = (key: string, value: unknown): unknown => (key === 'why' ? undefined : value)

const sameGraphs = (a: readonly Graph[], b: readonly Graph[]): boolean =>
  a.length === b.length &&
  a.every(
    (g, i) =>
      g.nodes.length === b[i].nodes.length &&
      sameList(g.inputs, b[i].inputs) &&
      sameList(g.outputs, b[i].outputs) &&
      g.nodes.every((n, k) => sameNode(n, b[i].nodes[k])),
  )

/** Do two loops compute the same of their operands? */
export const sameBody = (a: Node, b: Node): boolean =>
  a === b || (sameAttrs(a.attrs, b.attrs) && sameGraphs(a.branches ?? [], b.branches ?? []))

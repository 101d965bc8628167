/** What a page must show, derived from a program by other means than the page's own: a walk over its nodes. */
import type { Carried } from '../../src/data/quant.js'
import type { Graph, Program } from '../../src/index.js'

/** An edge as it is read back; `scale` is the scale's node, not its identity. */
export type ExpectedEdge = {
  readonly from: string
  readonly to: string
  readonly slot: number
  readonly carried: Carried
  readonly prefix: string
}
/** All nodes with their ops, and all edges, branches of phases included. */
export type Expected = { readonly nodes: ReadonlyMap<string, string>; readonly edges: readonly ExpectedEdge[] }

const walk = (graph: Graph, prefix: string, nodes: Map<string, string>, edges: ExpectedEdge[]): void => {
  for (const n of graph.nodes) {
    nodes.set(`${prefix}${n.id}`, n.op.name)
    n.inputs.forEach((i, slot) =>
      edges.push({ from: `${prefix}${i}`, to: `${prefix}${n.id}`, slot, carried: graph.nodes[i].carried, prefix }),
    )
    n.branches?.forEach((b, i) => walk(b, `${prefix}${n.id}.${['collect', 'learned'][i]}.`, nodes, edges))
  }
}

/** Walks a program. */
export const expectedOf = (program: Program): Expected => {
  const nodes = new Map<string, string>()
  const edges: ExpectedEdge[] = []
  walk(program.graph, '', nodes, edges)
  return { nodes, edges }
}

/** The attributes that an edge must have, but for the identity of its scale. */
export const attributesOf = (e: ExpectedEdge): { readonly [name: string]: string } => {
  const c = e.carried
  return {
    'data-from': e.from,
    'data-to': e.to,
    'data-slot': String(e.slot),
    'data-carry': c.tag,
    ...('quant' in c ? { 'data-bits': String(c.quant.bits), 'data-signed': String(c.quant.signed) } : {}),
    ...('why' in c ? { 'data-why': c.why } : {}),
  }
}

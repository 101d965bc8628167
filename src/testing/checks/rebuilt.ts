/** A program whose ops are those of another table: what reads it computes with these. */
import type { Graph, Node } from '../../graph/graph.js'
import type { OpTable } from '../../graph/op.js'
import type { Program } from '../../graph/program.js'

const graphOf = (graph: Graph, table: OpTable): Graph => ({
  ...graph,
  nodes: graph.nodes.map((n): Node => ({
    ...n,
    op: n.op.examples.length > 0 && Object.hasOwn(table, n.op.name) ? table[n.op.name] : n.op,
    ...(n.branches === undefined ? {} : { branches: n.branches.map((b) => graphOf(b, table)) }),
  })),
})

/** The same program over another table. Structure and ops that the table does not have stay. */
export const rebuilt = (program: Program, table: OpTable): Program => ({
  ...program,
  graph: graphOf(program.graph, table),
})

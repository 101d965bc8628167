/** May the first axis of a model stay open? Every op on the way must work row by row, whatever the number of rows. */
import type { NodeId } from '../../data/quant.js'
import { sizeOf } from '../../data/shape.js'
import type { Graph, Node } from '../../graph/graph.js'
import { computes } from '../../graph/op.js'
import type { Program } from '../../graph/program.js'
import { rules } from './ops/index.js'
import { computed, numbers, pairs } from './rule.js'

/** Does the op leave rows apart? Asked only of nodes whose first operand has rows. */
type Keeps = (node: Node, operands: readonly Node[], rows: ReadonlySet<NodeId>) => boolean

const never: Keeps = () => false
const always: Keeps = () => true
const withBatchAxis =
  (key: string): Keeps =>
  (node) =>
    node.shape.length === numbers(node, key).length + 2
const notAlongRows: Keeps = (node) => Number(node.attrs.dim) !== 0
/** By factors: a size that was given, the batch's among it, would be written down. */
const byFactors: Keeps = (node) =>
  Array.isArray(node.attrs.scales) && node.attrs.scales.every((f) => typeof f === 'number')
/** Is it one number for all rows? */
const isForAllRows = (node: Node, o: Node): boolean => o.shape.length < node.shape.length || o.shape[0] === 1
/** A scale of each row, computed or known, is written with as many numbers as there are rows. */
const scalesAlongOthers: Keeps = (node, [, ...own], rows) => own.every((o) => !rows.has(o.id) && isForAllRows(node, o))
const notOverRows: Keeps = (node) => !numbers(node, 'dims').includes(0)

/** Ops that are not element-wise over their rows, of which they have as many as they are given. */
const KEEPS: { readonly [op: string]: Keeps | undefined } = {
  reshape: (node, [x]) => sizeOf(x.shape.slice(1)) === sizeOf(node.shape.slice(1)),
  permute: (node) => numbers(node, 'dims')[0] === 0,
  concat: (node, operands, rows) => Number(node.attrs.dim) !== 0 && operands.every((o) => rows.has(o.id)),
  slice: notAlongRows,
  softmax: notAlongRows,
  logSoftmax: notAlongRows,
  sum: notOverRows,
  mean: notOverRows,
  pad: (node) => pairs(node, 'pad')[0].every((n) => n === 0),
  conv: always,
  convTranspose: always,
  linear: (_node, [x]) => x.shape.length > 1,
  matmul: (_node, [x, y]) => x.shape.length === 2 && y.shape.length === 2,
  maxPool: withBatchAxis('kernel'),
  avgPool: withBatchAxis('kernel'),
  adaptiveAvgPool: withBatchAxis('outputSize'),
  adaptiveMaxPool: withBatchAxis('outputSize'),
  upsampleNearest: byFactors,
  upsampleNearestExact: byFactors,
  upsampleLinear: byFactors,
  // Of three axes the first are channels.
  pixelShuffle: (_node, [x]) => x.shape.length > 3,
  maxLast: always,
  addBias: (node, [, bias], rows) => Number(node.attrs.axis) !== 0 && !rows.has(bias.id),
  quantize: scalesAlongOthers,
  quantizeFloat: scalesAlongOthers,
  joinGroups: never,
  trimGroups: never,
  maxAll: never,
  gatherLast: never,
  broadcastTo: never,
}

const broadcasts = (node: Node, operands: readonly Node[], rows: ReadonlySet<NodeId>): boolean =>
  operands.every((o) => (rows.has(o.id) ? o.shape.length === node.shape.length : isForAllRows(node, o)))

/** Does the node keep the rows apart? Of an op of somebody's own nobody knows. */
const keepsRows = (node: Node, operands: readonly Node[], rows: ReadonlySet<NodeId>): boolean => {
  if (rules[computed(node.op)] === undefined) return false
  if (!rows.has(operands[0].id)) return KEEPS[computed(node.op)] === undefined && broadcasts(node, operands, rows)
  const rule = KEEPS[computed(node.op)]
  if (rule === undefined) return broadcasts(node, operands, rows)
  // The second operand of a product is a weight: it has no rows of the batch.
  if (computes(node.op).product !== undefined && rows.has(operands[1].id)) return false
  return rule(node, operands, rows)
}

/** The nodes whose first axis is the batch, if all data inputs have the same and no op mixes, counts or fixes rows; else null. */
export const rowsOf = (graph: Graph, program: Program): ReadonlySet<NodeId> | null => {
  const given = program.inputs.filter((i) => i.kind === 'data')
  const [first] = given
  if (first === undefined || first.shape.length < 2) return null
  if (!given.every((i) => i.shape.length >= 2 && i.shape[0] === first.shape[0])) return null
  const rows = new Set<NodeId>(given.map((i) => i.node))
  for (const node of graph.nodes) {
    const operands = node.inputs.map((id) => graph.nodes[id])
    if (!operands.some((o) => rows.has(o.id))) continue
    if (node.shape[0] !== first.shape[0] || !keepsRows(node, operands, rows)) return null
    rows.add(node.id)
  }
  return program.outputs.every((o) => rows.has(o.node)) ? rows : null
}

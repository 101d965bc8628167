/** Loops in a flat program: a node that stands for all its steps, and a node for each of its results, which it writes. */
import type { NodeId } from '../../data/quant.js'
import type { Shape } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import type { Graph, Node } from '../../graph/graph.js'
import type { Op } from '../../graph/op.js'
import { getOp, scanOp } from '../../graph/structural.js'
import { oneOfLoop } from '../reference/loops.js'
import { loopResultOp } from './internalOps.js'

type Ref = { readonly id: number; readonly shape: Shape }

/** A loop without the results that nobody reads, and without what only they need. */
export type Pruned = {
  readonly node: Node
  /** By index of the loop as it was traced: the index of that result here, or -1. */
  readonly results: readonly number[]
  /** Which operands are left. */
  readonly operands: readonly number[]
}

/** Which results of each loop of a graph are read by live nodes; asked from the last node to the first. */
export const readResults = (graph: Graph, live: Uint8Array, loop: NodeId): ReadonlySet<number> => {
  const out = new Set<number>()
  for (let i = loop + 1; i < graph.nodes.length; i++) {
    const n = graph.nodes[i]
    if (n.op === getOp && live[i] === 1 && n.inputs[0] === loop) out.add(Number(n.attrs.index))
  }
  return out
}

/** Live nodes of a body for some of its outputs: what feeds them and its checks. */
const liveFor = (body: Graph, outputs: ReadonlySet<number>, liveIn: (graph: Graph) => Uint8Array): Uint8Array =>
  liveIn({ ...body, outputs: body.outputs.filter((_, i) => outputs.has(i)) })

/** The loop as some of its results want it. */
export const prune = (loop: Node, wanted: ReadonlySet<number>, liveIn: (graph: Graph) => Uint8Array): Pruned => {
  const [body] = loop.branches ?? []
  const all = loop.inputs.map((_, i) => i)
  if (body === undefined) return { node: loop, results: [], operands: all }
  const [carries, xs] = [Number(loop.attrs.carries), Number(loop.attrs.xs)]
  const kept = new Set(wanted)
  let live = liveFor(body, kept, liveIn)
  for (let before = -1; before !== kept.size;) {
    before = kept.size
    for (let c = 0; c < carries; c++) if (live[body.inputs[c]] === 1) kept.add(c)
    if (kept.size > before) live = liveFor(body, kept, liveIn)
  }
  const operands = all.filter((i) => (i < carries ? kept.has(i) : live[body.inputs[i]] === 1))
  const outputs = body.outputs.map((_, i) => i).filter((i) => kept.has(i))
  const results = body.outputs.map((_, i) => outputs.indexOf(i))
  if (operands.length === all.length && outputs.length === body.outputs.length) return { node: loop, results, operands }
  const graph = {
    ...body,
    inputs: operands.map((i) => body.inputs[i]),
    outputs: outputs.map((i) => body.outputs[i]),
  }
  const attrs = {
    ...loop.attrs,
    carries: operands.filter((i) => i < carries).length,
    xs: operands.filter((i) => i >= carries && i < carries + xs).length,
  }
  return { node: { ...loop, inputs: operands.map((i) => loop.inputs[i]), attrs, branches: [graph] }, results, operands }
}

/** A flat node of a loop, or of a result of one. */
type Made = Ref & {
  readonly op: Op
  readonly args: readonly Ref[]
  readonly attrs: Node['attrs']
  readonly origin: NodeId
  readonly path: string
  readonly loop?: Node
  readonly ofLoop?: (arg: (operand: number) => Tensor) => Float32Array
}

/** Appends a loop to a list of flat nodes, and gives what it gives, by the indices of the loop as it was traced. */
export const loopNodes = (
  nodes: { readonly length: number; push(node: Made): number },
  { node: loop, results }: Pruned,
  args: readonly Ref[],
  from: { readonly origin: NodeId; readonly path: string },
): readonly Ref[] => {
  const whole = nodes.length
  const [body] = loop.branches ?? []
  nodes.push({ id: whole, op: scanOp, args, attrs: loop.attrs, shape: [0], ...from, loop })
  const [carries, length] = [Number(loop.attrs.carries), Number(loop.attrs.length)]
  return results.map((index): Ref => {
    if (index < 0 || body === undefined) return { id: whole, shape: [0] }
    const id = nodes.length
    const own = body.nodes[body.outputs[index]].shape
    const shape = index < carries ? own : [length, ...own]
    const of = [{ id: whole, shape: [0] }]
    nodes.push({ id, op: loopResultOp, args: of, attrs: { index }, shape, ...from, ofLoop: oneOfLoop(loop, index) })
    return { id, shape }
  })
}

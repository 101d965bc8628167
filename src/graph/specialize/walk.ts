/** Walks a program whose parameters and state are given: what they fix is computed, phases are decided, loops are written out where asked. */
import type { NodeId } from '../../data/quant.js'
import { float, gridOf, nodesOfGrid, quantOf } from '../../data/quant.js'
import { sameShape, sizeOf, type Shape } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import type { Graph, Node } from '../graph.js'
import type { Attrs, Value } from '../op.js'
import { getOp, phaseOp, scanOp } from '../structural.js'
import { carriedIn, operandOf, type Seen, type Walk } from './seen.js'

/** Which nodes of a graph feed its outputs, or a check, or the metadata of one that does. */
const liveIn = (graph: Graph): Uint8Array => {
  const live = new Uint8Array(graph.nodes.length)
  for (const id of graph.outputs) live[id] = 1
  // Also inputs that nobody reads are declared again, with the metadata that they carry.
  for (const id of graph.inputs) live[id] = 1
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const node = graph.nodes[i]
    if (live[i] === 0 && node.op.guards !== true) continue
    live[i] = 1
    for (const id of node.inputs) live[id] = 1
    const q = gridOf(node.carried)
    if (q !== null) for (const id of nodesOfGrid(q)) live[id] = 1
  }
  return live
}

const evaluated = (w: Walk, node: Node, args: readonly Tensor[]): Seen => {
  const out: Tensor = { shape: node.shape, data: new Float32Array(sizeOf(node.shape)) }
  const failure = node.op.evaluate(args, node.attrs, out)
  if (failure !== null) {
    const said = {
      op: node.op.name,
      path: node.path,
      message: failure,
      fix: 'parameters and state decide this check, and it fails: no run of this network would pass it; see the layer named here',
    }
    w.errors.push(
      node.op.finds === 'NonFinite'
        ? { tag: 'NonFinite', node: node.id, ...said }
        : { tag: 'CheckFailed', nodes: [...node.inputs], ...said },
    )
  }
  const through = node.op.guards === true && args.length > 0 && sameShape(args[0].shape, node.shape)
  return { fixed: { tensor: through ? args[0] : out, path: node.path }, node: null, kept: null }
}

const tensorsOf = (seen: readonly Seen[]): readonly Tensor[] | null => {
  const out: Tensor[] = []
  for (const s of seen) {
    if (s.fixed === null) return null
    out.push(s.fixed.tensor)
  }
  return out
}

const phaseOf = (w: Walk, node: Node, args: readonly Seen[]): readonly Seen[] => {
  const counter = args[0].fixed
  if (node.branches === undefined || counter === null) {
    w.errors.push({
      tag: 'StateError',
      first: node.path,
      second: node.path,
      path: node.path,
      message: 'whether this quantizer collects or has learned depends on the inputs, not on the state alone',
      fix: 'trace the network in eval, and specialize that program',
    })
    return []
  }
  return walk(w, node.branches[counter.tensor.data[0] < Number(node.attrs.limit) ? 0 : 1], args.slice(1))
}

/** One node in the new graph, or its value if that is fixed. */
const one = (w: Walk, node: Node, args: readonly Seen[], seen: readonly Seen[]): Seen => {
  const copied = (): Value => {
    const nodes = args.map((s) => operandOf(w, s))
    return w.b.copy({ ...node, carried: carriedIn(w, seen, node.carried) }, nodes)
  }
  // A loop stays one: its body is a graph of its own.
  const tensors = node.op === scanOp ? null : tensorsOf(args)
  if (tensors === null) return { fixed: null, node: copied() }
  const known = evaluated(w, node, tensors)
  if (known.fixed !== null && (w.keep(node) || args.some((s) => s.fixed !== null && s.kept !== null))) {
    known.kept = copied()
    w.tensors.set(known.kept.id, known.fixed.tensor)
  }
  return known
}

/** An op of the table applied to what is seen, as `one` does it. */
const applied = (
  w: Walk,
  name: string,
  args: readonly Seen[],
  attrs: Attrs,
  like: Pick<Node, 'path' | 'shape'>,
): Seen => {
  const op = w.table[name]
  const node: Node = { id: 0, op, inputs: [], attrs, shape: like.shape, carried: float, path: like.path }
  return one(w, node, args, [])
}

/** A loop, step by step; what it gives, in order. */
const unrolled = (w: Walk, node: Node, args: readonly Seen[]): readonly Seen[] => {
  const [body] = node.branches ?? []
  const [carries, xs, length] = [node.attrs.carries, node.attrs.xs, node.attrs.length].map(Number)
  if (body === undefined) return []
  const shapeOf = (id: NodeId): Shape => body.nodes[id].shape
  const { path } = node
  const stacks: Seen[][] = body.outputs.slice(carries).map(() => [])
  let carry = args.slice(0, carries)
  for (let k = 0; k < length; k++) {
    const t = node.attrs.reverse === true ? length - 1 - k : k
    const slices = args.slice(carries, carries + xs).map((x, i) => {
      const shape = shapeOf(body.inputs[carries + i])
      const one = applied(w, 'slice', [x], { dim: 0, start: t, end: t + 1 }, { path, shape: [1, ...shape] })
      return applied(w, 'reshape', [one], { shape }, { path, shape })
    })
    const outs = walk(w, body, [...carry, ...slices, ...args.slice(carries + xs)])
    if (w.errors.length > 0) return []
    carry = outs.slice(0, carries)
    stacks.forEach((s, i) => {
      const shape = [1, ...shapeOf(body.outputs[carries + i])]
      s[t] = applied(w, 'reshape', [outs[carries + i]], { shape }, { path, shape })
    })
  }
  const joined = stacks.map((s, i) => {
    const shape = [length, ...shapeOf(body.outputs[carries + i])]
    return applied(w, 'concat', s, { dim: 0 }, { path, shape })
  })
  return [...carry, ...joined]
}

/** One output of a phase or a loop. What a loop gave is known to lie on a grid, whatever its steps were written as. */
const gotten = (w: Walk, node: Node, got: Seen, seen: readonly Seen[]): Seen => {
  if (got.fixed === null && quantOf(node.carried) !== null) w.b.declare(got.node, carriedIn(w, seen, node.carried))
  return got
}

/** A quant tensor that is given as data: its bit width stands behind the inputs. */
const declareInputs = (w: Walk, graph: Graph, seen: readonly Seen[]): void => {
  for (const id of graph.inputs) {
    const { node } = seen[id]
    const { carried } = graph.nodes[id]
    if (node !== null && carried.tag !== 'float') w.b.declare(node, carriedIn(w, seen, carried))
  }
}

/** Walks a graph whose inputs are known, phases inlined; returns what became of its outputs. */
export const walk = (w: Walk, graph: Graph, inputs: readonly Seen[]): readonly Seen[] => {
  const live = liveIn(graph)
  const places = new Map(graph.inputs.map((id, i) => [id, i] as const))
  const seen = new Array<Seen>(graph.nodes.length)
  const tuples = new Map<NodeId, readonly Seen[]>()
  for (const node of graph.nodes) {
    const place = places.get(node.id)
    if (place !== undefined) {
      seen[node.id] = inputs[place]
      continue
    }
    if (live[node.id] === 0) continue
    const args = node.inputs.map((id) => seen[id])
    if (node.op === phaseOp || (node.op === scanOp && w.unroll)) {
      const outs = node.op === phaseOp ? phaseOf(w, node, args) : unrolled(w, node, args)
      if (w.errors.length > 0) return []
      tuples.set(node.id, outs)
      seen[node.id] = outs[0] ?? args[0]
    } else if (node.op === getOp && tuples.has(node.inputs[0]))
      seen[node.id] = gotten(w, node, tuples.get(node.inputs[0])?.[Number(node.attrs.index)] ?? args[0], seen)
    else seen[node.id] = one(w, node, args, seen)
    if (w.errors.length > 0) return []
  }
  declareInputs(w, graph, seen)
  return graph.outputs.map((id) => seen[id])
}

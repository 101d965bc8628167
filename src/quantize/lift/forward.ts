/** The forward of a lifted network: layers where they stand, other nodes replayed through the kit. */
import { isInvalid } from '../../graph/builder.js'
import type { NodeId } from '../../data/quant.js'
import { at, leaves, mapTree } from '../../data/tree.js'
import type { Graph, Node } from '../../graph/graph.js'
import type { Kit, Value } from '../../graph/op.js'
import type { Program } from '../../graph/program.js'
import { constantOf, constOp, getOp, scanOp } from '../../graph/structural.js'
import { isValue } from '../../graph/trace.js'
import type { Next, TensorTree, Traced } from '../../nn/layers/layer.js'
import { dequantize, pad } from '../../nn/functions/index.js'
import { asTraced, type AtSize } from './sizes.js'
import { CONSTANTS, type LayerStep, type Step } from './steps.js'

/** What a forward is made of. */
export type Plan = {
  readonly program: Program
  readonly steps: readonly Step[]
  /** Constants that a layer holds, by node. */
  readonly held: ReadonlyMap<NodeId, string>
  readonly atSize: AtSize
  /** Is it a constant? */
  readonly isFixed: (id: NodeId) => boolean
}

const MANY =
  'it meets another value in an op that no layer stands for, and no quantizer was chosen for what they make together'

/** Values of a graph, and what its loops gave. */
type Values = {
  readonly kit: Kit
  readonly of: Map<NodeId, Value>
  readonly loops: Map<NodeId, readonly Value[]>
  readonly attrsOf: (node: Node) => ReturnType<AtSize>
  readonly isFixed: (id: NodeId) => boolean
}

const valueAt = (v: Values, graph: Graph, id: NodeId): Value => {
  const known = v.of.get(id)
  if (known !== undefined) return known
  const node = graph.nodes[id]
  const made = v.kit.constant(constantOf(node.attrs), v.attrsOf(node).shape)
  v.of.set(id, made)
  return made
}

/** A loop of the graph as a loop here; its body's nodes are replayed in it. */
const replayLoop = (v: Values, node: Node, args: readonly Value[]): void => {
  const [carries, xs, length] = [node.attrs.carries, node.attrs.xs, node.attrs.length].map(Number)
  const [body] = node.branches ?? []
  const shared = args.slice(carries + xs)
  const done = v.kit.scan({
    carry: args.slice(0, carries),
    xs: args.slice(carries, carries + xs),
    length,
    reverse: node.attrs.reverse === true,
    body: (carry, slices, kit) => {
      const isFixed = (id: NodeId): boolean => body.nodes[id].op === constOp
      const inner: Values = { kit, of: new Map(), loops: new Map(), attrsOf: (n) => asTraced(n, 0), isFixed }
      const given = [...carry, ...slices, ...shared]
      body.inputs.forEach((id, i) => inner.of.set(id, given[i]))
      for (const n of body.nodes) if (n.op !== constOp && !inner.of.has(n.id)) replayed(inner, body, n)
      const outs = body.outputs.map((id) => valueAt(inner, body, id))
      return { carry: outs.slice(0, carries), ys: outs.slice(carries) }
    },
  })
  v.loops.set(node.id, [...done.carry, ...done.ys])
}

/** One node as it was. Several values that depend on the inputs meet as plain tensors. */
const replayed = (v: Values, graph: Graph, node: Node): void => {
  const args = node.inputs.map((id) => (v.loops.has(id) ? null : valueAt(v, graph, id)))
  const loop = node.op === getOp ? v.loops.get(node.inputs[0]) : undefined
  const given = args.flatMap((a) => (a === null ? [] : [a]))
  if (loop !== undefined) v.of.set(node.id, loop[Number(node.attrs.index)])
  else if (node.op === scanOp) replayLoop(v, node, given)
  else {
    const { attrs } = v.attrsOf(node)
    const many = new Set(node.inputs.filter((id) => !v.isFixed(id))).size > 1
    v.of.set(node.id, v.kit.apply(node.op, many ? given.map((a) => dequantize(a, MANY)) : given, attrs))
  }
}

type Call = (params: Traced<TensorTree>, state: Traced<TensorTree>, x: unknown) => readonly [unknown, Next<TensorTree>]
type Branches<T> = { readonly [name: string]: T }

const padded = (x: Value, by: LayerStep['pad']): Value =>
  by === null || isInvalid(x) ? x : pad(x, [...by].reverse().flat())

const isIndex = (x: unknown): x is number => typeof x === 'number'

/** The forward of a plan, for `model`. */
export const forwardOf =
  ({ program, steps, held, atSize, isFixed }: Plan) =>
  (
    layers: { readonly [name: string]: Call },
    params: Branches<Traced<TensorTree>>,
    state: Branches<Traced<TensorTree>>,
    x: unknown,
  ): readonly [unknown, Branches<Next<TensorTree>>] => {
    const { graph, structure } = program
    const [first] = leaves(isValue, x)
    const { kit, shape } = first.leaf
    const v: Values = { kit, of: new Map(), loops: new Map(), attrsOf: (node) => atSize(node, shape[0] ?? 0), isFixed }
    for (const i of program.inputs) {
      const given = i.kind === 'data' ? at(x, i.path) : undefined
      if (isValue(given)) v.of.set(i.node, given)
    }
    const next: Record<string, Next<TensorTree>> = {}
    const call = (name: string, given: unknown): unknown => {
      const [y, after] = layers[name](params[name], next[name] ?? state[name], given)
      next[name] = after
      return y
    }
    const constants = held.size === 0 ? {} : (call(CONSTANTS, first.leaf) as Branches<unknown>)
    for (const [id, name] of held) v.of.set(id, constants[name] as Value)
    for (const step of steps) {
      if (step.is === 'node') replayed(v, graph, step.node)
      else {
        const args = step.args.map((id) => padded(valueAt(v, graph, id), step.pad))
        v.of.set(step.at, call(step.name, step.give(args)) as Value)
      }
    }
    return [mapTree(isIndex, structure.results, (i) => valueAt(v, graph, program.outputs[i].node)), next]
  }

/**
 * First pass: a program as one list of nodes. Phases are decided by their counters and their branch is inlined, ops that
 * hand their operand on become views of it, equal nodes are one, constants are folded, dead nodes are gone.
 */
import type { NodeId } from '../../data/quant.js'
import { sameShape, sizeOf, type Shape } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import type { Graph, Node } from '../../graph/graph.js'
import { inputGrid, isLicence, obstacleText, productLicence } from '../../graph/licence.js'
import { attrsKey } from '../../graph/attributes.js'
import type { Attrs, Op } from '../../graph/op.js'
import { liveIn } from './live.js'
import { phaseResults, type PhaseTest } from './decide.js'
import { loopNodes, type Pruned } from './loops.js'
import { constantAttrs, constantOf, constOp, getOp, inputOp } from '../../graph/structural.js'

/** A value: the flat node that makes it, seen in a shape. Two shapes of one node share their elements in row-major order. */
export type Ref = { readonly id: number; readonly shape: Shape }

/** Both operands of a product lie on integer grids with zero point 0; which scales, and which integers occur. */
export type Licence = {
  readonly scales: readonly [Ref, Ref]
  readonly x: readonly [number, number]
  readonly w: readonly [number, number]
  /** Is a quant input of the program behind them? Its numbers may be a little off the grid: they are looked at one by one. */
  readonly declared: boolean
}

/** One operation of the flat program. `const` and `input` nodes have no operands. */
export type FlatNode = {
  readonly id: number
  readonly op: Op
  readonly args: readonly Ref[]
  readonly attrs: Attrs
  readonly shape: Shape
  /** The node of the traced program from which it comes (of a phase's branch: the phase). */
  readonly origin: NodeId
  readonly path: string
  /** Products only: may it run on integers, or why not. */
  readonly licence?: Licence | string
  /** A quantizer's integers, where they have a zero point of 0: which operand is their scale, and which integers occur. */
  readonly grid?: { readonly scale: number; readonly lo: number; readonly hi: number }
  /** A loop: the traced node, with its body. It has no elements; its results are nodes of their own behind it, which it writes. */
  readonly loop?: Node
  /** A result of a loop, as the host computes it alone, for counters behind the loop. */
  readonly ofLoop?: (arg: (operand: number) => Tensor) => Float32Array
  /** The kernel takes the magnitudes of its first operand. */
  readonly absolute?: boolean
}

/** A program without structure, for one vector of phases. */
export type Flat = {
  readonly nodes: readonly FlatNode[]
  /** Flat nodes of the program's inputs, in their order; -1 for one that nobody reads. */
  readonly inputs: readonly number[]
  readonly outputs: readonly Ref[]
  readonly tests: readonly PhaseTest[]
}

/** Does it give its first operand's elements unchanged: no work, another view? */
const isView = ({ layout }: Op): boolean => layout === 'view' || layout === 'alias'
const MOST_FOLDED = 64

/** The licence of a product, its scales among the flat nodes, or why it runs in float. */
const licenceOf = (graph: Graph, node: Node, refOf: (id: NodeId) => Ref): Licence | string | undefined => {
  const licensed = productLicence(graph, node)
  if (licensed === null) return undefined
  if (!isLicence(licensed)) return obstacleText(licensed)
  const { x, w, declared } = licensed
  return { scales: [refOf(x.scale), refOf(w.scale)], x: [x.lo, x.hi], w: [w.lo, w.hi], declared }
}

/** The integers of a quantizer whose scale is one number, where metadata prove them. */
const bornGrid = (graph: Graph, node: Node): FlatNode['grid'] => {
  if (node.op.births !== true) return undefined
  const q = inputGrid(graph, node.id)
  const scale = typeof q === 'string' ? -1 : node.inputs.indexOf(q.scale)
  return typeof q === 'string' || scale < 0 ? undefined : { scale, lo: q.lo, hi: q.hi }
}

/** Evaluates small flat nodes on the host with the ops' own reference; `read` gives inputs. Memoised per call. */
export const hostEvaluator = (
  nodes: readonly FlatNode[],
  read: (inputId: number) => Float32Array,
): ((ref: Ref) => Float32Array) => {
  const known = new Map<number, Float32Array>()
  const valueOf = (ref: Ref): Float32Array => {
    const found = known.get(ref.id)
    if (found !== undefined) return found
    const node = nodes[ref.id]
    if (node.op === inputOp) return read(ref.id)
    if (node.ofLoop !== undefined) {
      const { args } = nodes[node.args[0].id]
      return node.ofLoop((i) => ({ shape: args[i].shape, data: valueOf(args[i]) }))
    }
    const data = new Float32Array(sizeOf(node.shape))
    const failure = node.op.evaluate(
      node.args.map((a) => ({ shape: a.shape, data: valueOf(a) })),
      node.attrs,
      { shape: node.shape, data },
    )
    if (failure !== null) data.fill(NaN)
    known.set(ref.id, data)
    return data
  }
  return valueOf
}

/** The flat list while it grows. */
type From = {
  readonly origin: NodeId
  readonly path: string
  readonly licence?: Licence | string | undefined
  readonly grid?: FlatNode['grid']
}

type Builder = {
  readonly nodes: FlatNode[]
  /** Adds a node, or finds the one that there is; a constant where its operands are some. */
  readonly add: (op: Op, args: readonly Ref[], attrs: Attrs, shape: Shape, from: From) => Ref
}

const newFlat = (): Builder => {
  const nodes: FlatNode[] = []
  const keys = new Map<string, number>()
  const textOf = new Map<Attrs, string>()
  const attrsText = (attrs: Attrs): string => {
    const known = textOf.get(attrs)
    if (known !== undefined) return known
    const text = attrsKey(attrs)
    textOf.set(attrs, text)
    return text
  }
  const isFoldable = (a: Ref): boolean => nodes[a.id].op === constOp && sizeOf(a.shape) <= MOST_FOLDED
  const folded = (op: Op, args: readonly Ref[], attrs: Attrs, shape: Shape): number | null => {
    if (args.length === 0 || op.guards === true || sizeOf(shape) > MOST_FOLDED || !args.every(isFoldable)) return null
    const out: Tensor = { shape, data: new Float32Array(sizeOf(shape)) }
    const failure = op.evaluate(
      args.map((a) => ({
        shape: a.shape,
        data: new Float32Array(sizeOf(a.shape)).fill(constantOf(nodes[a.id].attrs)),
      })),
      attrs,
      out,
    )
    return failure === null && out.data.length > 0 && out.data.every((x) => Object.is(x, out.data[0]))
      ? out.data[0]
      : null
  }
  const add: Builder['add'] = (op, args, attrs, shape, from) => {
    const { origin, path, licence, grid } = from
    const value = folded(op, args, attrs, shape)
    if (value !== null) return add(constOp, [], constantAttrs(value), shape, { origin, path })
    const id = nodes.length
    if (op !== inputOp) {
      let key = op.name
      for (let i = 0; i < args.length; i++) key += `|${args[i].id}:${args[i].shape.join()}`
      key += `|${attrsText(attrs)}|${shape.join()}${typeof licence === 'object' ? '|integers' : ''}`
      const known = keys.get(key)
      if (known !== undefined) return { id: known, shape }
      keys.set(key, id)
    }
    const node: FlatNode = { id, op, args, attrs, shape, origin, path }
    nodes.push(licence === undefined && grid === undefined ? node : withGrids(node, licence, grid))
    return { id, shape }
  }
  return { nodes, add }
}

const withGrids = (node: FlatNode, licence: From['licence'], grid: From['grid']): FlatNode => ({
  ...node,
  ...(licence === undefined ? {} : { licence }),
  ...(grid === undefined ? {} : { grid }),
})

/** Keeps what outputs and checks need, ids closed up. */
export const withoutDead = (flat: Flat): Flat => {
  const live = new Uint8Array(flat.nodes.length)
  for (const o of flat.outputs) live[o.id] = 1
  for (let i = flat.nodes.length - 1; i >= 0; i--) {
    const node = flat.nodes[i]
    if (live[i] === 0 && node.op.guards !== true) continue
    live[i] = 1
    const { args } = node
    for (let k = 0; k < args.length; k++) live[args[k].id] = 1
    if (typeof node.licence === 'object') for (const a of node.licence.scales) live[a.id] = 1
  }
  for (const t of flat.tests) markAll(flat.nodes, t.counter.id, live)
  // Each pass ends with this, and often there is nothing to close up.
  if (!live.includes(0)) return flat
  const to = new Int32Array(flat.nodes.length).fill(-1)
  let next = 0
  for (let i = 0; i < live.length; i++) if (live[i] === 1) to[i] = next++
  const moved = (r: Ref): Ref => ({ id: to[r.id], shape: r.shape })
  const nodes: FlatNode[] = []
  for (const n of flat.nodes) {
    if (live[n.id] === 0) continue
    const at = { ...n, id: to[n.id], args: n.args.map(moved) }
    const { licence } = n
    nodes.push(
      typeof licence === 'object'
        ? { ...at, licence: { ...licence, scales: [moved(licence.scales[0]), moved(licence.scales[1])] } }
        : at,
    )
  }
  return {
    nodes,
    inputs: flat.inputs.map((i) => (i < 0 ? -1 : to[i])),
    outputs: flat.outputs.map(moved),
    tests: flat.tests.map((t) => ({ ...t, counter: moved(t.counter) })),
  }
}

// Counters are read on the host, but what makes them must stay in the list.
const markAll = (nodes: readonly FlatNode[], from: number, live: Uint8Array): void => {
  const waiting = [from]
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (live[id] === 1) continue
    live[id] = 1
    for (const a of nodes[id].args) waiting.push(a.id)
  }
}

/** A node that computes something, or hands its operand on. */
const computed = (
  b: Builder,
  node: Node,
  args: readonly Ref[],
  from: From,
  { graph, refs }: { readonly graph: Graph; readonly refs: readonly Ref[] },
): Ref => {
  const { op, attrs, shape } = node
  if (isView(op) && sizeOf(args[0].shape) === sizeOf(shape)) return { id: args[0].id, shape }
  const integers =
    op.product === undefined && op.births !== true
      ? from
      : { ...from, licence: licenceOf(graph, node, (id) => refs[id]), grid: bornGrid(graph, node) }
  const made = b.add(op, args, attrs, shape, integers)
  return op.guards === true && sameShape(args[0].shape, shape) ? { id: args[0].id, shape } : made
}

/**
 * Flattens a graph for the phases that its inputs put it in. `read` gives the elements of program input number `i`;
 * only counters are looked at. `open`: both branches of a phase are there, where that is possible, and its counter chooses.
 */
export const flatten = (graph: Graph, read: (input: number) => Float32Array, open = false): Flat => {
  const b = newFlat()
  const inputs: number[] = []
  const tests: PhaseTest[] = []
  const inputIds = new Map<number, number>()
  const scalar = hostEvaluator(b.nodes, (id) => read(inputIds.get(id) ?? 0))
  const visit = (g: Graph, given: readonly Ref[] | null, phase: NodeId | null): readonly Ref[] => {
    const loops = new Map<NodeId, Pruned>()
    const live = liveIn(g, loops)
    const refs = new Array<Ref>(g.nodes.length)
    const within = { graph: g, refs }
    const tuples = new Map<NodeId, readonly Ref[]>()
    const places = new Map(g.inputs.map((id, i) => [id, i] as const))
    const branched = (node: Node, args: readonly Ref[], from: From): readonly Ref[] => {
      const loop = loops.get(node.id)
      if (loop !== undefined)
        return loopNodes(
          b.nodes,
          loop,
          loop.operands.map((i) => args[i]),
          from,
        )
      const taken = (branch: Graph): readonly Ref[] => visit(branch, args.slice(1), from.origin)
      return phaseResults(node, args[0], { tests, scalar, open, add: b.add, from, visit: taken })
    }
    const one = (node: Node): Ref => {
      const from = { origin: phase ?? node.id, path: node.path }
      const place = places.get(node.id)
      if (place !== undefined) {
        if (given !== null) return { id: given[place].id, shape: node.shape }
        const ref = b.add(inputOp, [], node.attrs, node.shape, from)
        inputs[place] = ref.id
        inputIds.set(ref.id, place)
        return ref
      }
      const args = node.inputs.map((id) => refs[id])
      if (node.op === getOp) return tuples.get(node.inputs[0])?.[Number(node.attrs.index)] ?? args[0]
      if (node.branches !== undefined) {
        const outs = branched(node, args, from)
        tuples.set(node.id, outs)
        return outs[0] ?? args[0]
      }
      return computed(b, node, args, from, within)
    }
    for (const node of g.nodes) {
      const place = places.get(node.id)
      if (live[node.id] === 1) refs[node.id] = one(node)
      else if (place !== undefined && given === null) inputs[place] = -1
    }
    return g.outputs.map((id) => refs[id])
  }
  const outputs = visit(graph, null, null)
  return withoutDead({ nodes: b.nodes, inputs: graph.inputs.map((_, i) => inputs[i] ?? -1), outputs, tests })
}

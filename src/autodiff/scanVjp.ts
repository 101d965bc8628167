/**
 * The gradient of a loop is a loop that runs the other way. The forward loop keeps what its carries were before each step; each step back
 * computes the body once more from them, and differentiates it by the rules of its ops. Cotangents of what all steps share, and of learned
 * state that the body assigns, are summed on the way.
 */
import { float, type NodeId } from '../data/quant.js'
import { sameShape, sizeOf } from '../data/shape.js'
import type { Builder } from '../graph/builder.js'
import type { Graph, Node } from '../graph/graph.js'
import { needsFunction } from '../graph/lanes.js'
import type { Value } from '../graph/op.js'
import { getOp, scanOp } from '../graph/structural.js'
import { accumulate, dependents, type Cotangents, type Differentiating } from './cotangents.js'

/** What a phase gave. What a loop gave is not: a step back runs the loop again, whose carries were not kept. */
const isOfPhase = (body: Graph, n: Node): boolean => n.op === getOp && body.nodes[n.inputs[0]].op !== scanOp

/** Is it dear to compute once more: a product, or many elements that take an elementary function each? */
const isDear = ({ op, attrs, inputs, shape }: Node): boolean =>
  op.product !== undefined ||
  (op.lanes !== undefined && sizeOf(shape) > 1 && needsFunction(op.lanes, attrs, inputs.length))

/**
 * Nodes of a body that a step back takes as the forward loop left them: carries before the step, what would be dear to compute once more,
 * and what phases gave (the scales of quantizers).
 */
const keptOf = (body: Graph, carries: number): readonly NodeId[] => [
  ...body.inputs.slice(0, carries),
  ...body.nodes.flatMap((n) => (isOfPhase(body, n) || isDear(n) ? [n.id] : [])),
]

/** The same node, of which what a step back wants can be had: outputs behind all others. */
export const withSteps = (node: Node): Node => {
  if (node.op !== scanOp) return node
  const body = node.branches?.[0]
  if (body === undefined) return node
  const carries = Number(node.attrs.carries)
  const known = new Set(body.outputs.slice(carries))
  const more = keptOf(body, carries).filter((id) => !known.has(id))
  return more.length === 0 ? node : { ...node, branches: [{ ...body, outputs: [...body.outputs, ...more] }] }
}

/** A loop whose gradient is being taken, and the cotangents of its outputs; null where there is none. */
type ScanCall = { readonly node: Node; readonly cts: readonly (Value | null)[] }

/** Its body, and how its inputs are divided. */
type Parts = {
  readonly body: Graph
  readonly carries: number
  readonly xs: number
  readonly length: number
  readonly reverse: boolean
}

const partsOf = (node: Node): Parts | null => {
  const [body] = node.branches ?? []
  if (body === undefined) return null
  const { carries, xs, length, reverse } = node.attrs
  return { body, carries: Number(carries), xs: Number(xs), length: Number(length), reverse: reverse === true }
}

/** Nodes of the body that assign wanted leaves, by leaf. */
const assignsOf = (body: Graph, leaves: ReadonlySet<string>): ReadonlyMap<string, readonly NodeId[]> => {
  const out = new Map<string, readonly NodeId[]>()
  for (const n of body.nodes) {
    const leaf = String(n.attrs.leaf)
    if (n.op.updates === true && leaves.has(leaf)) out.set(leaf, [...(out.get(leaf) ?? []), n.id])
  }
  return out
}

/** Leaves that loops inside the body assign. */
const innerLeaves = (body: Graph, leaves: ReadonlySet<string>): readonly string[] =>
  body.nodes.flatMap((n) =>
    (n.op === scanOp ? (n.branches ?? []) : []).flatMap((g) => [
      ...assignsOf(g, leaves).keys(),
      ...innerLeaves(g, leaves),
    ]),
  )

/** Which inputs of the body a gradient is wanted of: those wanted outside, and carries that depend on such. */
const wantedOf = (
  { body, carries }: Parts,
  wanted: readonly boolean[],
  assigns: readonly NodeId[],
): { readonly inputs: readonly boolean[]; readonly nodes: ReadonlySet<NodeId> } => {
  let inputs = wanted
  for (;;) {
    const nodes = new Set([...body.inputs.filter((_, i) => inputs[i]), ...assigns])
    const needs = dependents(body.nodes, nodes)
    const next = inputs.map((w, i) => w || (i < carries && needs[body.outputs[i]] === 1))
    if (next.every((w, i) => w === inputs[i])) return { inputs, nodes }
    inputs = next
  }
}

/** The nodes of the body, computed once more in a step back; checks have been made by the forward loop. */
const recomputed = (
  kit: Builder,
  body: Graph,
  given: readonly Value[],
  kept: ReadonlyMap<NodeId, Value>,
): readonly Value[] => {
  const values: Value[] = []
  for (const n of body.nodes) {
    const place = body.inputs.indexOf(n.id)
    const args = n.inputs.map((i) => values[i])
    const through = n.op.guards === true && args.length > 0 && sameShape(args[0].shape, n.shape)
    const same = through ? args[0] : null
    const known = kept.get(n.id) ?? (place >= 0 ? given[place] : same)
    // What it carried is said in ids of another graph.
    values.push(known ?? kit.copy({ ...withSteps(n), carried: float }, args))
  }
  return values
}

/** All that is known of a loop before its way back is traced. */
type Way = Parts & {
  readonly kept: readonly NodeId[]
  readonly assigns: ReadonlyMap<string, readonly NodeId[]>
  readonly leaves: readonly string[]
  /** Inputs of the body by what becomes of their gradients: carries, slices, and what all steps share. */
  readonly back: readonly number[]
  readonly slices: readonly number[]
  readonly shared: readonly number[]
  readonly wanted: ReadonlySet<NodeId>
  /** Outputs that are stacked and have a cotangent. */
  readonly stacked: readonly number[]
}

const wayOf = (parts: Parts, { node, cts }: ScanCall, needs: Uint8Array, ctx: Differentiating): Way => {
  const { body, carries, xs } = parts
  const assigns = assignsOf(body, ctx.leaves)
  const wanted = wantedOf(
    parts,
    node.inputs.map((id) => needs[id] === 1),
    [...assigns.values()].flat(),
  )
  const index = (from: number, to: number): readonly number[] =>
    wanted.inputs.flatMap((w, i) => (w && i >= from && i < to ? [i] : []))
  return {
    ...parts,
    kept: keptOf(body, carries),
    assigns,
    leaves: [...new Set([...assigns.keys(), ...innerLeaves(body, ctx.leaves)])],
    back: index(0, carries),
    slices: index(carries, carries + xs),
    shared: index(carries + xs, node.inputs.length),
    wanted: wanted.nodes,
    stacked: cts.flatMap((g, i) => (g !== null && i >= carries ? [i] : [])),
  }
}

/** One step back: cotangents of the carries before it, the sums so far with its own added, and cotangents of its slices. */
const stepBack = (
  inner: Builder,
  way: Way,
  shared: readonly Value[],
  [carry, slices]: readonly [readonly Value[], readonly Value[]],
  ctx: Differentiating,
): { readonly carry: readonly Value[]; readonly ys: readonly Value[] } => {
  const { body, carries, xs, kept, back } = way
  const given = [
    ...slices.slice(0, carries),
    ...slices.slice(kept.length, kept.length + xs),
    ...shared.map((v) => inner.capture(v) ?? v),
  ]
  const values = recomputed(inner, body, given, new Map(kept.map((id, i) => [id, slices[i]] as const)))
  const seeds: Cotangents = new Map()
  const own = (id: NodeId): Value => values[id]
  back.forEach((i, k) => accumulate(inner, seeds, body.outputs[i], carry[k], own))
  way.stacked.forEach((i, k) => accumulate(inner, seeds, body.outputs[i], slices[kept.length + xs + k], own))
  const found = new Map<string, Value>()
  ctx.backward(inner, body, own, seeds, { ...ctx, wanted: way.wanted, found })
  const of = (i: number): Value => seeds.get(body.inputs[i]) ?? inner.constant(0, given[i].shape)
  const added = (at: number, more: readonly (Value | undefined)[]): Value =>
    more.reduce<Value>((s, g) => (g === undefined ? s : inner.emit('add', [s, g])), carry[at])
  return {
    carry: [
      ...back.map(of),
      ...way.shared.map((i, k) => added(back.length + k, [seeds.get(body.inputs[i])])),
      ...way.leaves.map((leaf, k) =>
        added(back.length + way.shared.length + k, [
          ...(way.assigns.get(leaf) ?? []).map((id) => seeds.get(id)),
          found.get(leaf),
        ]),
      ),
    ],
    ys: way.slices.map(of),
  }
}

/** Cotangents of the operands of a loop. Those of leaves that its body assigns are added to `ctx.found`. */
export const scanVjp = (
  b: Builder,
  call: ScanCall,
  fwd: (id: NodeId) => Value,
  needs: Uint8Array,
  ctx: Differentiating,
): readonly (readonly [NodeId, Value])[] => {
  const { node, cts } = call
  const parts = partsOf(node)
  if (parts === null) return []
  const way = wayOf(parts, call, needs, ctx)
  const { body, carries, xs, length, back, shared, leaves } = way
  const operand = (i: number): Value => fwd(node.inputs[i])
  const extended = withSteps(node).branches?.[0] ?? body
  const before = way.kept.map((id) =>
    b.output(fwd(node.id).id, extended.outputs.indexOf(id, carries), [length, ...body.nodes[id].shape]),
  )
  const sums = [
    ...shared.map((i) => b.constant(0, operand(i).shape)),
    ...leaves.map((leaf) => b.constant(0, shapeOfLeaf(body, leaf) ?? [])),
  ]
  const out = b.scan({
    carry: [...back.map((i) => cts[i] ?? b.constant(0, operand(i).shape)), ...sums],
    xs: [...before, ...node.inputs.slice(carries, carries + xs).map(fwd), ...way.stacked.flatMap((i) => cts[i] ?? [])],
    length,
    reverse: !way.reverse,
    path: '',
    body: (carry, slices, kit) =>
      stepBack(kit as Builder, way, node.inputs.slice(carries + xs).map(fwd), [carry, slices], ctx),
  })
  leaves.forEach((leaf, k) => {
    const g = out.carry[back.length + shared.length + k]
    const known = ctx.found.get(leaf)
    ctx.found.set(leaf, known === undefined ? g : b.emit('add', [known, g]))
  })
  return [
    ...back.flatMap((i, k) => (needs[node.inputs[i]] === 1 ? [[node.inputs[i], out.carry[k]] as const] : [])),
    ...way.slices.map((i, k) => [node.inputs[i], out.ys[k]] as const),
    ...shared.map((i, k) => [node.inputs[i], out.carry[back.length + k]] as const),
  ]
}

/** The shape of a leaf that the body, or a loop in it, assigns. */
const shapeOfLeaf = (body: Graph, leaf: string): readonly number[] | undefined => {
  for (const n of body.nodes) {
    if (n.op.updates === true && n.attrs.leaf === leaf) return n.shape
    const inner = n.op === scanOp && n.branches !== undefined ? shapeOfLeaf(n.branches[0], leaf) : undefined
    if (inner !== undefined) return inner
  }
  return undefined
}

/** The backward pass over one graph, the bodies of phases and loops included: each op's own rule does the differentiating. */
import type { QuantError } from '../data/error.js'
import { showGiven } from '../data/fields.js'
import type { NodeId } from '../data/quant.js'
import { sameShape, showShape, type Shape } from '../data/shape.js'
import type { Builder } from '../graph/builder.js'
import { isInvalid } from '../graph/builder.js'
import type { Graph, Node } from '../graph/graph.js'
import type { Value } from '../graph/op.js'
import { hasVjp } from '../graph/op.js'
import { getOp, phaseOp, scanOp } from '../graph/structural.js'
import { isValue } from '../graph/trace.js'
import { accumulate, dependents, type Backward, type Cotangents, type Differentiating } from './cotangents.js'
import { scanVjp } from './scanVjp.js'

const notDifferentiable = (node: Node, why: string): QuantError => ({
  tag: 'NotDifferentiable',
  op: node.op.name,
  path: node.path,
  message: `%${node.id} = ${node.op.name} has no gradient: ${why}`,
  fix: 'ask for no gradient through it: put detach(x) in front, or choose another op',
})

/** The pieces of a phase whose gradient is being taken. */
type PhaseCall = { readonly node: Node; readonly gets: readonly Node[]; readonly cts: readonly (Value | null)[] }

/**
 * The gradient of a phase is a phase: each branch is differentiated on its own. Forward results that the branch's
 * backward pass wants are handed in where the forward phase returns them, and recomputed otherwise.
 */
const phaseVjp = (
  b: Builder,
  call: PhaseCall,
  fwd: (id: NodeId) => Value,
  needs: Uint8Array,
  ctx: Differentiating,
): readonly (readonly [NodeId, Value])[] => {
  const { node, gets, cts } = call
  const [counterId, ...argIds] = node.inputs
  const wantedArgs = argIds.map((id, i) => (needs[id] === 1 ? i : -1)).filter((i) => i >= 0)
  if (node.branches === undefined || wantedArgs.length === 0) return []
  const args = argIds.map(fwd)
  const given = cts.filter((c): c is Value => c !== null)
  const results = gets.map((g) => fwd(g.id))
  const branch =
    (graph: Graph) =>
    (inputs: readonly Value[]): readonly Value[] => {
      const kit = inputs[0].kit as Builder
      const values: Value[] = []
      const saved = new Map<NodeId, Value>()
      gets.forEach((g, i) => saved.set(graph.outputs[Number(g.attrs.index)], inputs[args.length + given.length + i]))
      for (const n of graph.nodes) {
        const place = graph.inputs.indexOf(n.id)
        values.push(
          place >= 0
            ? inputs[place]
            : (saved.get(n.id) ??
                kit.copy(
                  n,
                  n.inputs.map((i) => values[i]),
                )),
        )
      }
      const seeds: Cotangents = new Map()
      let next = args.length
      cts.forEach((c, i) => {
        if (c !== null) accumulate(kit, seeds, graph.outputs[i], inputs[next++], (id) => values[id])
      })
      const wanted = new Set(wantedArgs.map((i) => graph.inputs[i]))
      backward(kit, graph, (id) => values[id], seeds, { ...ctx, wanted })
      return wantedArgs.map((i) => seeds.get(graph.inputs[i]) ?? kit.constant(0, args[i].shape))
    }
  const outs = b.phase({
    counter: fwd(counterId),
    limit: Number(node.attrs.limit),
    warnSteps: null,
    args: [...args, ...given, ...results],
    collect: branch(node.branches[0]),
    learned: branch(node.branches[1]),
  })
  return wantedArgs.map((i, k) => [argIds[i], outs[k]] as const)
}

const areCotangents = (back: unknown, count: number): boolean => {
  if (!Array.isArray(back) || back.length !== count) return false
  for (let k = 0; k < count; k++) if (back[k] !== null && !isValue(back[k])) return false
  return true
}

/** What a walk goes along. */
type Walk = {
  readonly b: Builder
  readonly fwd: (id: NodeId) => Value
  readonly cts: Cotangents
  readonly needs: Uint8Array
  readonly ctx: Differentiating
}

/** A phase or a loop, of whose results some may have cotangents. */
const throughBranches = ({ b, fwd, cts, needs, ctx }: Walk, node: Node, gets: readonly Node[]): void => {
  const count = node.branches?.[0]?.outputs.length ?? 0
  const byIndex = Array.from(
    { length: count },
    (_, k) => cts.get(gets.find((n) => n.attrs.index === k)?.id ?? -1) ?? null,
  )
  if (byIndex.every((c) => c === null)) return
  const found =
    node.op === scanOp
      ? scanVjp(b, { node, cts: byIndex }, fwd, needs, ctx)
      : phaseVjp(b, { node, gets, cts: byIndex }, fwd, needs, ctx)
  for (const [id, g] of found) accumulate(b, cts, id, g, fwd)
}

/** A cotangent of another shape than its operand would be broadcast, or handed out as a gradient that fits nothing. */
const misshapen = ({ op, path }: Node, k: number, given: Shape, wanted: Shape): QuantError => ({
  tag: 'ShapeError',
  op: op.name,
  path,
  message: `the gradient rule of ${op.name} returned a cotangent of shape ${showShape(given)} for operand ${k}, which has ${showShape(wanted)}`,
  fix: "give it the operand's shape: kit.emit('sumTo', [g], { shape: args[0].shape }) sums what was broadcast",
})

/** A node by its op's own rule. */
const throughOp = ({ b, fwd, cts, needs }: Walk, node: Node, g: Value): void => {
  const { op, inputs, attrs } = node
  if (!hasVjp(op)) return void b.failWith(notDifferentiable(node, 'none' in op.vjp ? op.vjp.none : ''))
  const back = op.vjp({
    g,
    args: inputs.map(fwd),
    attrs,
    out: () => fwd(node.id),
    needs: inputs.map((id) => needs[id] === 1),
    kit: b,
  })
  if (!areCotangents(back, inputs.length))
    return void b.failWith({
      tag: 'ConfigError',
      option: op.name,
      path: node.path,
      message: `the gradient rule of ${op.name} returned ${showGiven(back)}; it must return a list with a cotangent, or null, for each of ${inputs.length} operands`,
      fix: "return [kit.emit('mul', [g, …])], for instance, with null where there is no path",
    })
  for (let k = 0; k < inputs.length; k++) {
    const c = back[k]
    if (c === null || needs[inputs[k]] !== 1) continue
    const { shape } = fwd(inputs[k])
    if (!isInvalid(c) && !sameShape(c.shape, shape)) b.failWith(misshapen(node, k, c.shape, shape))
    else accumulate(b, cts, inputs[k], c, fwd)
  }
}

/** Does a cotangent go through the node? Results of phases and loops are asked for with these, and a leaf that was assigned ends here. */
const isPassed = ({ needs, ctx }: Walk, { id, op, inputs }: Node): boolean =>
  needs[id] === 1 && inputs.length > 0 && op !== getOp && !(op.updates === true && ctx.wanted.has(id))

const NONE: readonly Node[] = []

/** Walks a graph backwards from the seeds and leaves a cotangent at every node that the wanted ones feed. */
export const backward: Backward = (b, graph, fwd, cts, ctx) => {
  const { nodes } = graph
  const needs = dependents(nodes, ctx.wanted)
  const walk = { b, fwd, cts, needs, ctx }
  const gets = new Map<NodeId, Node[]>()
  for (const n of nodes) if (n.op === getOp) gets.set(n.inputs[0], [...(gets.get(n.inputs[0]) ?? []), n])
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i]
    if (!isPassed(walk, node)) continue
    const branches = node.op === phaseOp || node.op === scanOp
    const g = branches ? undefined : cts.get(i)
    if (!branches && g === undefined) continue
    b.scoped(node.path, () =>
      b.differentiating(fwd(i).id, () =>
        g === undefined ? throughBranches(walk, node, gets.get(i) ?? NONE) : throughOp(walk, node, g),
      ),
    )
  }
  for (const [id, g] of cts) if (!isInvalid(g)) b.tie(fwd(id).id, { cotangent: g.id })
}

/**
 * Which ops behind a product are a map of its channels, `factor·y + shift`, with constants for both: a bias, a batch
 * norm written out, a scale. Asked of the op's own gradient rule, which does not read the operand of an affine op, and
 * of its numbers.
 */
import { constantOf, constOp } from '../../graph/structural.js'
import type { NodeId } from '../../data/quant.js'
import { sameShape, sizeOf, type Shape } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import { newBuilder } from '../../graph/builder.js'
import type { Graph, Node } from '../../graph/graph.js'
import { hasVjp, isRefusal } from '../../graph/op.js'
import type { ChannelMap } from '../../nn/layers/layer.js'
import { ops } from '../../ops/index.js'

/** Numbers of a small graph of primitives, node by node. */
const numbersOf = (graph: Graph, given: ReadonlyMap<NodeId, Tensor>): readonly Tensor[] | null => {
  const out: Tensor[] = []
  for (const { id, op, inputs, attrs, shape } of graph.nodes) {
    const known = given.get(id)
    const made: Tensor = known ?? { shape, data: new Float32Array(sizeOf(shape)) }
    if (op === constOp) made.data.fill(constantOf(attrs))
    else if (known === undefined) {
      const args = inputs.map((i) => out[i])
      if (op.evaluate(args, attrs, made) !== null) return null
    }
    out.push(made)
  }
  return out
}

/** Nodes that a node is computed from, itself among them. */
const behind = (graph: Graph, start: NodeId): ReadonlySet<NodeId> => {
  const seen = new Set([start])
  for (let id = start; id >= 0; id--) if (seen.has(id)) graph.nodes[id].inputs.forEach((i) => seen.add(i))
  return seen
}

/** A constant as wide as it must be: one that is filled with one number may have any shape. */
const narrow = (t: Tensor): Tensor =>
  t.data.length > 0 && t.data.every((x) => Object.is(x, t.data[0])) ? { shape: [], data: t.data.slice(0, 1) } : t

/** An op as its gradient rule sees it: the op, and how a factor goes through it. */
type Step = { readonly value: (x: Tensor) => Tensor | null; readonly factor: (g: Tensor) => Tensor | null }

/**
 * The op over operands of which one is not constant; null where its gradient reads that one, or where there is none.
 */
const stepOf = (node: Node, shape: Shape, constants: readonly (Tensor | null)[]): Step | null => {
  const { op, attrs } = node
  if (op.elementwise !== true || !op.smooth || !hasVjp(op)) return null
  const shapes = constants.map((c) => c?.shape ?? shape)
  const made = op.shape(shapes, attrs)
  if (isRefusal(made as object) || !sameShape(made as Shape, shape)) return null
  const b = newBuilder({ table: ops, mode: 'eval', metadata: false })
  const args = constants.map((c, i) => b.input('data', `x${i}`, c?.shape ?? shape))
  const g = b.input('data', 'g', shape)
  const y = b.apply(op, args, attrs)
  const needs = constants.map((c) => c === null)
  const open = needs.indexOf(true)
  const gradient = op.vjp({ g, args, attrs, out: () => y, needs, kit: b })[open]
  if (gradient === null || b.errors.length > 0) return null
  const graph = b.finish([y, gradient])
  const reads = behind(graph, gradient.id)
  if (reads.has(args[open].id)) return null
  const fixed = new Map(constants.flatMap((c, i) => (c === null ? [] : [[args[i].id, c] as const])))
  const at = (x: Tensor, cotangent: Tensor): readonly Tensor[] | null =>
    numbersOf(graph, new Map([...fixed, [args[open].id, x], [g.id, cotangent]]))
  return {
    value: (x) => at(x, x)?.[y.id] ?? null,
    factor: (x) => at(x, x)?.[gradient.id] ?? null,
  }
}

/** Where a map that is none would show: far out, near 0, and between. */
const PROBES = [-1000, -1.5, -0.37, 0.25, 1, 900]

const agrees = (step: Step, shape: Shape): boolean => {
  const full = (x: number): Tensor => ({ shape, data: new Float32Array(sizeOf(shape)).fill(x) })
  const [zero, slope] = [step.value(full(0)), step.factor(full(1))]
  if (zero === null || slope === null) return false
  return PROBES.every((x) => {
    const y = step.value(full(x))
    return (
      y !== null &&
      y.data.every((v, i) => {
        const want = slope.data[i] * x + zero.data[i]
        return Math.abs(v - want) <= 1e-5 * (Math.abs(slope.data[i] * x) + Math.abs(zero.data[i]))
      })
    )
  })
}

/** The map that does nothing. */
export const unchanged = (channels: number): ChannelMap => ({
  factor: new Float32Array(channels).fill(1),
  shift: new Float32Array(channels),
})

/**
 * A map of channels followed by an op: `axis` is that of the channels in a value of so many axes, `constants` the op's
 * operands, null where the value stands. Null: the op is no map of channels.
 */
export const followed = (
  map: ChannelMap,
  node: Node,
  axis: number,
  constants: readonly (Tensor | null)[],
): ChannelMap | null => {
  const channels = map.factor.length
  const shape = node.shape.map((_, d) => (d === axis ? channels : 1))
  const step = stepOf(
    node,
    shape,
    constants.map((c) => (c === null ? null : narrow(c))),
  )
  if (step === null || !agrees(step, shape)) return null
  const [factor, shift] = [step.factor({ shape, data: map.factor }), step.value({ shape, data: map.shift })]
  return factor === null || shift === null ? null : { factor: factor.data, shift: shift.data }
}

/** The products of a graph that become layers with weights, each with the maps of its channels that follow it. */
import * as E from 'fp-ts/lib/Either.js'
import type { NodeId } from '../../data/quant.js'
import { isTensor, type Tensor } from '../../data/tensor.js'
import { usersOf, type Graph, type Node } from '../../graph/graph.js'
import type { AnyLayer, ChannelMap, Layer, TensorTree, Trees } from '../../nn/layers/layer.js'
import { init } from '../../nn/program/program.js'
import { followed, unchanged } from './affine.js'
import { productForm, type ProductForm } from './forms.js'

/** A graph, what of it is needed, and the tensors of its constants. */
export type Known = {
  readonly graph: Graph
  readonly live: ReadonlySet<NodeId>
  readonly valueOf: (id: NodeId) => Tensor | undefined
}

/** A layer with the numbers that it starts from. */
export type Placed = Trees & { readonly layer: AnyLayer }

/** A layer as `init` starts it. */
export const placedAnew = (layer: AnyLayer): Placed => {
  const made = init(layer as Layer<TensorTree, TensorTree>, 0)
  return E.isLeft(made) ? { layer, params: {}, state: {} } : { layer, ...made.right }
}

/** A product that becomes a layer. */
export type Product = {
  readonly node: Node
  readonly form: ProductForm
  readonly placed: Placed
  /** The nodes behind it that it took over, in order. */
  readonly taken: readonly NodeId[]
}

/** The node whose value the layer computes. */
export const endOf = ({ node, taken }: Product): NodeId => taken[taken.length - 1] ?? node.id

/** The only reader of a node, if it has one and is no result itself. */
type Only = (id: NodeId) => Node | null

/** A map of channels with the node behind it; null where that is none. */
const mapThrough = (known: Known, map: ChannelMap, before: NodeId, next: Node, axis: number): ChannelMap | null => {
  const constants: (Tensor | null)[] = []
  for (const id of next.inputs) {
    const value = id === before ? null : known.valueOf(id)
    if (value === undefined) return null
    constants.push(value)
  }
  return constants.filter((c) => c === null).length === 1 ? followed(map, next, axis, constants) : null
}

const withMaps = (known: Known, node: Node, form: ProductForm, only: Only): Product => {
  const bare = placedAnew(form.layer)
  const placed: Placed = { ...bare, params: { ...bare.params, weight: form.weight } }
  const { absorb } = form.layer
  if (absorb === undefined) return { node, form, placed, taken: [] }
  const axis = absorb.channels(node.shape.length)
  const taken: NodeId[] = []
  let map = unchanged(absorb.count('behind'))
  let before = node.id
  for (let next = only(before); next !== null; next = only(before)) {
    const after = mapThrough(known, map, before, next, axis)
    if (after === null) break
    map = after
    before = next.id
    taken.push(before)
  }
  const merged = taken.length === 0 ? null : absorb.take(placed, map, 'behind')
  return merged === null || E.isLeft(merged)
    ? { node, form, placed, taken: [] }
    : { node, form, placed: merged.right, taken }
}

/** The products of a graph that become layers, by their node. */
export const productsIn = (known: Known): ReadonlyMap<NodeId, Product> => {
  const { graph, live, valueOf } = known
  const users = usersOf(graph).map((ids) => ids.filter((id) => live.has(id)))
  const results = new Set(graph.outputs)
  const only: Only = (id) => (users[id].length !== 1 || results.has(id) ? null : graph.nodes[users[id][0]])
  const found = new Map<NodeId, Product>()
  for (const node of graph.nodes) {
    const [x, w] = node.inputs
    if (!live.has(node.id) || node.op.product === undefined || valueOf(x) !== undefined) continue
    const weight = valueOf(w)
    const form = weight === undefined ? null : productForm(node, weight, graph.nodes[x].shape)
    if (form !== null) found.set(node.id, withMaps(known, node, form, only))
  }
  return found
}

const sameNumbers = (a: unknown, b: unknown): boolean => {
  if (!isTensor(a) || !isTensor(b)) return a === b
  return a === b || (a.data.length === b.data.length && a.data.every((x, i) => x === b.data[i]))
}

/**
 * Are two products one layer that is called twice: the same weight node, read alike, and the same numbers in the end?
 */
export const sameProduct = (a: Product, b: Product): boolean => {
  const [p, q] = [a.placed, b.placed]
  return (
    a.node.inputs[1] === b.node.inputs[1] &&
    p.layer.layer === q.layer.layer &&
    JSON.stringify(p.layer.source?.options) === JSON.stringify(q.layer.source?.options) &&
    sameNumbers(p.params.weight, q.params.weight) &&
    sameNumbers(p.params.bias, q.params.bias)
  )
}

/** A specialized graph as steps: layers of ours where one computes a node, and nodes that are replayed. */
import type { NodeId } from '../../data/quant.js'
import type { Graph, Node } from '../../graph/graph.js'
import { constOp, inputOp } from '../../graph/structural.js'
import type { AnyLayer } from '../../nn/layers/layer.js'
import { activationForm, joinForm, type JoinForm, type ProductForm } from './forms.js'
import { newNames, nodeNames, productNames } from './names.js'
import { endOf, placedAnew, productsIn, sameProduct, type Known, type Placed, type Product } from './products.js'

/** The layer that holds the constants which no other layer took. */
export const CONSTANTS = 'constants'

/** A layer that stands for nodes of the graph. */
export type LayerStep = {
  readonly is: 'layer'
  readonly name: string
  /** The node whose value it computes, and those that it is given. */
  readonly at: NodeId
  readonly args: readonly NodeId[]
  readonly pad: ProductForm['pad']
  /** How it is given its values. */
  readonly give: JoinForm['give']
}
/** A node that stays what it is. */
export type NodeStep = { readonly is: 'node'; readonly node: Node }
export type Step = LayerStep | NodeStep

/** What becomes of a graph. */
export type Steps = { readonly steps: readonly Step[]; readonly layers: ReadonlyMap<string, Placed> }

/** Nodes that feed a result, or a check. */
export const needed = (graph: Graph): ReadonlySet<NodeId> => {
  const seen = new Set(graph.outputs)
  for (let id = graph.nodes.length - 1; id >= 0; id--) {
    const { op, inputs } = graph.nodes[id]
    if (!seen.has(id) && op.guards !== true) continue
    seen.add(id)
    inputs.forEach((i) => seen.add(i))
  }
  return seen
}

const one = (values: readonly unknown[]): unknown => values[0]

/** The layer without weights that computes a node, and how it is given its operands; null: there is none. */
const formOf = ({ graph, valueOf }: Known, node: Node): JoinForm | null => {
  if (node.inputs.some((i) => valueOf(i) !== undefined)) return null
  if (node.inputs.length > 1)
    return joinForm(
      node,
      node.inputs.map((i) => graph.nodes[i].shape),
    )
  const layer = activationForm(node)
  return layer === null ? null : { layer, give: one }
}

/** The steps of a graph. */
export const stepsOf = (known: Known): Steps => {
  const { graph, live, valueOf } = known
  const products = productsIn(known)
  const namesOf = productNames(graph, products)
  const take = newNames(CONSTANTS)
  const layers = new Map<string, Placed>()
  const place = (wanted: readonly string[], placed: Placed): string => {
    const name = take(wanted)
    layers.set(name, placed)
    return name
  }
  const named: { readonly product: Product; readonly name: string }[] = []
  const ofProduct = (product: Product): Step => {
    const twin = named.find((n) => sameProduct(n.product, product))
    const name = twin?.name ?? place(namesOf(product), product.placed)
    named.push({ product, name })
    const { node, form } = product
    return { is: 'layer', name, at: endOf(product), args: [node.inputs[0]], pad: form.pad, give: one }
  }
  const ofLayer = (node: Node, layer: AnyLayer, give: JoinForm['give']): Step => {
    const name = place(nodeNames(node, layer), placedAnew(layer))
    return { is: 'layer', name, at: node.id, args: node.inputs, pad: null, give }
  }
  const taken = new Set([...products.values()].flatMap((p) => p.taken))
  const idle = (node: Node): boolean =>
    !live.has(node.id) ||
    node.op === inputOp ||
    node.op === constOp ||
    taken.has(node.id) ||
    valueOf(node.id) !== undefined
  // Products first: a name that a weight has is not to be taken by an activation.
  const ofProducts = new Map([...products].map(([id, p]) => [id, ofProduct(p)] as const))
  const steps = graph.nodes.flatMap((node): readonly Step[] => {
    if (idle(node)) return []
    const product = ofProducts.get(node.id)
    if (product !== undefined) return [product]
    const form = formOf(known, node)
    return [form === null ? { is: 'node', node } : ofLayer(node, form.layer, form.give)]
  })
  return { steps, layers: inOrder(layers, steps) }
}

/** Layers in the order in which they are called. */
const inOrder = (layers: ReadonlyMap<string, Placed>, steps: readonly Step[]): ReadonlyMap<string, Placed> => {
  const out = new Map<string, Placed>()
  for (const step of steps) {
    const placed = step.is === 'layer' ? layers.get(step.name) : undefined
    if (step.is === 'layer' && placed !== undefined) out.set(step.name, placed)
  }
  return out
}

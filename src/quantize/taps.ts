/** Looks inside a network: the products of its layers with weights, and what their operands and results are over samples. */
import * as E from 'fp-ts/lib/Either.js'
import type { NodeId } from '../data/quant.js'
import type { QuantErrors } from '../data/error.js'
import { isTensor, type Tensor } from '../data/tensor.js'
import type { Kit, Value } from '../graph/op.js'
import type { AnyLayer, Layer, TensorTree } from '../nn/layers/layer.js'
import { trace, type InputsOf } from '../nn/program/program.js'
import { branchAt, changedLayers, withBranch } from '../nn/merging/places.js'
import { placed } from './plan.js'
import type { Trained } from './types.js'

/** One product of a layer with weights: its node, what it multiplies, and the axis of its output channels. */
export type Product = { readonly node: NodeId; readonly x: NodeId; readonly w: NodeId; readonly rank: number }

/** A layer with weights and its products, one for each call, in the order in which layers are first called. */
export type Weighted = { readonly path: string; readonly layer: AnyLayer; readonly products: readonly Product[] }

/** Layers whose parameter `weight` is a factor of products, in the order of their first calls. */
export const weightedIn = <I, O>(
  net: Layer<TensorTree, TensorTree, I, O>,
  inputs: InputsOf<I>,
): E.Either<QuantErrors, readonly Weighted[]> =>
  E.map(({ graph }: { readonly graph: { readonly nodes: readonly TracedNode[] } }) => {
    const layers = new Map(placed(net).map((p) => [p.path, p.layer] as const))
    const found = new Map<string, Weighted>()
    for (const node of graph.nodes) {
      const layer = layers.get(node.path)
      if (node.op.product === undefined || layer === undefined || !('weight' in layer.params)) continue
      const product = { node: node.id, x: node.inputs[0], w: node.inputs[1], rank: node.shape.length }
      const products = [...(found.get(node.path)?.products ?? []), product]
      found.set(node.path, { path: node.path, layer, products })
    }
    return [...found.values()]
  })(trace(net, inputs, { mode: 'eval' }))

type TracedNode = {
  readonly id: NodeId
  readonly path: string
  readonly op: { readonly product?: unknown }
  readonly inputs: readonly NodeId[]
  readonly shape: readonly number[]
}

/** The axis of the channels in a value that a layer gives or takes: the last of a linear layer, else the second. */
export const channelAxis = (layer: AnyLayer, rank: number): number => layer.absorb?.channels(rank) ?? 1

/**
 * A network whose results are values from its inside, reduced in the trace. A layer is traced alike each time, so that nodes of one trace are
 * found again in the next.
 */
export const probing = <I, O>(
  net: Layer<TensorTree, TensorTree, I, O>,
  reduce: (value: (id: NodeId) => Value, kit: Kit) => readonly Value[],
): Layer<TensorTree, TensorTree, I, readonly Value[]> => ({
  layer: net.layer,
  params: net.params,
  state: net.state,
  problems: net.problems,
  config: net.config,
  apply: (params, state, x, kit) => {
    net.apply(params, state, x, kit)
    return [reduce((id) => kit.value(id), kit), state]
  },
})

/** The mean of each channel of a value. */
export const channelMeans = (v: Value, axis: number): Value =>
  v.kit.emit('mean', [v], { dims: v.shape.map((_, d) => d).filter((d) => d !== axis), keepdim: false })

/** The branch of a tree at a path, the whole at the empty one. */
export const branchOf = (tree: TensorTree, path: string): TensorTree => (path === '' ? tree : branchAt(tree, path))

/** A tree with another leaf, or branch, in the layer at a path. */
export const withLeaf = (tree: TensorTree, path: string, name: string, leaf: Tensor | TensorTree): TensorTree =>
  path === '' ? { ...tree, [name]: leaf } : withBranch(tree, path, { ...branchAt(tree, path), [name]: leaf })

/** The parameter of a name of the layer at a path, if it is a tensor. */
export const leafAt = (
  { params }: Pick<Trained<unknown, unknown>, 'params'>,
  path: string,
  name: string,
): Tensor | null => {
  const t = branchOf(params, path)[name]
  return t !== undefined && isTensor(t) ? t : null
}

/** A network with another layer at a path. */
export const withLayer = <I, O>(
  net: Layer<TensorTree, TensorTree, I, O>,
  path: string,
  layer: AnyLayer,
): Layer<TensorTree, TensorTree, I, O> =>
  (path === '' ? layer : changedLayers(net, new Map([[path, layer]]))) as Layer<TensorTree, TensorTree, I, O>

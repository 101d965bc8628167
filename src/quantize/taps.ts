/** Looks inside a network: the products of its layers with weights, and what their operands and results are over samples. */
import * as E from 'fp-ts/lib/Either.js'
import { gridOf, type NodeId } from '../data/quant.js'
import type { QuantErrors } from '../data/error.js'
import { sizeOf, type Shape } from '../data/shape.js'
import { isTensor, type Tensor } from '../data/tensor.js'
import type { Attrs, Emitted, Kit, Value } from '../graph/op.js'
import type { AnyLayer, Layer, TensorTree } from '../nn/layers/layer.js'
import { branchAt, changedLayers, withBranch } from '../nn/merging/places.js'
import { trace, type InputsOf } from '../nn/program/program.js'
import { placed } from './plan.js'
import type { Trained } from './types.js'

/** One product of a layer with weights: its node, what it multiplies, and its geometry. */
export type Product = {
  readonly node: NodeId
  readonly x: NodeId
  readonly weight: Shape
  readonly attrs: Attrs
  /** Axes and elements of its result. */
  readonly rank: number
  readonly size: number
  /** Bits of the integers that it multiplies weights with; null: floats. */
  readonly bits: number | null
  /** Where the scale of these integers is made: the path of a quantizer (`relu.actQuant`); null: floats. */
  readonly grid: string | null
}

/** A layer with weights and its products, one for each call. */
export type Weighted = { readonly path: string; readonly layer: AnyLayer; readonly products: readonly Product[] }

type Net<I, O> = Layer<TensorTree, TensorTree, I, O>

const productOf = (nodes: readonly Emitted[], { id, inputs: [x, w], attrs, shape }: Emitted): Product => {
  const grid = gridOf(nodes[x].carried)
  return {
    node: id,
    x,
    weight: nodes[w].shape,
    attrs,
    rank: shape.length,
    size: sizeOf(shape),
    bits: grid?.bits ?? null,
    grid: grid === null ? null : nodes[grid.scale].path,
  }
}

/**
 * Layers whose parameter `weight` is a factor of products, in the order of their first calls, among the nodes of a trace. A network that stands
 * within another one is found at the path `within`.
 */
export const weightedAmong = (nodes: readonly Emitted[], net: AnyLayer, within = ''): readonly Weighted[] => {
  const at = (path: string): string => [within, path].filter((p) => p !== '').join('.')
  const layers = new Map(placed(net).map((p) => [at(p.path), p] as const))
  const found = new Map<string, Weighted>()
  for (const node of nodes) {
    const place = layers.get(node.path)
    if (node.op.product === undefined || place === undefined || !('weight' in place.layer.params)) continue
    const products = [...(found.get(place.path)?.products ?? []), productOf(nodes, node)]
    found.set(place.path, { ...place, products })
  }
  return [...found.values()]
}

/** The same of a network that is traced for it. */
export const weightedIn = <I>(net: Net<I, unknown>, inputs: InputsOf<I>): E.Either<QuantErrors, readonly Weighted[]> =>
  E.map((program: { readonly graph: { readonly nodes: readonly Emitted[] } }) =>
    weightedAmong(program.graph.nodes, net),
  )(trace(net, inputs, { mode: 'eval' }))

/** The axis of the channels in a value that a layer gives: the last of a linear layer, else the second. */
export const channelAxis = (layer: AnyLayer, rank: number): number => layer.absorb?.channels(rank) ?? 1

/** The nodes that a trace has emitted so far. */
export const emittedBy = (kit: Kit): readonly Emitted[] => kit.emitted?.() ?? []

/** A network with the parameters and the state of another one, and results of its own. */
export const withResults = <I, O, R>(net: Net<I, O>, apply: Net<I, R>['apply']): Net<I, R> => ({
  layer: net.layer,
  params: net.params,
  state: net.state,
  problems: net.problems,
  config: net.config,
  apply,
})

/** A network whose results are values from its inside, reduced in the trace; `reduce` finds them among what the kit has emitted. */
export const probing = <I, O>(
  net: Net<I, O>,
  reduce: (kit: Kit, results: O) => readonly Value[],
): Net<I, readonly Value[]> =>
  withResults(net, (params, state, x, kit) => {
    const [results] = net.apply(params, state, x, kit)
    return [reduce(kit, results), state]
  })

/** The mean over all axes but one. */
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

/** A network with other layers at some paths. */
export const withLayers = <I, O>(net: Net<I, O>, layers: ReadonlyMap<string, AnyLayer>): Net<I, O> =>
  (layers.get('') ?? changedLayers(net, layers)) as Net<I, O>

/** A network with another layer at a path. */
export const withLayer = <I, O>(net: Net<I, O>, path: string, layer: AnyLayer): Net<I, O> =>
  withLayers(net, new Map([[path, layer]]))

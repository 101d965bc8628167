/** Which parts of a network can't be rewritten as they are, and are lifted by `quantize` itself. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import type { NodeId } from '../../data/quant.js'
import { leaves, mapTree } from '../../data/tree.js'
import { gridOf } from '../../data/quant.js'
import type { Graph, Node } from '../../graph/graph.js'
import type { Value } from '../../graph/op.js'
import type { Program } from '../../graph/program.js'
import { isValue, tensorInput, type InputDecl } from '../../graph/trace.js'
import { isQuantValue } from '../../nn/functions/index.js'
import type { AnyLayer, Layer, TensorTree } from '../../nn/layers/layer.js'
import { branchAt, changedLayers, layersBelow, withBranch } from '../../nn/merging/places.js'
import { trace, type InputsOf } from '../../nn/program/program.js'
import { netOf } from '../trees.js'
import type { LiftedPart, Trained } from '../types.js'
import { activationForm, joinForm } from './forms.js'
import { lift, type Lifted } from './lift.js'

type Net<I, O> = Layer<TensorTree, TensorTree, I, O>

/** A network, rewritten where it had to be. */
export type WithLifted<I, O> = Trained<I, O> & { readonly lifted: readonly LiftedPart[] }

const combines = ({ source }: AnyLayer): boolean => source?.within !== undefined && source.rebuilt !== undefined

/** Combinations of layers by path, the outermost first. */
const combinations = (layer: AnyLayer, path = ''): readonly { readonly path: string; readonly layer: AnyLayer }[] =>
  combines(layer)
    ? [
        { path, layer },
        ...Object.entries(layer.source?.within ?? {}).flatMap(([name, l]) =>
          combinations(l, path === '' ? name : `${path}.${name}`),
        ),
      ]
    : []

/** Nodes that depend on the inputs. */
const dependent = (program: Program): ReadonlySet<NodeId> => {
  const found = new Set(program.inputs.filter((i) => i.kind === 'data').map((i) => i.node))
  for (const { id, inputs } of program.graph.nodes) if (inputs.some((i) => found.has(i))) found.add(id)
  return found
}

/** Would a node be a layer of its own, if the forward that it stands in were rewritten? */
const wouldBeLayer = (graph: Graph, node: Node, open: ReadonlySet<NodeId>): boolean => {
  if (node.inputs.length === 0 || !node.inputs.every((i) => open.has(i))) return false
  const shapes = node.inputs.map((i) => graph.nodes[i].shape)
  return (shapes.length === 1 ? activationForm(node) : joinForm(node, shapes)) !== null
}

const liesIn = (path: string, above: string): boolean => above === '' || path === above || path.startsWith(`${above}.`)

/** Has a layer products with weights of its own in it, and says nothing of how it was written? */
const isOpaque = (layer: AnyLayer, path: string, { graph }: Program, open: ReadonlySet<NodeId>): boolean =>
  layer.source === undefined &&
  graph.nodes.some(
    (n) => n.op.product !== undefined && liesIn(n.path, path) && open.has(n.inputs[0]) && !open.has(n.inputs[1]),
  )

/** The paths of the parts to lift, none within another. */
const partsOf = (net: AnyLayer, program: Program): readonly string[] => {
  const open = dependent(program)
  if (!combines(net)) return isOpaque(net, '', program, open) ? [''] : []
  const functions = combinations(net).filter(({ path }) =>
    program.graph.nodes.some((n) => n.path === path && wouldBeLayer(program.graph, n, open)),
  )
  const opaque = layersBelow(net).filter(({ path, layer }) => isOpaque(layer, path, program, open))
  const paths = [...functions, ...opaque].map((p) => p.path)
  return paths.filter((p, i) => paths.indexOf(p) === i && !paths.some((other) => other !== p && liesIn(p, other)))
}

const layerAt = (net: AnyLayer, path: string): AnyLayer | undefined =>
  path === '' ? net : path.split('.').reduce<AnyLayer | undefined>((l, name) => l?.source?.within?.[name], net)

const declared = (x: unknown): unknown =>
  mapTree(isValue, x, (v: Value): InputDecl => ({
    ...tensorInput(v.shape),
    ...(v.dtype === 'float' ? {} : { dtype: v.dtype }),
  }))

/** What a part is given, as a declaration; null where it is called in different ways, or with quant tensors. */
const givenTo = <I, O>(net: Net<I, O>, inputs: InputsOf<I>, path: string, layer: AnyLayer): unknown => {
  if (path === '') return inputs
  const calls: unknown[] = []
  const told: AnyLayer = {
    ...layer,
    apply: (p, s, x, kit) => {
      calls.push(leaves(isValue, x).some(({ leaf }) => isQuantValue(leaf)) ? null : declared(x))
      return layer.apply(p, s, x, kit)
    },
  }
  const made = trace(changedLayers(net, new Map([[path, told]])) as Net<I, O>, inputs, { mode: 'eval' })
  const [first, ...others] = calls
  const same = others.every((c) => JSON.stringify(c) === JSON.stringify(first))
  return E.isRight(made) && first !== null && same ? (first ?? null) : null
}

/** A part with quantizers in it can't be quantized again. */
const quantizedAlready = (program: Program, path: string, layer: AnyLayer): QuantErrors => {
  const node = program.graph.nodes.find((n) => liesIn(n.path, path) && gridOf(n.carried) !== null)
  return node === undefined || layer.source !== undefined
    ? []
    : [
        {
          tag: 'ConfigError',
          option: 'net',
          path,
          message: `quantize: ${path === '' ? 'the network' : path} (${layer.layer}) has quantizers of its own already${node.path === '' ? '' : `, at ${node.path}`}`,
          fix: 'give the float network that it was made from',
        },
      ]
}

const withPart = <I, O>(
  now: WithLifted<I, O>,
  path: string,
  was: string,
  part: Lifted<unknown, unknown>,
): WithLifted<I, O> => {
  const lifted = [...now.lifted, { path, was, layers: part.layers, replayed: part.replayed }]
  if (path === '') return { net: netOf<I, O>(part.net), params: part.params, state: part.state, lifted }
  return {
    net: netOf<I, O>(changedLayers(now.net, new Map([[path, part.net]]))),
    params: withBranch(now.params, path, part.params),
    state: withBranch(now.state, path, part.state),
    lifted,
  }
}

/**
 * The network with those parts lifted that can't be rewritten layer by layer: layers with weights that don't say how
 * they were written (an imported model, own layers), and combinations whose forward uses functions where a layer could
 * have a quantizer. A part that is called with different shapes stays as it is.
 */
export const withLifted = <I, O>(
  trained: Trained<I, O>,
  inputs: InputsOf<I>,
): E.Either<QuantErrors, WithLifted<I, O>> => {
  const { net } = trained
  const made = trace(net, inputs, { mode: 'eval' })
  if (E.isLeft(made)) return made
  const program = made.right as Program
  let now: WithLifted<I, O> = { ...trained, lifted: [] }
  for (const path of partsOf(net, program)) {
    const layer = layerAt(net, path)
    const given = layer === undefined ? null : givenTo(net, inputs, path, layer)
    if (layer === undefined || given === null) continue
    const again = quantizedAlready(program, path, layer)
    if (again.length > 0) return E.left(again)
    const numbers =
      path === '' ? trained : { params: branchAt(trained.params, path), state: branchAt(trained.state, path) }
    const part = lift(layer as Net<unknown, unknown>, given as InputsOf<unknown>, numbers)
    if (E.isRight(part)) now = withPart(now, path, layer.layer, part.right)
    else if (path === '') return part
  }
  return E.right(now)
}

/** A network that can't be rewritten layer by layer as a model of our layers. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import type { NodeId } from '../../data/quant.js'
import { isTensor, type Tensor } from '../../data/tensor.js'
import { leaves, mapTree } from '../../data/tree.js'
import type { Program } from '../../graph/program.js'
import type { Specialized } from '../../graph/specialize.js'
import { constOp, inputOp } from '../../graph/structural.js'
import type { InputDecl } from '../../graph/trace.js'
import type { AnyLayer, Layer, LeafSpec, SpecTree, TensorTree } from '../../nn/layers/layer.js'
import { model } from '../../nn/layers/model.js'
import { trace, type InputsOf } from '../../nn/program/program.js'
import { specialize } from '../../nn/program/specialize.js'
import { netOf, trainedOf } from '../trees.js'
import type { Trained } from '../types.js'
import { forwardOf } from './forward.js'
import type { Known, Placed } from './products.js'
import { asTraced, following, type AtSize } from './sizes.js'
import { CONSTANTS, needed, stepsOf, type Step, type Steps } from './steps.js'

type Net<I, O> = Layer<TensorTree, TensorTree, I, O>
type Numbers = { readonly params: TensorTree; readonly state: TensorTree }

/** The network as one graph of data alone. */
const specialized = <I, O>(net: Net<I, O>, inputs: InputsOf<I>, given: Numbers): E.Either<QuantErrors, Specialized> =>
  E.chain((program: unknown) => specialize(program as Program<TensorTree, TensorTree>, given))(
    trace(net, inputs, { mode: 'eval' }),
  )

const isDecl = (x: unknown): x is InputDecl =>
  typeof x === 'object' && x !== null && 'input' in x && 'shape' in x && Array.isArray(x.shape)

/** The size of the batch, where all inputs begin with it; null: they don't. */
const batchOf = (inputs: unknown): number | null => {
  const [first, ...rest] = leaves(isDecl, inputs).map(({ leaf }) => leaf.shape[0])
  return first !== undefined && rest.every((n) => n === first) ? first : null
}

/** How the graph follows the size of the batch, seen in a second trace with a sample more. */
const sizesOf = <I, O>(net: Net<I, O>, inputs: InputsOf<I>, given: Numbers, done: Specialized): AtSize => {
  const size = batchOf(inputs)
  if (size === null) return asTraced
  const larger = mapTree(isDecl, inputs, (d) => ({ ...d, shape: [size + 1, ...d.shape.slice(1)] }))
  const more = specialized(net, larger as InputsOf<I>, given)
  if (E.isLeft(more)) return asTraced
  const { graph } = done.program
  const fixed = new Set(
    graph.nodes.filter((n) => n.op !== constOp && done.valueOf(n.id) !== undefined).map((n) => n.id),
  )
  return following(graph, more.right.program.graph, size, fixed) ?? asTraced
}

/** Constants that replayed nodes or results read, and that are more than one number. */
const heldBy = ({ graph, valueOf }: Known, steps: readonly Step[]): readonly NodeId[] => {
  const read = steps.flatMap((s) => (s.is === 'node' ? s.node.inputs : s.args))
  const ids = new Set([...read, ...graph.outputs])
  return [...ids].filter((id) => graph.nodes[id].op !== constOp && valueOf(id) !== undefined).toSorted((a, b) => a - b)
}

/** The layer that holds constants; those that were parameters as they are still train. */
const constantsLayer = (tensors: { readonly [name: string]: Tensor }, learned: ReadonlySet<Tensor>): AnyLayer => {
  const params: SpecTree = Object.fromEntries(
    Object.entries(tensors).map(([name, t]) => {
      const leaf: LeafSpec = { shape: t.shape, learned: learned.has(t), init: (g) => [t, g] }
      return [name, leaf] as const
    }),
  )
  const parts = Object.entries(tensors).map(([name, t]) => [name, `[${t.shape.join()}]`] as const)
  return {
    layer: 'Constants',
    params,
    state: {},
    problems: [],
    config: { name: 'Constants', parts },
    apply: (p: unknown, s: unknown) => [p, s],
  }
}

const quantInputs = (program: Program): QuantErrors =>
  program.inputs
    .filter((i) => i.kind === 'data' && i.part === 'value')
    .map((i) => ({
      tag: 'InputError',
      input: i.path,
      path: '',
      message: `lift: the input ${i.path} is declared as a quant tensor; only a network of plain tensors is lifted`,
      fix: 'declare it with tensorInput(shape), and quantize it in the network',
    }))

const isIn = (node: { readonly op: unknown }): boolean => node.op === inputOp

/** What lifting made, and how much of it are layers of ours. */
export type Lifted<I, O> = Trained<I, O> & {
  /** Layers with weights, activations and joins that it found, by name. */
  readonly layers: readonly string[]
  /** Nodes that no layer stands for, which the forward replays. */
  readonly replayed: number
}

const assembled = <I, O>(
  done: Specialized,
  found: Steps,
  known: Known,
  given: Numbers,
  atSize: AtSize,
): Lifted<I, O> => {
  const ids = heldBy(known, found.steps)
  const held = new Map(ids.map((id, k) => [id, `c${k}`] as const))
  const tensors = Object.fromEntries(
    ids.flatMap((id) => {
      const t = known.valueOf(id)
      return t === undefined ? [] : [[held.get(id) ?? '', t] as const]
    }),
  )
  const learned = new Set(leaves(isTensor, given.params).map((l) => l.leaf))
  const constants: readonly (readonly [string, Placed])[] =
    ids.length === 0 ? [] : [[CONSTANTS, { layer: constantsLayer(tensors, learned), params: tensors, state: {} }]]
  const all = [...constants, ...found.layers]
  const branches = (which: 'params' | 'state'): TensorTree =>
    Object.fromEntries(all.map(([name, placed]) => [name, placed[which]] as const))
  const layers = Object.fromEntries(all.map(([name, { layer }]) => [name, netOf<unknown, unknown>(layer)] as const))
  const isFixed = (id: NodeId): boolean => known.valueOf(id) !== undefined
  const forward = forwardOf({ program: done.program as Program, steps: found.steps, held, atSize, isFixed })
  return {
    net: netOf<I, O>(model(layers, forward)),
    params: branches('params'),
    state: branches('state'),
    layers: [...found.layers.keys()],
    replayed: found.steps.filter((s) => s.is === 'node' && !isIn(s.node)).length,
  }
}

/**
 * Rewrites a network as a `model` of our layers that computes the same in evaluation: a trace of it is specialized,
 * each product with a constant weight becomes a layer (`Conv2d`, `Linear`, …) with that weight, biases, scales and
 * batch norms behind it taken over; activations and joins become layers, so that quantizers can stand there; all else
 * is replayed as it was, its constants held by a layer `constants`. Names come from where weights stood. Dropouts are
 * gone, batch norms fixed at their statistics. The size of the batch stays open where the network allows it. For
 * imported models, own layers and forwards that use functions; `quantize` does it by itself where a network can't be
 * rewritten otherwise.
 * Errors: numbers of another network, inputs that don't fit, or quant tensors as inputs.
 * @example
 * const { model } = orThrow(importOnnx(bytes))
 * const { net, params, state } = orThrow(lift(layer, tensorInput([1, 3, 48, 192]), orThrow(init(layer, 0))))
 */
export const lift = <P, S, I, O>(
  net: Layer<P, S, I, O>,
  inputs: InputsOf<I>,
  trained: { readonly params: P; readonly state: S },
): E.Either<QuantErrors, Lifted<I, O>> => {
  const read = trainedOf('lift', net, trained)
  if (E.isLeft(read)) return read
  const { net: self, ...given } = read.right
  return E.chain((done: Specialized): E.Either<QuantErrors, Lifted<I, O>> => {
    const quants = quantInputs(done.program as Program)
    if (quants.length > 0) return E.left(quants)
    const { graph } = done.program
    const known: Known = { graph, live: needed(graph), valueOf: done.valueOf }
    return E.right(assembled(done, stepsOf(known), known, given, sizesOf(self, inputs, given, done)))
  })(specialized(self, inputs, given))
}

/**
 * What comes with types of its own, read as what it is: numbers by the layer that declares them, results of probes as
 * tensors.
 */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import { valueOf, type Output } from '../data/quantTensor.js'
import { isTensor, type Tensor } from '../data/tensor.js'
import { at } from '../data/tree.js'
import type { Value } from '../graph/op.js'
import { isValue } from '../graph/trace.js'
import { layerProblems } from '../nn/layers/checks.js'
import type { AnyLayer, Layer, SpecTree, TensorTree, Traced } from '../nn/layers/layer.js'
import { treeProblems } from '../nn/merging/into.js'
import { isSpec, treesProblems } from '../nn/program/wanted.js'
import type { Trained } from './types.js'

type Net<I, O> = Layer<TensorTree, TensorTree, I, O>

/** The leaves that are declared, as they stand in a tree; branches without leaves are there too. */
const declaredIn = (specs: SpecTree, tree: unknown): TensorTree =>
  Object.fromEntries(
    Object.entries(specs).flatMap(([name, spec]): readonly (readonly [string, Tensor | TensorTree])[] => {
      const found = at(tree, name)
      if (!isSpec(spec)) return [[name, declaredIn(spec, found)]]
      return isTensor(found) ? [[name, found]] : []
    }),
  )

/**
 * A layer whose parameters and state are trees of tensors, as those of all layers are; what it takes and gives is for
 * its user to know.
 */
export const netOf = <I, O>(layer: AnyLayer): Net<I, O> => layer as Net<I, O>

/** A network with numbers, each leaf that it declares looked at: `asker` was given them. */
export const trainedOf = <P, S, I, O>(
  asker: string,
  net: Layer<P, S, I, O>,
  trained: { readonly params: P; readonly state: S },
): E.Either<QuantErrors, Trained<I, O>> => {
  const wrong = [...layerProblems(asker, net), ...treesProblems(asker, 'trained', trained)]
  if (wrong.length > 0) return E.left(wrong)
  const numbers = { params: declaredIn(net.params, trained.params), state: declaredIn(net.state, trained.state) }
  const misfits = treeProblems(net, numbers, 'what was trained')
  return misfits.length > 0 ? E.left(misfits) : E.right({ net: netOf<I, O>(net), ...numbers })
}

/** The branch of a layer within a tree that is being traced. */
export const tracedBranch = (tree: Traced<TensorTree>, name: string): Traced<TensorTree> => {
  const branch: Value | Traced<TensorTree> | undefined = tree[name]
  return branch === undefined || isValue(branch) ? {} : branch
}

/** The results of a network that gives a list of values, as tensors. */
export const tensorsOf = (outputs: readonly Output[]): readonly Tensor[] => outputs.map(valueOf)

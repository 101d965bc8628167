/** The numbers of a network that was rebuilt: what it had stays, what is new starts as `init` starts it. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import { isMarked } from '../data/marks.js'
import { sameShape } from '../data/shape.js'
import { at, mapTree } from '../data/tree.js'
import type { Layer, TensorTree } from '../nn/layers/layer.js'
import { init } from '../nn/program/program.js'
import type { Trained } from './types.js'

/** The leaves of one tree, each from another where that has one of the same path and shape. */
export const taking = (fresh: TensorTree, had: TensorTree): TensorTree =>
  mapTree(isMarked, fresh, (t, path) => {
    const old = at(had, path)
    return isMarked(old) && sameShape(old.shape, t.shape) ? old : t
  }) as TensorTree

/** A network with the numbers of another one, wherever paths and shapes agree. */
export const numbersFrom = <I, O>(
  net: Layer<TensorTree, TensorTree, I, O>,
  had: { readonly params: TensorTree; readonly state: TensorTree },
): E.Either<QuantErrors, Trained<I, O>> =>
  E.map((fresh: { readonly params: TensorTree; readonly state: TensorTree }) => ({
    net,
    params: taking(fresh.params, had.params),
    state: taking(fresh.state, had.state),
  }))(init(net, 0))

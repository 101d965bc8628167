/** Reads what was trained, without what trained it. */
import * as E from 'fp-ts/lib/Either.js'
import { parseTensors } from '../../data/binary.js'
import type { QuantErrors } from '../../data/error.js'
import { at } from '../../data/tree.js'
import type { Layer } from '../layers/layer.js'
import { init } from './program.js'
import { readWhole } from './stored.js'
import { wantedOfLayer } from './wanted.js'

/** A network's parameters and state: what a run needs. */
export type Network<P, S> = { readonly params: P; readonly state: S }

/**
 * The parameters and state of a network from a file: a checkpoint of any optimizer, whose memory is passed over, or `tensorsToBytes({ params,
 * state })`. Every leaf of the layer must be there, of its shape and meaning, and no other; `loadPartial` takes what fits. Files of version 1
 * are read by the `collectStatsSteps` of this layer. What is wrong is a `ParseError` for each leaf.
 * @example pipe(bytes, parseNetwork(net), E.chain(({ params, state }) => run(program, { params, state, inputs })))
 */
export const parseNetwork =
  <P, S, I, O>(layer: Layer<P, S, I, O>) =>
  (bytes: Uint8Array): E.Either<QuantErrors, Network<P, S>> => {
    const fresh = init(layer, 0)
    if (E.isLeft(fresh)) return fresh
    const parsed = parseTensors(bytes)
    if (E.isLeft(parsed)) return parsed
    const saved = { params: at(parsed.right, 'params'), state: at(parsed.right, 'state') }
    return readWhole({ params: fresh.right.params, state: fresh.right.state }, wantedOfLayer(layer), 'network')(saved)
  }

/** The programs of one choice of bits: what is trained, what is drawn, what is watched, what is tested. */
import * as E from 'fp-ts/lib/Either.js'
import {
  compile,
  crossEntropy,
  grad,
  init,
  tensorInput,
  trace,
  withLoss,
  type Backend,
  type Compiled,
  type Output,
  type ParamsOf,
  type Program,
  type QuantErrors,
  type StateOf,
  type Tensor,
} from '../../src/index.js'
import { quantNetAt, type LayerBits } from '../digits/network.js'
import { watchedIn, watching, type Seen, type Watched } from './watch.js'

type Net = ReturnType<typeof quantNetAt>
/** The parameters of the network. */
export type Params = ParamsOf<Net>
/** Its state. */
export type State = StateOf<Net>

const imagesOf = (n: number) => tensorInput([n, 1, 28, 28])

/** The network in training as the page draws it and the worker watches it: equal nodes have equal ids in both. */
export const drawnProgram = (bits: LayerBits, batchSize: number) =>
  trace(quantNetAt(bits), imagesOf(batchSize), { mode: 'train' })

/** The network with its loss and the gradients of all that is learned. */
export const trainedProgram = (bits: LayerBits) => (batchSize: number) =>
  E.chain((p: TracedLoss) => grad(p, { output: 'loss' }))(traceLoss(bits, batchSize))

const traceLoss = (bits: LayerBits, n: number) =>
  trace(withLoss(quantNetAt(bits), crossEntropy), { x: imagesOf(n), target: tensorInput([n]) }, { mode: 'train' })
type TracedLoss = ReturnType<typeof traceLoss> extends E.Either<QuantErrors, infer P> ? P : never

/** First parameters and state from a seed. */
export const initialOf = (bits: LayerBits, seed: number) => init(quantNetAt(bits), seed)

/** A network that is watched and tested while it trains. */
export type Watch = {
  readonly watched: readonly Watched[]
  readonly look: Compiled<Params, State, Tensor, Seen>
  readonly test: Compiled<Params, State, Tensor, Output>
  readonly dispose: () => void
}

/** Compiles what is watched on `batchSize` images and tested on `testSize` images at a time. */
export const watchOf = (
  bits: LayerBits,
  batchSize: number,
  testSize: number,
  backend: Backend,
): E.Either<QuantErrors, Watch> => {
  const drawn = drawnProgram(bits, batchSize)
  if (E.isLeft(drawn)) return drawn
  const look = compile(watching(drawn.right as Program<Params, State, Tensor>), backend)
  if (E.isLeft(look)) return look
  const tested = trace(quantNetAt(bits), imagesOf(testSize), { mode: 'eval' })
  const test = E.isLeft(tested) ? tested : compile(tested.right as Program<Params, State, Tensor, Output>, backend)
  if (E.isLeft(test)) {
    look.right.dispose()
    return test
  }
  const dispose = (): void => {
    look.right.dispose()
    test.right.dispose()
  }
  return E.right({ watched: watchedIn(drawn.right as Program), look: look.right, test: test.right, dispose })
}

/** What training moves on. */
import type { Position } from './loader.js'
import type { OptimState } from './memory.js'
import type { Optimizer } from './optim.js'

/** Everything that training moves on. Plain data: store it, and training goes on from there with the same bits. */
export type TrainState<P, S> = {
  readonly params: P
  readonly state: S
  readonly optim: OptimState
  readonly position: Position
  readonly step: number
}

/** Where training begins. */
export const startTraining = <P, S>(
  initial: { readonly params: P; readonly state: S },
  optimizer: Optimizer,
): TrainState<P, S> => ({
  params: initial.params,
  state: initial.state,
  optim: optimizer.init(),
  position: { epoch: 0, batch: 0 },
  step: 0,
})

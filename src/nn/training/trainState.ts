/** What training moves on. */
import { argumentProblems, demand, isEither, required, showGiven } from '../../data/fields.js'
import type { Position } from './loader.js'
import type { OptimState } from './memory.js'
import type { Optimizer } from './optim.js'
import { inputError, shapeOfOptimizer, treeField } from './options.js'

/** Everything that training moves on. Plain data: store it, and training goes on from there with the same bits. */
export type TrainState<P, S> = {
  readonly params: P
  readonly state: S
  readonly optim: OptimState
  readonly position: Position
  readonly step: number
}

const INITIAL = { params: required(treeField), state: required(treeField) }

/** Where training begins: `initial` is what `init` holds. Throws a `QuantFailure` where it, or the optimizer, is none. */
export const startTraining = <P, S>(
  initial: { readonly params: P; readonly state: S },
  optimizer: Optimizer,
): TrainState<P, S> => {
  demand([
    ...(isEither(initial)
      ? [
          inputError(
            'initial',
            `startTraining takes what init holds, and was given ${showGiven(initial)}`,
            'unwrap it: startTraining(orThrow(init(net, 0)), optimizer)',
          ),
        ]
      : argumentProblems('startTraining', Object(initial), INITIAL)),
    ...shapeOfOptimizer('startTraining', optimizer),
  ])
  return {
    params: initial.params,
    state: initial.state,
    optim: optimizer.init(),
    position: { epoch: 0, batch: 0 },
    step: 0,
  }
}

/** Training schedules at random: forwards, evaluations, steps of an optimizer, and saving and loading in between. */
import * as E from 'fp-ts/lib/Either.js'
import { pipe } from 'fp-ts/lib/function.js'
import fc from 'fast-check'
import type { QuantErrors } from '../data/error.js'
import {
  anything,
  count,
  demand,
  demandArguments,
  fieldProblems,
  list,
  positive,
  required,
  whole,
} from '../data/fields.js'
import type { Output, QuantTensor } from '../data/quantTensor.js'
import type { Tensor } from '../data/tensor.js'
import type { Tree } from '../data/tree.js'
import type { Backend } from '../evaluator/backend.js'
import { reference } from '../evaluator/reference/reference.js'
import { dequantize, mul } from '../nn/functions/operators.js'
import { mean } from '../nn/functions/index.js'
import type { Program } from '../graph/program.js'
import type { InputDecl } from '../graph/trace.js'
import type { Layer } from '../nn/layers/layer.js'
import { compile, init, trace, type Compiled } from '../nn/program/program.js'
import { grad } from '../nn/program/derivatives.js'
import { checkpointToBytes, parseCheckpoint } from '../nn/training/checkpoint.js'
import { sgd } from '../nn/training/optim.js'
import { applyStep } from '../nn/training/stepping.js'
import { startTraining, type TrainState } from '../nn/training/trainState.js'
import { dataFor } from './checks/sampling.js'

type Data = Tree<Tensor | QuantTensor>

/**
 * One step of a schedule: a forward in training mode (quantizers collect, batch norms move), one in evaluation, a step of SGD on the mean square of
 * the results, or saving and loading, after which everything must be as before.
 */
export type ScheduleStep = { readonly do: 'train' | 'eval' | 'learn'; readonly inputs: Data } | { readonly do: 'store' }

/** What a step leaves: parameters, state, and results, where it has any. */
export type Played = { readonly params: unknown; readonly state: unknown; readonly outputs: unknown }

/** How a schedule is played. */
export type PlayOptions = {
  /** Seed of the parameters and the state it starts from (default 0). */
  readonly seed?: number
  /** Of SGD (default 0.1). */
  readonly lr?: number
  /** Where it runs (default: the reference). */
  readonly backend?: Backend
}

const PLAY = { seed: whole, lr: positive, backend: anything }

/** The mean square of what a layer gives. */
const squared = <P, S>(layer: Layer<P, S>): Layer<P, S> => ({
  ...layer,
  apply: (params, state, x, kit) => {
    const [y, next] = layer.apply(params, state, x, kit)
    const plain = dequantize(y, 'its square is on no grid')
    return [mean(mul(plain, plain)), next]
  },
})

/**
 * Schedules for a layer with these declared inputs: of at most `most` steps (default 8), each forward with inputs of its own. Shrinks to fewer steps
 * and small numbers.
 */
export const scheduleArb = (declared: unknown, most = 8): fc.Arbitrary<readonly ScheduleStep[]> => {
  demandArguments('scheduleArb', { declared, most }, { declared: required(anything), most: count })
  const kinds = fc.constantFrom<ScheduleStep['do'][]>('train', 'train', 'train', 'eval', 'learn', 'store')
  const step = fc
    .tuple(kinds, dataFor(declared))
    .map(([kind, inputs]): ScheduleStep => (kind === 'store' ? { do: kind } : { do: kind, inputs }))
  return fc.array(step, { minLength: 1, maxLength: most })
}

type Trained = TrainState<unknown, unknown>
type Next = E.Either<QuantErrors, { readonly t: Trained; readonly outputs: unknown }>
type Ready = Compiled<unknown, unknown, Tensor | QuantTensor, Output>
type Player = { readonly step: (step: ScheduleStep, t: Trained) => Next; readonly dispose: () => void }

const argsOf = (t: Trained, inputs: Data) => ({ params: t.params, state: t.state, inputs }) as never

const forward = (program: Ready, inputs: Data, t: Trained): Next =>
  E.map(({ outputs, state }: { readonly outputs: unknown; readonly state: unknown }) => ({
    t: { ...t, state },
    outputs,
  }))(program.run(argsOf(t, inputs)))

const learned = (program: Ready, inputs: Data, t: Trained, lr: number): Next => {
  const ran = program.run(argsOf(t, inputs))
  return E.isLeft(ran)
    ? ran
    : E.right({ t: applyStep(t, ran.right, ran.right.grads, sgd({ lr }), lr, t.position), outputs: null })
}

/** What each step does, of programs that are compiled once. */
const playerOf = (
  layer: Layer<unknown, unknown>,
  declared: InputDecl,
  lr: number,
  backend: Backend,
): E.Either<QuantErrors, Player> => {
  const made = [
    trace(layer, declared, { mode: 'train' }),
    trace(layer, declared, { mode: 'eval' }),
    pipe(
      trace(squared(layer), declared, { mode: 'train' }),
      E.chain((p) => grad(p)),
    ),
  ].map((program) =>
    E.chain((p: Program<unknown, unknown, Tensor | QuantTensor, Output>) => compile(p, backend))(program),
  )
  const all = E.sequenceArray(made)
  if (E.isLeft(all)) {
    for (const one of made) if (E.isRight(one)) one.right.dispose()
    return all
  }
  const [train, evaluated, learning] = all.right
  return E.right({
    step: (step, t) => {
      if (step.do === 'store')
        return E.map((read: Trained) => ({ t: read, outputs: null }))(parseCheckpoint(t, layer)(checkpointToBytes(t)))
      if (step.do === 'learn') return learned(learning, step.inputs, t, lr)
      return forward(step.do === 'train' ? train : evaluated, step.inputs, t)
    },
    dispose: () => {
      for (const one of all.right) one.dispose()
    },
  })
}

/**
 * Plays a schedule: what each step leaves, in order, from a fresh start. Errors: those of tracing, running and reading; a schedule stops at its first.
 * @example
 * fc.assert(
 *   fc.property(scheduleArb(declared), (steps) => {
 *     const [here, there] = [reference, wasm].map((backend) => orThrow(playSchedule(layer, declared, steps, { backend })))
 *     assert.equal(here.at(-1)?.state, there.at(-1)?.state)
 *   }),
 * )
 */
export const playSchedule = (
  layer: Layer<unknown, unknown>,
  declared: InputDecl,
  steps: readonly ScheduleStep[],
  options: PlayOptions = {},
): E.Either<QuantErrors, readonly Played[]> => {
  demandArguments('playSchedule', { steps }, { steps: required(list) })
  demand(fieldProblems('playSchedule', options, PLAY))
  const { seed = 0, lr = 0.1, backend = reference } = options
  const player = playerOf(layer, declared, lr, backend)
  if (E.isLeft(player)) return player
  try {
    const start = init(layer, seed)
    if (E.isLeft(start)) return start
    const played: Played[] = []
    let t: Trained = startTraining(start.right, sgd({ lr }))
    for (const step of steps) {
      const next = player.right.step(step, t)
      if (E.isLeft(next)) return next
      t = next.right.t
      played.push({ params: t.params, state: t.state, outputs: next.right.outputs })
    }
    return E.right(played)
  } finally {
    player.right.dispose()
  }
}

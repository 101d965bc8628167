/** The short form of training: a network, a loss, examples; programs are traced and differentiated by themselves. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import { count, fieldProblems, flag, func, required, showGiven, whole, type Field } from '../../data/fields.js'
import { isTensor, type Tensor } from '../../data/tensor.js'
import { isWhere } from '../../data/where.js'
import type { Value } from '../../graph/op.js'
import { tensorInput } from '../../graph/trace.js'
import { valueOf } from '../../data/quantTensor.js'
import type { Layer } from '../layers/layer.js'
import { grad } from '../program/derivatives.js'
import { init, trace, type DataOf, type OutputsOf, type TraceOptions } from '../program/program.js'
import type { BatchSource } from './batchSource.js'
import type { LoaderOptions } from './loader.js'
import { withLoss, type Supervised, type WithLoss } from './losses.js'
import { optimizerProblems, inputError } from './options.js'
import type { TrainConfig } from './trainConfig.js'
import { startTraining, type TrainState } from './trainState.js'

/** What a network is given and what it should make of it; the first axis of both counts the examples. */
export type Examples = { readonly x: Tensor; readonly target: Tensor }

type Configured = TrainConfig<unknown, unknown, DataOf<Supervised>, OutputsOf<WithLoss>, Examples>

/** How a network is trained on examples. */
export type Recipe<P, S> = Pick<
  Configured,
  'optimizer' | 'epochs' | 'schedule' | 'transform' | 'accumulate' | 'nonFinite' | 'backend' | 'signal' | 'trusted'
> &
  Pick<TraceOptions, 'freeze'> & {
    /** Examples in a batch (default 32); absent where batches are made elsewhere. */
    readonly batchSize?: number
    /** Of the order of examples and of the first parameters (default 0). */
    readonly seed?: number
    /** Leave out the last batch of an epoch where it is smaller (default false). */
    readonly dropLast?: boolean
    /** Where to begin (default: the first parameters that `seed` draws). */
    readonly start?: TrainState<P, S>
    /** What to count beside the loss: `accuracy` of classes, or a function of one's own of results and targets. */
    readonly accuracy?: (y: Tensor, target: Tensor) => number
  }

const anything: Field = { says: 'anything', like: '…', holds: () => true }

/** Those that `train` checks itself, with their meaning, are `anything` here. */
const RECIPE = {
  optimizer: required({ ...anything, says: 'an optimizer', like: 'adam({ lr: 1e-3 })' }),
  epochs: required({ ...whole, like: '10' }),
  schedule: anything,
  transform: anything,
  accumulate: anything,
  nonFinite: anything,
  backend: anything,
  signal: anything,
  trusted: anything,
  freeze: { says: 'paths of layers, or a function of a path', like: "['bn1']", holds: isWhere },
  batchSize: { ...count, like: '32' },
  seed: whole,
  dropLast: flag,
  start: anything,
  accuracy: { ...func, says: 'a function of results and targets', like: 'accuracy' },
}

const BATCH_SIZE = 32

/** Are these tensors by name, and not batches that are made elsewhere? */
const isExamples = (data: Examples | BatchSource<Examples>): data is Examples =>
  typeof data === 'object' && data !== null && 'x' in data && 'target' in data

/** Anything but a record of tensors `x` and `target`, or what may give batches of them. */
const examplesProblems = (data: unknown): QuantErrors => {
  const source =
    typeof data === 'function' ||
    (typeof data === 'object' && data !== null && (Symbol.iterator in data || Symbol.asyncIterator in data))
  if (source) return []
  const given = Object(data) as { readonly x?: unknown; readonly target?: unknown }
  if (isTensor(given.x) && isTensor(given.target)) return []
  return [
    inputError(
      'data',
      `train needs examples { x, target }, tensors both, and was given ${showGiven(data)}`,
      'write train(net, loss, { x: images, target: labels }, …), or give batches of such records',
    ),
  ]
}

const loaderOf = (data: Examples | BatchSource<Examples>, r: Recipe<never, never>): { loader?: LoaderOptions } =>
  isExamples(data)
    ? {
        loader: {
          batchSize: r.batchSize ?? BATCH_SIZE,
          seed: r.seed ?? 0,
          ...(r.dropLast === undefined ? {} : { dropLast: r.dropLast }),
        },
      }
    : {}

/** The differentiated program of a network and its loss for examples of these shapes. */
const programFor =
  <P, S>(task: Layer<P, S, Supervised, WithLoss>, freeze: TraceOptions['freeze']) =>
  (_: number, { x, target }: Examples) => {
    const inputs = { x: tensorInput(x.shape), target: tensorInput(target.shape) }
    const program = trace(task, inputs, { mode: 'train', ...(freeze === undefined ? {} : { freeze }) })
    return E.isLeft(program) ? program : grad(program.right, { output: 'loss' })
  }

/** A network, its loss, examples and a recipe as what `train` takes; or all that is wrong with them. */
export const supervision = <P, S>(
  net: Layer<P, S>,
  loss: (y: Value, target: Value) => Value,
  data: Examples | BatchSource<Examples>,
  recipe: Recipe<P, S>,
): E.Either<
  QuantErrors,
  {
    readonly config: TrainConfig<P, S, DataOf<Supervised>, OutputsOf<WithLoss>, Examples>
    readonly start: TrainState<P, S>
  }
> => {
  const wrong = [...fieldProblems('train', recipe, RECIPE), ...examplesProblems(data)]
  const problems = wrong.length > 0 ? wrong : optimizerProblems('train', recipe.optimizer)
  if (problems.length > 0) return E.left(problems)
  const { batchSize: _, seed = 0, dropLast: __, start, accuracy, freeze, ...rest } = recipe
  const task = withLoss(net, loss)
  const first = start === undefined ? init(task, seed) : E.right(null)
  if (E.isLeft(first)) return first
  return E.right({
    config: {
      ...rest,
      ...loaderOf(data, recipe as Recipe<never, never>),
      data,
      program: programFor(task, freeze),
      inputs: (batch) => batch,
      measure: (out, batch) => ({
        loss: valueOf(out.loss).data[0],
        ...(accuracy === undefined ? {} : { accuracy: accuracy(valueOf(out.y), batch.target) }),
      }),
    },
    start: start ?? startTraining(first.right as { readonly params: P; readonly state: S }, recipe.optimizer),
  })
}

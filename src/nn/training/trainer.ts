/**
 * Training steps that stay in the backend's memory: parameters, state and the optimizer's memory are updated where they
 * are, and only what is asked for is copied out.
 */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors, QuantWarning } from '../../data/error.js'
import { count, fieldProblems, flag, positive, type Fields } from '../../data/fields.js'
import { isTensor, type Tensor } from '../../data/tensor.js'
import { mapTree } from '../../data/tree.js'
import type { Backend, Commit, Executable, ResidentStorage, TrustOptions } from '../../evaluator/backend.js'
import { backendProblems, prepareOn } from '../../evaluator/checks.js'
import { fastestHere } from '../../evaluator/engines.js'
import { programProblems, type Program } from '../../graph/program.js'
import { bindInputs, dataOf, stateMarks, unbind } from '../program/binding.js'
import { badRate, disposed } from '../program/refusals.js'
import { newLedger, type Ledger } from './ledger.js'
import { leafValues } from './loading.js'
import type { Optimizer } from './optim.js'
import { optimizerProblems, rate, trainStateProblems } from './options.js'
import { batchWriter, hyperWriter } from './stepWriters.js'
import type { TrainState } from './trainState.js'
import { withUpdate, type WithUpdate } from './update.js'

/** What a step gives: views of the results, valid until the next step. */
export type Stepped<O> = {
  readonly outputs: O
  readonly warnings: readonly QuantWarning[]
  /** False where the gradient waits for those of later steps (`accumulate`). */
  readonly updated: boolean
}

/** How a trainer steps. */
export type TrainerOptions = TrustOptions & {
  /**
   * Check, before anything moves, that the loss and every gradient are finite: if not, the step is a `NonFinite` error that names
   * the first leaf, and everything is as before it (default true). False: such a step is taken like any other.
   */
  readonly checkFinite?: boolean
  /** Update once in so many steps, by the mean of their gradients (default 1: in each step). */
  readonly accumulate?: number
}

/** About one step of an accumulating trainer. */
export type StepOptions = {
  /** What its gradient counts in the mean (default 1); the size of the batch, where batches differ. */
  readonly weight?: number
  /** Update in this step, however many there were (default false): it is the last of an epoch. */
  readonly closes?: boolean
}

/** A training in progress. Not a value: each step moves it on. */
export type Trainer<P, S, I, O> = {
  /** One step on a batch, at the optimizer's rate or this one (a finite number, from 0 on). After an error everything is as before the step. */
  readonly step: (inputs: I, lr?: number, options?: StepOptions) => E.Either<QuantErrors, Stepped<O>>
  /** Where training stands now (after `dispose`: stood last), as a value of its own (a copy). `position` is the caller's: it is handed through. */
  readonly training: () => TrainState<P, S>
  /** Goes on from another state of the same network. */
  readonly load: (training: TrainState<P, S>) => E.Either<QuantErrors, null>
  readonly dispose: () => void
}

/** Which outputs become which inputs of the next step. */
const commitsOf = (program: Program): readonly Commit[] => {
  const where = new Map(program.graph.outputs.map((id, i) => [id, i] as const))
  return program.inputs.flatMap((i, input): readonly Commit[] => {
    if (i.kind !== 'param' && i.kind !== 'state' && i.kind !== 'slot') return []
    const o = program.outputs.find((p) => p.kind === i.kind && p.path === i.path)
    const output = o === undefined ? undefined : where.get(o.node)
    return output === undefined ? [] : [{ output, input }]
  })
}

type Inner<P, S, I, O> = {
  readonly updated: WithUpdate<P, S, I, O>
  readonly storage: ResidentStorage
  readonly executable: Executable
  readonly backend: string
  readonly ledger: Ledger
  readonly trust: TrustOptions
}

/**
 * Starts training in a backend's memory. `program` is a differentiated loss (`grad`). Quant inputs of each step are checked against their declaration.
 * @example
 * ```ts
 * import { grad, init, mseLoss, orThrow, QuantLinear, sgd, startTraining, tensorInput, tensorOf, trace, trainer, withLoss } from 'quantrace'
 *
 * const net = withLoss(QuantLinear({ inFeatures: 2, outFeatures: 1 }), mseLoss)
 * const inputs = { x: tensorInput([4, 2]), target: tensorInput([4, 1]) }
 * const program = orThrow(grad(orThrow(trace(net, inputs, { mode: 'train' })), { output: 'loss' }))
 * const optimizer = sgd({ lr: 0.1 })
 * const t = orThrow(trainer(program, optimizer, startTraining(orThrow(init(net, 0)), optimizer)))
 * const given = { x: tensorOf([4, 2], [0, 1, 1, 0, 1, 1, 0, 0]), target: tensorOf([4, 1], [1, 0, 1, 0]) }
 * const losses = Array.from({ length: 20 }, () => orThrow(t.step(given)).outputs.loss)
 * t.dispose()
 * console.log(losses.length)
 * ```
 * ```text
 * 20
 * ```
 */
export const trainer = <P, S, I, O>(
  program: Program<P, S, I, O>,
  optimizer: Optimizer,
  start: TrainState<P, S>,
  backend: Backend = fastestHere(),
  options: TrainerOptions = {},
): E.Either<QuantErrors, Trainer<P, S, I, O>> => {
  const problems = trainerProblems(program, optimizer, start, backend, options)
  if (problems.length > 0) return E.left(problems)
  const { checkFinite = true, accumulate = 1 } = options
  const updated = withUpdate(program, optimizer, { checked: checkFinite, accumulating: accumulate > 1 })
  if (E.isLeft(updated)) return updated
  const full = updated.right.program
  const prepared = prepareOn(backend, full)
  if (E.isLeft(prepared)) return prepared
  const storage = prepared.right.resident(commitsOf(full))
  if (E.isLeft(storage)) return storage
  const made = trainerOf(
    {
      updated: updated.right,
      storage: storage.right,
      executable: prepared.right,
      backend: backend.name,
      ledger: newLedger(optimizer.rule, updated.right, accumulate),
      trust: options,
    },
    optimizer,
    start,
  )
  const loaded = made.load(start)
  if (E.isRight(loaded)) return E.right(made)
  made.dispose()
  return loaded
}

/** Views of the results of the latest step, made anew only where they have moved. */
const resultsOf = <S, O>(program: Program, storage: ResidentStorage): ((updated: boolean) => Stepped<O>) => {
  let first: Float32Array | null = null
  let [waits, updates]: [Stepped<O> | null, Stepped<O> | null] = [null, null]
  return (updated) => {
    const { data } = storage.output(0)
    if (waits === null || updates === null || first !== data) {
      const { outputs } = unbind<S, O>(
        program,
        program.graph.outputs.map((_, i) => storage.output(i)),
        [],
      )
      first = data
      waits = { outputs, warnings: [], updated: false }
      updates = { outputs, warnings: [], updated: true }
    }
    return updated ? updates : waits
  }
}

/** What is wrong with what a trainer is given. */
const trainerProblems = (
  program: unknown,
  optimizer: unknown,
  start: unknown,
  backend: unknown,
  options: unknown,
): readonly QuantError[] => [
  ...programProblems('trainer', program),
  ...optimizerProblems('trainer', optimizer),
  ...trainStateProblems('trainer', start),
  ...backendProblems('trainer', backend),
  ...fieldProblems('trainer', options, TRAINER_FIELDS),
]

const TRAINER_FIELDS: Fields<TrainerOptions> = { trusted: flag, checkFinite: flag, accumulate: { ...count, like: '4' } }
const STEP_FIELDS: Fields<StepOptions> = { weight: positive, closes: flag }
/** A step without options; nothing is checked for it. */
const PLAIN: StepOptions = {}

/** Are the options of a step right? Asked in each step, so nothing is allocated; what is wrong is told by `fieldProblems`. */
const isPlain = (o: StepOptions): boolean => {
  if (typeof o !== 'object' || o === null || Array.isArray(o)) return false
  for (const name in o) if (!Object.hasOwn(STEP_FIELDS, name)) return false
  const { weight = 1, closes = false } = o
  return typeof weight === 'number' && weight > 0 && weight < Infinity && typeof closes === 'boolean'
}

/** Copies a training out of the memory in which it moves on. */
const copier = <P, S, I, O>({ storage, ledger, updated: { program } }: Inner<P, S, I, O>) => {
  const inputAt = new Map<string, number>(program.inputs.map((i, index) => [`${i.kind}:${i.path}`, index]))
  const marks = stateMarks(program)
  const copy =
    (kind: 'param' | 'state') =>
    (t: Tensor, path: string): Tensor => {
      const index = inputAt.get(`${kind}:${path}`)
      const said = kind === 'state' ? marks.get(path) : undefined
      return index === undefined ? t : { ...t, ...said, data: storage.input(index).data.slice() }
    }
  return (training: TrainState<P, S>): TrainState<P, S> => ({
    params: mapTree(isTensor, training.params, copy('param')) as P,
    state: mapTree(isTensor, training.state, copy('state')) as S,
    optim: ledger.optimAfter(training.optim, (path) => storage.input(inputAt.get(`slot:${path}`) ?? -1)),
    position: training.position,
    step: training.step + ledger.taken(),
  })
}

const trainerOf = <P, S, I, O>(
  inner: Inner<P, S, I, O>,
  optimizer: Optimizer,
  start: TrainState<P, S>,
): Trainer<P, S, I, O> => {
  const { storage, executable, ledger } = inner
  const { program } = inner.updated
  const writeHyper = hyperWriter(inner.updated, optimizer, storage, ledger)
  const data = dataOf(program)
  const writeBatch = batchWriter(program, data.places, storage, inner.trust)
  const outputs = resultsOf<S, O>(program, storage)
  const copyOf = copier(inner)
  let training = start
  let [gone, loaded] = [false, false]
  const copyOut = (): TrainState<P, S> => copyOf(training)
  // What training() gives once the memory is gone.
  let ended: TrainState<P, S> | null = null
  return {
    step: (inputs, lr = optimizer.lr, options = PLAIN) => {
      if (gone) return E.left(disposed('this trainer', inner.backend))
      if (!rate.holds(lr)) return E.left(badRate(lr))
      if (!isPlain(options)) return E.left(fieldProblems('step', options, STEP_FIELDS))
      if (!writeBatch(inputs)) {
        const bound = bindInputs(data, { params: null, state: null, inputs }, inner.trust)
        if (E.isLeft(bound)) return bound
        bound.right.forEach((t, k) => storage.write(data.places[k], t))
      }
      const { weight = 1, closes = false } = options
      const due = ledger.isDue(closes)
      writeHyper(lr, weight, due)
      const ran = storage.execute()
      if (E.isLeft(ran)) return E.left(ran.left.map(ledger.located))
      ledger.moved(weight, due)
      return E.right(ran.right.length === 0 ? outputs(due) : { ...outputs(due), warnings: ran.right })
    },
    training: () => ended ?? copyOut(),
    load: (t) => {
      if (gone) return E.left(disposed('this trainer', inner.backend))
      const wrong = trainStateProblems('load', t)
      if (wrong.length > 0) return E.left(wrong)
      const found = leafValues(program, optimizer.rule, t)
      if (E.isLeft(found)) return found
      const read = ledger.load(t.optim)
      if (E.isLeft(read)) return read
      for (const { index, value } of found.right) storage.write(index, value)
      training = t
      loaded = true
      return E.right(null)
    },
    dispose: () => {
      if (!gone && loaded) ended ??= copyOut()
      gone = true
      storage.dispose()
      executable.dispose()
    },
  }
}

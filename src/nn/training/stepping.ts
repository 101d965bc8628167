/** How `train` takes its steps: inside the backend's memory, or outside it where gradients are changed by a function. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors, QuantWarning } from '../../data/error.js'
import { argumentProblems, demand, required } from '../../data/fields.js'
import { isTensor } from '../../data/tensor.js'
import { at, leaves } from '../../data/tree.js'
import type { Backend } from '../../evaluator/backend.js'
import { fastestHere } from '../../evaluator/engines.js'
import type { Program } from '../../graph/program.js'
import { compile, type Compiled, type Grads, type Ran } from '../program/program.js'
import { badRate } from '../program/refusals.js'
import { meanOfPending, pendingOf, withGradient, withoutPending } from './accumulation.js'
import type { Fed } from './batchSource.js'
import type { Position, Samples } from './loader.js'
import type { Optimizer } from './optim.js'
import { optimizerProblems, positionField, rate, trainStateProblems } from './options.js'
import { trainableProblems } from './trainable.js'
import { trainer, type Trainer } from './trainer.js'
import type { TrainState } from './trainState.js'
import { lossesIn } from './update.js'

/** What a way to step is given. */
export type Stepping<P, S, I, O, D extends Samples> = {
  /** The differentiated program for batches like this one. */
  readonly program: (batch: Fed<D>) => E.Either<QuantErrors, Program<P, S, I, O>>
  readonly optimizer: Optimizer
  readonly inputs: (batch: D) => I
  readonly backend?: Backend
  readonly checkFinite: boolean
  readonly accumulate: number
  /** Quant inputs are what was declared: don't look. */
  readonly trusted: boolean
}

/** What one step gives to its event; `training` makes the state after it a value of its own. */
export type Done<P, S, O> = {
  readonly outputs: O
  readonly warnings: readonly QuantWarning[]
  /** False: the gradient waits for those of later batches. */
  readonly updated: boolean
  readonly training: () => TrainState<P, S>
}

/** Takes steps one after the other, whatever the sizes of the batches. After an error everything is as before the step. */
export type Stepper<P, S, O, D extends Samples> = {
  readonly step: (batch: Fed<D>, lr: number | undefined) => E.Either<QuantErrors, Done<P, S, O>>
  readonly dispose: () => void
}

const APPLY = {
  ran: required({
    says: 'what a run gave',
    like: 'ran',
    holds: (x: unknown) => typeof x === 'object' && x !== null && 'state' in x,
  }),
  position: required(positionField),
}

/** One optimizer step from the outcome of a run. */
/* oxlint-disable-next-line max-params -- published with these six arguments */
export const applyStep = <P, S, O>(
  t: TrainState<P, S>,
  ran: Ran<S, O>,
  grads: Grads,
  optimizer: Optimizer,
  lr: number | undefined,
  position: Position,
): TrainState<P, S> => {
  demand([
    ...trainStateProblems('applyStep', t),
    ...optimizerProblems('applyStep', optimizer),
    ...argumentProblems('applyStep', { ran, position }, APPLY),
  ])
  const next = optimizer.update(grads, t.optim, t.params, ran.state, lr)
  return { params: next.params, state: next.state, optim: next.optim, position, step: t.step + 1 }
}

const nonFinite = (path: string, what: string): QuantErrors => [
  {
    tag: 'NonFinite',
    op: 'checkFinite',
    node: -1,
    path,
    message: `${what} is not finite`,
    fix: 'run it once more with { debugNonFinite: true }, which names the first node that makes a NaN or an infinity',
  },
]

const isQuant = (x: unknown): x is { readonly value: unknown } => typeof x === 'object' && x !== null && 'value' in x

/** The first of the losses and gradients that isn't finite, worded as a compiled step words it. */
const firstNonFinite = (program: Program, outputs: unknown, grads: Grads, kindOf: string): QuantErrors | null => {
  for (const { path } of lossesIn(program)) {
    const out = at(outputs, path)
    const t = isQuant(out) ? out.value : out
    if (isTensor(t) && !t.data.every(Number.isFinite)) return nonFinite('', `the result ${path || '(unnamed)'}`)
  }
  for (const [kind, tree] of [
    ['param', grads.params],
    ['state', grads.state],
  ] as const)
    for (const { path, leaf } of leaves(isTensor, tree))
      if (!leaf.data.every(Number.isFinite)) return nonFinite(path, `the ${kindOf} of ${kind} ${path}`)
  return null
}

/** A batch that was run, and its rate. */
type RunBatch<P, S, I, O, D extends Samples> = {
  readonly ran: Ran<S, O>
  readonly program: Program<P, S, I, O>
  readonly batch: Fed<D>
  readonly lr: number | undefined
}

/** A training behind a batch whose gradient joins those that wait, or makes the update with them. */
const moved = <P, S, I, O, D extends Samples>(
  c: Stepping<P, S, I, O, D>,
  transform: (grads: Grads) => E.Either<QuantErrors, Grads>,
  t: TrainState<P, S>,
  { ran, program, batch, lr }: RunBatch<P, S, I, O, D>,
): E.Either<QuantErrors, TrainState<P, S>> => {
  const wrong = c.checkFinite ? firstNonFinite(program, ran.outputs, ran.grads, 'gradient') : null
  if (wrong !== null) return E.left(wrong)
  const optim = c.accumulate > 1 ? withGradient(t.optim, ran.grads, batch.size) : t.optim
  if (c.accumulate > 1 && pendingOf(optim).batches < c.accumulate && !batch.last)
    return E.right({ ...t, state: ran.state, optim, position: batch.position })
  const made = transform(c.accumulate > 1 ? meanOfPending(optim, ran.grads) : ran.grads)
  if (E.isLeft(made)) return made
  const grads = made.right
  const changed = c.checkFinite ? firstNonFinite(program, ran.outputs, grads, 'transformed gradient') : null
  if (changed !== null) return E.left(changed)
  const before = { ...t, optim: { ...optim, slots: withoutPending(optim.slots) } }
  return E.right(applyStep(before, ran, grads, c.optimizer, lr, batch.position))
}

/** Steps whose gradients are changed by `transform`: run, change, update. */
export const steppingOutside = <P, S, I, O, D extends Samples>(
  c: Stepping<P, S, I, O, D>,
  transform: (grads: Grads) => E.Either<QuantErrors, Grads>,
  start: TrainState<P, S>,
): Stepper<P, S, O, D> => {
  const cache = new Map<string, Compiled<P, S, I, O>>()
  let t = start
  const compiledFor = (batch: Fed<D>): E.Either<QuantErrors, Compiled<P, S, I, O>> => {
    const known = cache.get(batch.key)
    if (known !== undefined) return E.right(known)
    const made = E.chain((p: Program<P, S, I, O>) => {
      const untrainable = trainableProblems(p as Program, c.optimizer)
      return untrainable.length > 0 ? E.left(untrainable) : compile(p, c.backend)
    })(c.program(batch))
    if (E.isRight(made)) cache.set(batch.key, made.right)
    return made
  }
  return {
    step: (batch, lr) => {
      if (!rate.holds(lr ?? c.optimizer.lr)) return E.left(badRate(lr ?? c.optimizer.lr))
      const compiled = compiledFor(batch)
      if (E.isLeft(compiled)) return compiled
      const args = { params: t.params, state: t.state, inputs: c.inputs(batch.tensors) }
      const ran = compiled.right.run(args, { trusted: c.trusted })
      if (E.isLeft(ran)) return ran
      const next = moved(c, transform, t, { ran: ran.right, program: compiled.right.program, batch, lr })
      if (E.isLeft(next)) return next
      const updated = next.right.step > t.step
      t = next.right
      return E.right({ outputs: ran.right.outputs, warnings: ran.right.warnings, updated, training: () => next.right })
    },
    dispose: () => {
      for (const compiled of cache.values()) compiled.dispose()
    },
  }
}

/** Steps that stay in the backend's memory; each kind of batch has its own program, and state moves between them by value. */
export const steppingInside = <P, S, I, O, D extends Samples>(
  c: Stepping<P, S, I, O, D>,
  start: TrainState<P, S>,
): Stepper<P, S, O, D> => {
  const cache = new Map<string, Trainer<P, S, I, O>>()
  const { checkFinite, accumulate, trusted } = c
  let current: Trainer<P, S, I, O> | null = null
  const trainerFor = (batch: Fed<D>): E.Either<QuantErrors, Trainer<P, S, I, O>> => {
    const known = cache.get(batch.key)
    const now = current === null ? start : current.training()
    if (known !== undefined) return known === current ? E.right(known) : E.map(() => known)(known.load(now))
    const made = E.chain((p: Program<P, S, I, O>) =>
      trainer(p, c.optimizer, now, c.backend ?? fastestHere(), { checkFinite, accumulate, trusted }),
    )(c.program(batch))
    if (E.isRight(made)) cache.set(batch.key, made.right)
    return made
  }
  let key: string | null = null
  return {
    step: (batch, lr) => {
      if (current === null || batch.key !== key) {
        const found = trainerFor(batch)
        if (E.isLeft(found)) return found
        current = found.right
        key = batch.key
      }
      const own = current
      const inputs = c.inputs(batch.tensors)
      const stepped =
        accumulate === 1 ? own.step(inputs, lr) : own.step(inputs, lr, { weight: batch.size, closes: batch.last })
      if (E.isLeft(stepped)) return stepped
      return E.right({ ...stepped.right, training: () => ({ ...own.training(), position: batch.position }) })
    },
    dispose: () => {
      for (const t of cache.values()) t.dispose()
    },
  }
}

/**
 * Training steps that stay in the backend's memory: parameters, state and the optimizer's memory are updated where they
 * are, and only what is asked for is copied out.
 */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors, QuantWarning } from '../../data/error.js'
import { sameShape, showShape, sizeOf } from '../../data/shape.js'
import { full, isTensor, type Tensor } from '../../data/tensor.js'
import { at, mapTree } from '../../data/tree.js'
import type { Backend, Commit, Executable, ResidentStorage } from '../../evaluator/backend.js'
import type { Program, ProgramInput } from '../../graph/program.js'
import { bindInputs, dataOf, partOf, unbind } from '../program/binding.js'
import type { Optimizer } from './optim.js'
import { badRate, disposed } from '../program/refusals.js'
import type { TrainState } from './trainState.js'
import { withUpdate, type WithUpdate } from './update.js'

/** What a step gives: views of the results, valid until the next step. */
export type Stepped<O> = { readonly outputs: O; readonly warnings: readonly QuantWarning[] }

/** A training in progress. Not a value: each step moves it on. */
export type Trainer<P, S, I, O> = {
  /** One step on a batch, at the optimizer's rate or this one (a finite number). After an error everything is as before the step. */
  readonly step: (inputs: I, lr?: number) => E.Either<QuantErrors, Stepped<O>>
  /** Where training stands now (after `dispose`: stood last), as a value of its own (a copy). `position` is the caller's: it is handed through. */
  readonly training: () => TrainState<P, S>
  /** Goes on from another state of the same network. */
  readonly load: (training: TrainState<P, S>) => E.Either<QuantErrors, null>
  readonly dispose: () => void
}

const indexOutputs = (program: Program): ReadonlyMap<number, number> =>
  new Map(program.graph.outputs.map((id, i) => [id, i] as const))

/** Which outputs become which inputs of the next step. */
const commitsOf = (program: Program): readonly Commit[] => {
  const where = indexOutputs(program)
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
}

/** Writes the numbers of a step. */
const hyperWriter = <P, S, I, O>(
  { updated, storage }: Inner<P, S, I, O>,
  optimizer: Optimizer,
): ((step: number, lr: number, isFresh: (leaf: string) => boolean) => void) => {
  const one = { shape: [], data: new Float32Array(1) }
  const { groups } = updated
  const entries = updated.program.inputs.flatMap((i, index) => {
    if (i.kind !== 'hyper') return []
    const group = Math.max(
      0,
      groups.findIndex((g) => i.path.startsWith(`${g.key}/`)),
    )
    return [
      {
        index,
        leaf: i.path.startsWith('fresh/') ? i.path.slice(6) : null,
        group,
        name: i.path.slice(groups[group].key.length + 1),
      },
    ]
  })
  return (step, lr, isFresh) => {
    for (let g = 0; g < groups.length; g++) {
      const numbers = optimizer.rule.hyper(step, lr * groups[g].lrScale, groups[g].weightDecay)
      for (let k = 0; k < entries.length; k++) {
        const e = entries[k]
        if (e.group !== g) continue
        one.data[0] = e.leaf === null ? numbers[e.name] : isFresh(e.leaf) ? 1 : 0
        storage.write(e.index, one)
      }
    }
  }
}

/** Writes a batch into the storage; false where something doesn't fit. Allocates nothing. */
const batchWriter = (
  program: Program,
  places: readonly number[],
  storage: ResidentStorage,
): ((inputs: unknown) => boolean) => {
  const wanted = places.map((index) => ({
    index,
    input: program.inputs[index],
    keys: program.inputs[index].path === '' ? [] : program.inputs[index].path.split('.'),
  }))
  return (inputs) => {
    for (let w = 0; w < wanted.length; w++) {
      const { index, input, keys } = wanted[w]
      let found: unknown = inputs
      for (let k = 0; k < keys.length; k++)
        found =
          typeof found === 'object' && found !== null
            ? (found as { readonly [key: string]: unknown })[keys[k]]
            : undefined
      const t = partOf(input, found)
      if (!isTensor(t) || !sameShape(t.shape, input.shape) || t.data.length !== storage.input(index).data.length)
        return false
      storage.write(index, t)
    }
    return true
  }
}

/** What doesn't fit of a training state's leaf, or nothing. */
const misfit = (i: ProgramInput, t: unknown): readonly QuantError[] => {
  const fits = isTensor(t) && sameShape(t.shape, i.shape) && t.data.length === sizeOf(i.shape)
  const what = isTensor(t)
    ? `has shape ${showShape(t.shape)} with ${t.data.length} elements in the training state, but ${showShape(i.shape)} was traced`
    : 'is missing in the training state'
  return fits
    ? []
    : [
        {
          tag: 'InputError',
          input: i.path,
          path: i.path,
          message: `${i.kind} ${i.path} ${what}`,
          fix: 'give what startTraining or an earlier step returned for this network',
        },
      ]
}

/** Starts training in a backend's memory. `program` is a differentiated loss (`grad`). */
export const trainer = <P, S, I, O>(
  program: Program<P, S, I, O>,
  optimizer: Optimizer,
  start: TrainState<P, S>,
  backend: Backend,
): E.Either<QuantErrors, Trainer<P, S, I, O>> => {
  const updated = withUpdate(program, optimizer)
  if (E.isLeft(updated)) return updated
  const full = updated.right.program
  const prepared = backend.prepare(full)
  if (E.isLeft(prepared)) return prepared
  const storage = prepared.right.resident(commitsOf(full))
  if (E.isLeft(storage)) return storage
  const made = trainerOf(
    { updated: updated.right, storage: storage.right, executable: prepared.right, backend: backend.name },
    optimizer,
    start,
  )
  const loaded = made.load(start)
  if (E.isRight(loaded)) return E.right(made)
  made.dispose()
  return loaded
}

const trainerOf = <P, S, I, O>(
  inner: Inner<P, S, I, O>,
  optimizer: Optimizer,
  start: TrainState<P, S>,
): Trainer<P, S, I, O> => {
  const {
    updated: { program },
    storage,
    executable,
  } = inner
  const writeHyper = hyperWriter(inner, optimizer)
  const data = dataOf(program)
  const writeBatch = batchWriter(program, data.places, storage)
  const inputAt = new Map<string, number>(program.inputs.map((i, index) => [`${i.kind}:${i.path}`, index]))
  const stored = (kind: string, path: string): Tensor | null => {
    const index = inputAt.get(`${kind}:${path}`)
    return index === undefined ? null : storage.input(index)
  }
  let training = start
  let gone = false
  let views: { readonly first: Tensor; readonly stepped: Stepped<O> } | null = null
  const isFresh = (leaf: string): boolean =>
    !Object.keys(training.optim.slots).some((k) => k.endsWith(`:${leaf}`)) && !moved.has(leaf)
  // Leaves whose memory this trainer has written since it was loaded.
  const moved = new Set<string>()
  let [step, count] = [start.optim.step, start.step]
  let loaded = false
  const outputs = (): Stepped<O> => {
    const first = storage.output(0)
    if (views !== null && views.first.data === first.data) return views.stepped
    const { outputs: results } = unbind<S, O>(
      program,
      program.graph.outputs.map((_, i) => storage.output(i)),
      [],
    )
    views = { first, stepped: { outputs: results, warnings: [] } }
    return views.stepped
  }
  const copyOut = (): TrainState<P, S> => {
    const copy =
      (kind: 'param' | 'state') =>
      (t: Tensor, path: string): Tensor => {
        const now = stored(kind, path)
        return now === null ? t : { ...t, data: now.data.slice() }
      }
    const slots: Record<string, Tensor> = { ...training.optim.slots }
    program.inputs.forEach((i, index) => {
      if (i.kind === 'slot' && moved.size > 0)
        slots[i.path] = { shape: i.shape, data: storage.input(index).data.slice() }
    })
    return {
      params: mapTree(isTensor, training.params, copy('param')) as P,
      state: mapTree(isTensor, training.state, copy('state')) as S,
      optim: { step, slots },
      position: training.position,
      step: count,
    }
  }
  // What training() gives once the memory is gone.
  let ended: TrainState<P, S> | null = null
  return {
    step: (inputs, lr = optimizer.lr) => {
      if (gone) return E.left(disposed('this trainer', inner.backend))
      if (!Number.isFinite(lr)) return E.left(badRate(lr))
      if (!writeBatch(inputs)) {
        const bound = bindInputs(data, { params: null, state: null, inputs })
        if (E.isLeft(bound)) return bound
        bound.right.forEach((t, k) => storage.write(data.places[k], t))
      }
      writeHyper(step + 1, lr, isFresh)
      const ran = storage.execute()
      if (E.isLeft(ran)) return ran
      step++
      count++
      if (moved.size === 0) for (const leaf of inner.updated.leaves) moved.add(leaf)
      return E.right(ran.right.length === 0 ? outputs() : { ...outputs(), warnings: ran.right })
    },
    training: () => ended ?? copyOut(),
    load: (t) => {
      if (gone) return E.left(disposed('this trainer', inner.backend))
      const trees = { param: t.params, state: t.state }
      const leaves = program.inputs.flatMap((i, index) => {
        if (i.kind === 'slot')
          return [{ i, index, given: t.optim.slots[i.path] ?? full(i.shape, startOf(optimizer, i.path)) }]
        return i.kind === 'param' || i.kind === 'state' ? [{ i, index, given: at(trees[i.kind], i.path) }] : []
      })
      const wrong = leaves.flatMap(({ i, given }) => misfit(i, given))
      if (wrong.length > 0) return E.left(wrong)
      for (const { index, given } of leaves) if (isTensor(given)) storage.write(index, given)
      training = t
      step = t.optim.step
      count = t.step
      moved.clear()
      loaded = true
      return E.right(null)
    },
    dispose: () => {
      gone = true
      if (loaded) ended ??= copyOut()
      storage.dispose()
      executable.dispose()
    },
  }
}

const startOf = (optimizer: Optimizer, key: string): number =>
  optimizer.rule.slots.find((s) => key.startsWith(`${s.name}:`))?.start ?? 0

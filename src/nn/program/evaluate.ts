/** Any number of inputs through one plan: batches in, results out as they come. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors, QuantWarning } from '../../data/error.js'
import {
  anything,
  argumentProblems,
  attempt,
  count,
  fieldProblems,
  flag,
  func,
  isEither,
  signalField,
  required,
  showGiven,
  whole,
  type Fields,
} from '../../data/fields.js'
import { isQuantTensor, valueOf, type Output } from '../../data/quantTensor.js'
import { isTensor, type Tensor } from '../../data/tensor.js'
import { leaves, mapTree } from '../../data/tree.js'
import type { Backend, Executable, ResidentStorage, TrustOptions } from '../../evaluator/backend.js'
import { backendProblems } from '../../evaluator/checks.js'
import { fastestHere } from '../../evaluator/engines.js'
import type { Program } from '../../graph/program.js'
import { bindInputs, dataOf, unbind } from './binding.js'
import { newBreather } from './breathe.js'

/** With which parameters a program is evaluated, and how. */
export type EvaluateOptions<P, S, I, B> = TrustOptions & {
  readonly params: P
  /** The same for every batch: evaluation doesn't move it on. */
  readonly state: S
  /** The program's inputs from one batch; `(x) => x` where batches are inputs already. */
  readonly inputs: (batch: B) => I
  /** Where it runs (default: `wasm` where the engine has SIMD, else the reference). */
  readonly backend?: Backend
  /** Ends the evaluation before the next batch. */
  readonly signal?: AbortSignal
  /** How many samples there are, for progress, where it is known. */
  readonly total?: number
  /**
   * False (default): outputs are copies, values of your own. True: they are views of the backend's memory, which hold
   * until the next batch is asked for; nothing is copied.
   */
  readonly views?: boolean
  /** Plans that are kept, one per shape of a batch (default 8): beyond, the one that was used longest ago is freed, and made anew when it is wanted. */
  readonly plans?: number
}

/** One batch is done. */
export type EvaluateEvent<O, B> = {
  /** Its number, from 1. */
  readonly batch: number
  /** Samples in it, and so far with it. */
  readonly size: number
  readonly done: number
  /** Of how many samples, or null if that wasn't told. */
  readonly total: number | null
  /** The batch as it was given. */
  readonly given: B
  readonly outputs: O
  readonly warnings: readonly QuantWarning[]
}

/** How an evaluation ended: `complete` is false if the signal ended it. `plans`: how many programs were traced and prepared. */
export type EvaluateEnd = {
  readonly batches: number
  readonly samples: number
  readonly plans: number
  readonly complete: boolean
}

/** A program in a backend's memory, its parameters and state in place. */
type Prepared<O> = {
  readonly run: (
    inputs: unknown,
  ) => E.Either<QuantErrors, { readonly outputs: O; readonly warnings: readonly QuantWarning[] }>
  readonly dispose: () => void
}

const isLeaf = (x: unknown): x is Output =>
  isTensor(x) || (typeof x === 'object' && x !== null && 'kind' in x && x.kind === 'quant')

const copyTensor = (t: Tensor): Tensor => ({ ...t, data: t.data.slice() })
const copyOutput = (o: Output): Output =>
  isQuantTensor(o)
    ? {
        ...o,
        value: copyTensor(o.value),
        scale: copyTensor(o.scale),
        zeroPoint: copyTensor(o.zeroPoint),
        bitWidth: copyTensor(o.bitWidth),
      }
    : copyTensor(o)

const preparedOn = <S, O>(
  program: Program,
  executable: Executable,
  storage: ResidentStorage,
  o: TrustOptions & { readonly views?: boolean },
): Prepared<O> => {
  const data = dataOf(program)
  return {
    run: (inputs) => {
      const bound = bindInputs(data, { params: null, state: null, inputs }, o)
      if (E.isLeft(bound)) return bound
      bound.right.forEach((t, k) => storage.write(data.places[k], t))
      const warnings = storage.execute()
      if (E.isLeft(warnings)) return warnings
      const { outputs } = unbind<S, O>(
        program,
        program.graph.outputs.map((_, i) => storage.output(i)),
        [],
      )
      return E.right({
        outputs: o.views === true ? outputs : (mapTree(isLeaf, outputs, copyOutput) as O),
        warnings: warnings.right,
      })
    },
    dispose: () => {
      storage.dispose()
      executable.dispose()
    },
  }
}

const prepare = <P, S, I, O, B>(
  program: Program<P, S, I, O>,
  o: EvaluateOptions<P, S, I, B>,
  inputs: I,
): E.Either<QuantErrors, Prepared<O>> => {
  // Each batch's inputs are checked when it is run.
  const bound = bindInputs(program, { params: o.params, state: o.state, inputs }, { trusted: true })
  if (E.isLeft(bound)) return bound
  const executable = (o.backend ?? fastestHere()).prepare(program)
  if (E.isLeft(executable)) return executable
  const storage = executable.right.resident()
  if (E.isLeft(storage)) {
    executable.right.dispose()
    return storage
  }
  bound.right.forEach((t, i) => storage.right.write(i, t))
  return E.right(preparedOn<S, O>(program, executable.right, storage.right, o))
}

/** The shapes of what a batch gives to the program, and how many samples it has: the first axis of the first tensor. */
const shapesOf = (inputs: unknown): { readonly key: string; readonly size: number } => {
  const shapes: string[] = []
  let size: number | null = null
  for (const { leaf, path } of leaves(isLeaf, inputs)) {
    const { shape } = valueOf(leaf)
    size ??= shape[0] ?? 1
    shapes.push(`${path}:${shape.join()}`)
  }
  return { key: shapes.join(';'), size: size ?? 0 }
}

/** What `init` holds, or a training state, may be spread into the options. */
const SPREAD = { generator: anything, optim: anything, position: anything, step: anything }

const OPTIONS: Fields<EvaluateOptions<unknown, unknown, unknown, unknown>> & typeof SPREAD = {
  ...SPREAD,
  params: required(anything),
  state: required(anything),
  inputs: required({ ...func, says: "a function from a batch to the program's inputs", like: '(batch) => batch' }),
  backend: anything,
  signal: signalField,
  total: whole,
  views: flag,
  plans: count,
  trusted: flag,
}

const isIterable = (x: unknown): boolean =>
  typeof x === 'object' && x !== null && (Symbol.iterator in x || Symbol.asyncIterator in x)

const ARGUMENTS = {
  program: required({ ...func, says: 'a function of the batch size that gives a traced program', like: '(n) => …' }),
  batches: required({ says: 'an iterable of batches, sync or async', like: '[batch]', holds: isIterable }),
}

/** What is wrong with what `evaluate` is given. */
const evaluateProblems = (program: unknown, batches: unknown, options: unknown): QuantErrors => {
  const wrong = [
    ...argumentProblems('evaluate', { program, batches }, ARGUMENTS),
    ...fieldProblems('evaluate', options, OPTIONS),
  ]
  const { backend }: { backend?: unknown } = Object(options)
  return wrong.length > 0 || backend === undefined ? wrong : backendProblems('evaluate', backend)
}

/** Plans kept by default. */
const KEPT = 8

/** At most so many prepared programs by shape: the one that was used longest ago makes room. */
const newShelf = <O>(most: number) => {
  const kept = new Map<string, Prepared<O>>()
  return {
    take: (key: string): Prepared<O> | null => {
      const found = kept.get(key)
      if (found === undefined) return null
      kept.delete(key)
      kept.set(key, found)
      return found
    },
    put: (key: string, made: Prepared<O>): void => {
      kept.set(key, made)
      for (const [oldest, p] of kept) {
        if (kept.size <= most) break
        kept.delete(oldest)
        p.dispose()
      }
    },
    clear: (): void => {
      for (const p of kept.values()) p.dispose()
      kept.clear()
    },
  }
}

const notTraced = (size: number, given: unknown): E.Either<QuantErrors, never> =>
  E.left([
    {
      tag: 'InputError',
      input: 'program',
      path: '',
      message: `evaluate: program(${size}) gave ${showGiven(given)}; it must be an Either, as trace gives it`,
      fix: "return trace(net, inputs, { mode: 'eval' }) as it comes",
    },
  ])

/**
 * Evaluates batches one after the other, as they are asked for. `program` gives the traced program for a batch of so
 * many samples (and for this batch, where other axes vary too); it is asked once per shape (as long as its plan is kept), so a ragged last batch
 * gets its own trace and plan and is never padded. `batches` is any iterable, sync or async: an array, `batches` of the
 * loader, a generator. What it throws goes through. Returns how it ended, or the errors that ended it; the results told
 * before stay valid. Every few milliseconds the event loop has its turn. Plans are freed at the end, and when the caller
 * leaves early.
 * @example
 * ```ts
 * import { chain, evaluate, init, orThrow, QuantLinear, tensorInput, tensorOf, trace, valueOf } from 'quantrace'
 *
 * const net = chain({ fc: QuantLinear({ inFeatures: 2, outFeatures: 1 }) })
 * const { params, state } = orThrow(init(net, 0))
 * const program = (n: number) => trace(net, tensorInput([n, 2]), { mode: 'eval' })
 * const batches = [tensorOf([2, 2], [1, 2, 3, 4])]
 * for await (const { outputs } of evaluate(program, batches, { params, state, inputs: (x) => x })) console.log(valueOf(outputs).shape)
 * ```
 * ```text
 * [ 2, 1 ]
 * ```
 */
export async function* evaluate<P, S, I, O, B>(
  program: (batchSize: number, batch: B) => E.Either<QuantErrors, Program<P, S, I, O>>,
  batches: Iterable<B> | AsyncIterable<B>,
  options: EvaluateOptions<P, S, I, B>,
): AsyncGenerator<EvaluateEvent<O, B>, E.Either<QuantErrors, EvaluateEnd>, void> {
  const problems = evaluateProblems(program, batches, options)
  if (problems.length > 0) return E.left(problems)
  const shelf = newShelf<O>(options.plans ?? KEPT)
  let prepares = 0
  const breathe = newBreather()
  const preparedFor = (given: B, inputs: I, size: number, key: string): E.Either<QuantErrors, Prepared<O>> => {
    const known = shelf.take(key)
    if (known !== null) return E.right(known)
    const traced = E.chain((p: E.Either<QuantErrors, Program<P, S, I, O>>) => (isEither(p) ? p : notTraced(size, p)))(
      attempt(() => program(size, given)),
    )
    const made = E.isLeft(traced) ? traced : prepare(traced.right, options, inputs)
    if (E.isRight(made)) {
      prepares++
      shelf.put(key, made.right)
    }
    return made
  }
  let [batch, done] = [0, 0]
  const stopped = (): boolean => options.signal?.aborted === true
  const end = (complete: boolean): E.Either<QuantErrors, EvaluateEnd> =>
    E.right({ batches: batch, samples: done, plans: prepares, complete })
  try {
    if (stopped()) return end(false)
    for await (const given of batches) {
      await breathe()
      if (stopped()) return end(false)
      const inputs = options.inputs(given)
      const { key, size } = shapesOf(inputs)
      const prepared = preparedFor(given, inputs, size, key)
      if (E.isLeft(prepared)) return prepared
      const ran = prepared.right.run(inputs)
      if (E.isLeft(ran)) return ran
      batch++
      done += size
      yield { batch, size, done, total: options.total ?? null, given, ...ran.right }
    }
    return end(true)
  } finally {
    shelf.clear()
  }
}

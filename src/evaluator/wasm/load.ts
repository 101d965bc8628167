/** A plan in memory: instantiated module, views of inputs and outputs, and the calls of one execution. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors } from '../../data/error.js'
import type { Tensor } from '../../data/tensor.js'
import type { Program } from '../../graph/program.js'
import { assemble, type Assembled } from './assemble.js'
import { CONTROL_WORDS } from './barrier.js'
import { callsOf, type Calls } from './calls.js'
import type { Crew } from './crew.js'
import type { Loops } from './loops.js'
import { CONTROL_BYTES, type Plan } from './placing.js'
import { allocate, storageOf } from './storage.js'
import { PAGE_BYTES } from './machine.js'

/** A plan that can be executed. */
export type Loaded = {
  readonly plan: Plan
  readonly assembled: Assembled
  /** Storage of each program input, in order. Inputs that nobody reads have storage outside the arena. */
  readonly inputs: readonly Tensor[]
  readonly outputs: readonly Tensor[]
  readonly memory: WebAssembly.Memory
  /** Runs only what depends on parameters and state alone. */
  readonly ahead: () => QuantError | null
  /** Runs everything; `all` false passes over what depends on parameters and state alone. */
  readonly execute: (all: boolean) => QuantError | null
  /** Were there numbers in the last execution that can't be stored as bytes? Then its outputs are not to be used. */
  readonly isUnfit: () => boolean
  /** Calls one function of the module; for the profiler. */
  readonly call: (name: string, from: number, to: number) => number
  readonly host: (step: number) => QuantError | null
  /** After a thread was lost its memory may still be written: this plan must not be run again. */
  readonly isLost: () => boolean
  readonly dispose: () => void
}

const functionsOf = (instance: WebAssembly.Instance): ReadonlyMap<string, (a: number, b: number) => number> =>
  new Map(
    Object.entries(instance.exports).flatMap(([name, f]) =>
      typeof f === 'function' ? [[name, f as (a: number, b: number) => number] as const] : [],
    ),
  )

/** How a plan is loaded. */
export type LoadOptions = {
  /** Export every stage, so that it can be called on its own. */
  readonly stages?: boolean
  /** Runs the loops that have no kernel; without it the reference does. */
  readonly loops?: Loops
  /** Float products are added unrounded. */
  readonly fma?: boolean
}

/**
 * Loads a plan that stores bytes, with another one behind it that stores none: made when a number comes that is none of its
 * grid, and executed over the same inputs into the same outputs.
 */
export const loadGuarded = (
  program: Program,
  plan: Plan,
  other: (read: (input: number) => Float32Array) => Plan,
  crew: Crew | null,
  options: LoadOptions = {},
): E.Either<QuantErrors, Loaded> => {
  const first = load(program, plan, crew, options)
  if (E.isLeft(first) || plan.byteGrids.size === 0) return first
  const { right: loaded } = first
  let second: Loaded | null = null
  let stale = true
  const again = (): QuantError | null => {
    if (second === null) {
      const made = load(
        program,
        other((i) => loaded.inputs[i].data),
        crew,
        options,
      )
      if (E.isLeft(made)) return made.left[0]
      second = made.right
    }
    const { inputs, outputs, execute } = second
    program.inputs.forEach((p, i) => {
      if (stale || p.kind === 'data') inputs[i].data.set(loaded.inputs[i].data)
    })
    const failure = execute(stale)
    stale = failure !== null
    if (failure === null) loaded.outputs.forEach((o, i) => o.data.set(outputs[i].data))
    return failure
  }
  return E.right({
    ...loaded,
    execute: (all) => {
      stale ||= all
      return loaded.execute(all) ?? (loaded.isUnfit() ? again() : null)
    },
    isLost: () => loaded.isLost() || second?.isLost() === true,
    dispose: () => {
      loaded.dispose()
      second?.dispose()
    },
  })
}

/** Loads a plan. */
export const load = (
  program: Program,
  plan: Plan,
  crew: Crew | null,
  { stages = false, loops, ...code }: LoadOptions = {},
): E.Either<QuantErrors, Loaded> => {
  const allocated = allocate(plan.bytes, crew)
  if (E.isLeft(allocated)) return allocated
  const memory = allocated.right
  const assembled = assemble(plan, {
    threads: crew !== null,
    mayWait: crew?.mayWait ?? false,
    pages: memory.buffer.byteLength / PAGE_BYTES,
    stages,
    splitAbove: crew?.splitAbove ?? 0,
    ...code,
  })
  const module = new WebAssembly.Module(assembled.bytes)
  const functions = functionsOf(new WebAssembly.Instance(module, { env: { memory } }))
  const { view, inputs, outputs, commit } = storageOf(program, plan, memory)
  const isShared = crew !== null && assembled.order.some((o) => o.kind === 'segment' && o.parallel)
  const enlisted = isShared ? crew.enlist(module, memory) : -1
  const control = new Int32Array(memory.buffer, 0, CONTROL_BYTES / 4)
  const calls = callsOf({ program, plan, functions, control, crew, enlisted, view, loops }, assembled.order)
  return E.right({
    plan,
    assembled,
    inputs,
    outputs,
    memory,
    ...executionOf(calls, plan.byteGrids.size > 0 ? control : null, commit),
    isUnfit: () => control[CONTROL_WORDS.guard] !== 0 || control[CONTROL_WORDS.guard + 1] !== 0,
    call: (name, from, to) => functions.get(name)?.(from, to) ?? 0,
    host: (step) => calls.hosts.get(step)?.() ?? null,
    isLost: calls.isLost,
    dispose: () => {
      calls.dispose()
      if (enlisted >= 0) crew?.dismiss(enlisted)
      if (!calls.isLost()) crew?.give(memory)
    },
  })
}

/**
 * Runs calls: those that depend on parameters and state alone, or all. No allocation, and little between two calls: a small program is done in less
 * than a hundred nanoseconds. `guard`: the words by which loops say that a number is no byte.
 */
const executionOf = (
  { all: calls }: Calls,
  guard: Int32Array | null,
  commit: () => void,
): Pick<Loaded, 'ahead' | 'execute'> => {
  const every = calls.map((c) => c.call)
  const changing = calls.filter((c) => !c.cached).map((c) => c.call)
  // What depends on constants alone runs the first time too, where there are no parameters and no state that could have changed.
  let begun = false
  const execute = (all: boolean): QuantError | null => {
    const now = all || !begun ? every : changing
    for (let i = 0; i < now.length; i++) {
      const failure = now[i]()
      if (failure !== null) return failure
    }
    begun = true
    commit()
    return null
  }
  return {
    ahead: () => {
      for (const { cached, call } of calls) {
        const failure = cached ? call() : null
        if (failure !== null) return failure
      }
      return null
    },
    execute:
      guard === null
        ? execute
        : (all) => {
            guard[CONTROL_WORDS.guard] = 0
            if (all || !begun) guard[CONTROL_WORDS.guard + 1] = 0
            return execute(all)
          },
  }
}

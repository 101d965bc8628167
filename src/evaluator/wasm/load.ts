/** A plan in memory: instantiated module, views of inputs and outputs, and the calls of one execution. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors } from '../../data/error.js'
import { sizeOf } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import type { Node } from '../../graph/graph.js'
import type { Program } from '../../graph/program.js'
import { noRoom } from '../memory.js'
import { backendError, failedCheck } from '../messages.js'
import { newBalance } from './balance.js'
import { assemble, type Assembled, type HostStep, type Segment } from './assemble.js'
import { CONTROL_WORDS, patience } from './barrier.js'
import { loopByReference } from '../reference/loops.js'
import type { LoopRunner, Loops } from './loops.js'
import { CONTROL_BYTES, type Plan } from './placing.js'
import { PAGE_BYTES } from './machine.js'

/** What threads need to take part in a plan. */
export type Crew = {
  readonly threads: number
  /** May this thread sleep (a page's main thread may not)? */
  readonly mayWait: boolean
  /** Work of fewer nanoseconds stays with one thread. */
  readonly splitAbove: number
  /** Makes a plan known to the other threads; gives a number for it. */
  readonly enlist: (module: WebAssembly.Module, memory: WebAssembly.Memory) => number
  readonly dismiss: (plan: number) => void
  /** Starts a segment on the other threads; gives how many threads, this one included, take part. */
  readonly start: (plan: number, segment: string) => number
  /** Memory of at least so many pages, perhaps used before: threads let go of memory late, so it is not made anew each time. */
  readonly take: (pages: number) => WebAssembly.Memory
  readonly give: (memory: WebAssembly.Memory) => void
  /** Called after a thread did not come. */
  readonly lost: () => void
}

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

const MOST_PAGES = 65536

const functionsOf = (instance: WebAssembly.Instance): ReadonlyMap<string, (a: number, b: number) => number> =>
  new Map(
    Object.entries(instance.exports).flatMap(([name, f]) =>
      typeof f === 'function' ? [[name, f as (a: number, b: number) => number] as const] : [],
    ),
  )

const allocate = (bytes: number, crew: Crew | null): E.Either<QuantErrors, WebAssembly.Memory> => {
  const pages = Math.ceil(bytes / PAGE_BYTES) + 1
  if (pages > MOST_PAGES) return E.left(noRoom('wasm', bytes, 'WebAssembly addresses at most 4 GiB'))
  try {
    return E.right(crew === null ? new WebAssembly.Memory({ initial: pages, maximum: pages }) : crew.take(pages))
  } catch (e) {
    return E.left(noRoom('wasm', bytes, e instanceof Error ? e.message : String(e)))
  }
}

const lostThread: QuantError = backendError(
  'wasm',
  'a worker thread did not come to a barrier: it died, or the machine gave it no time for seconds',
  'run again: the backend goes on with one thread; inputs and state are as they were',
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
  const bytes = plan.bytes
  const allocated = allocate(bytes, crew)
  if (E.isLeft(allocated)) return allocated
  const memory = allocated.right
  const pages = memory.buffer.byteLength / PAGE_BYTES
  const assembled = assemble(plan, {
    threads: crew !== null,
    mayWait: crew?.mayWait ?? false,
    pages,
    stages,
    splitAbove: crew?.splitAbove ?? 0,
    ...code,
  })
  const module = new WebAssembly.Module(assembled.bytes)
  const functions = functionsOf(new WebAssembly.Instance(module, { env: { memory } }))
  const { nodes } = plan.flat
  const view = (id: number, shape: readonly number[]): Tensor => ({
    shape,
    data: new Float32Array(memory.buffer, Math.max(0, plan.addresses[id]), sizeOf(shape)),
  })
  for (const s of plan.steps)
    if (s.kernel?.constants !== null && s.kernel !== null)
      new Uint8Array(memory.buffer, s.constants, s.kernel.constants.length).set(s.kernel.constants)
  for (const [id, value] of plan.filled) view(id, nodes[id].shape).data.fill(value)
  const inputs = program.inputs.map((p, i): Tensor =>
    plan.flat.inputs[i] < 0
      ? { shape: p.shape, data: new Float32Array(sizeOf(p.shape)) }
      : view(plan.flat.inputs[i], p.shape),
  )
  // An output that is itself an input shows the value of this run: it is kept before the commit writes over it.
  const overwritten = new Set(plan.copies.map((c) => plan.flat.inputs[c.input]))
  const outputs = plan.flat.outputs.map((o): Tensor =>
    overwritten.has(o.id) ? { shape: o.shape, data: new Float32Array(sizeOf(o.shape)) } : view(o.id, o.shape),
  )
  const kept = plan.flat.outputs.flatMap((o, i) =>
    overwritten.has(o.id) ? [[view(o.id, o.shape).data, outputs[i].data] as const] : [],
  )
  const enlisted =
    crew !== null && assembled.order.some((o) => o.kind === 'segment' && o.parallel) ? crew.enlist(module, memory) : -1
  const control = new Int32Array(memory.buffer, 0, CONTROL_BYTES / 4)
  let lost = false
  const segmentCall = (s: Segment): (() => QuantError | null) => {
    const f = functions.get(s.name)
    if (f === undefined) return () => null
    const alone = (): QuantError | null => {
      control[CONTROL_WORDS.base] = control[CONTROL_WORDS.arrivals]
      return f(0, 1) === 0 ? null : lostThread
    }
    if (crew === null || !s.parallel || enlisted < 0) return alone
    const balance = newBalance()
    let longest: number | null = null
    return () => {
      const began = performance.now()
      control[CONTROL_WORDS.patience] = patience(longest)
      control[CONTROL_WORDS.base] = control[CONTROL_WORDS.arrivals]
      if (f(0, balance.split() ? crew.start(enlisted, s.name) : 1) === 0) {
        const took = performance.now() - began
        longest = Math.max(longest ?? 0, took)
        balance.took(took)
        return null
      }
      crew.lost()
      lost = true
      return lostThread
    }
  }
  const runners: LoopRunner[] = []
  const loopCall = (loop: Node, args: readonly Tensor[], outs: readonly number[]): (() => string | null) => {
    const results: (Tensor | null)[] = (loop.branches?.[0].outputs ?? []).map(() => null)
    for (const id of outs) results[Number(nodes[id].attrs.index)] = view(id, nodes[id].shape)
    const runner = loops?.runner(loop) ?? { run: loopByReference(loop), dispose: () => undefined }
    runners.push(runner)
    return () => runner.run(args, results)
  }
  const hostCall = (index: number): (() => QuantError | null) => {
    const { step, outs } = plan.steps[index]
    const flat = nodes[step.kind === 'op' ? step.node : step.members[0]]
    const args = flat.args.map((a) => view(a.id, a.shape))
    const out = flat.op.guards === true || flat.loop !== undefined ? args[0] : view(flat.id, flat.shape)
    const run =
      flat.loop === undefined ? () => flat.op.evaluate(args, flat.attrs, out) : loopCall(flat.loop, args, outs)
    return () => {
      const failure = run()
      return failure === null ? null : failedCheck(program.graph.nodes[flat.origin], failure)
    }
  }
  const hosts = new Map<number, () => QuantError | null>()
  const calls = assembled.order.map((o: Segment | HostStep) => {
    if (o.kind === 'segment') return { cached: o.cached, call: segmentCall(o) }
    const call = hostCall(o.step)
    hosts.set(o.step, call)
    return { cached: o.cached, call }
  })
  const copies = plan.copies.map((c) => [outputs[c.output].data, inputs[c.input].data] as const)
  let begun = false
  return E.right({
    plan,
    assembled,
    inputs,
    outputs,
    memory,
    ahead: () => {
      for (const { cached, call } of calls) {
        const failure = cached ? call() : null
        if (failure !== null) return failure
      }
      return null
    },
    execute: (all) => {
      // What depends on constants alone runs the first time too, where there are no parameters and no state that could have changed.
      const every = all || !begun
      control[CONTROL_WORDS.guard] = 0
      if (every) control[CONTROL_WORDS.guard + 1] = 0
      for (let i = 0; i < calls.length; i++) {
        if (calls[i].cached && !every) continue
        const failure = calls[i].call()
        if (failure !== null) return failure
      }
      begun = true
      for (let i = 0; i < kept.length; i++) kept[i][1].set(kept[i][0])
      for (let i = 0; i < copies.length; i++) copies[i][1].set(copies[i][0])
      return null
    },
    isUnfit: () => control[CONTROL_WORDS.guard] !== 0 || control[CONTROL_WORDS.guard + 1] !== 0,
    call: (name, from, to) => functions.get(name)?.(from, to) ?? 0,
    host: (step) => hosts.get(step)?.() ?? null,
    isLost: () => lost,
    dispose: () => {
      for (const r of runners) r.dispose()
      if (enlisted >= 0) crew?.dismiss(enlisted)
      if (!lost) crew?.give(memory)
    },
  })
}

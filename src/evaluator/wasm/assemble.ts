/**
 * From a plan to a module: every stage of every kernel becomes a function; between two host steps one function, a
 * segment, calls them in order, splits the long ones among threads and waits at barriers.
 */
import { atomics, i32 } from './asm/instructions.js'
import { newModule, type DataPiece, type ModuleBuilder } from './asm/module.js'
import { BASE, emitBarrier, type Barrier } from './barrier.js'
import type { Places } from './kernel.js'
import type { Plan, PlannedStep } from './placing.js'
import { newWriter, type EmittedKernel, type Part } from './segment.js'
import { newSharing, type SharedKernel } from './sharing.js'
import { WORTH_WAKING } from './machine.js'

/** A run of steps without the host: `segment0`, … of the module; `parallel` if threads have work in it. */
export type Segment = {
  readonly kind: 'segment'
  readonly name: string
  readonly parallel: boolean
  readonly cached: boolean
  readonly steps: readonly number[]
}
/** A step that the host runs. */
export type HostStep = { readonly kind: 'host'; readonly step: number; readonly cached: boolean }

/** A module and the order in which it and the host are called. `stages` are exported for the profiler: by step, their names and units. */
export type Assembled = {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly order: readonly (Segment | HostStep)[]
  /** That of the second plan. */
  readonly second: readonly (Segment | HostStep)[]
  readonly stages: readonly (readonly { readonly name: string; readonly units: number; readonly label: string }[])[]
}

/** How a module is assembled. */
export type AssembleOptions = {
  readonly threads: boolean
  readonly mayWait: boolean
  readonly pages: number
  /** Export every stage, for the profiler. */
  readonly stages: boolean
  /** Work of fewer nanoseconds isn't split: it isn't worth a barrier. */
  readonly splitAbove: number
  /** Memory of the module's own that holds this; what is done once, with parameters and state, has been done and left its results in it. */
  readonly image?: readonly DataPiece[]
  /** Float products are added unrounded. */
  readonly fma?: boolean
}

const placesOf = (plan: Plan, s: PlannedStep): Places => ({
  args: s.args.map((a) => plan.addresses[a]),
  outs: s.outs.map((o) => plan.addresses[o]),
  scratch: s.scratch,
  constants: s.constants,
  flags: s.flags,
})

const sharedWork = (k: EmittedKernel | null, splitAbove: number): number =>
  k === null
    ? 0
    : k.stages.reduce((t, s) => t + (s.units < 2 || s.units * s.cost < splitAbove ? 0 : s.units * s.cost), 0)

/** A kernel in the module, and what stands in front of its calls. */
type Written = SharedKernel | null

/** What segments are written with. */
type Context = {
  readonly m: ModuleBuilder
  readonly plan: Plan
  readonly written: readonly Written[]
  readonly barrier: Barrier | null
  readonly splitAbove: number
  /** In front of the names of segments. */
  readonly prefix: string
}

/** Steps without the host between them, some of them in part. */
type RunOfSteps = { readonly steps: (readonly [step: number, part: Part])[]; readonly cached: boolean }

/** Writes a run of steps as one function. */
const emitSegment = (
  { m, plan, written, barrier, splitAbove }: Context,
  { steps, cached }: RunOfSteps,
  name: string,
): Segment => {
  let parallel = false
  m.func({
    name,
    params: ['i32', 'i32'],
    result: 'i32',
    body: ({ params: [thread, threads], local }) => {
      const round = local('i32')
      const work = steps.reduce(
        (t, [k]) => t + (plan.steps[k].alone ? 0 : sharedWork(written[k]?.kernel ?? null, splitAbove)),
        0,
      )
      const own = work >= WORTH_WAKING * splitAbove ? barrier : null
      const w = newWriter(thread, threads, round, own, splitAbove)
      const begin = own === null ? [] : round.set(atomics.load(i32.const(BASE)))
      const body = steps.map(([k, part]) => [
        written[k]?.begin ?? [],
        w.step(written[k]?.kernel ?? { stages: [], fallback: null }, plan.steps[k].alone, part),
      ])
      parallel = w.isParallel()
      return [begin, body, w.finish()]
    },
  })
  return { kind: 'segment', name, parallel, cached, steps: steps.map(([k]) => k) }
}

/** Writes all segments; gives the order in which they and the host are called. What is done once comes first, unless an image holds it. */
const orderOf = (c: Context, isInImage: boolean): Assembled['order'] => {
  const { steps } = c.plan
  const order: (Segment | HostStep)[] = []
  let run: RunOfSteps | null = null
  let count = 0
  const close = (): void => {
    if (run !== null) order.push(emitSegment(c, run, `${c.prefix}segment${count++}`))
    run = null
  }
  const add = (k: number, cached: boolean, part: Part): void => {
    if (run !== null && run.cached !== cached) close()
    if (run === null) run = { steps: [[k, part]], cached }
    else run.steps.push([k, part])
  }
  const one = (s: PlannedStep, k: number): void => {
    if (c.written[k] !== null) return add(k, s.step.cached, s.split ? 'rest' : 'all')
    close()
    order.push({ kind: 'host', step: k, cached: s.step.cached })
  }
  const ahead = steps.filter((s) => s.step.cached).length
  steps.slice(0, ahead).forEach(one)
  steps.forEach((s, k) => {
    if (s.split && !isInImage) add(k, true, 'once')
  })
  steps.slice(ahead).forEach((s, k) => one(s, ahead + k))
  close()
  return order
}

/** Exports the stages of a kernel, for the profiler. */
const exported = (m: ModuleBuilder, kernel: EmittedKernel): Assembled['stages'][number] =>
  kernel.stages.map((s) => {
    m.func({
      name: s.name,
      params: ['i32', 'i32'],
      body: ({ params: [from, to] }) => s.func.call(from.get, to.get),
    })
    return { name: s.name, units: s.units, label: s.label }
  })

/** Writes a plan into a module; `prefix` tells its names from those of another. */
const emitted = (
  m: ModuleBuilder,
  plan: Plan,
  barrier: Barrier | null,
  { stages: all, splitAbove, image }: AssembleOptions,
  prefix: string,
): Pick<Assembled, 'order' | 'stages'> => {
  // Where each stage is exported it must find its addresses by itself.
  const emit = newSharing(m, plan.steps, !all)
  const written = plan.steps.map((s, k) =>
    s.kernel === null ? null : emit(s, s.kernel, placesOf(plan, s), `${prefix}step${k}`),
  )
  const order = orderOf({ m, plan, written, barrier, splitAbove, prefix }, image !== undefined)
  const stages = written.map((w) => (w === null || !all ? [] : exported(m, w.kernel)))
  return { order, stages }
}

/** Assembles a plan's module; `second` stands in it, too, and is called in an order of its own. */
export const assemble = (plan: Plan, options: AssembleOptions, second: Plan | null = null): Assembled => {
  const m = newModule(options)
  const barrier = options.threads ? emitBarrier(m, options.mayWait) : null
  const first = emitted(m, plan, barrier, options, '')
  const other = second === null ? null : emitted(m, second, barrier, options, 'second')
  const memory = { pages: options.pages, maximum: options.pages, shared: options.threads }
  const { image } = options
  const bytes = m.bytes(image === undefined ? memory : { ...memory, image })
  return { bytes, ...first, second: other?.order ?? [] }
}

/**
 * From a plan to a module: every stage of every kernel becomes a function; between two host steps one function, a
 * segment, calls them in order, splits the long ones among threads and waits at barriers.
 */
import type { Code } from './asm/encode.js'
import { atomics, control, i32 } from './asm/instructions.js'
import { newModule, type Func, type Local, type ModuleBuilder } from './asm/module.js'
import type { Kernel, Places } from './kernel.js'
import type { Plan, PlannedStep } from './plan.js'

/** A run of steps without the host: `segment0`, … of the module; `parallel` if threads have work in it. */
export type Segment = { readonly kind: 'segment'; readonly name: string; readonly parallel: boolean; readonly cached: boolean; readonly steps: readonly number[] }
/** A step that the host runs. */
export type HostStep = { readonly kind: 'host'; readonly step: number; readonly cached: boolean }

/** A module and the order in which it and the host are called. `stages` are exported for the profiler: by step, their names and units. */
export type Assembled = {
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly order: readonly (Segment | HostStep)[]
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
}

/** Words of the control area: arrivals at barriers, and whether a thread was given up. */
const ARRIVALS = 0
const GIVEN_UP = 64
/** Arrivals at the start of a segment: rounds are counted from here, so that nothing is reset while a thread still looks at it. */
const BASE = 128
/** The control words as the host sees them: numbers of 32-bit words. */
export const CONTROL_WORDS = { arrivals: ARRIVALS / 4, givenUp: GIVEN_UP / 4, base: BASE / 4 } as const
const SLEEPERS = 192
/** Turns of waiting awake, about half a millisecond: longer than most work that one thread does alone while the others wait. */
const SPINS = 250_000
/** Nanoseconds of one sleep, which the last arrival ends, and how many of them make a thread that never comes: about five seconds. */
const NAP = 20_000_000
const NAPS = 250
/** The same for a thread that may not sleep. */
const AWAKE_NAPS = 30_000

/** `barrier(round, threads) → 1 where a thread did not come`. */
const emitBarrier = (m: ModuleBuilder, mayWait: boolean): Func =>
  m.func({
    params: ['i32'], results: ['i32'],
    body: ({ params: [target], local }) => {
      const [spins, naps, seen] = [local('i32'), local('i32'), local('i32')]
      const arrived = atomics.load(i32.const(ARRIVALS))
      const lost = [control.drop(atomics.add(i32.const(GIVEN_UP), i32.const(1))), control.return(i32.const(1))]
      const sleep = [
        control.drop(atomics.add(i32.const(SLEEPERS), i32.const(1))),
        seen.set(arrived),
        control.if(i32.lt_s(i32.sub(seen.get, target.get), i32.const(0)), control.drop(atomics.wait(i32.const(ARRIVALS), seen.get, NAP))),
        control.drop(atomics.add(i32.const(SLEEPERS), i32.const(-1))),
      ]
      return [
        control.drop(atomics.add(i32.const(ARRIVALS), i32.const(1))),
        control.if(atomics.load(i32.const(SLEEPERS)), control.drop(atomics.notify(i32.const(ARRIVALS), i32.const(-1)))),
        control.block(control.loop([
          control.br_if(1, i32.ge_s(i32.sub(arrived, target.get), i32.const(0))),
          control.if(atomics.load(i32.const(GIVEN_UP)), control.return(i32.const(1))),
          spins.set(i32.add(spins.get, i32.const(1))),
          control.br_if(0, i32.lt_u(spins.get, i32.const(SPINS))),
          mayWait ? sleep : spins.set(i32.const(0)),
          naps.set(i32.add(naps.get, i32.const(1))),
          control.if(i32.gt_u(naps.get, i32.const(mayWait ? NAPS : AWAKE_NAPS)), lost),
          control.br(0),
        ])),
        i32.const(0),
      ]
    },
  })

type Emitted = { readonly func: Func; readonly units: number; readonly cost: number; readonly name: string; readonly label: string; readonly fixed: boolean }
type EmittedKernel = { readonly stages: readonly Emitted[]; readonly fallback: { readonly after: number; readonly flag: number; readonly kernel: EmittedKernel } | null }

const emitKernel = (m: ModuleBuilder, kernel: Kernel, at: Places, name: string): EmittedKernel => ({
  stages: kernel.stages.map((s, k) => {
    const f = s.emit(m, at)
    return { func: f, units: s.units, cost: s.cost, name: `${name}_${k}`, label: s.label, fixed: s.fixed === true }
  }),
  fallback: kernel.fallback === undefined ? null : {
    after: kernel.fallback.after, flag: at.flags,
    kernel: emitKernel(m, kernel.fallback.kernel, { ...at, scratch: at.scratch + kernel.fallback.offset, constants: at.constants + kernel.fallback.constantsOffset }, `${name}f`),
  },
})

/** Writes the calls of a segment; keeps what it must know between them. */
const newWriter = (thread: Local, threads: Local, round: Local, barrier: Func | null, splitAbove: number) => {
  // Serial work by thread 0 that others have not waited for yet.
  let pending = false
  // Others may not have looked at a kernel's flags yet, which the next run of the segment raises anew.
  let looking = false
  let parallel = false
  const wait = (): Code => {
    looking = false
    return barrier === null ? [] : [round.set(i32.add(round.get, threads.get)), control.if(barrier.call(round.get), control.return(i32.const(1)))]
  }
  let serial = false
  const stage = (s: Emitted): Code => {
    if (barrier === null) return s.func.call(i32.const(0), i32.const(s.units))
    if (serial || s.units < 2 || s.units * s.cost < splitAbove) {
      pending = true
      return control.if(i32.eqz(thread.get), s.func.call(i32.const(0), i32.const(s.units)))
    }
    const share = (t: Code): Code => i32.div_u(i32.mul(t, i32.const(s.units)), threads.get)
    const before = pending ? wait() : []
    pending = false
    parallel = true
    return [before, s.func.call(share(thread.get), share(i32.add(thread.get, i32.const(1)))), wait()]
  }
  /** `once`: what a split kernel does ahead; `rest`: what is left of it; `all`: an unsplit one. */
  const kernel = (k: EmittedKernel, part: Part): Code => {
    const f = k.fallback
    const mine = (s: Emitted): boolean => part === 'all' || s.fixed === (part === 'once')
    const own = (stages: readonly Emitted[]): readonly Code[] => stages.filter(mine).map(stage)
    if (f === null) return own(k.stages)
    const words = [...(part === 'once' ? [] : [f.flag]), ...(part === 'rest' ? [] : [f.flag + 4])].map(clearWord)
    const clear: Code = barrier === null ? words : control.if(i32.eqz(thread.get), words)
    pending = barrier !== null
    if (part === 'once') {
      pending = barrier !== null
      return [clear, own(k.stages)]
    }
    const first = own(k.stages.slice(0, f.after + 1))
    const settle = pending ? wait() : []
    pending = false
    const rest = own(k.stages.slice(f.after + 1))
    const left = pending
    pending = false
    const other = kernel(f.kernel, 'all')
    pending = pending || left
    looking = true
    return [clear, first, settle, control.if(i32.or(i32.load(i32.const(f.flag)), i32.load(i32.const(f.flag + 4))), other, rest)]
  }
  const all = (): Code => (parallel && looking ? wait() : [])
  /** `alone`: by the calling thread only, and with no barrier behind at which it could fail, so that inputs are never half committed. */
  const step = (k: EmittedKernel, alone: boolean, part: Part): Code => {
    serial = alone
    return [alone ? all() : [], kernel(k, part)]
  }
  return { step, finish: (): Code => [all(), i32.const(0)], isParallel: () => parallel }
}

type Part = 'all' | 'once' | 'rest'

const clearWord = (address: number): Code => i32.store(i32.const(address), i32.const(0))

const placesOf = (plan: Plan, s: PlannedStep): Places => ({ args: s.args.map((a) => plan.addresses[a]), outs: s.outs.map((o) => plan.addresses[o]), scratch: s.scratch, constants: s.constants, flags: s.flags })

/** A segment is worth waking threads for if what they can share takes so many times the least work that is split. */
const WORTH_WAKING = 30

const sharedWork = (k: EmittedKernel | null, splitAbove: number): number =>
  k === null ? 0 : k.stages.reduce((t, s) => t + (s.units < 2 || s.units * s.cost < splitAbove ? 0 : s.units * s.cost), 0)

/** Assembles a plan's module. */
export const assemble = (plan: Plan, options: AssembleOptions): Assembled => {
  const m = newModule()
  const barrier = options.threads ? emitBarrier(m, options.mayWait) : null
  const emitted = plan.steps.map((s, k) => (s.kernel === null ? null : emitKernel(m, s.kernel, placesOf(plan, s), `step${k}`)))
  const order: (Segment | HostStep)[] = []
  let run: { readonly steps: (readonly [step: number, part: Part])[]; readonly cached: boolean } | null = null
  let count = 0
  const close = (): void => {
    if (run === null) return
    const { steps, cached } = run
    run = null
    let parallel = false
    const name = `segment${count++}`
    m.func({
      name, params: ['i32', 'i32'], results: ['i32'],
      body: ({ params: [thread, threads], local }) => {
        const round = local('i32')
        const work = steps.reduce((t, [k]) => t + (plan.steps[k].alone ? 0 : sharedWork(emitted[k], options.splitAbove)), 0)
        const own = work >= WORTH_WAKING * options.splitAbove ? barrier : null
        const w = newWriter(thread, threads, round, own, options.splitAbove)
        const begin = own === null ? [] : round.set(atomics.load(i32.const(BASE)))
        const body = steps.map(([k, part]) => w.step(emitted[k] ?? { stages: [], fallback: null }, plan.steps[k].alone, part))
        parallel = w.isParallel()
        return [begin, body, w.finish()]
      },
    })
    order.push({ kind: 'segment', name, parallel, cached, steps: steps.map(([k]) => k) })
  }
  const add = (k: number, cached: boolean, part: Part): void => {
    if (run !== null && run.cached !== cached) close()
    if (run === null) run = { steps: [[k, part]], cached }
    else run.steps.push([k, part])
  }
  const one = (s: PlannedStep, k: number): void => {
    if (emitted[k] !== null) return add(k, s.step.cached, s.split ? 'rest' : 'all')
    close()
    order.push({ kind: 'host', step: k, cached: s.step.cached })
  }
  const ahead = plan.steps.filter((s) => s.step.cached).length
  plan.steps.slice(0, ahead).forEach(one)
  plan.steps.forEach((s, k) => { if (s.split) add(k, true, 'once') })
  plan.steps.slice(ahead).forEach((s, k) => one(s, ahead + k))
  close()
  const stages = emitted.map((e) => (e === null || !options.stages ? [] : e.stages.map((s) => {
    m.func({ name: s.name, params: ['i32', 'i32'], body: ({ params: [from, to] }) => s.func.call(from.get, to.get) })
    return { name: s.name, units: s.units, label: s.label }
  })))
  return { bytes: m.bytes({ pages: options.pages, maximum: options.pages, shared: options.threads }), order, stages }
}

/** The calls of one execution of a plan: segments of its module, alone or with a crew, and steps of the host. */
import type { QuantError } from '../../data/error.js'
import type { Tensor } from '../../data/tensor.js'
import type { Node } from '../../graph/graph.js'
import type { Program } from '../../graph/program.js'
import { backendError, failedCheck } from '../messages.js'
import { loopByReference } from '../reference/loops.js'
import type { Assembled, Segment } from './assemble.js'
import { newBalance } from './balance.js'
import { CONTROL_WORDS, patience } from './barrier.js'
import type { Crew } from './crew.js'
import type { LoopRunner, Loops } from './loops.js'
import type { Plan } from './placing.js'
import type { Storage } from './storage.js'

const lostThread: QuantError = backendError(
  'wasm',
  'a worker thread did not come to a barrier: it died, or the machine gave it no time for seconds',
  'run again: the backend goes on with one thread; inputs and state are as they were',
)

/** Does a step; gives why it failed, or null. */
export type Call = () => QuantError | null

/** Where a plan is executed: its module's functions, the words that threads share, and its number with the crew (-1: no thread has work in it). */
export type Site = {
  readonly program: Program
  readonly plan: Plan
  readonly functions: ReadonlyMap<string, (a: number, b: number) => number>
  readonly control: Int32Array
  readonly crew: Crew | null
  readonly enlisted: number
  readonly view: Storage['view']
  /** Runs the loops that have no kernel; without it the reference does. */
  readonly loops: Loops | undefined
}

/** The calls in their order, the host's by their steps too. */
export type Calls = {
  readonly all: readonly { readonly cached: boolean; readonly call: Call }[]
  readonly hosts: ReadonlyMap<number, Call>
  readonly isLost: () => boolean
  readonly dispose: () => void
}

/** A segment on this thread, or on all that take part. `lose` is told of a thread that did not come. */
const segmentCall = ({ functions, control, crew, enlisted }: Site, s: Segment, lose: () => void): Call => {
  const f = functions.get(s.name)
  if (f === undefined) return () => null
  // Without a crew no segment waits for another thread.
  if (crew === null) return () => (f(0, 1) === 0 ? null : lostThread)
  const alone = (): QuantError | null => {
    control[CONTROL_WORDS.base] = control[CONTROL_WORDS.arrivals]
    return f(0, 1) === 0 ? null : lostThread
  }
  if (!s.parallel || enlisted < 0) return alone
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
    lose()
    return lostThread
  }
}

/** A loop that has no kernel: gives its call, and what runs it. */
const loopCall = (
  { plan, view, loops }: Site,
  loop: Node,
  args: readonly Tensor[],
  outs: readonly number[],
): { readonly run: () => string | null; readonly runner: LoopRunner } => {
  const { nodes } = plan.flat
  const results: (Tensor | null)[] = (loop.branches?.[0].outputs ?? []).map(() => null)
  for (const id of outs) results[Number(nodes[id].attrs.index)] = view(id, nodes[id].shape)
  const runner = loops?.runner(loop) ?? { run: loopByReference(loop), dispose: () => undefined }
  return { run: () => runner.run(args, results), runner }
}

/** A step that the host runs; what runs its loop is added to `runners`. */
const hostCall = (site: Site, index: number, runners: LoopRunner[]): Call => {
  const { program, plan, view } = site
  const { step, outs } = plan.steps[index]
  const flat = plan.flat.nodes[step.kind === 'op' ? step.node : step.members[0]]
  const args = flat.args.map((a) => view(a.id, a.shape))
  const out = flat.op.guards === true || flat.loop !== undefined ? args[0] : view(flat.id, flat.shape)
  const loop = flat.loop === undefined ? null : loopCall(site, flat.loop, args, outs)
  if (loop !== null) runners.push(loop.runner)
  const run = loop?.run ?? (() => flat.op.evaluate(args, flat.attrs, out))
  return () => {
    const failure = run()
    return failure === null ? null : failedCheck(program.graph.nodes[flat.origin], failure)
  }
}

/** Prepares all calls of a plan. */
export const callsOf = (site: Site, order: Assembled['order']): Calls => {
  let lost = false
  const runners: LoopRunner[] = []
  const hosts = new Map<number, Call>()
  const all = order.map((o) => {
    if (o.kind === 'segment')
      return {
        cached: o.cached,
        call: segmentCall(site, o, () => {
          lost = true
        }),
      }
    const call = hostCall(site, o.step, runners)
    hosts.set(o.step, call)
    return { cached: o.cached, call }
  })
  return {
    all,
    hosts,
    isLost: () => lost,
    dispose: () => {
      for (const r of runners) r.dispose()
    },
  }
}

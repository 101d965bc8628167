/**
 * Loops whose bodies decide by numbers what they do (quantizers that collect), or need the host. The body has a plan for each vector of phases, a
 * module whose one call does many steps, and an arena that every step uses again; carries stay where they are from step to step. Bodies that are
 * alike share plan and code.
 */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import { sizeOf } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import type { Node } from '../../graph/graph.js'
import type { Program } from '../../graph/program.js'
import type { Commit, ResidentStorage } from '../backend.js'
import { loopByReference } from '../reference/loops.js'
import { sameBody } from './alikeBodies.js'
import type { PlanBody } from './loopKernel.js'
import { decidingInputs, phasesOf, type Phases, type Read } from './phases.js'
import { turnedCode, turnedPlan, type TurnedCode, type TurnedPlan } from './turned.js'
import { turningOf, type Turning } from './turns.js'

/** A loop that can be run: reads its operands, writes the results that are wanted (null: one that isn't); gives the message of a check that failed, or null. */
export type LoopRunner = {
  readonly run: (args: readonly Tensor[], outs: readonly (Tensor | null)[]) => string | null
  readonly dispose: () => void
}

/** Makes storage for a program whose outputs become inputs of the next execution. */
export type MakeStorage = (program: Program, commits: readonly Commit[]) => ResidentStorage

/** What the loops of one program share. */
export type Loops = { readonly runner: (loop: Node) => LoopRunner }

const messageOf = (e: QuantErrors): string => e[0]?.message ?? 'a step of a loop failed'

/** One slice of a sequence. */
const sliceOf = ({ shape, data }: Tensor, t: number): Tensor => {
  const own = shape.slice(1)
  const n = sizeOf(own)
  return { shape: own, data: data.subarray(t * n, (t + 1) * n) }
}

/** A loop some steps of whose body run on the host: step by step through storage. */
const byStorage = (t: Turning, make: MakeStorage): LoopRunner => {
  const { program, carries, xs, length } = t
  const storage = make(program, t.commits)
  const sizes = program.graph.outputs.map((id) => sizeOf(program.graph.nodes[id].shape))
  return {
    run: (args, outs) => {
      for (let i = 0; i < args.length; i++) if (i < carries || i >= carries + xs) storage.write(i, args[i])
      for (let k = 0; k < length; k++) {
        const now = t.reverse ? length - 1 - k : k
        for (let i = carries; i < carries + xs; i++) storage.write(i, sliceOf(args[i], now))
        const done = storage.execute()
        if (E.isLeft(done)) return messageOf(done.left)
        for (let i = carries; i < sizes.length; i++) outs[i]?.data.set(storage.output(i).data, now * sizes[i])
      }
      for (let i = 0; i < carries; i++) outs[i]?.data.set(storage.input(i).data)
      return null
    },
    dispose: () => storage.dispose(),
  }
}

/** Code for one vector of phases, loaded for one loop. `deciding`: the inputs on which its phases depend, and what they were when it was last asked. */
type Entry = Phases & {
  readonly code: TurnedCode
  readonly deciding: readonly number[]
  readonly latest: Float32Array
}

/** A plan and its module, for all loops with such a body. */
type Known = { readonly loop: Node; readonly plan: TurnedPlan; readonly phases: Phases }

/** Are the deciding inputs what they were? Notes what they are. */
const unchanged = ({ deciding, latest }: Entry, read: Read): boolean => {
  let same = true
  for (let k = 0; k < deciding.length; k++) {
    const now = read(deciding[k])[0]
    if (now !== latest[k]) same = false
    latest[k] = now
  }
  return same
}

/** Runs steps as long as the phases hold; gives the first step that is not done. */
const stride = (entry: Entry, from: number, length: number, readAt: (step: number) => Read): number => {
  const { code, deciding } = entry
  if (deciding.length === 0) {
    code.turns(from, length)
    return length
  }
  for (let k = from; k < length; k++) {
    const read = readAt(k)
    if (!unchanged(entry, read) && k > from && !entry.fits(read)) return k
    code.turns(k, k + 1)
  }
  return length
}

/** Does a plan hold for these numbers, and for the steps ahead? One with both branches of phases is for runs in which phases end. */
const serves = (phases: Phases, read: Read, steps: number): boolean =>
  phases.fits(read) && (!phases.open || phases.endsWithin(read, steps))

/** Finds the entry of a loop for the phases that its inputs put it in, or makes it; null if the host is needed. */
const newEntries = (
  loop: Node,
  t: Turning,
  known: Known[],
  planBody: PlanBody,
): ((read: Read, steps: number) => Entry | null) => {
  const entries: Entry[] = []
  const planned = (read: Read, steps: number): TurnedPlan | null => {
    const found = known.find((k) => sameBody(k.loop, loop) && serves(k.phases, read, steps))
    if (found !== undefined) return found.plan
    const plan = turnedPlan(t, planBody(t.program, t.commits, read, steps))
    if (plan !== null) known.push({ loop, plan, phases: phasesOf(plan.plan.flat) })
    return plan
  }
  return (read, steps) => {
    const found = entries.find((e) => serves(e, read, steps))
    if (found !== undefined) return found
    const plan = planned(read, steps)
    if (plan === null) return null
    const { flat } = plan.plan
    const deciding = decidingInputs(flat)
    const latest = new Float32Array(deciding.length).fill(NaN)
    const entry = { ...phasesOf(flat), code: turnedCode(t, plan), deciding, latest }
    entries.push(entry)
    return entry
  }
}

/** For how many steps a plan is wanted. Counters rise with the steps; a loop that runs the other way meets them falling, and its phases end once it is under way. */
const stepsAhead = ({ reverse, length }: Turning, from: number): number => {
  if (from > 0) return Infinity
  return reverse ? 0 : length
}

type Carries = (input: number) => Float32Array

/** Puts in place what steps read, and does what is done once. */
const start = (t: Turning, { code }: Entry, args: readonly Tensor[], carries: Carries): void => {
  const { inputs, sequences } = code
  for (let i = 0; i < inputs.length; i++) inputs[i]?.set(i < t.carries ? carries(i) : args[i].data)
  for (let i = 0; i < sequences.length; i++) sequences[i].set(args[t.carries + i].data)
  code.begin()
}

/** Takes out what steps from … to-1 stacked. */
const flush = (
  t: Turning,
  { code }: Entry,
  outs: readonly (Tensor | null)[],
  [from, to]: readonly [number, number],
): void => {
  const [first, end] = t.reverse ? [t.length - to, t.length - from] : [from, to]
  code.stacks.forEach((stack, i) => {
    const n = stack.length / t.length
    outs[t.carries + i]?.data.set(stack.subarray(first * n, end * n), first * n)
  })
}

/** What a step's phases are decided by: carries, the slices of that step, and what all share. */
const newReader = (t: Turning, args: readonly Tensor[]) => {
  let step = 0
  let carries: Carries = (i) => args[i].data
  const read: Read = (i) => {
    if (i < t.carries) return carries(i)
    return i < t.carries + t.xs ? sliceOf(args[i], t.reverse ? t.length - 1 - step : step).data : args[i].data
  }
  return {
    at: (k: number): Read => {
      step = k
      return read
    },
    carries: (): Carries => carries,
    carriedBy: (next: Carries): void => {
      carries = next
    },
  }
}

/** A loop whose body runs in wasm alone: a run, which gives false if the host is needed after all. */
const byTurns = (loop: Node, t: Turning, known: Known[], planBody: PlanBody) => {
  const entryFor = newEntries(loop, t, known, planBody)
  return (args: readonly Tensor[], outs: readonly (Tensor | null)[]): boolean => {
    const reader = newReader(t, args)
    for (let from = 0; from < t.length;) {
      const entry = entryFor(reader.at(from), stepsAhead(t, from))
      if (entry === null) return false
      start(t, entry, args, reader.carries())
      reader.carriedBy(entry.code.carried)
      const to = stride(entry, from, t.length, reader.at)
      flush(t, entry, outs, [from, to])
      from = to
    }
    for (let i = 0; i < t.carries; i++) outs[i]?.data.set(reader.carries()(i))
    return true
  }
}

/** Loops of one program. */
export const newLoops = (make: MakeStorage, planBody: PlanBody): Loops => {
  const known: Known[] = []
  return {
    runner: (loop) => {
      const t = turningOf(loop)
      if (t === null) {
        const run = loopByReference(loop)
        return { run, dispose: () => undefined }
      }
      const turns = byTurns(loop, t, known, planBody)
      let stepped: LoopRunner | null = null
      return {
        run: (args, outs) => {
          if (stepped === null && turns(args, outs)) return null
          stepped ??= byStorage(t, make)
          return stepped.run(args, outs)
        },
        dispose: () => stepped?.dispose(),
      }
    },
  }
}

/** What a plan's phases say of a state: does the plan still hold, and which warnings come with it. */
import type { QuantWarning } from '../../data/error.js'
import { inputOp } from '../../graph/structural.js'
import { stillCollecting } from '../messages.js'
import type { PhaseTest } from '../plan/decide.js'
import { hostEvaluator, type Flat } from '../plan/flatten.js'

/** Gives the elements of a program's input, by its number. */
export type Read = (input: number) => Float32Array

const NO_WARNINGS: readonly QuantWarning[] = []

/** A counter that is no input itself: computed from those. */
const computedCounter = ({ nodes, inputs }: Flat, { counter }: PhaseTest): ((read: Read) => number) =>
  nodes[counter.id].op === inputOp
    ? () => NaN
    : (read) => hostEvaluator(nodes, (id) => read(inputs.indexOf(id)))(counter)[0]

/** A test of a counter; `own` is the input that the counter is, -1 where it is none. */
type Counter = PhaseTest & { readonly own: number; readonly computed: (read: Read) => number }

/** A counter's number now, without allocation where it is an input itself. */
const nowOf = (t: Counter, read: Read): number => (t.own >= 0 ? read(t.own)[0] : t.computed(read))

/** Tests that all others follow from: phases of one quantizer, forward and backward, share their counter. */
const distinct = (tests: readonly Counter[]): readonly Counter[] =>
  tests.filter(
    (t, i) =>
      tests.findIndex((s) => s.counter.id === t.counter.id && s.limit === t.limit && s.collecting === t.collecting) ===
      i,
  )

/** The phases of a plan. */
export type Phases = {
  readonly fits: (read: Read) => boolean
  /** `fits` of storage that stays where it is, which is asked before each execution. */
  readonly fitsIn: (storage: readonly Float32Array[]) => () => boolean
  readonly warnings: (read: Read) => readonly QuantWarning[]
  /** Does a phase end within so many steps of a loop, each of which counts? */
  readonly endsWithin: (read: Read, steps: number) => boolean
  /** Are there phases both of whose branches the plan has? Such a plan holds while one of them collects. */
  readonly open: boolean
}

/** Looks at the counters of a flat program. */
export const phasesOf = (flat: Flat): Phases => {
  const tests = flat.tests.map((t): Counter => {
    const own = flat.inputs.indexOf(t.counter.id)
    return { ...t, own, computed: computedCounter(flat, t) }
  })
  const closed = distinct(tests.filter((t) => !t.open))
  const opened = tests.filter((t) => t.open)
  const warned = tests.filter((t) => t.collecting && t.warnSteps !== null)
  const decided = (read: Read): boolean => closed.every((t) => nowOf(t, read) < t.limit === t.collecting)
  const fits = (read: Read): boolean =>
    decided(read) && (opened.length === 0 || opened.some((t) => nowOf(t, read) < t.limit))
  const fitsIn = (storage: readonly Float32Array[]): (() => boolean) => {
    if (opened.length > 0 || closed.some((t) => t.own < 0)) return () => fits((i) => storage[i])
    // Lists of what is compared are faster to walk than records.
    const counters = closed.map((t) => storage[t.own])
    const limits = closed.map((t) => t.limit)
    const collecting = closed.map((t) => t.collecting)
    return () => {
      for (let i = 0; i < counters.length; i++) if (counters[i][0] < limits[i] !== collecting[i]) return false
      return true
    }
  }
  return {
    fits,
    fitsIn,
    endsWithin: (read, steps) =>
      tests.some((t) => {
        const left = t.limit - nowOf(t, read)
        return left > 0 && left < steps
      }),
    open: opened.length > 0,
    warnings:
      warned.length === 0
        ? () => NO_WARNINGS
        : (read) => warned.map((t) => stillCollecting(t.path, nowOf(t, read), t.warnSteps ?? 0)),
  }
}

/** Inputs that decide the phases of a flat program: what its counters are made of. */
export const decidingInputs = ({ nodes, inputs, tests }: Flat): readonly number[] => {
  const place = new Map(inputs.map((id, i) => [id, i] as const))
  const seen = new Set<number>()
  const out: number[] = []
  const waiting = tests.map((t) => t.counter.id)
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (seen.has(id)) continue
    seen.add(id)
    for (const a of nodes[id].args) waiting.push(a.id)
    const input = nodes[id].op === inputOp ? place.get(id) : undefined
    if (input !== undefined) out.push(input)
  }
  return out
}

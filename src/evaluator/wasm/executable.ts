/** Programs on WebAssembly: one plan per vector of phases, made when it is first wanted, kept until disposed. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors, QuantWarning } from '../../data/error.js'
import type { Tensor } from '../../data/tensor.js'
import type { Program } from '../../graph/program.js'
import type { Commit, Executable, ResidentStorage, RunOptions, RunResult } from '../backend.js'
import { tooLarge, withMemory } from '../memory.js'
import { backendError } from '../messages.js'
import { reference } from '../reference/reference.js'
import { newMath } from './kernels/math.js'
import type { Crew } from './crew.js'
import { loadGuarded, type Loaded } from './load.js'
import { newLoops, type MakeStorage } from './loops.js'
import { phasesOf, type Phases, type Read } from './phases.js'
import { planOf } from './planning.js'
import type { Rungs } from './rungs.js'

/** A loaded plan, the storage of the inputs that were last copied into it (null: not known), and whether it fits a state. */
type Entry = Phases & {
  readonly loaded: Loaded
  /** Does it fit what its own storage holds? */
  readonly stands: () => boolean
  readonly latest: (Float32Array | null)[]
}

/** What most executions return: nothing is allocated for it. */
const QUIET: E.Either<QuantErrors, readonly QuantWarning[]> = E.right([])

const entryOf = (program: Program, loaded: Loaded): Entry => {
  const phases = phasesOf(loaded.plan.flat)
  return {
    ...phases,
    loaded,
    stands: phases.fitsIn(loaded.inputs.map((t) => t.data)),
    latest: program.inputs.map(() => null),
  }
}

/** What executables of one backend share. */
export type Machine = { readonly crew: Crew | null; readonly rungs: Rungs }

/** The same, and what keeps this program from it. */
type Room = Machine & { readonly large: QuantErrors | null }

/** Plans by phases; the latest is tried first. */
const newPlans = (program: Program, machine: Room, commits: readonly Commit[]) => {
  const entries: Entry[] = []
  const loops = newLoops(bodyStorage(machine.rungs), (body, own, of, steps) =>
    planOf(body, of, own, newMath(), { bytes: false, steps }),
  )
  let made = 0
  const find = (read: Read): E.Either<QuantErrors, Entry> => {
    for (let i = 0; i < entries.length; i++)
      if (entries[i].fits(read)) {
        if (i > 0) entries.unshift(...entries.splice(i, 1))
        return E.right(entries[0])
      }
    // Sizes first: a plan of an absurd program would be long in the making.
    if (machine.large !== null) return E.left(machine.large)
    const { rungs } = machine
    const planned = (bytes: boolean) => (given: Read) => planOf(program, given, commits, newMath(), { bytes, rungs })
    const loaded = withMemory('wasm', () =>
      loadGuarded(program, planned(true)(read), planned(false), machine.crew, { loops, fma: rungs.fma }),
    )
    if (E.isLeft(loaded)) return loaded
    entries.unshift(entryOf(program, loaded.right))
    made++
    return E.right(entries[0])
  }
  return {
    find,
    made: () => made,
    forget: (loaded: Loaded) => {
      const at = entries.findIndex((e) => e.loaded === loaded)
      if (at >= 0) entries.splice(at, 1)
    },
    dispose: () => {
      for (const e of entries) e.loaded.dispose()
      entries.length = 0
    },
  }
}

const copyIn = (to: Tensor, from: Tensor): void => {
  to.data.set(from.data)
}

/** Is this storage a value's own? A part of a larger buffer may be a view of a backend's memory, whose numbers change. */
const isValue = (data: Float32Array): boolean => data.byteLength === data.buffer.byteLength

const disposed = backendError(
  'wasm',
  'it was disposed of: its memory is gone',
  'make it anew, and dispose of it after its last use',
)

const residentOf = (program: Program, machine: Room, commits: readonly Commit[]): ResidentStorage => {
  const plans = newPlans(program, machine, commits)
  let entry: Entry | null = null
  // Before the first execution there is no plan, so no storage of its own.
  const waiting = program.inputs.map((i): Tensor => ({
    shape: i.shape,
    data: new Float32Array(i.shape.reduce((p, n) => p * n, 1)),
  }))
  let fresh = true
  let gone = false
  const inputOf = (index: number): Tensor => (entry === null ? waiting[index] : entry.loaded.inputs[index])
  const read: Read = (index) => inputOf(index).data
  return {
    write: (index, value) => {
      copyIn(inputOf(index), value)
      if (program.inputs[index].kind !== 'data') fresh = true
    },
    input: inputOf,
    output: (index) =>
      entry === null
        ? { shape: program.graph.nodes[program.graph.outputs[index]].shape, data: new Float32Array(0) }
        : entry.loaded.outputs[index],
    execute: () => {
      if (gone) return E.left([disposed])
      if (entry === null || entry.loaded.isLost() || !entry.stands()) {
        const found = plans.find(read)
        if (E.isLeft(found)) return found
        const { inputs } = found.right.loaded
        for (let i = 0; i < inputs.length; i++) copyIn(inputs[i], inputOf(i))
        entry = found.right
        fresh = true
      }
      const warnings = entry.warnings(read)
      const failure = entry.loaded.execute(fresh)
      if (failure !== null) {
        if (entry.loaded.isLost()) plans.forget(entry.loaded)
        return E.left([failure])
      }
      fresh = false
      return warnings.length === 0 ? QUIET : E.right(warnings)
    },
    plans: plans.made,
    dispose: () => {
      plans.dispose()
      entry = null
      gone = true
    },
  }
}

/** Storage of the body of a loop: its steps are short, and stay with the calling thread. */
const bodyStorage =
  (rungs: Rungs): MakeStorage =>
  (program, commits) =>
    residentOf(program, { crew: null, rungs, large: null }, commits)

/** A program on this machine. */
export const executableOf = (program: Program, machine: Machine): Executable => {
  const room: Room = { ...machine, large: tooLarge(program, 'wasm') }
  const plans = newPlans(program, room, [])
  const residents: ResidentStorage[] = []
  const runOn = (entry: Entry, inputs: readonly Tensor[]): E.Either<QuantErrors, RunResult> => {
    const { loaded, latest: before } = entry
    let changed = false
    for (let i = 0; i < inputs.length; i++) {
      // Parameters and state are values: the same storage holds the same numbers.
      const kept = program.inputs[i].kind !== 'data'
      if (kept && before[i] === inputs[i].data) continue
      copyIn(loaded.inputs[i], inputs[i])
      before[i] = isValue(inputs[i].data) ? inputs[i].data : null
      changed ||= kept
    }
    const failure = loaded.execute(changed)
    if (failure !== null) {
      if (loaded.isLost()) plans.forget(loaded)
      before.fill(null)
      return E.left([failure])
    }
    return E.right({
      outputs: loaded.outputs.map((t) => ({ shape: t.shape, data: t.data.slice() })),
      warnings: entry.warnings((i) => inputs[i].data),
    })
  }
  return {
    run: (inputs, options: RunOptions = {}) => {
      // Watching needs every node's own value, which a fused plan never makes.
      if (options.debugNonFinite === true || options.observe !== undefined || options.observeStep !== undefined)
        return E.chain((e: Executable) => e.run(inputs, options))(reference.prepare(program))
      const entry = plans.find((i) => inputs[i].data)
      return E.isLeft(entry) ? entry : runOn(entry.right, inputs)
    },
    resident: (commits = []) => {
      if (room.large !== null) return E.left(room.large)
      const made = withMemory('wasm', () => E.right(residentOf(program, room, commits)))
      if (E.isRight(made)) residents.push(made.right)
      return made
    },
    plans: plans.made,
    dispose: () => {
      plans.dispose()
      for (const r of residents) r.dispose()
      residents.length = 0
    },
  }
}

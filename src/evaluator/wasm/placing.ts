/**
 * Where everything of a plan lies: how long each value is wanted, what may be written over what, and from that an address for every value,
 * scratch area and table.
 */
import { sizeOf } from '../../data/shape.js'
import { constantOf, constOp, inputOp } from '../../graph/structural.js'
import type { Commit } from '../backend.js'
import type { ByteGrids } from '../plan/bytes.js'
import type { Flat } from '../plan/flatten.js'
import type { Leveled } from '../plan/levels.js'
import { place, type Buffer } from '../plan/place.js'
import type { Chosen } from './epilogue.js'

/** A step with its kernel; without one the host runs the node's reference. `args` and `outs` are flat nodes. */
export type PlannedStep = Chosen & {
  /** Its `fixed` stages are done once, with what depends on parameters and state alone. */
  readonly split: boolean
  /** Does it write over inputs? Then the calling thread does it alone, last of all. */
  readonly alone: boolean
  /** Bytes from the arena's start. */
  readonly scratch: number
  readonly constants: number
  readonly flags: number
}

/** Everything that is known before a program runs in one vector of phases. */
export type Plan = {
  readonly flat: Flat
  readonly leveled: Leveled
  readonly steps: readonly PlannedStep[]
  /** Values stored as bytes. Where there are any, the guard must be looked at after each execution. */
  readonly byteGrids: ByteGrids
  /** Address of each flat node's elements; -1 for what is never stored. */
  readonly addresses: Float64Array
  /** Constants that kernels or outputs want in memory. */
  readonly filled: readonly (readonly [node: number, value: number])[]
  /** Commits that need a copy at the end; the others are written in place. */
  readonly copies: readonly Commit[]
  /** Size of the arena in bytes. */
  readonly bytes: number
}

/** Bytes at the start of the arena for barriers between threads. */
export const CONTROL_BYTES = 256

/** Steps with their kernels, in order, and what they are of; no place is known yet. */
export type Choice = {
  readonly flat: Flat
  readonly leveled: Leveled
  readonly commits: readonly Commit[]
  readonly steps: readonly Chosen[]
  /** Values stored as bytes. */
  readonly bytes: ByteGrids
}

const FOREVER = Number.POSITIVE_INFINITY

/** By flat node: the step that makes it (-1: it is there before the first), and the last that reads it (-1: nobody). */
type Lifetimes = { readonly from: Float64Array; readonly to: Float64Array }

/** Lifetimes of values in steps. What no step makes lives for ever, and so do outputs and what is cached. */
const lifetimes = ({ flat, leveled, steps }: Choice): Lifetimes => {
  const from = new Float64Array(flat.nodes.length).fill(-1)
  const to = new Float64Array(flat.nodes.length).fill(-1)
  steps.forEach((s, k) => {
    for (const o of s.outs) {
      from[o] = k
      to[o] = leveled.cached[o] === 1 ? FOREVER : Math.max(to[o], k)
    }
    for (const a of s.args) to[a] = Math.max(to[a], k)
  })
  for (const { id, op } of flat.nodes) if (from[id] < 0 && (to[id] >= 0 || op === inputOp)) to[id] = FOREVER
  for (const o of flat.outputs) to[o.id] = FOREVER
  return { from, to }
}

/** Does the step store this value in a loop of its own, element by element, and hold it for as many elements as the other has? */
const storesAlone = ({ step }: Chosen, { nodes }: Flat, value: number, old: number): boolean =>
  step.kind === 'group' &&
  step.stores.includes(value) &&
  step.reduces.length === 0 &&
  sizeOf(nodes[old].shape) === sizeOf(nodes[value].shape)

/** Commits whose result may be written over the input: nothing can fail any more, and nobody reads the old value afterwards, nor elsewhere in the same loop. */
const inPlace = ({ flat, leveled, commits, steps }: Choice): ReadonlyMap<number, number> => {
  const madeBy = new Map<number, number>()
  const lastRead = new Map<number, number>()
  steps.forEach((s, k) => {
    for (const o of s.outs) madeBy.set(o, k)
    for (const a of s.args) lastRead.set(a, k)
  })
  const outputs = new Set(flat.outputs.map((o) => o.id))
  const taken = new Map<number, number>()
  const used = new Set<number>()
  for (const { output, input } of commits) {
    const [value, old] = [flat.outputs[output].id, flat.inputs[input]]
    const made = madeBy.get(value)
    if (old < 0 || made === undefined || used.has(old) || taken.has(value) || outputs.has(old)) continue
    const isLast = leveled.ends[value] === 1 && (lastRead.get(old) ?? -1) <= made
    if (!isLast || !storesAlone(steps[made], flat, value, old)) continue
    used.add(old)
    taken.set(value, old)
  }
  return taken
}

/** Results of kernels that change few elements of an operand: they take its place, if nobody else wants that. Who takes it last sets how long it is wanted. */
const heirsOf = (
  { flat, leveled, steps }: Choice,
  to: Float64Array,
  over: ReadonlyMap<number, number>,
): ReadonlyMap<number, number> => {
  const outputs = new Set(flat.outputs.map((o) => o.id))
  const heirs = new Map<number, number>()
  steps.forEach((s, k) => {
    const [old, made] = [s.args[0], s.outs[0]]
    if (
      s.kernel?.inPlace === true &&
      leveled.kinds[old] !== 'leaf' &&
      !outputs.has(old) &&
      to[old] === k &&
      !over.has(old)
    )
      heirs.set(made, heirs.get(old) ?? old)
  })
  for (const [made, old] of heirs) to[old] = Math.max(to[old], to[made])
  return heirs
}

/** Are a step's `fixed` stages done once, because what they read depends on parameters and state alone? */
const isSplit = (s: Chosen, { cached }: Leveled): boolean =>
  !s.step.cached &&
  s.kernel !== null &&
  s.kernel.stages.some((st) => st.fixed === true) &&
  s.args.length >= 4 &&
  s.args.slice(1, 4).every((a) => cached[a] === 1)

/** What a step wants besides its operands and results, as numbers of buffers; -1 for what it doesn't. */
const areasOf = (s: Chosen, k: number, split: boolean, add: (b: Buffer) => number) => ({
  split,
  scratch:
    s.kernel === null || s.kernel.scratch === 0
      ? -1
      : add({ bytes: s.kernel.scratch, ...(split ? { from: -1, to: FOREVER } : { from: k, to: k }) }),
  flags: s.kernel?.fallback === undefined ? -1 : add({ bytes: 8, from: -1, to: FOREVER }),
  constants:
    s.kernel === null || s.kernel.constants === null
      ? -1
      : add({ bytes: s.kernel.constants.length, from: -1, to: FOREVER }),
})

const demandPlaces = (flat: Flat, steps: readonly Chosen[], addresses: Float64Array): void => {
  for (const s of steps)
    for (const a of [...s.args, ...s.outs])
      if (addresses[a] < 0)
        throw new RangeError(
          `internal: node ${a} (${flat.nodes[a].op.name}) of step ${s.label} has no place in memory; report this as a bug of quantrace`,
        )
}

/** Gives everything its place, from byte `start` on. `keeps` says of an input that no step reads whether it has one all the same. */
export const placed = (choice: Choice, keeps: (input: number) => boolean, start = CONTROL_BYTES): Plan => {
  const { flat, leveled, commits, steps } = choice
  const over = inPlace(choice)
  const { from, to } = lifetimes(choice)
  const read = new Set(steps.flatMap((s) => s.args))
  const outputs = new Set(flat.outputs.map((o) => o.id))
  const heirs = heirsOf(choice, to, over)
  const buffers: Buffer[] = []
  const add = (b: Buffer): number => buffers.push(b) - 1
  const bufferOf = new Map<number, number>()
  for (const { id, op, shape } of flat.nodes) {
    const wanted = to[id] >= 0 && (op !== inputOp || keeps(id) || read.has(id) || outputs.has(id))
    if (wanted && !over.has(id) && !heirs.has(id))
      bufferOf.set(id, add({ bytes: sizeOf(shape) * (choice.bytes.has(id) ? 1 : 4), from: from[id], to: to[id] }))
  }
  const areas = steps.map((s, k) => areasOf(s, k, isSplit(s, leveled), add))
  const arena = place(buffers, start)
  const addressOf = (buffer = -1): number => (buffer < 0 ? -1 : arena.addresses[buffer])
  const addresses = Float64Array.from(flat.nodes, (n) =>
    addressOf(bufferOf.get(over.get(n.id) ?? heirs.get(n.id) ?? n.id)),
  )
  demandPlaces(flat, steps, addresses)
  return {
    flat,
    leveled,
    byteGrids: choice.bytes,
    addresses,
    steps: steps.map((s, k) => ({
      ...s,
      split: areas[k].split,
      alone: s.outs.some((o) => over.has(o)),
      scratch: addressOf(areas[k].scratch),
      flags: addressOf(areas[k].flags),
      constants: addressOf(areas[k].constants),
    })),
    filled: flat.nodes
      .filter((n) => n.op === constOp && bufferOf.has(n.id))
      .map((n) => [n.id, constantOf(n.attrs)] as const),
    // An input that nobody reads in these phases gets its value too: another phase reads it.
    copies: commits.filter(
      (c) =>
        over.get(flat.outputs[c.output].id) !== flat.inputs[c.input] &&
        flat.outputs[c.output].id !== flat.inputs[c.input],
    ),
    bytes: arena.bytes,
  }
}

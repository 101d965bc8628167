/** The memory of a plan: its arena, filled in, and views of what the program takes and gives. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import { sizeOf } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import type { Program } from '../../graph/program.js'
import { noRoom } from '../memory.js'
import type { Crew } from './crew.js'
import type { Plan } from './placing.js'
import { PAGE_BYTES } from './machine.js'

const MOST_PAGES = 65536

/** Memory of at least so many bytes: of this thread alone, or one that the crew shares. */
export const allocate = (bytes: number, crew: Crew | null): E.Either<QuantErrors, WebAssembly.Memory> => {
  const pages = Math.ceil(bytes / PAGE_BYTES) + 1
  if (pages > MOST_PAGES) return E.left(noRoom('wasm', bytes, 'WebAssembly addresses at most 4 GiB'))
  try {
    return E.right(crew === null ? new WebAssembly.Memory({ initial: pages, maximum: pages }) : crew.take(pages))
  } catch (e) {
    return E.left(noRoom('wasm', bytes, e instanceof Error ? e.message : String(e)))
  }
}

/** What of a result is kept, or copied onto an input, once all is computed. */
type Copy = readonly [from: Float32Array, to: Float32Array]

/** Up to so many numbers are copied one by one: a call of `set` takes as long as a dozen of them. */
const FEW = 16

const copy = ([from, to]: Copy): void => {
  if (to.length <= FEW) for (let i = 0; i < to.length; i++) to[i] = from[i]
  else to.set(from)
}

/** Views of a plan's memory. */
export type Storage = {
  /** The values of a flat node. */
  readonly view: (id: number, shape: readonly number[]) => Tensor
  /** Storage of each program input, in order. Inputs that nobody reads have storage outside the arena. */
  readonly inputs: readonly Tensor[]
  readonly outputs: readonly Tensor[]
  /** Runs after everything else: keeps what is overwritten, then overwrites it. */
  readonly commit: () => void
}

/** Fills in a plan's memory what no run changes, and gives views of the rest. */
export const storageOf = (program: Program, plan: Plan, memory: WebAssembly.Memory): Storage => {
  const { nodes } = plan.flat
  const view = (id: number, shape: readonly number[]): Tensor => ({
    shape,
    data: new Float32Array(memory.buffer, Math.max(0, plan.addresses[id]), sizeOf(shape)),
  })
  const apart = (shape: readonly number[]): Tensor => ({ shape, data: new Float32Array(sizeOf(shape)) })
  for (const s of plan.steps)
    if (s.kernel?.constants !== null && s.kernel !== null)
      new Uint8Array(memory.buffer, s.constants, s.kernel.constants.length).set(s.kernel.constants)
  for (const [id, value] of plan.filled) view(id, nodes[id].shape).data.fill(value)
  const inputs = program.inputs.map((p, i): Tensor =>
    plan.flat.inputs[i] < 0 ? apart(p.shape) : view(plan.flat.inputs[i], p.shape),
  )
  // An output that is itself an input shows the value of this run: it is kept before the commit writes over it.
  const overwritten = new Set(plan.copies.map((c) => plan.flat.inputs[c.input]))
  const outputs = plan.flat.outputs.map((o): Tensor => (overwritten.has(o.id) ? apart(o.shape) : view(o.id, o.shape)))
  const kept = plan.flat.outputs.flatMap((o, i): readonly Copy[] =>
    overwritten.has(o.id) ? [[view(o.id, o.shape).data, outputs[i].data]] : [],
  )
  // An input that stays as it is needs none.
  const copies = plan.copies
    .filter((c) => plan.flat.outputs[c.output].id !== plan.flat.inputs[c.input])
    .map((c): Copy => [outputs[c.output].data, inputs[c.input].data])
  const commit = (): void => {
    for (let i = 0; i < kept.length; i++) copy(kept[i])
    for (let i = 0; i < copies.length; i++) copy(copies[i])
  }
  return { view, inputs, outputs, commit }
}

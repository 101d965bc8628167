/**
 * Loops on WebAssembly: the body of a loop is a program of its own, with a plan and an arena that every step uses again. What all steps share is
 * copied in once per run; carries stay where they are, from step to step.
 */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import { sizeOf } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import type { Node } from '../../graph/graph.js'
import type { Program, ProgramInput } from '../../graph/program.js'
import type { Commit, ResidentStorage } from '../backend.js'

/** A loop that can be run: reads its operands, writes all that it gives, packed; the message of a check that failed, or null. */
export type LoopRunner = {
  readonly run: (args: readonly Tensor[], out: Tensor) => string | null
  readonly dispose: () => void
}

/** Makes storage for a program whose outputs become inputs of the next execution. */
export type MakeStorage = (program: Program, commits: readonly Commit[]) => ResidentStorage

/** The body as a program. Shared operands stand as parameters: what depends on them alone is computed once per run. */
const bodyProgram = (loop: Node): Program | null => {
  const [graph] = loop.branches ?? []
  if (graph === undefined) return null
  const own = Number(loop.attrs.carries) + Number(loop.attrs.xs)
  const inputs = graph.inputs.map((node, i): ProgramInput => ({
    kind: i < own ? 'data' : 'param',
    path: String(i),
    node,
    shape: graph.nodes[node].shape,
    learned: false,
    part: 'tensor',
  }))
  const structure = { data: {}, params: {}, state: {}, results: {}, nextState: {}, grads: null }
  return { version: 1, mode: 'eval', strict: false, graph, inputs, outputs: [], structure }
}

const messageOf = (e: QuantErrors): string => e[0]?.message ?? 'a step of a loop failed'

/** A loop on this machine; null if it has no body. */
export const loopRunner = (loop: Node, make: MakeStorage): LoopRunner | null => {
  const program = bodyProgram(loop)
  if (program === null) return null
  const [carries, xs, length] = [loop.attrs.carries, loop.attrs.xs, loop.attrs.length].map(Number)
  const commits = Array.from({ length: carries }, (_, i): Commit => ({ output: i, input: i }))
  const storage = make(program, commits)
  const sizes = program.graph.outputs.map((id) => sizeOf(program.graph.nodes[id].shape))
  const offsets: number[] = []
  let total = 0
  sizes.forEach((n, i) => {
    offsets.push(total)
    total += n * (i < carries ? 1 : length)
  })
  /** One slice of each sequence: a view that moves along. */
  const sliceOf = ({ shape, data }: Tensor, t: number): Tensor => {
    const own = shape.slice(1)
    const n = sizeOf(own)
    return { shape: own, data: data.subarray(t * n, (t + 1) * n) }
  }
  return {
    run: (args, out) => {
      for (let i = 0; i < args.length; i++) if (i < carries || i >= carries + xs) storage.write(i, args[i])
      for (let k = 0; k < length; k++) {
        const t = loop.attrs.reverse === true ? length - 1 - k : k
        for (let i = carries; i < carries + xs; i++) storage.write(i, sliceOf(args[i], t))
        const done = storage.execute()
        if (E.isLeft(done)) return messageOf(done.left)
        for (let i = carries; i < sizes.length; i++) out.data.set(storage.output(i).data, offsets[i] + t * sizes[i])
      }
      for (let i = 0; i < carries; i++) out.data.set(storage.input(i).data, offsets[i])
      return null
    },
    dispose: () => storage.dispose(),
  }
}

/**
 * The steps of a loop as code: slices in, the body's plan, slices out, carries to where the next step reads them. Where things lie is said by
 * whoever runs the loop: a kernel of the plan around it, or a module of its own.
 */
import { bytesOf, sizeOf } from '../../data/shape.js'
import type { Graph, Node } from '../../graph/graph.js'
import type { Program, ProgramInput } from '../../graph/program.js'
import type { Commit } from '../backend.js'
import type { Code } from './asm/encode.js'
import { f32, i32, memory, v128 } from './asm/instructions.js'
import { forLoop, type Local, type ModuleBuilder, type Scope } from './asm/module.js'
import { bump, rounded, wordAt } from './kernels/loops.js'
import type { Places } from './kernel.js'
import type { Plan, PlannedStep } from './placing.js'
import { emitKernel, newWriter, type EmittedKernel, type Part } from './segment.js'
import { NATIVE_COPY_BYTES, SINGLE_WORDS } from './machine.js'

/** A loop whose body is a program: the carries come first among its inputs and outputs, then slices; what is left is shared by all steps. */
export type Turning = {
  readonly program: Program
  readonly commits: readonly Commit[]
  readonly carries: number
  readonly xs: number
  readonly length: number
  readonly reverse: boolean
}

/** A loop with its body as a program. Shared operands stand as parameters: what depends on them alone is computed once per run. */
export const turningOf = (loop: Node): Turning | null => {
  const [graph] = loop.branches ?? []
  if (graph === undefined) return null
  const [carries, xs, length] = [loop.attrs.carries, loop.attrs.xs, loop.attrs.length].map(Number)
  return {
    program: programOf(graph, carries + xs),
    commits: Array.from({ length: carries }, (_, i): Commit => ({ output: i, input: i })),
    carries,
    xs,
    length,
    reverse: loop.attrs.reverse === true,
  }
}

const programOf = (graph: Graph, own: number): Program => {
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

/** Where a loop's memory lies, in bytes. */
export type Ground = {
  /** What is added to the addresses of the body's plan. */
  readonly base: number
  /** Tables of the kernels, in the order of the steps; they stay as they are between runs. */
  readonly constants: readonly number[]
  /** By slice: the sequence that it is taken from. */
  readonly sequences: readonly number[]
  /** By shared operand: where it lies, if not at a place of the plan's own. */
  readonly shared: readonly (number | null)[]
  /** By stacked result: where its stack begins, or null where nobody wants it. */
  readonly stacks: readonly (number | null)[]
  /** Room for carries that are handed back crosswise, behind the plan. */
  readonly aside: number
}

/** Carries whose next value is another carry's present one: they are put aside before any is overwritten. */
const crossed = ({ flat, copies }: Plan): readonly Commit[] => {
  const overwritten = new Set(copies.map((c) => flat.inputs[c.input]))
  return copies.filter((c) => overwritten.has(flat.outputs[c.output].id))
}

const shapeBytes = ({ program }: Turning, input: number): number => bytesOf(program.inputs[input].shape)

/** Bytes that a loop wants besides its plan. */
export const asideBytes = (t: Turning, plan: Plan): number =>
  crossed(plan).reduce((n, c) => n + rounded(shapeBytes(t, c.input)), 0)

/** Copies whole words, as many as are known: code of its own for a few, vectors for some, the engine's copy for many. */
export const copiedBytes = (scope: Scope, to: Code<'i32'>, from: Code<'i32'>, bytes: number): Code => {
  if (bytes === 0) return []
  if (bytes > NATIVE_COPY_BYTES) return memory.copy(to, from, i32.const(bytes))
  const [p, q] = [scope.local('i32'), scope.local('i32')]
  const words = bytes / 4
  const start = [p.set(from), q.set(to)]
  if (words <= SINGLE_WORDS)
    return [start, Array.from({ length: words }, (_, i) => i32.store(q.get, i32.load(p.get, 4 * i), 4 * i))]
  const i = scope.local('i32')
  const vectors = Math.floor(words / 4)
  return [
    start,
    forLoop(i, i32.const(0), i32.const(vectors), 1, [v128.store(q.get, v128.load(p.get)), bump(p, 16), bump(q, 16)]),
    Array.from({ length: words % 4 }, (_, k) => i32.store(q.get, i32.load(p.get, 4 * k), 4 * k)),
  ]
}

/** Code of a loop: what is done before the first step, one step, and the address of a value of the body. */
export type Turns = {
  readonly begin: (scope: Scope) => Code
  readonly turn: (scope: Scope, t: Local) => Code
  readonly addressOf: (node: number) => number
}

/** The addresses of a body's values. */
const addressesOf = (t: Turning, plan: Plan, g: Ground): ((node: number) => number) => {
  const elsewhere = new Map<number, number>()
  g.shared.forEach((at, i) => {
    if (at !== null) elsewhere.set(plan.flat.inputs[t.carries + t.xs + i], at)
  })
  return (node) => elsewhere.get(node) ?? (plan.addresses[node] < 0 ? -1 : g.base + plan.addresses[node])
}

const moved = (g: Ground, at: number): number => (at < 0 ? at : g.base + at)

/** The calls of steps, without threads: the calling one does them all. */
const callsOf = (emitted: readonly EmittedKernel[], zero: Local) => {
  const w = newWriter(zero, zero, zero, null, 0)
  return (k: number, part: Part): Code => w.step(emitted[k], false, part)
}

/** Fills constants that the steps read from memory. */
const filled = (scope: Scope, plan: Plan, addressOf: (node: number) => number): Code =>
  plan.filled.map(([id, value]) => {
    const i = scope.local('i32')
    const at = i32.const(addressOf(id))
    return forLoop(
      i,
      i32.const(0),
      i32.const(sizeOf(plan.flat.nodes[id].shape)),
      1,
      f32.store(wordAt(at, i.get), f32.const(value)),
    )
  })

/** Writes the functions of a body's kernels into a module; none of its steps may run on the host. */
export const emitTurns = (m: ModuleBuilder, t: Turning, plan: Plan, g: Ground, name: string): Turns => {
  const { flat, steps } = plan
  const addressOf = addressesOf(t, plan, g)
  const places = (s: PlannedStep, k: number): Places => ({
    args: s.args.map(addressOf),
    outs: s.outs.map(addressOf),
    scratch: moved(g, s.scratch),
    constants: g.constants[k],
    flags: moved(g, s.flags),
  })
  const emitted = steps.map((s, k) =>
    s.kernel === null ? { stages: [], fallback: null } : emitKernel(m, s.kernel, places(s, k), `${name}${k}`, s.path),
  )
  const inputAt = (i: number): number => (flat.inputs[i] < 0 ? -1 : addressOf(flat.inputs[i]))
  const valueAt = (output: number): number => addressOf(flat.outputs[output].id)
  const begin = (scope: Scope): Code => {
    const call = callsOf(emitted, scope.local('i32'))
    return [
      filled(scope, plan, addressOf),
      steps.map((s, k) => {
        const once = s.split ? call(k, 'once') : []
        return s.step.cached ? call(k, 'all') : once
      }),
    ]
  }
  const turn = (scope: Scope, now: Local): Code => {
    const call = callsOf(emitted, scope.local('i32'))
    const sliceAt = (start: number, bytes: number): Code<'i32'> =>
      i32.add(i32.const(start), i32.mul(now.get, i32.const(bytes)))
    const taken = g.sequences.map((start, i): Code => {
      const [to, bytes] = [inputAt(t.carries + i), shapeBytes(t, t.carries + i)]
      return to < 0 ? [] : copiedBytes(scope, i32.const(to), sliceAt(start, bytes), bytes)
    })
    const left = g.stacks.map((start, i): Code => {
      if (start === null) return []
      const { id, shape } = flat.outputs[t.carries + i]
      return copiedBytes(scope, sliceAt(start, bytesOf(shape)), i32.const(addressOf(id)), bytesOf(shape))
    })
    return [
      taken,
      steps.map((s, k) => (s.step.cached ? [] : call(k, s.split ? 'rest' : 'all'))),
      left,
      handedOn(scope, t, plan, g, [inputAt, valueAt]),
    ]
  }
  return { begin, turn, addressOf }
}

/** Carries to where the next step reads them. */
const handedOn = (
  scope: Scope,
  t: Turning,
  plan: Plan,
  g: Ground,
  [inputAt, valueAt]: readonly [(input: number) => number, (output: number) => number],
): Code => {
  const aside = new Map<Commit, number>()
  let free = g.aside
  for (const c of crossed(plan)) {
    aside.set(c, free)
    free += rounded(shapeBytes(t, c.input))
  }
  return [
    [...aside].map(([c, at]) =>
      copiedBytes(scope, i32.const(at), i32.const(valueAt(c.output)), shapeBytes(t, c.input)),
    ),
    plan.copies.map((c) => {
      const to = inputAt(c.input)
      const from = aside.get(c) ?? valueAt(c.output)
      return to < 0 ? [] : copiedBytes(scope, i32.const(to), i32.const(from), shapeBytes(t, c.input))
    }),
  ]
}

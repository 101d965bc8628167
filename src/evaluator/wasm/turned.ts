/** A loop as a module of its own: memory for the body's plan, its sequences and its stacks, and a function that does steps. */
import { bytesOf } from '../../data/shape.js'
import { i32 } from './asm/instructions.js'
import { forLoop, newModule } from './asm/module.js'
import { rounded } from './kernels/loops.js'
import type { Plan } from './placing.js'
import { asideBytes, emitTurns, type Ground, type Turning } from './turns.js'
import { PAGE_BYTES } from './machine.js'

/** Plan and module of a body, for any number of loops like it. */
export type TurnedPlan = {
  readonly plan: Plan
  readonly module: WebAssembly.Module
  readonly ground: Ground
  readonly pages: number
}

/** A loop that can run. `inputs` are the carries and what is shared, by input of the body; null where nobody reads it. */
export type TurnedCode = {
  readonly inputs: readonly (Float32Array | null)[]
  readonly sequences: readonly Float32Array[]
  readonly stacks: readonly Float32Array[]
  /** A carry as the next step will read it. */
  readonly carried: (input: number) => Float32Array
  readonly begin: () => void
  /** Steps from … to-1, in the order in which they are done. */
  readonly turns: (from: number, to: number) => void
}

/** Where everything lies: behind the plan the sequences, the stacks, and room for carries that cross. */
const groundOf = (t: Turning, plan: Plan): { readonly ground: Ground; readonly bytes: number } => {
  let free = rounded(plan.bytes)
  const room = (bytes: number): number => {
    const at = free
    free += rounded(bytes + 16)
    return at
  }
  const { nodes, outputs } = t.program.graph
  const ground: Ground = {
    base: 0,
    constants: plan.steps.map((s) => s.constants),
    sequences: Array.from({ length: t.xs }, (_, i) => room(t.length * bytesOf(t.program.inputs[t.carries + i].shape))),
    shared: t.program.inputs.slice(t.carries + t.xs).map(() => null),
    stacks: outputs.slice(t.carries).map((id) => room(t.length * bytesOf(nodes[id].shape))),
    aside: free,
  }
  return { ground, bytes: free + asideBytes(t, plan) }
}

/** Writes the module of a body; null where some step runs on the host. */
export const turnedPlan = (t: Turning, plan: Plan): TurnedPlan | null => {
  if (plan.steps.some((s) => s.kernel === null)) return null
  const { ground, bytes } = groundOf(t, plan)
  const pages = Math.ceil(bytes / PAGE_BYTES) + 1
  const m = newModule()
  const { begin, turn } = emitTurns(m, t, plan, ground, 'turn')
  m.func({ name: 'begin', params: [], body: begin })
  m.func({
    name: 'turns',
    params: ['i32', 'i32'],
    body: (scope) => {
      const [from, to] = scope.params
      const [k, now] = [scope.local('i32'), scope.local('i32')]
      const at = t.reverse ? i32.sub(i32.const(t.length - 1), k.get) : k.get
      return forLoop(k, from.get, to.get, 1, [now.set(at), turn(scope, now)])
    },
  })
  return { plan, ground, pages, module: new WebAssembly.Module(m.bytes({ pages, maximum: pages, shared: false })) }
}

/** Instantiates it for one loop. */
export const turnedCode = (t: Turning, { plan, module, ground, pages }: TurnedPlan): TurnedCode => {
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages })
  const { exports } = new WebAssembly.Instance(module, { env: { memory } })
  const call = (name: string): ((...args: readonly number[]) => void) => {
    const f = exports[name]
    return typeof f === 'function' ? (f as (...args: readonly number[]) => void) : () => undefined
  }
  const view = (at: number, bytes: number): Float32Array => new Float32Array(memory.buffer, at, bytes / 4)
  for (const s of plan.steps)
    if (s.kernel !== null && s.kernel.constants !== null)
      new Uint8Array(memory.buffer, s.constants, s.kernel.constants.length).set(s.kernel.constants)
  const { nodes, outputs } = t.program.graph
  const isSlice = (i: number): boolean => i >= t.carries && i < t.carries + t.xs
  const inputs = t.program.inputs.map((p, i) => {
    const id = plan.flat.inputs[i]
    return id < 0 || isSlice(i) ? null : view(plan.addresses[id], bytesOf(p.shape))
  })
  // A carry that no step reads is what the last step made of it.
  const carried = t.program.inputs
    .slice(0, t.carries)
    .map((p, i) => inputs[i] ?? view(plan.addresses[plan.flat.outputs[i].id], bytesOf(p.shape)))
  return {
    inputs,
    sequences: ground.sequences.map((at, i) => view(at, t.length * bytesOf(t.program.inputs[t.carries + i].shape))),
    stacks: ground.stacks.map((at, i) => view(at ?? 0, t.length * bytesOf(nodes[outputs[t.carries + i]].shape))),
    carried: (i) => carried[i],
    begin: call('begin'),
    turns: call('turns'),
  }
}

/** A loop as a kernel of the plan around it: the plan of its body, step by step, in scratch memory. Only where nothing in the body waits for a number or the host. */
import { bytesOf } from '../../data/shape.js'
import type { Node } from '../../graph/graph.js'
import type { Program } from '../../graph/program.js'
import type { Commit } from '../backend.js'
import type { Code } from './asm/encode.js'
import { i32 } from './asm/instructions.js'
import { forLoop, type Func, type Local, type ModuleBuilder, type Scope, type Units } from './asm/module.js'
import type { Kernel, Places } from './kernel.js'
import { rounded } from './kernels/loops.js'
import type { Plan } from './placing.js'
import { asideBytes, copiedBytes, emitTurns, turningOf, type Ground, type Turning } from './turns.js'

/** Plans the body of a loop. `read` is asked for counters only; a phase that ends within so many steps has both its branches in the plan. */
export type PlanBody = (
  program: Program,
  commits: readonly Commit[],
  read: (input: number) => Float32Array,
  steps: number,
) => Plan

/** Does the plan hold whatever the numbers are, and run without the host? */
const isClosed = (plan: Plan): boolean => plan.flat.tests.length === 0 && plan.steps.every((s) => s.kernel !== null)

/** Does a body decide by numbers which branch of a phase it takes? Then it is planned when it runs, and not here. */
const hasPhases = (loop: Node): boolean =>
  (loop.branches ?? []).some((g) => g.nodes.some((n) => n.branches !== undefined && n.attrs.limit !== undefined))

const constantsOf = (plan: Plan): { readonly bytes: Uint8Array | null; readonly at: readonly number[] } => {
  const at: number[] = []
  let size = 0
  for (const { kernel } of plan.steps) {
    at.push(size)
    size += rounded(kernel?.constants?.length ?? 0)
  }
  if (size === 0) return { bytes: null, at }
  const bytes = new Uint8Array(size)
  plan.steps.forEach((s, k) => {
    if (s.kernel?.constants !== null && s.kernel !== null) bytes.set(s.kernel.constants, at[k])
  })
  return { bytes, at }
}

const sumOf = (plan: Plan, of: (kernel: Kernel) => number): number =>
  plan.steps.reduce((n, s) => n + (s.kernel === null ? 0 : of(s.kernel)), 0)

const workOf = ({ stages }: Kernel): number => stages.reduce((n, s) => n + s.units * s.cost, 0)

/** All steps of a loop, and what is around them. */
const emitLoop = (
  m: ModuleBuilder,
  t: Turning,
  plan: Plan,
  g: Ground,
  { at, wanted }: { readonly at: Places; readonly wanted: readonly number[] },
): Func<Units> => {
  const { begin, turn, addressOf } = emitTurns(m, t, plan, g, 'turn')
  const inputAt = (i: number): number => (plan.flat.inputs[i] < 0 ? -1 : addressOf(plan.flat.inputs[i]))
  const carried = (scope: Scope, i: number): Code => {
    const to = inputAt(i)
    return to < 0 ? [] : copiedBytes(scope, i32.const(to), i32.const(at.args[i]), bytesOf(t.program.inputs[i].shape))
  }
  const handed = (scope: Scope, index: number, out: number): Code => {
    if (index >= t.carries) return []
    const from = inputAt(index) < 0 ? addressOf(plan.flat.outputs[index].id) : inputAt(index)
    return copiedBytes(scope, i32.const(out), i32.const(from), bytesOf(t.program.inputs[index].shape))
  }
  return m.func({
    params: ['i32', 'i32'],
    body: (scope) => {
      const [step, now] = [scope.local('i32'), scope.local('i32')]
      const order = (k: Local): Code<'i32'> => (t.reverse ? i32.sub(i32.const(t.length - 1), k.get) : k.get)
      return [
        Array.from({ length: t.carries }, (_, i) => carried(scope, i)),
        begin(scope),
        forLoop(step, i32.const(0), i32.const(t.length), 1, [now.set(order(step)), turn(scope, now)]),
        wanted.map((index, k) => handed(scope, index, at.outs[k])),
      ]
    },
  })
}

/** The kernel of a loop; its operands are the loop's, its results those of them that are wanted. Null where the host must run it. */
export const loopKernel = (loop: Node, wanted: readonly number[], planBody: PlanBody): Kernel | null => {
  const t = hasPhases(loop) ? null : turningOf(loop)
  const plan = t === null ? null : planBody(t.program, t.commits, () => new Float32Array(0), 0)
  if (t === null || plan === null || !isClosed(plan)) return null
  const constants = constantsOf(plan)
  const aside = rounded(plan.bytes)
  const stack = (index: number, at: Places): number | null => {
    const k = wanted.indexOf(index)
    return k < 0 ? null : at.outs[k]
  }
  const stacks = t.program.graph.outputs.length - t.carries
  const shared = t.program.inputs.length - t.carries - t.xs
  return {
    name: `${t.length} turns of ${plan.steps.length} steps`,
    scratch: aside + asideBytes(t, plan),
    constants: constants.bytes,
    flops: t.length * sumOf(plan, (k) => k.flops),
    bytes: t.length * sumOf(plan, (k) => k.bytes),
    stages: [
      {
        label: 'turns',
        units: 1,
        cost: t.length * sumOf(plan, workOf),
        emit: (m, at) => {
          const ground: Ground = {
            base: at.scratch,
            constants: constants.at.map((c) => at.constants + c),
            sequences: at.args.slice(t.carries, t.carries + t.xs),
            shared: Array.from({ length: shared }, (_, i) => at.args[t.carries + t.xs + i]),
            stacks: Array.from({ length: stacks }, (_, i) => stack(t.carries + i, at)),
            aside: at.scratch + aside,
          }
          return emitLoop(m, t, plan, ground, { at, wanted })
        },
      },
    ],
  }
}

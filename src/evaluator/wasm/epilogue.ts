/**
 * Bias, activation and quantizer behind a convolution: the loop over its result runs piece by piece inside the kernel, while
 * the piece is in cache and without a barrier of its own. Behind a pooling's gradient it was measured too, and lost.
 */
import type { GroupStep, Step } from '../plan/fuse.js'
import type { Code } from './asm/encode.js'
import { i32 } from './asm/instructions.js'
import type { GroupKernel } from './elementwise/group.js'
import type { Kernel, Places, Stage } from './kernel.js'
import { rounded } from './kernels/loops.js'
import { EPILOGUE_ELEMENTS } from './machine.js'

/** The largest unit of a loop with one axis that divides a piece, or null. */
export const chunkOf = (piece: number): number | null => {
  for (let parts = 1; piece / parts >= EPILOGUE_ELEMENTS.least; parts++)
    if (piece % parts === 0 && piece / parts <= EPILOGUE_ELEMENTS.most) return piece / parts
  return null
}

/** Elements of a piece of a kernel's result, if it is made in pieces. */
export const pieceOf = (kernel: Kernel): number | null => kernel.stages[kernel.stages.length - 1]?.piece ?? null

/** Where a loop's operands stand among those of both; -1 is the kernel's result. */
const placesOf =
  (args: readonly number[], scratch: number) =>
  (at: Places): Places => ({
    ...at,
    args: args.map((k) => (k < 0 ? at.outs[0] : at.args[k])),
    outs: at.outs.slice(1),
    scratch: at.scratch + scratch,
  })

/** The last stage with the loop's units behind each finished piece; or the loop as a stage of its own, where pieces are others. */
const joinedStages = (
  stages: readonly Stage[],
  [loop, ...rest]: readonly Stage[],
  size: number,
  places: (at: Places) => Places,
): readonly Stage[] => {
  const last = stages[stages.length - 1]
  const sums = rest.map((s): Stage => ({ ...s, emit: (m, at) => s.emit(m, places(at)) }))
  const units = (last.piece ?? 0) / (size / loop.units)
  if (units < 1 || !Number.isInteger(units))
    return [...stages, { ...loop, emit: (m, at) => loop.emit(m, places(at)) }, ...sums]
  const unit = (piece: Code<'i32'>): Code<'i32'> => (units === 1 ? piece : i32.mul(piece, i32.const(units)))
  return [
    ...stages.slice(0, -1),
    {
      ...last,
      label: `${last.label} and loop`,
      cost: last.cost + (loop.cost * loop.units) / last.units,
      emit: (m, at) => {
        const run = loop.emit(m, places(at))
        return last.emit(m, at, (first, end) => run.call(unit(first), unit(end)))
      },
    },
    ...sums,
  ]
}

/**
 * A kernel and the loop over its result, of `size` elements, as one. `args` and `made` are the flat nodes that the kernel
 * reads and makes; the joined kernel reads and makes those of both, its own first.
 */
export const withEpilogue = (
  op: { readonly kernel: Kernel; readonly args: readonly number[]; readonly made: number },
  loop: GroupKernel,
  size: number,
): GroupKernel => {
  const others = loop.args.filter((a) => a !== op.made)
  const seats = loop.args.map((a) => (a === op.made ? -1 : op.args.length + others.indexOf(a)))
  const join = (kernel: Kernel): Kernel => {
    const scratch = rounded(kernel.scratch)
    return {
      ...kernel,
      name: `${kernel.name} + ${loop.kernel.name}`,
      scratch: scratch + loop.kernel.scratch,
      stages: joinedStages(kernel.stages, loop.kernel.stages, size, placesOf(seats, scratch)),
      flops: kernel.flops + loop.kernel.flops,
      bytes: kernel.bytes + Math.max(0, loop.kernel.bytes - 4 * size),
      ...(kernel.fallback === undefined
        ? {}
        : { fallback: { ...kernel.fallback, kernel: join(kernel.fallback.kernel) } }),
    }
  }
  return { kernel: join(op.kernel), args: [...op.args, ...others], outs: [op.made, ...loop.outs] }
}

/** A step with the kernel that was chosen for it. */
export type Chosen = {
  readonly step: Step
  readonly label: string
  readonly path: string
  readonly kernel: Kernel | null
  readonly args: readonly number[]
  readonly outs: readonly number[]
}

/** What the joining asks about the plan. */
export type EpilogueRules = {
  /** Elements of a flat node's value. */
  readonly sizeOf: (node: number) => number
  /** Must this step stay where it is? */
  readonly stays: (s: Chosen) => boolean
  /** The kernel of a group, with units of so many elements. */
  readonly groupKernel: (step: GroupStep, chunk: number) => GroupKernel
}

/** Which steps make and read each value; the latter in order. */
type Uses = { readonly made: Map<number, number>; readonly readers: Map<number, number[]> }

const usesOf = (steps: readonly Chosen[]): Uses => {
  const uses: Uses = { made: new Map(), readers: new Map() }
  steps.forEach((s, k) => {
    for (const o of s.outs) uses.made.set(o, k)
    for (const a of new Set(s.args)) {
      const known = uses.readers.get(a)
      if (known === undefined) uses.readers.set(a, [k])
      else known.push(k)
    }
  })
  return uses
}

/** A loop that can run inside a kernel, and at whose place of the two. */
type Follower = { readonly loop: number; readonly group: GroupStep; readonly place: number }

/**
 * The first loop that can run inside the kernel of step `k`. At the kernel's place, if it reads nothing else that is made
 * later; or at its own, if nobody wants the result before.
 */
const followerOf = (
  steps: readonly Chosen[],
  k: number,
  uses: Uses,
  taken: ReadonlySet<number>,
  rules: EpilogueRules,
): Follower | null => {
  const [result] = steps[k].outs
  const readers = uses.readers.get(result) ?? []
  for (const g of readers) {
    const { step } = steps[g]
    if (
      taken.has(g) ||
      step.kind !== 'group' ||
      step.size !== rules.sizeOf(result) ||
      step.cached !== steps[k].step.cached ||
      rules.stays(steps[g])
    )
      continue
    const early = steps[g].args.every((a) => a === result || (uses.made.get(a) ?? -1) < k)
    // A reader that was taken stands with its kernel, perhaps before this loop.
    if (early || (g === readers[0] && !readers.some((r) => taken.has(r))))
      return { loop: g, group: step, place: early ? k : g }
  }
  return null
}

/** Joins loops with the kernels before them where they can be; the rest stays as it is, in its order. */
export const withEpilogues = (steps: readonly Chosen[], rules: EpilogueRules): readonly Chosen[] => {
  const uses = usesOf(steps)
  const taken = new Set<number>()
  const order: (Chosen | null)[] = [...steps]
  steps.forEach((s, k) => {
    const piece = s.kernel === null || s.step.kind !== 'op' ? null : pieceOf(s.kernel)
    const chunk = piece === null ? null : chunkOf(piece)
    const follower = s.kernel === null || chunk === null ? null : followerOf(steps, k, uses, taken, rules)
    if (s.kernel === null || s.step.kind !== 'op' || chunk === null || follower === null) return
    const { loop, group, place } = follower
    taken.add(loop)
    for (const o of [...s.outs, ...steps[loop].outs]) uses.made.set(o, place)
    const both = withEpilogue(
      { kernel: s.kernel, args: s.args, made: s.outs[0] },
      rules.groupKernel(group, chunk),
      group.size,
    )
    order[k] = order[loop] = null
    order[place] = { ...s, ...both, label: both.kernel.name, step: { ...s.step, behind: group } }
  })
  return order.filter((s): s is Chosen => s !== null)
}

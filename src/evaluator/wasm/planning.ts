/**
 * From a program to a plan: flattened, levelled, fused, every buffer placed. Pure data (but for the emitters inside its
 * kernels): it can be printed, and its memory is known before anything runs.
 */
import { sameShape, sizeOf } from '../../data/shape.js'
import type { Node } from '../../graph/graph.js'
import type { Program } from '../../graph/program.js'
import type { Commit } from '../backend.js'
import { bytesOf, NO_BYTES, type ByteGrids, type ByteRules } from '../plan/bytes.js'
import { flatten, type Flat, type FlatNode } from '../plan/flatten.js'
import { stepsOf, type FuseRules, type Step } from '../plan/fuse.js'
import { levelsOf } from '../plan/levels.js'
import { rewrite, type RewriteRules } from '../plan/rewrite.js'
import { sparseSums } from '../plan/sparseSums.js'
import { isJoined, joinUpdates } from '../plan/join.js'
import type { ModuleBuilder } from './asm/module.js'
import { groupKernel } from './elementwise/group.js'
import { commonSpace, cutsOf, endsLoop, readsBytes } from './elementwise/loop.js'
import { newLoopRules, type LoopRules } from './elementwise/lowering.js'
import { signatureOf, updateKernel } from './elementwise/update.js'
import { withEpilogues, type Chosen } from './epilogue.js'
import { phasesOf } from './phases.js'
import { placed, type Choice, type Plan } from './placing.js'
import type { Scalars } from './elementwise/lanes.js'
import { scalarFunction } from './elementwise/scalar.js'
import { absorbsAbs, newKernels, picksBytes, readsAverages, takesBytes, type OpKernel } from './kernels/index.js'
import type { Kernel } from './kernel.js'
import { loopKernel, type PlanBody } from './loopKernel.js'
import type { MathOf } from './kernels/math.js'
import { BASELINE, type Rungs } from './rungs.js'
import { MOST_MEMBERS } from './machine.js'

/** Operands of the result's shape, or single numbers, have a loop in common at once; it need not be sought. */
const isPlain = (node: FlatNode): boolean =>
  node.args.every((a) => sizeOf(a.shape) === 1 || sameShape(a.shape, node.shape))

const classify =
  ({ isMap, isReduction }: LoopRules) =>
  (node: FlatNode): 'map' | 'reduce' | 'op' => {
    if (node.op.guards === true || sizeOf(node.shape) === 0) return 'op'
    if (isMap(node) && (isPlain(node) || commonSpace([node], sizeOf(node.shape)) !== null)) return 'map'
    return node.op.reduces !== undefined &&
      sizeOf(node.args[0].shape) > 0 &&
      endsLoop(node) &&
      isReduction(node) &&
      commonSpace([node], sizeOf(node.args[0].shape)) !== null
      ? 'reduce'
      : 'op'
  }

const sizesOf = (node: FlatNode): readonly number[] => [node.shape, ...node.args.map((a) => a.shape)].map(sizeOf)

const laneFunctions =
  (math: MathOf) =>
  (m: ModuleBuilder): Scalars =>
  (scalar) =>
    scalarFunction(math(m), scalar)

/** The results of a loop, which its step writes: flat nodes behind it. */
const resultsOf = ({ nodes }: Flat, loop: FlatNode): readonly FlatNode[] =>
  nodes.filter((n) => n.ofLoop !== undefined && n.args[0].id === loop.id)

/** A loop in wasm, where its body needs no host; else the host runs it. */
const chosenLoop = (step: Step, node: FlatNode, loop: Node, flat: Flat, planBody: PlanBody): Chosen => {
  const results = resultsOf(flat, node)
  const kernel = loopKernel(
    loop,
    results.map((r) => Number(r.attrs.index)),
    planBody,
  )
  const label = kernel?.name ?? `${Number(loop.attrs.length)} turns`
  return { step, label, path: node.path, kernel, args: node.args.map((a) => a.id), outs: results.map((r) => r.id) }
}

/** Which values are bytes, and kernels: those of ops, and loops by what they do. */
type Stored = {
  readonly bytes: ByteGrids
  readonly kernelFor: (node: FlatNode) => OpKernel | null
  readonly known: Map<string, Kernel>
}

const chooseKernel = (step: Step, flat: Flat, math: MathOf, { bytes, kernelFor, known }: Stored): Chosen => {
  if (step.kind === 'group') {
    const { kernel, args, outs } = isJoined(step)
      ? updateKernel(step, flat.nodes, laneFunctions(math))
      : groupKernel(step, flat.nodes, laneFunctions(math), { bytes, known })
    return {
      step,
      label: kernel.name,
      path: isJoined(step) ? '' : flat.nodes[step.members[step.members.length - 1]].path,
      kernel,
      args,
      outs,
    }
  }
  const node = flat.nodes[step.node]
  if (node.loop !== undefined)
    return chosenLoop(step, node, node.loop, flat, (body, commits, read) => planOf(body, read, commits, math))
  const chosen: OpKernel | null = kernelFor(node)
  if (chosen === null)
    return {
      step,
      label: node.op.name,
      path: node.path,
      kernel: null,
      args: node.args.map((a) => a.id),
      outs: node.op.guards === true ? [] : [node.id],
    }
  return { step, label: chosen.kernel.name, path: node.path, kernel: chosen.kernel, args: chosen.args, outs: [node.id] }
}

/** Values that optimizers make, and the leaves or memory that they replace. */
const updatesOf = (program: Program, flat: Flat, commits: readonly Commit[]): ReadonlyMap<number, number> =>
  new Map(
    commits.flatMap(({ output, input }) => {
      const { kind, learned } = program.inputs[input]
      return flat.inputs[input] >= 0 && (kind === 'param' || kind === 'slot' || (kind === 'state' && learned))
        ? [[flat.outputs[output].id, flat.inputs[input]] as const]
        : []
    }),
  )

/** What is planned beyond the program itself. */
export type PlanOptions = {
  /** May integers of quantizers be stored as bytes? Then the guard must be looked at after each execution, and another plan be at hand. */
  readonly bytes: boolean
  readonly rungs?: Rungs
  /** Bodies of loops: for how many steps. Where a phase ends within them, phases have both their branches in the plan. */
  readonly steps?: number
}

/** Everything is stored as numbers: a plan that can be executed alone. */
const ALONE: PlanOptions = { bytes: false }

/** An answer for each node, looked for once. */
const once = <A>(answer: (node: FlatNode) => A): ((node: FlatNode) => A) => {
  const known = new Map<number, A>()
  return (node) => {
    const found = known.get(node.id)
    if (found !== undefined) return found
    const made = answer(node)
    known.set(node.id, made)
    return made
  }
}

const byteRules = (nodes: readonly FlatNode[]): ByteRules => {
  return {
    takes: takesBytes,
    picks: once(picksBytes),
    averages: once(readsAverages),
    reads: (step, bytes) => readsBytes(step, nodes, bytes),
  }
}

/** The flat program for the phases as they are, or, where one ends within the steps of a loop, for whatever they will be. */
const flatFor = ({ graph }: Program, read: (input: number) => Float32Array, steps: number): Flat => {
  const decided = flatten(graph, read)
  return steps > 0 && phasesOf(decided).endsWithin(read, steps) ? flatten(graph, read, true) : decided
}

const choose = (
  program: Program,
  read: (input: number) => Float32Array,
  commits: readonly Commit[],
  math: MathOf,
  options: PlanOptions,
): Choice => {
  const loops = newLoopRules()
  const rewrites: RewriteRules = {
    absorbsAbs,
    isMap: loops.isMap,
    keepsInner: (node) =>
      node.op.reduces?.term !== undefined &&
      node.op.reduces.join === 'sum' &&
      !sizesOf(node).includes(0) &&
      !endsLoop(node) &&
      loops.isReduction(node),
  }
  const rules: FuseRules = { cuts: cutsOf, cheap: loops.isCheap, most: MOST_MEMBERS }
  const flat = sparseSums(rewrite(flatFor(program, read, options.steps ?? 0), rewrites), rewrites)
  const late = new Set(commits.map((c) => flat.outputs[c.output].id))
  const fixed = new Set(
    program.mode === 'eval'
      ? program.inputs.flatMap((p, i) =>
          p.kind === 'data' || flat.inputs[i] < 0 || commits.some((c) => c.input === i) ? [] : [flat.inputs[i]],
        )
      : [],
  )
  const leveled = levelsOf(flat, classify(loops), rules.cheap, late, fixed)
  const steps = joinUpdates(stepsOf(leveled, rules), leveled, updatesOf(program, flat, commits), {
    signature: signatureOf(flat.nodes),
  })
  const rungs = options.rungs ?? BASELINE
  const bytes =
    options.bytes && program.mode === 'eval' && commits.length === 0
      ? bytesOf(leveled, steps, byteRules(flat.nodes))
      : NO_BYTES
  const stored: Stored = { bytes, kernelFor: newKernels(math, bytes, rungs), known: new Map() }
  // Within a level the host comes first, so that what follows is one segment.
  const single = steps
    .map((s) => chooseKernel(s, flat, math, stored))
    .sort(
      (a, b) =>
        Number(b.step.cached) - Number(a.step.cached) ||
        a.step.level - b.step.level ||
        Number(b.kernel === null) - Number(a.kernel === null),
    )
  const chosen = withEpilogues(single, {
    sizeOf: (id) => sizeOf(flat.nodes[id].shape),
    stays: (s) => s.outs.some((o) => leveled.ends[o] === 1),
    groupKernel: (step, chunk) => groupKernel(step, flat.nodes, laneFunctions(math), { chunk, bytes }),
  })
  return { flat, leveled, commits, steps: chosen, bytes }
}

/** Plans a program for the phases in which its inputs put it. `read` gives the elements of input number `i`. */
export const planOf = (
  program: Program,
  read: (input: number) => Float32Array,
  commits: readonly Commit[],
  math: MathOf,
  options: PlanOptions = ALONE,
): Plan => placed(choose(program, read, commits, math, options), () => true)

/**
 * What is left of an eval plan once everything that depends on parameters and state alone has been done: the other steps, placed anew, so that
 * what only the first needed takes no memory. What these left behind and the others read must be put into its place before the first execution.
 * `start`: the first byte that is free, where another plan lies in front of it.
 */
export const restOf = (program: Program, plan: Plan, start?: number): Plan => {
  const { flat, leveled, steps, byteGrids: bytes } = plan
  const data = new Set(program.inputs.flatMap((p, i) => (p.kind === 'data' ? [flat.inputs[i]] : [])))
  const left = { flat, leveled, commits: [], steps: steps.filter((s) => !s.step.cached), bytes }
  return placed(left, (input) => data.has(input), start)
}

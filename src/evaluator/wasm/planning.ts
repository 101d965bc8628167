/**
 * From a program to a plan: flattened, levelled, fused, every buffer placed. Pure data (but for the emitters inside its
 * kernels): it can be printed, and its memory is known before anything runs.
 */
import { sameShape, sizeOf } from '../../data/shape.js'
import type { Program } from '../../graph/program.js'
import { constantOf, constOp, inputOp } from '../../graph/structural.js'
import type { Commit } from '../backend.js'
import { flatten, type Flat, type FlatNode } from '../plan/flatten.js'
import { stepsOf, type FuseRules, type Step } from '../plan/fuse.js'
import { levelsOf, type Leveled } from '../plan/levels.js'
import { rewrite, sparseSums, type RewriteRules } from '../plan/rewrite.js'
import { place, type Buffer } from '../plan/place.js'
import { isJoined, joinUpdates } from '../plan/join.js'
import type { ModuleBuilder } from './asm/module.js'
import { commonSpace, cutsOf, endsLoop, groupKernel } from './elementwise/group.js'
import { isMap, REDUCTIONS } from './elementwise/lowering.js'
import { signatureOf, updateKernel } from './elementwise/update.js'
import { withEpilogues, type Chosen } from './epilogue.js'
import type { Named } from './elementwise/lanes.js'
import { absorbsAbs, kernelOf, type OpKernel } from './kernels/index.js'
import type { MathOf } from './kernels/math.js'
import { unaryFunction } from './kernels/unary.js'

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

const MOST_MEMBERS = 96

/** Ops so cheap that a second computation beats memory. */
const CHEAP: ReadonlySet<string> = new Set([
  'less',
  'lessEqual',
  'equal',
  'select',
  'abs',
  'neg',
  'sign',
  'relu',
  'relu6',
  'add',
  'sub',
  'mul',
  'binarySign',
  'absBinarySign',
  'broadcastTo',
  'clamp',
  'tensorClamp',
  'hardtanh',
  'within',
  'between',
  'inside',
  'maximum',
  'minimum',
])

/** Operands of the result's shape, or single numbers, have a loop in common at once; it need not be sought. */
const isPlain = (node: FlatNode): boolean =>
  node.args.every((a) => sizeOf(a.shape) === 1 || sameShape(a.shape, node.shape))

const classify = (node: FlatNode): 'map' | 'reduce' | 'op' => {
  if (node.op.guards === true || sizeOf(node.shape) === 0) return 'op'
  if (isMap(node) && (isPlain(node) || commonSpace([node], sizeOf(node.shape)) !== null)) return 'map'
  // Extremes have a kernel that needs no slow NaN-keeping maximum.
  if (REDUCTIONS[node.op.name]?.join === 'max') return 'op'
  return Object.hasOwn(REDUCTIONS, node.op.name) &&
    sizeOf(node.args[0].shape) > 0 &&
    endsLoop(node) &&
    commonSpace([node], sizeOf(node.args[0].shape)) !== null
    ? 'reduce'
    : 'op'
}

const REWRITES: RewriteRules = { absorbsAbs, isMap }
const RULES: FuseRules = { cuts: cutsOf, cheap: (node) => CHEAP.has(node.op.name), most: MOST_MEMBERS }

const laneFunctions =
  (math: MathOf) =>
  (m: ModuleBuilder): Named =>
  (name, attrs) => {
    const f = unaryFunction(m, math(m), name, attrs)
    if (f === null)
      throw new RangeError(`internal: ${name} has no function of one lane; report this as a bug of quantrace`)
    return f
  }

const chooseKernel = (step: Step, flat: Flat, math: MathOf): Chosen => {
  if (step.kind === 'group') {
    const { kernel, args, outs } = isJoined(step)
      ? updateKernel(step, flat.nodes, laneFunctions(math))
      : groupKernel(step, flat.nodes, laneFunctions(math))
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
  const chosen: OpKernel | null = kernelOf(node, math)
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

const FOREVER = Number.POSITIVE_INFINITY

/** Lifetimes of values in steps: made by, last read by. Inputs, outputs and what is cached live for ever. */
const lifetimes = (
  flat: Flat,
  l: Leveled,
  steps: readonly Chosen[],
): { readonly from: Float64Array; readonly to: Float64Array } => {
  const from = new Float64Array(flat.nodes.length).fill(-1)
  const to = new Float64Array(flat.nodes.length).fill(-1)
  steps.forEach((s, k) => {
    for (const o of s.outs) {
      from[o] = k
      to[o] = l.cached[o] === 1 ? FOREVER : Math.max(to[o], k)
    }
    for (const a of s.args) to[a] = Math.max(to[a], k)
  })
  for (const node of flat.nodes) {
    if (node.op === inputOp) [from[node.id], to[node.id]] = [-1, FOREVER]
    else if (node.op === constOp && to[node.id] >= 0) [from[node.id], to[node.id]] = [-1, FOREVER]
  }
  for (const o of flat.outputs) to[o.id] = FOREVER
  return { from, to }
}

/** Commits whose result may be written over the input: nothing can fail any more, and nobody reads the old value afterwards, nor elsewhere in the same loop. */
const inPlace = (
  commits: readonly Commit[],
  { flat, ends }: Leveled,
  steps: readonly Chosen[],
): ReadonlyMap<number, number> => {
  const madeBy = new Map<number, number>()
  const lastRead = new Map<number, number>()
  steps.forEach((s, k) => {
    for (const o of s.outs) madeBy.set(o, k)
    for (const a of s.args) lastRead.set(a, k)
  })
  const counts = new Map<number, number>()
  for (const o of flat.outputs) counts.set(o.id, (counts.get(o.id) ?? 0) + 1)
  const taken = new Map<number, number>()
  const used = new Set<number>()
  for (const { output, input } of commits) {
    const [value, old] = [flat.outputs[output].id, flat.inputs[input]]
    const made = madeBy.get(value)
    if (old < 0 || made === undefined || ends[value] === 0 || used.has(old) || taken.has(value) || counts.has(old))
      continue
    const s = steps[made].step
    if (
      s.kind !== 'group' ||
      !s.stores.includes(value) ||
      s.reduces.length > 0 ||
      (lastRead.get(old) ?? -1) > made ||
      sizeOf(flat.nodes[old].shape) !== sizeOf(flat.nodes[value].shape)
    )
      continue
    used.add(old)
    taken.set(value, old)
  }
  return taken
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

/** Plans a program for the phases in which its inputs put it. `read` gives the elements of input number `i`. */
export const planOf = (
  program: Program,
  read: (input: number) => Float32Array,
  commits: readonly Commit[],
  math: MathOf,
): Plan => {
  const flat = sparseSums(rewrite(flatten(program.graph, read), REWRITES), REWRITES)
  const late = new Set(commits.map((c) => flat.outputs[c.output].id))
  const fixed = new Set(
    program.mode === 'eval' && commits.length === 0
      ? program.inputs.flatMap((p, i) => (p.kind === 'data' || flat.inputs[i] < 0 ? [] : [flat.inputs[i]]))
      : [],
  )
  const leveled = levelsOf(flat, classify, RULES.cheap, late, fixed)
  // Within a level the host comes first, so that what follows is one segment.
  const single = joinUpdates(stepsOf(leveled, RULES), leveled, updatesOf(program, flat, commits), {
    signature: signatureOf(flat.nodes),
  })
    .map((s) => chooseKernel(s, flat, math))
    .sort(
      (a, b) =>
        Number(b.step.cached) - Number(a.step.cached) ||
        a.step.level - b.step.level ||
        Number(b.kernel === null) - Number(a.kernel === null),
    )
  const chosen = withEpilogues(single, {
    sizeOf: (id) => sizeOf(flat.nodes[id].shape),
    stays: (s) => s.outs.some((o) => leveled.ends[o] === 1),
    groupKernel: (step, chunk) => groupKernel(step, flat.nodes, laneFunctions(math), chunk),
  })
  const over = inPlace(commits, leveled, chosen)
  const { from, to } = lifetimes(flat, leveled, chosen)
  // A kernel that changes few elements takes over its operand's place, if nobody else wants that.
  const outputs = new Set(flat.outputs.map((o) => o.id))
  const heirs = new Map<number, number>()
  chosen.forEach((s, k) => {
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
  const buffers: Buffer[] = []
  const bufferOf = new Map<number, number>()
  for (const node of flat.nodes) {
    const stored = from[node.id] >= 0 || node.op === inputOp || (node.op === constOp && to[node.id] >= 0)
    if (stored && !over.has(node.id) && !heirs.has(node.id))
      bufferOf.set(node.id, buffers.push({ bytes: sizeOf(node.shape) * 4, from: from[node.id], to: to[node.id] }) - 1)
  }
  const splits = chosen.map(
    (s) =>
      !s.step.cached &&
      s.kernel !== null &&
      s.kernel.stages.some((st) => st.fixed === true) &&
      s.args.length >= 4 &&
      s.args.slice(1, 4).every((a) => leveled.cached[a] === 1),
  )
  const areas = chosen.map((s, k) => ({
    scratch:
      s.kernel === null || s.kernel.scratch === 0
        ? -1
        : buffers.push(
            splits[k]
              ? { bytes: s.kernel.scratch, from: -1, to: FOREVER }
              : { bytes: s.kernel.scratch, from: k, to: k },
          ) - 1,
    flags: s.kernel?.fallback === undefined ? -1 : buffers.push({ bytes: 8, from: -1, to: FOREVER }) - 1,
    constants:
      s.kernel === null || s.kernel.constants === null
        ? -1
        : buffers.push({ bytes: s.kernel.constants.length, from: -1, to: FOREVER }) - 1,
  }))
  const placed = place(buffers, CONTROL_BYTES)
  const addressOf = (buffer: number | undefined): number =>
    buffer === undefined || buffer < 0 ? -1 : placed.addresses[buffer]
  const addresses = Float64Array.from(flat.nodes, (n) =>
    addressOf(bufferOf.get(over.get(n.id) ?? heirs.get(n.id) ?? n.id)),
  )
  for (const s of chosen)
    for (const a of [...s.args, ...s.outs])
      if (addresses[a] < 0)
        throw new RangeError(
          `internal: node ${a} (${flat.nodes[a].op.name}) of step ${s.label} has no place in memory; report this as a bug of quantrace`,
        )
  return {
    flat,
    leveled,
    addresses,
    steps: chosen.map((s, k) => ({
      ...s,
      split: splits[k],
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
    bytes: placed.bytes,
  }
}

/** A plan as data and as text: what each pass made of the program, where everything lies, and which products run on integers. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import {
  allOf,
  anyNumber,
  demandArguments,
  flag,
  list,
  listOf,
  record,
  required,
  shaped,
  text,
  type Field,
} from '../../data/fields.js'
import type { Tensor } from '../../data/tensor.js'
import type { Program } from '../../graph/program.js'
import { inputOp } from '../../graph/structural.js'
import { isJoined } from '../plan/join.js'
import type { FlatNode } from '../plan/flatten.js'
import { nodesOf } from '../plan/fuse.js'
import type { PlanDescription, ProductDescription, StepDescription } from '../insight.js'
import { tooLarge } from '../memory.js'
import { newMath } from './kernels/math.js'
import { BASELINE, described, type Rungs } from './rungs.js'
import { planOf } from './planning.js'
import type { Plan, PlannedStep } from './placing.js'

const flatOf = (s: PlannedStep): readonly number[] => nodesOf(s.step)

const stepOf =
  (plan: Plan) =>
  (s: PlannedStep, index: number): StepDescription => {
    const nodes = flatOf(s).map((i) => plan.flat.nodes[i])
    return {
      index,
      kernel: s.label,
      on: s.kernel === null ? 'host' : 'wasm',
      path: s.path,
      level: s.step.level,
      once: s.step.cached,
      ops: nodes.map((n) => n.op.name),
      nodes: [...new Set(nodes.map((n) => n.origin))],
      reads: s.args.map((a) => plan.addresses[a]),
      stores: s.outs.map((o) => plan.addresses[o]),
      scratchBytes: s.kernel?.scratch ?? 0,
      leaves: isJoined(s.step)
        ? s.step.leaves.map((leaf) => plan.flat.nodes[leaf.members[leaf.members.length - 1]].path)
        : [],
    }
  }

/** Why a product runs in float: by its licence; or, as it is licensed, by its size. */
const whyFloatOf = (s: PlannedStep, { op, licence, shape, args }: FlatNode): string => {
  if (typeof licence === 'string') return licence
  if ([shape, ...args.map((a) => a.shape)].some((n) => n.includes(0))) return 'there is nothing to multiply'
  return s.kernel === null
    ? `${op.name} has no kernel here: the host runs it`
    : 'so few rows: bringing the weight into integers would cost more than the product'
}

const productOf = (s: PlannedStep, node: FlatNode): ProductDescription => {
  const integers = s.kernel?.integers === true
  const why = integers ? 'both operands lie on integer grids of at most 8 bits' : whyFloatOf(s, node)
  return {
    node: node.origin,
    op: node.op.name,
    path: node.path,
    kernel: s.label,
    runsOn: integers ? 'integers' : 'float',
    why,
  }
}

/** What there is to say of a step that is a product; null for others. */
export const productIn = (plan: Plan, s: PlannedStep): ProductDescription | null =>
  s.step.kind === 'op' && plan.flat.nodes[s.step.node].licence !== undefined
    ? productOf(s, plan.flat.nodes[s.step.node])
    : null

/** The plan that is made for a program over these inputs, in the order of `program.inputs`. Nothing is run. */
export const explain = (
  program: Program,
  inputs: readonly Tensor[],
  rungs: Rungs = BASELINE,
): E.Either<QuantErrors, PlanDescription> => {
  const large = tooLarge(program, 'wasm')
  if (large !== null) return E.left(large)
  const plan = planOf(program, (i) => inputs[i].data, [], newMath(), { bytes: true, rungs })
  return E.right(describePlan(plan, program.graph.nodes.length, rungs))
}

/** Describes a plan. `programNodes`: how many nodes the program has. */
export const describePlan = (plan: Plan, programNodes: number, rungs: Rungs = BASELINE): PlanDescription => ({
  bytes: plan.bytes,
  rungs: described(rungs),
  phases: plan.flat.tests.map((t) => ({ path: t.path, phase: t.collecting ? 'collecting' : 'learned' })),
  passes: {
    programNodes,
    flatNodes: plan.flat.nodes.length,
    loops: plan.steps.filter((s) => s.step.kind === 'group').length,
    kernels: plan.steps.filter((s) => s.step.kind === 'op' && s.kernel !== null).length,
    hostSteps: plan.steps.filter((s) => s.kernel === null).length,
    storedValues: plan.flat.nodes.filter((n) => n.op !== inputOp && plan.addresses[n.id] >= 0).length,
    byteValues: plan.byteGrids.size,
    inPlace: plan.steps.filter((s) => s.alone).length,
  },
  steps: plan.steps.map(stepOf(plan)),
  products: plan.steps.flatMap((s) => productIn(plan, s) ?? []),
})

/** How often a step is done where that is not once a run, and by whom if not by the module. */
const whenOf = (s: StepDescription): string => {
  if (s.on === 'host') return 'host'
  return s.once ? 'once' : ''
}

const kib = (bytes: number): string => `${(bytes / 1024).toFixed(1)} KiB`

/** Ops with how often each occurs: `add ×2 mul`. */
const opsText = (ops: readonly string[]): string => {
  const counts = new Map<string, number>()
  for (const op of ops) counts.set(op, (counts.get(op) ?? 0) + 1)
  return [...counts].map(([op, n]) => (n === 1 ? op : `${op} ×${n}`)).join(' ')
}

/** A description of a plan, as an argument. */
export const planField: Field = {
  ...shaped(
    'a plan, as explainPlan describes it',
    allOf({
      bytes: anyNumber,
      rungs: shaped('what products multiply with', allOf({ integers: text, fma: flag, why: text })),
      phases: listOf(shaped('a phase', allOf({ path: text, phase: text }))),
      passes: record,
      steps: listOf(
        shaped(
          'a step',
          allOf({
            kernel: text,
            path: text,
            ops: list,
            nodes: list,
            reads: list,
            stores: list,
            scratchBytes: anyNumber,
            leaves: list,
          }),
        ),
      ),
      products: listOf(shaped('a product', allOf({ node: anyNumber, op: text, path: text, kernel: text, why: text }))),
    }),
  ),
  like: 'orThrow(explainPlan(program, args))',
}

/** The description as text. */
export const showPlan = (d: PlanDescription): string => {
  demandArguments('showPlan', { plan: d }, { plan: required(planField) })
  const p = d.passes
  const step = (s: StepDescription): string =>
    `  ${String(s.index).padStart(3)} ${whenOf(s).padEnd(4)} ${s.kernel.padEnd(32)} ${s.path.padEnd(24)} ${opsText(s.ops)}  [${s.reads.join(' ')}] → [${s.stores.join(' ')}]${s.scratchBytes > 0 ? ` scratch ${kib(s.scratchBytes)}` : ''}${s.leaves.length > 0 ? ` leaves ${s.leaves.join(' ')}` : ''}`
  return [
    `plan: ${kib(d.bytes)} of memory`,
    ...(d.phases.length === 0 ? [] : [`phases: ${d.phases.map((t) => `${t.path} ${t.phase}`).join(', ')}`]),
    `flat: ${p.programNodes} nodes of the program became ${p.flatNodes}`,
    `instructions: ${d.rungs.integers === 'relaxed' ? '8-bit' : '16-bit'} dot products of integers, because ${d.rungs.why}; float products are ${d.rungs.fma ? 'added unrounded (fma)' : 'rounded, then added'}`,
    `fused: ${p.loops} loops, ${p.kernels} kernels, ${p.hostSteps} steps on the host; ${p.storedValues} values stored${p.byteValues === 0 ? '' : `, ${p.byteValues} of them as bytes`}, ${p.inPlace} steps write over inputs`,
    'steps (addresses in bytes):',
    ...d.steps.map(step),
    'products:',
    ...d.products.map((x) => `  %${x.node} ${x.op} ${x.path}: ${x.runsOn} (${x.kernel}), because ${x.why}`),
  ].join('\n')
}

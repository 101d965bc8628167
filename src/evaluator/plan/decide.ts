/** Phases in a flat program: which branch is taken, or that both are, and the counter chooses between their results. */
import type { NodeId } from '../../data/quant.js'
import { sizeOf, type Shape } from '../../data/shape.js'
import type { Graph, Node } from '../../graph/graph.js'
import type { Attrs, Op } from '../../graph/op.js'
import { constantAttrs, constOp } from '../../graph/structural.js'
import { less } from '../../ops/compare.js'
import { select } from '../../ops/select.js'

type Ref = { readonly id: number; readonly shape: Shape }

/** A phase that was decided: the plan holds as long as its counter stays on the same side of the limit. */
export type PhaseTest = {
  readonly counter: Ref
  readonly limit: number
  readonly collecting: boolean
  readonly path: string
  readonly warnSteps: number | null
  /** Both branches are in the plan: it holds on either side. */
  readonly open: boolean
}

/** How a phase is decided now. */
const testOf = ({ attrs, path }: Node, counter: Ref, scalar: (ref: Ref) => Float32Array): PhaseTest => {
  const limit = Number(attrs.limit)
  const warnSteps = attrs.warnSteps === null ? null : Number(attrs.warnSteps)
  return { counter, limit, collecting: scalar(counter)[0] < limit, path, warnSteps, open: false }
}

/** May both branches be computed, whichever is wanted? Not where the other would raise a check, or is long. */
const mayBoth = (branches: readonly Graph[]): boolean =>
  branches.length === 2 && branches.every((g) => g.nodes.every((n) => n.op.guards !== true && n.branches === undefined))

type From = { readonly origin: NodeId; readonly path: string }

/** The flat program around a phase. */
type Around = {
  /** Phases so far; this one is appended. */
  readonly tests: PhaseTest[]
  readonly scalar: (ref: Ref) => Float32Array
  /** Are both branches wanted, where that is possible? */
  readonly open: boolean
  readonly add: (op: Op, args: readonly Ref[], attrs: Attrs, shape: Shape, from: From) => Ref
  readonly from: From
  /** Adds what a branch computes. */
  readonly visit: (branch: Graph) => readonly Ref[]
}

/** The results of both branches, as the counter chooses them. */
const bothOf = (
  branches: readonly Graph[],
  { counter, limit }: PhaseTest,
  { add, from, visit }: Around,
): readonly Ref[] => {
  const bound = add(constOp, [], constantAttrs(limit), [], from)
  const flag = add(less, [{ id: counter.id, shape: [] }, bound], {}, [], from)
  const [collect, learned] = branches.map(visit)
  return collect.map((c, i) => (c.id === learned[i].id ? c : add(select, [flag, c, learned[i]], {}, c.shape, from)))
}

/** What a phase gives: its branch, as its counter decides now, or both. */
export const phaseResults = (node: Node, counter: Ref, around: Around): readonly Ref[] => {
  const test = testOf(node, counter, around.scalar)
  const branches = node.branches ?? []
  const both = around.open && sizeOf(counter.shape) === 1 && Math.fround(test.limit) === test.limit && mayBoth(branches)
  around.tests.push({ ...test, open: both })
  if (both) return bothOf(branches, test, around)
  const branch = branches[test.collecting ? 0 : 1]
  return branch === undefined ? [] : around.visit(branch)
}

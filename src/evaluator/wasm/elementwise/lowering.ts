/** Nodes as loops over their elements: what an op's record says of its elements, or of its sums' terms, is written into the loop. */
import type { Attrs, Op } from '../../../graph/op.js'
import type { Lane } from '../../../graph/lanes.js'
import type { Reduction } from '../../../graph/traits.js'
import { type Shape, sizeOf } from '../../../data/shape.js'
import type { FlatNode } from '../../plan/flatten.js'
import { newExprs, type Expr, type Exprs } from './exprs.js'
import { CALL_NS, DIVISION_NS, OPERATION_NS, RECOMPUTED_NS } from '../machine.js'

const itself: NonNullable<Op['lanes']> = (_lanes, [x]) => x

/** The rule of a node's elements, or of the terms of its sum: its own, or the operand as it is. */
const ruleOf = ({ lanes, reduces }: Op): Op['lanes'] =>
  lanes ?? (reduces === undefined ? undefined : (reduces.term ?? itself))

/** Writes a node into a loop: its operands' elements in; out comes that of its result, or the term of its sum. */
export const write = ({ op, attrs }: FlatNode, e: Exprs, args: readonly Lane[]): Lane => {
  const x = ruleOf(op)?.(e.lanes, args, attrs)
  if (x === undefined)
    throw new RangeError(`internal: ${op.name} is computed in no loop; report this as a bug of quantrace`)
  return e.lanes.fround(x)
}

const costOfOne = ({ op }: Expr): number => {
  if (op === 'call') return CALL_NS
  if (op === 'div') return DIVISION_NS
  return op === 'const' ? 0 : OPERATION_NS
}

/** Rough time of one turn of a loop, four elements, in nanoseconds. */
export const costOfTurn = (list: readonly Expr[]): number => list.reduce((sum, e) => sum + costOfOne(e), 0)

/** An op on lanes: the number of its result, -1 where that is its operand as it is, or null where no loop computes it. */
const tryToWrite = (e: Exprs, op: Op, attrs: Attrs, operands: number): number | null => {
  const rule = ruleOf(op)
  if (rule === undefined) return null
  if (rule === itself) return -1
  const args: Lane[] = []
  for (let k = 0; k < operands; k++) args.push(e.load(k))
  try {
    return e.lower(rule(e.lanes, args, attrs))
  } catch {
    // A user's rule that gives no number: the reference computes the op (and `lanesAgree` tells of the rule).
    return null
  }
}

/** Does computing an operation, with all that it is made of, beat storing it? */
const isCheaper = (list: readonly Expr[], root: number): boolean => {
  const made = new Set<number>()
  const waiting = [root]
  let cost = 0
  for (let i = waiting.pop(); i !== undefined; i = waiting.pop()) {
    const e = list[i]
    if (e.op === 'iota') return false
    if (e.op === 'load' || made.has(i)) continue
    made.add(i)
    cost += costOfOne(e)
    waiting.push(...e.args)
  }
  return cost <= RECOMPUTED_NS
}

/** What loops can do of nodes; each question is answered once for an op and its attributes. */
export type LoopRules = {
  /** Is the node computed element by element? */
  readonly isMap: (node: FlatNode) => boolean
  /** Is it a sum whose terms are? */
  readonly isReduction: (node: FlatNode) => boolean
  /** Does computing it twice beat storing it? */
  readonly isCheap: (node: FlatNode) => boolean
}

const NO_ATTRS: Attrs = {}
const isEmpty = (attrs: Attrs): boolean => {
  for (const _ in attrs) return false
  return true
}

/** What is known of an op and its attributes: what `tryToWrite` says, and whether that is cheap, once somebody asks. */
type Written = { readonly root: number | null; cheap: boolean | null }

/** Starts to answer; for one plan. */
export const newLoopRules = (): LoopRules => {
  const known = new Map<Op, WeakMap<Attrs, Written>>()
  // All are written into one list, in which equal operations are one.
  const exprs = newExprs()
  const writtenOf = ({ op, attrs: given, args }: FlatNode): Written => {
    let own = known.get(op)
    if (own === undefined) known.set(op, (own = new WeakMap()))
    const same = own.get(given)
    if (same !== undefined) return same
    const attrs = isEmpty(given) ? NO_ATTRS : given
    const found = own.get(attrs) ?? { root: tryToWrite(exprs, op, attrs, args.length), cheap: null }
    own.set(attrs, found).set(given, found)
    return found
  }
  const isCheap = (node: FlatNode): boolean => {
    const w = writtenOf(node)
    if (w.root === null) return false
    return (w.cheap ??= w.root < 0 || isCheaper(exprs.list, w.root))
  }
  return {
    isMap: (node) => node.op.lanes !== undefined && writtenOf(node).root !== null,
    isReduction: (node) => node.op.reduces !== undefined && writtenOf(node).root !== null,
    isCheap: (node) => node.op.lanes !== undefined && isCheap(node),
  }
}

/** The shape of a reduction's result as it is seen from its operand: reduced axes are 1. */
export const overOf = (node: FlatNode, reduces: Reduction): Shape =>
  reduces.over(
    node.args.map((a) => a.shape),
    node.attrs,
    node.shape,
  )

/** By what the sum is divided. */
export const divisorOf = (node: FlatNode, { join }: Reduction): number =>
  join === 'mean' ? sizeOf(node.args[0].shape) / Math.max(1, sizeOf(node.shape)) : 1

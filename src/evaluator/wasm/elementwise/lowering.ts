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

type Written = { readonly cheap: boolean } | null

const tryToWrite = (op: Op, attrs: Attrs, operands: number): Written => {
  const rule = ruleOf(op)
  if (rule === undefined) return null
  if (rule === itself) return { cheap: true }
  const e = newExprs()
  try {
    e.lower(
      rule(
        e.lanes,
        Array.from({ length: operands }, (_, k) => e.load(k)),
        attrs,
      ),
    )
  } catch {
    // A user's rule that gives no number: the reference computes the op (and `lanesAgree` tells of the rule).
    return null
  }
  const own = e.list.filter((x) => x.op !== 'load')
  return { cheap: own.every((x) => x.op !== 'iota') && costOfTurn(own) <= RECOMPUTED_NS }
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

/** Starts to answer; for one plan. */
export const newLoopRules = (): LoopRules => {
  const known = new Map<Op, WeakMap<Attrs, Written>>()
  const written = ({ op, attrs: given, args }: FlatNode): Written => {
    const attrs = Object.keys(given).length === 0 ? NO_ATTRS : given
    const own = known.get(op) ?? new WeakMap<Attrs, Written>()
    known.set(op, own)
    const found = own.get(attrs)
    if (found !== undefined) return found
    const made = tryToWrite(op, attrs, args.length)
    own.set(attrs, made)
    return made
  }
  return {
    isMap: (node) => node.op.lanes !== undefined && written(node) !== null,
    isReduction: (node) => node.op.reduces !== undefined && written(node) !== null,
    isCheap: (node) => node.op.lanes !== undefined && written(node)?.cheap === true,
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

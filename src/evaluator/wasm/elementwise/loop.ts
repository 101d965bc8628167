/**
 * What a loop over a group of element-wise nodes computes: its axes, the operands that it loads once each, the expressions
 * of its members, what it stores and what it sums.
 */
import { sizeOf, type Shape } from '../../../data/shape.js'
import type { Lane } from '../../../graph/lanes.js'
import { constantOf, constOp } from '../../../graph/structural.js'
import { NO_BYTES, type ByteGrids } from '../../plan/bytes.js'
import type { FlatNode, Ref } from '../../plan/flatten.js'
import type { GroupStep } from '../../plan/fuse.js'
import { isBlindToZeros } from './bytes.js'
import { newExprs, type Exprs } from './exprs.js'
import { divisorOf, overOf, write } from './lowering.js'
import { addCuts, runsOf, spaceOf, stridesIn, type Run, type Space } from './space.js'
import { LOOP_ELEMENTS } from '../machine.js'

/** Adds where the patterns of a node's operands and result change over its loop. */
const addCutsOf = (node: FlatNode, cuts: Set<number>): void => {
  const { reduces } = node.op
  const to = reduces === undefined ? node.shape : node.args[0].shape
  const size = sizeOf(to)
  for (const { shape } of node.args) {
    // What is whole, or one number, has no pattern.
    const own = sizeOf(shape)
    if (own !== size && own !== 1) addCuts(runsOf(shape, to), cuts)
  }
  if (reduces !== undefined) addCuts(runsOf(overOf(node, reduces), to), cuts)
}

/** The common axes of a loop over these members, or null where they have none in common. */
export const commonSpace = (members: readonly FlatNode[], size: number): Space | null => {
  const cuts = new Set<number>()
  for (const node of members) addCutsOf(node, cuts)
  return spaceOf(size, cuts)
}

/** Where the patterns of a node's operands change, in elements from the innermost. */
export const cutsOf = (node: FlatNode): readonly number[] => {
  const cuts = new Set<number>()
  addCutsOf(node, cuts)
  return [...cuts].filter((c) => c > 1)
}

/** Does the innermost axis of the operand disappear in this reduction? Only then it can end a loop. */
export const endsLoop = (node: FlatNode): boolean => {
  const { reduces } = node.op
  if (reduces === undefined) return false
  const runs = runsOf(overOf(node, reduces), node.args[0].shape)
  return sizeOf(node.shape) === 1 || (runs.length > 0 && !runs[0].kept)
}

type Operand = {
  readonly id: number
  readonly strides: readonly number[]
  readonly kind: 'whole' | 'number' | 'splat' | 'row'
}
type Sum = {
  readonly node: FlatNode
  readonly term: number
  readonly divisor: number
  readonly strides: readonly number[]
}
/** A loop: its axes, what it computes of which operands, what it stores (what `bytes` names in steps of its grid) and what it sums. */
export type Loop = {
  readonly space: Space
  readonly chunk: number
  readonly exprs: Pick<Exprs, 'list'>
  readonly operands: readonly Operand[]
  readonly stores: readonly (readonly [node: number, expr: number])[]
  readonly sums: readonly Sum[]
  readonly bytes: ByteGrids
}

const kindOf = (strides: readonly number[], runs: readonly Run[]): Operand['kind'] => {
  if (runs.length === 1 && runs[0].kept) return 'whole'
  if (strides.every((s) => s === 0)) return 'number'
  return strides[0] === 0 ? 'splat' : 'row'
}

/** How many steps of a scale a number is: the factor that the scale was multiplied by, or a quotient. */
const stepsIn = (exprs: Exprs, x: Lane, scale: Lane): number => {
  const { op, args } = exprs.list[exprs.lower(x)]
  if (op === 'mul' && args[1] === exprs.lower(scale)) return args[0]
  const { lanes } = exprs
  return exprs.lower(lanes.mul(x, lanes.fround(lanes.div(lanes.one, scale))))
}

/** The loop of a group; `chunk`: elements of one unit. */
export const loopOf = (
  step: GroupStep,
  nodes: readonly FlatNode[],
  chunk: number,
  bytes: ByteGrids = NO_BYTES,
): Loop => {
  const members = step.members.map((i) => nodes[i])
  const space = commonSpace(members, step.size) ?? { size: step.size, axes: [step.size] }
  const exprs = newExprs()
  const operands: Operand[] = []
  const loads = new Map<string, number>()
  const results = new Map<number, Lane>()
  const load = (id: number, runs: readonly Run[]): Lane => {
    const strides = stridesIn(runs, space)
    const key = `${id}:${strides.join()}`
    const known = loads.get(key)
    if (known !== undefined) return exprs.load(known)
    loads.set(key, operands.length)
    return exprs.load(operands.push({ id, strides, kind: kindOf(strides, runs) }) - 1)
  }
  const numberOf = (a: Ref, to: Shape): Lane => {
    const from = nodes[a.id]
    return from.op === constOp ? exprs.lanes.constant(constantOf(from.attrs)) : load(a.id, runsOf(a.shape, to))
  }
  const scaleOf = (id: number, to: Shape): Lane => numberOf({ id, shape: [] }, to)
  const argsOf = (node: FlatNode): readonly Lane[] => {
    const to = node.op.reduces === undefined ? node.shape : node.args[0].shape
    return node.args.map((a) => {
      const made = results.get(a.id)
      if (made !== undefined) return made
      const grid = bytes.get(a.id)
      const x = numberOf(a, to)
      return grid === undefined ? x : exprs.lanes.fround(exprs.lanes.mul(x, scaleOf(grid.scale, to)))
    })
  }
  const sums: Sum[] = []
  for (const node of members) {
    const written = write(node, exprs, argsOf(node))
    const { reduces } = node.op
    if (reduces === undefined) results.set(node.id, written)
    else
      sums.push({
        node,
        term: exprs.lower(written),
        divisor: divisorOf(node, reduces),
        strides: stridesIn(runsOf(overOf(node, reduces), node.args[0].shape), space),
      })
  }
  const stores = step.stores.map((i) => {
    const value = results.get(i) ?? exprs.lanes.zero
    const grid = bytes.get(i)
    return [
      i,
      grid === undefined ? exprs.lower(value) : stepsIn(exprs, value, scaleOf(grid.scale, nodes[i].shape)),
    ] as const
  })
  // Loops are kept as long as their plan: what the expressions were written with goes.
  return { space, chunk, exprs: { list: exprs.list }, operands, sums, stores, bytes }
}

/** Does a loop that stores bytes alone give the same ones where it reads these as bytes? */
export const readsBytes = (step: GroupStep, nodes: readonly FlatNode[], bytes: ByteGrids): boolean => {
  const { exprs, operands } = loopOf(step, nodes, LOOP_ELEMENTS, bytes)
  const isByte = (k: number): boolean => bytes.has(operands[k].id)
  return operands.every((o, k) => !isByte(k) || o.kind === 'whole') && isBlindToZeros(exprs.list, isByte)
}

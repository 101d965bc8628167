/**
 * A group of element-wise nodes as a kernel: one loop that loads each operand once, computes every member and stores
 * what others want; sums over the loop end in one partial per unit, and a last stage adds these in order.
 */
import type { FlatNode } from '../../plan/flatten.js'
import { NO_BYTES, type ByteGrids } from '../../plan/bytes.js'
import type { GroupStep } from '../../plan/fuse.js'
import type { ModuleBuilder } from '../asm/module.js'
import type { Kernel, Places, Stage } from '../kernel.js'
import { exprKey } from './exprs.js'
import type { Scalars } from './lanes.js'
import { loopOf, type Loop } from './loop.js'
import { emitLoop } from './loopCode.js'
import { costOfTurn } from './lowering.js'
import { emitSums, partialBytes, type Partials } from './partials.js'
import { LOOP_ELEMENTS, LOOP_START_NS, MOVED_NS } from '../machine.js'

/** Rough time of so many vectors of a loop, in nanoseconds. */
export const costOf = (loop: Loop, vectors: number): number => costOfTurn(loop.exprs.list) * vectors + LOOP_START_NS

/** Operands that the kernel of a group reads and results that it writes, in the order of `Places.args` and `Places.outs`. */
export type GroupKernel = {
  readonly kernel: Kernel
  readonly args: readonly number[]
  readonly outs: readonly number[]
}

/** What a loop does, whatever nodes it reads and makes: equal loops have equal keys. */
const keyOf = ({ space, chunk, exprs, operands, stores, sums, bytes }: Loop, args: readonly number[]): string => {
  const grid = (id: number): string => {
    const g = bytes.get(id)
    return g === undefined ? '' : `${g.lo}…${g.hi}*${args.indexOf(g.scale)}`
  }
  return [
    space.axes.join('×'),
    chunk,
    exprs.list.map(exprKey).join(';'),
    operands.map((o) => `${args.indexOf(o.id)} ${o.kind} ${o.strides.join()} ${grid(o.id)}`).join(';'),
    stores.map(([id, e]) => `${e} ${grid(id)}`).join(';'),
    sums.map((s) => `${s.term} ${s.divisor} ${s.strides.join()} ${s.node.shape.join('×')}`).join(';'),
  ].join('|')
}

/** The loop, and what adds up its sums. */
const stagesOf = (
  loop: Loop,
  units: number,
  { args, outs }: Omit<GroupKernel, 'kernel'>,
  scalars: (m: ModuleBuilder) => Scalars,
): readonly Stage[] => {
  const placesOf = (at: Places): ReadonlyMap<number, number> =>
    new Map([...args.map((id, k) => [id, at.args[k]] as const), ...outs.map((id, k) => [id, at.outs[k]] as const)])
  const partialsAt = (at: Places): Partials => ({ place: at.scratch, units })
  const sweep: Stage = {
    label: 'loop',
    units,
    cost: costOf(loop, loop.space.size / units / 4),
    emit: (m, at) => emitLoop(m, loop, placesOf(at), partialsAt(at), scalars),
  }
  if (loop.sums.length === 0) return [sweep]
  const sums: Stage = {
    label: 'sums',
    units: 1,
    cost: units * loop.sums.length * MOVED_NS,
    emit: (m, at) => emitSums(m, loop, placesOf(at), partialsAt(at)),
  }
  return [sweep, sums]
}

/** `chunk` elements are a unit where the loop has a single axis; `bytes` are values stored so; `known` are kernels of groups before, which equal ones share. */
export type GroupOptions = {
  readonly chunk?: number
  readonly bytes?: ByteGrids
  readonly known?: Map<string, Kernel>
}

/** The kernel of a group. `scalars` gives the functions of one lane of a module. */
export const groupKernel = (
  step: GroupStep,
  nodes: readonly FlatNode[],
  scalars: (m: ModuleBuilder) => Scalars,
  { chunk = LOOP_ELEMENTS, bytes = NO_BYTES, known = new Map() }: GroupOptions = {},
): GroupKernel => {
  const loop = loopOf(step, nodes, chunk, bytes)
  const args = [...new Set(loop.operands.map((o) => o.id))]
  const outs = [...loop.stores.map((s) => s[0]), ...loop.sums.map((s) => s.node.id)]
  const key = `${step.members.length} ${keyOf(loop, args)}`
  const found = known.get(key)
  if (found !== undefined) return { kernel: found, args, outs }
  const { space } = loop
  const units = space.axes.length === 1 ? Math.ceil(space.size / chunk) : space.size / space.axes[0]
  const whole = [...loop.operands.filter((o) => o.kind === 'whole').map((o) => o.id), ...loop.stores.map((s) => s[0])]
  const kernel: Kernel = {
    name: `loop[${space.axes.toReversed().join('×')}] of ${step.members.length}`,
    scratch: partialBytes(loop, units),
    constants: null,
    stages: stagesOf(loop, units, { args, outs }, scalars),
    flops: loop.exprs.list.filter((e) => e.op !== 'const' && e.op !== 'load').length * space.size,
    bytes: space.size * whole.reduce((n, id) => n + (bytes.has(id) ? 1 : 4), 0),
  }
  known.set(key, kernel)
  return { kernel, args, outs }
}

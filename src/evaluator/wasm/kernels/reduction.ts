/** A reduction as groups of axes, and how it is dealt out: pieces of the result, and parts of what is summed. */
import { sizeOf, type Shape } from '../../../data/shape.js'
import type { Code } from '../asm/encode.js'
import { control, i32 } from '../asm/instructions.js'
import type { Local, Scope } from '../asm/module.js'
import type { KernelSpec } from '../kernel.js'
import { SUM_PARTS } from '../machine.js'

/** Neighbouring axes that are all kept or all summed, as one; the stride is in bytes. */
export type Group = { readonly size: number; readonly stride: number; readonly kept: boolean }

/** A reduction: its groups from the outermost in, the result's number of elements, and by what each sum is divided. */
export type Reduction = { readonly groups: readonly Group[]; readonly outs: number; readonly divisor: number }

/** Axes of one element belong to any group; the rest are merged. */
const groupsOf = (shape: Shape, kept: readonly boolean[]): readonly Group[] => {
  const groups: Group[] = []
  let stride = 4
  for (let d = shape.length - 1; d >= 0; d--) {
    if (shape[d] === 1) continue
    const first = groups[0]
    if (first !== undefined && first.kept === kept[d]) groups[0] = { ...first, size: first.size * shape[d] }
    else groups.unshift({ size: shape[d], stride, kept: kept[d] })
    stride *= shape[d]
  }
  return groups
}

const keptAxes = ({ op, attrs, shapes: [x], shape }: KernelSpec): readonly boolean[] | null => {
  if (op === 'sumTo')
    return x.map((n, d) => {
      const own = shape[d - x.length + shape.length]
      return own !== undefined && own === n
    })
  const { dims } = attrs
  return (op === 'sum' || op === 'mean') && Array.isArray(dims) ? x.map((_, d) => !dims.includes(d)) : null
}

/** The reduction of `sum`, `mean` or `sumTo`; null of other ops, and of nothing. */
export const reductionOf = (spec: KernelSpec): Reduction | null => {
  const kept = keptAxes(spec)
  const [x] = spec.shapes
  if (kept === null || sizeOf(x) === 0) return null
  const outs = sizeOf(spec.shape)
  return { groups: groupsOf(x, kept), outs, divisor: spec.op === 'mean' ? sizeOf(x) / outs : 1 }
}

/** Offset in bytes of the element of the kept groups that has number `index`. */
export const offsetOf = (index: Code<'i32'>, kept: readonly Group[]): Code<'i32'> => {
  let step = 1
  let sum: Code<'i32'> = i32.const(0)
  for (const { size, stride } of [...kept].reverse()) {
    const digit = i32.rem_u(step === 1 ? index : i32.div_u(index, i32.const(step)), i32.const(size))
    sum = i32.add(sum, i32.mul(digit, i32.const(stride)))
    step *= size
  }
  return sum
}

/** A stretch of the outermost summed group. */
export type Stretch = { readonly from: Local; readonly to: Local }

/** How a reduction is dealt out: pieces of the result, times parts of the outermost summed group. */
export type Deal = { readonly pieces: number; readonly parts: number; readonly each: number; readonly extent: number }

/** Deals out a reduction of `size` numbers, the outermost of whose summed groups has `extent`. */
export const dealOf = (pieces: number, size: number, extent: number): Deal => {
  const parts =
    pieces >= SUM_PARTS.enough
      ? 1
      : Math.max(1, Math.min(Math.floor(size / SUM_PARTS.elements), Math.ceil(SUM_PARTS.most / pieces), extent))
  const each = Math.ceil(extent / parts / 16) * 16
  return parts === 1 || each >= extent
    ? { pieces, parts: 1, each: extent, extent }
    : { pieces, parts: Math.ceil(extent / each), each, extent }
}

/** Sets the stretch of part `part`. */
export const stretchOf = (
  scope: Scope,
  { each, extent }: Deal,
  part: Code<'i32'>,
): { readonly stretch: Stretch; readonly set: Code } => {
  const stretch = { from: scope.local('i32'), to: scope.local('i32') }
  const end = i32.add(stretch.from.get, i32.const(each))
  return {
    stretch,
    set: [
      stretch.from.set(i32.mul(part, i32.const(each))),
      stretch.to.set(control.select(i32.const(extent), end, i32.gt_u(end, i32.const(extent)))),
    ],
  }
}

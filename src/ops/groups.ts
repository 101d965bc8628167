/** The way back from a tensor cut into groups, `[…, groups, size, …]`, whose scales are one per group (SEMANTICS-2 section 9). */
import { gridOf, stripped, type Carried } from '../data/quant.js'
import { showShape, sizeOf, type Shape } from '../data/shape.js'
import { count, integer, whole } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import { refuse, type Kit, type Op, type Value } from '../graph/op.js'
import { keep } from './support/metadata.js'

const joining = {
  /** The axis of the groups; that of their elements stands behind it. */
  axis: whole,
  /** The same as it was asked for, negative from the back: what the metadata says. */
  dim: integer,
}
type JoinAttrs = AttrsOf<typeof joining>

/** Is the scale one number per group, or per tensor? */
const isPerGroup = (scale: Shape, cut: Shape, axis: number): boolean =>
  scale.length === cut.length && scale.every((n, i) => n === (i === axis + 1 ? 1 : cut[i]))

const inGroups = (args: readonly Value[], { axis, dim }: JoinAttrs, kit: Kit): Carried => {
  const [x] = args
  const carried = keep(args)
  if (carried.tag !== 'carries' && carried.tag !== 'claimed') return carried
  const { quant } = carried
  const shapes = [quant.scale, quant.zeroPoint].map((id) => kit.value(id).shape)
  if (quant.group !== undefined || !isPerGroup(shapes[0], x.shape, axis))
    return stripped(
      `its scale ${showShape(shapes[0])} is not one per group of ${showShape(x.shape)} along axis ${axis}`,
    )
  if (sizeOf(shapes[1]) !== 1 && !isPerGroup(shapes[1], x.shape, axis))
    return stripped(`its zero point ${showShape(shapes[1])} is not one per group of ${showShape(x.shape)}`)
  return { ...carried, quant: { ...quant, group: { size: x.shape[axis + 1], dim } } }
}

/** The axes of groups and of their elements as one; scales per group become metadata of groups. */
export const joinGroups: Op<JoinAttrs> = {
  name: 'joinGroups',
  doc: 'Groups of elements joined to one axis, their scales kept in the metadata (Brevitas groupwise_dequant).',
  operands: ['x'],
  attributes: joining,
  layout: 'view',
  shape: ([x], { axis }) =>
    axis + 1 < x.length
      ? [...x.slice(0, axis), x[axis] * x[axis + 1], ...x.slice(axis + 2)]
      : refuse(`there are no axes ${axis} and ${axis + 1} in ${showShape(x)}`, 'name the first of two axes'),
  grids: 'all',
  carry: inGroups,
  vjp: ({ g, args: [x], kit }) => [kit.emit('reshape', [g], { shape: x.shape })],
  evaluate: ([x], _attrs, out) => {
    out.data.set(x.data)
    return null
  },
  examples: [
    {
      args: [{ shape: [2, 2, 3], quant: { bits: 4, signed: true, scaleShape: [2, 2, 1] } }],
      attrs: { axis: 1, dim: -1 },
    },
    { args: [{ shape: [2, 3] }], attrs: { axis: 0, dim: 0 } },
  ],
  smooth: true,
}

const trimming = { axis: whole, length: count }
type TrimAttrs = AttrsOf<typeof trimming>

/** The first `length` elements of an axis, of whose groups only the last one is cut short. */
export const trimGroups: Op<TrimAttrs> = {
  name: 'trimGroups',
  doc: 'The first elements of an axis: what groups were filled up with is cut off.',
  operands: ['x'],
  attributes: trimming,
  shape: ([x], { axis, length }) =>
    axis < x.length && length <= x[axis]
      ? x.map((n, i) => (i === axis ? length : n))
      : refuse(`axis ${axis} of ${showShape(x)} has no ${length} elements`, 'give an axis and a length within it'),
  grids: 'all',
  carry: (args, { axis, length }) => {
    const [x] = args
    const group = gridOf(x.carried)?.group
    if (group === undefined) return stripped('torch.narrow gets the bare value and returns a plain tensor')
    const own = group.dim < 0 ? group.dim + x.shape.length : group.dim
    return own === axis && Math.ceil(length / group.size) === Math.ceil(x.shape[axis] / group.size)
      ? keep(args)
      : stripped(`${length} elements of axis ${axis} are no longer the groups of ${group.size} along axis ${own}`)
  },
  vjp: ({ g, args: [x], attrs: { axis, length }, kit }) => [
    kit.emit('pad', [g], {
      pad: x.shape.map((n, i) => [0, i === axis ? n - length : 0]),
      mode: 'constant',
      value: 0,
    }),
  ],
  evaluate: ([x], { axis }, out) => {
    const rows = sizeOf(x.shape.slice(0, axis))
    const [from, to] = [sizeOf(x.shape.slice(axis)), sizeOf(out.shape.slice(axis))]
    for (let r = 0; r < rows; r++) out.data.set(x.data.subarray(r * from, r * from + to), r * to)
    return null
  },
  examples: [{ args: [{ shape: [2, 6] }], attrs: { axis: 1, length: 5 } }],
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    joinGroups: JoinAttrs
    trimGroups: TrimAttrs
  }
}

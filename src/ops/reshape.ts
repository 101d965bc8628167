/** The same elements in another shape (torch.reshape, view, flatten). */
import { showShape, sizeOf, type Shape } from '../data/shape.js'
import { gridOf, stripped, type Carried, type Grid, type NodeId } from '../data/quant.js'
import { shape } from '../graph/attr.js'
import type { Kit, Op, Value } from '../graph/op.js'
import { refuse } from '../graph/op.js'
import { claim, keep, perTensor } from './support/metadata.js'

/** The axis of a shape before which and behind which lie so many elements, as long as `length` or (of the last axis) cut into whole groups. */
const groupAxis = (shape: Shape, before: number, length: number, size: number): number => {
  const axis = shape.findIndex(
    (n, i) =>
      sizeOf(shape.slice(0, i)) === before &&
      (n === length || (i === shape.length - 1 && n % size === 0 && length % size === 0)),
  )
  const last = shape.length - 1
  return axis < 0 && length % size === 0 && shape[last] % size === 0 ? last : axis
}

/** Groups stay where their axis stays, or where both the old and the new last axis are whole groups; else they are torn. */
const regrouped = (x: Value, q: Grid, shape: Shape, kit: Kit): Carried => {
  const { size, dim } = q.group ?? { size: 1, dim: 0 }
  const axis = dim < 0 ? dim + x.shape.length : dim
  const [length, before, after] = [x.shape[axis], sizeOf(x.shape.slice(0, axis)), sizeOf(x.shape.slice(axis + 1))]
  const to =
    after === 1
      ? groupAxis(shape, before, length, size)
      : shape.findIndex((n, i) => n === length && sizeOf(shape.slice(0, i)) === before)
  if (to < 0 || sizeOf(shape.slice(to + 1)) !== after)
    return stripped(
      `a reshape from ${showShape(x.shape)} to ${showShape(shape)} tears the groups of ${size} along axis ${axis}; keep that axis, or quantize the result again`,
    )
  const compact = [...shape.slice(0, to), Math.ceil(shape[to] / size), 1, ...shape.slice(to + 1)]
  const follow = (id: NodeId): NodeId =>
    sizeOf(kit.value(id).shape) === 1 && kit.value(id).shape.length === 0
      ? id
      : kit.emit('reshape', [kit.value(id)], { shape: compact }).id
  const carried = keep([x])
  return carried.tag !== 'carries' && carried.tag !== 'claimed'
    ? carried
    : {
        ...carried,
        quant: { ...carried.quant, scale: follow(q.scale), zeroPoint: follow(q.zeroPoint), group: { size, dim: to } },
      }
}

/** The same elements, row-major, in another shape of the same size. */
export const reshape: Op<{ readonly shape: Shape }> = {
  name: 'reshape',
  doc: 'The same elements in another shape (torch.reshape, view, flatten).',
  operands: ['x'],
  attributes: { shape },
  dtype: 'same',
  layout: 'view',
  shape: ([x], { shape }) =>
    sizeOf(x) === sizeOf(shape) && shape.every((n) => Number.isInteger(n) && n >= 0)
      ? shape
      : refuse(
          `${sizeOf(x)} elements of ${showShape(x)} do not fill ${showShape(shape)}`,
          'give a shape with the same number of elements',
        ),
  grids: 'all',
  carry: (args, { shape }, kit) => {
    const q = gridOf(args[0].carried)
    if (q?.group !== undefined) return regrouped(args[0], q, shape, kit)
    return q === null || perTensor(q, kit)
      ? keep(args)
      : claim(args, q, 'a per-channel scale keeps its old shape and then broadcasts along other axes')
  },
  vjp: ({ g, args: [x], kit }) => [kit.emit('reshape', [g], { shape: x.shape })],
  evaluate: ([x], _attrs, out) => {
    out.data.set(x.data)
    return null
  },
  examples: [
    { args: [{ shape: [2, 3], quant: { bits: 4, signed: true } }], attrs: { shape: [3, 2] } },
    { args: [{ shape: [4] }], attrs: { shape: [1, 4, 1] } },
  ],
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    reshape: { readonly shape: Shape }
  }
}

/** Axes in another order (the method `permute`, transpose). */
import { showShape, sizeOf, stridesOf } from '../data/shape.js'
import { gridOf, type Carried, type Grid } from '../data/quant.js'
import { list, whole } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import type { Kit, Op } from '../graph/op.js'
import { refuse } from '../graph/op.js'
import { walk } from './support/elementwise.js'
import { claim, keep } from './support/metadata.js'

const attributes = { dims: list(whole) }

const isPermutation = (dims: readonly number[], rank: number): boolean =>
  dims.length === rank && [...dims].sort((a, b) => a - b).every((d, i) => d === i)

/** The axis of the groups moves along, and the two axes of their scales with it. */
const movedGroups = (carried: Carried, q: Grid, dims: readonly number[], kit: Kit): Carried => {
  if (carried.tag !== 'carries' && carried.tag !== 'claimed') return carried
  const { size, dim } = q.group ?? { size: 1, dim: 0 }
  const axis = dim < 0 ? dim + dims.length : dim
  const wide = dims.flatMap((d) => (d === axis ? [d, d + 1] : [d < axis ? d : d + 1]))
  const follow = (id: number): number =>
    kit.value(id).shape.length === wide.length ? kit.emit('permute', [kit.value(id)], { dims: wide }).id : id
  const group = { size, dim: dims.indexOf(axis) }
  return { ...carried, quant: { ...carried.quant, scale: follow(q.scale), zeroPoint: follow(q.zeroPoint), group } }
}

/** The axes in the order `dims`: axis i of the result is axis `dims[i]` of x. Metadata of x's rank is permuted likewise. */
export const permute: Op<AttrsOf<typeof attributes>> = {
  name: 'permute',
  doc: 'The axes in another order (QuantTensor.permute, transpose).',
  operands: ['x'],
  dtype: 'same',
  layout: 'move',
  attributes,
  shape: ([x], { dims }) =>
    isPermutation(dims, x.length)
      ? dims.map((d) => x[d])
      : refuse(
          `[${dims.join()}] is no permutation of the ${x.length} axes of ${showShape(x)}`,
          'name each axis once, from 0',
        ),
  grids: 'all',
  carry: (args, { dims }, kit: Kit) => {
    const carried = keep(args)
    const q = gridOf(carried)
    if (q?.group !== undefined) return movedGroups(carried, q, dims, kit)
    if (q === null || (carried.tag !== 'carries' && carried.tag !== 'claimed')) return carried
    const follow = (id: number): number =>
      kit.value(id).shape.length === dims.length ? kit.emit('permute', [kit.value(id)], { dims }).id : id
    const stays = [q.scale, q.zeroPoint]
      .map((id) => kit.value(id).shape)
      .find((s) => sizeOf(s) > 1 && s.length !== dims.length)
    if (stays !== undefined)
      return claim(
        args,
        { ...q, scale: follow(q.scale), zeroPoint: follow(q.zeroPoint) },
        `a scale or zero point of shape ${showShape(stays)} is not permuted, as it lacks axes, and then broadcasts along others`,
      )
    return { ...carried, quant: { ...q, scale: follow(q.scale), zeroPoint: follow(q.zeroPoint) } }
  },
  vjp: ({ g, attrs: { dims }, kit }) => [kit.emit('permute', [g], { dims: dims.map((_, i) => dims.indexOf(i)) })],
  evaluate: ([x], { dims }, out) => {
    const own = stridesOf(x.shape)
    walk(out.shape, [dims.map((d) => own[d])], (i, [j]) => {
      out.data[i] = x.data[j]
    })
    return null
  },
  examples: [
    { args: [{ shape: [2, 3], quant: { bits: 4, signed: false } }], attrs: { dims: [1, 0] } },
    { args: [{ shape: [2, 3, 4] }], attrs: { dims: [2, 0, 1] } },
  ],
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    permute: AttrsOf<typeof attributes>
  }
}

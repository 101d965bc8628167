/** Which elements of a tensor share a scale: all, those of a channel, of a row, or of a group (SEMANTICS-2 sections 8 and 9). */
import { showShape, sizeOf, type Shape } from '../data/shape.js'
import type { Value } from '../graph/op.js'
import type { Quantizer } from './quantizer.js'
import { overChannels, rowsOf, statisticDims } from './statistics.js'

/** How the scales of a quantizer lie over a tensor. */
export type Layout = {
  /** The tensor in the shape over which scales broadcast: itself, or an axis of it cut into groups. */
  readonly cut: (x: Value) => Value
  /** The cut tensor as rows for statistics: `[n]` where one scale is for all, else `[scales, n]`. */
  readonly rows: (cut: Value) => Value
  /** The shape of the scale. */
  readonly scale: Shape
  /** The way back from the cut tensor, whose groups stay in the metadata. */
  readonly join: (y: Value) => Value
  /** Are groups filled up with zeros? */
  readonly padded: boolean
}

const whole = (scale: Shape, rows: Layout['rows']): Layout => ({
  cut: (x) => x,
  rows,
  scale,
  join: (y) => y,
  padded: false,
})

/** One scale per row of the last axis; a scalar is a row of one element. */
const byRow = (shape: Shape): Layout => {
  const n = shape[shape.length - 1] ?? 1
  return whole([...shape.slice(0, -1), ...(shape.length === 0 ? [] : [1])], (x) =>
    x.kit.emit('reshape', [x], { shape: [sizeOf(x.shape) / Math.max(1, n), n] }),
  )
}

/** One scale per `size` elements along an axis, which is filled up with zeros at its end. */
const byGroup = (shape: Shape, dim: number, size: number): Layout => {
  const axis = dim < 0 ? dim + shape.length : dim
  const length = shape[axis]
  const groups = Math.ceil(length / size)
  const missing = groups * size - length
  const before = shape.slice(0, axis)
  const after = shape.slice(axis + 1)
  const cutShape = [...before, groups, size, ...after]
  const order = cutShape.map((_, i) => i).filter((i) => i !== axis + 1)
  return {
    cut: (x) => {
      const full =
        missing === 0
          ? x
          : x.kit.emit('pad', [x], {
              pad: shape.map((_, i) => [0, i === axis ? missing : 0]),
              mode: 'constant',
              value: 0,
            })
      return x.kit.emit('reshape', [full], { shape: cutShape })
    },
    rows: (x) => {
      const { kit } = x
      const last = after.length === 0 ? x : kit.emit('permute', [x], { dims: [...order, axis + 1] })
      return kit.emit('reshape', [last], { shape: [sizeOf(cutShape) / size, size] })
    },
    scale: [...before, groups, 1, ...after],
    join: (y) => {
      const joined = y.kit.emit('joinGroups', [y], { axis, dim })
      return missing === 0 ? joined : y.kit.emit('trimGroups', [joined], { axis, length })
    },
    padded: missing > 0,
  }
}

/** Why a tensor can not be cut into the groups of a quantizer, or null. */
export const groupProblem = (
  q: Quantizer,
  { shape }: Pick<Value, 'shape'>,
): { readonly op: string; readonly tag: 'ConfigError'; readonly refuse: string; readonly fix: string } | null => {
  if (q.scalingOver !== 'GROUP') return null
  const [dim, size] = [q.groupDim ?? -1, q.groupSize ?? 1]
  const length = shape[dim < 0 ? dim + shape.length : dim]
  if (length === undefined)
    return {
      op: 'groupDim',
      tag: 'ConfigError',
      refuse: `${q.name}: there is no axis ${dim} in an input ${showShape(shape)}, which is to be cut into groups`,
      fix: `give groupDim as an axis from ${-shape.length} to ${shape.length - 1}`,
    }
  return size <= length
    ? null
    : {
        op: 'groupSize',
        tag: 'ConfigError',
        refuse: `${q.name}: groups of ${size} are longer than axis ${dim} of ${showShape(shape)}, which has ${length}`,
        fix: `give groupSize: ${Math.max(1, length)} or less`,
      }
}

/** How the scales of a weight lie over it: along its output channels, and groups along its input channels. */
export const weightLayout = (q: Quantizer, shape: Shape, axis: number): Layout => {
  if (q.scalingOver === 'GROUP') return byGroup(shape, shape.length < 2 ? 0 : 1 - axis, q.groupSize ?? 1)
  const channelsFirst = [axis, ...shape.map((_, i) => i).filter((i) => i !== axis)]
  return whole(q.scalingPerOutputChannel ? shape.map((n, i) => (i === axis ? n : 1)) : [], (w) =>
    rowsOf(w, overChannels(q) ? channelsFirst : null),
  )
}

/** The same of an activation. */
export const activationLayout = (q: Quantizer, x: Value): Layout => {
  const { shape } = x
  if (q.scalingOver === 'ROW') return byRow(shape)
  if (q.scalingOver === 'GROUP') {
    return byGroup(shape, q.groupDim ?? -1, q.groupSize ?? 1)
  }
  return whole(scaleShape(q), (v) => rowsOf(v, statisticDims(q)))
}

/** The shape of the scale of an activation whose shape is not known yet: scalar, or per channel. */
export const scaleShape = (q: Quantizer): Shape =>
  q.scalingPerOutputChannel && q.perChannelBroadcastableShape !== null ? q.perChannelBroadcastableShape : []

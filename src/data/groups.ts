/** Scales of groups as numbers: the shape over which they lie, and how they are laid out over the elements again. */
import type { Group } from './quant.js'
import { broadcastStrides, sizeOf, type Shape } from './shape.js'
import type { Tensor } from './tensor.js'

/** The axis of groups, counted from the front. */
export const groupAxis = (group: Group, rank: number): number => (group.dim < 0 ? group.dim + rank : group.dim)

/** The shape of a tensor whose axis is cut into groups, filled up at its end; null where there is no such axis. */
export const groupedShape = (shape: Shape, group: Group): Shape | null => {
  const axis = groupAxis(group, shape.length)
  if (axis < 0 || axis >= shape.length) return null
  return [...shape.slice(0, axis), Math.ceil(shape[axis] / group.size), group.size, ...shape.slice(axis + 1)]
}

/** One number per element of a tensor, from one per group; a single number stays one. */
export const spreadGroups = (compact: Tensor, shape: Shape, group: Group): Tensor => {
  if (compact.data.length === 1 && compact.shape.length === 0) return compact
  const cut = groupedShape(shape, group) ?? shape
  const axis = groupAxis(group, shape.length)
  const strides = broadcastStrides(compact.shape, cut)
  const [inner, length] = [sizeOf(shape.slice(axis + 1)), shape[axis]]
  const data = new Float32Array(sizeOf(shape))
  const innerPlaces = placesOf(cut.slice(axis + 2), strides.slice(axis + 2))
  placesOf(cut.slice(0, axis), strides.slice(0, axis)).forEach((start, o) => {
    for (let i = 0; i < length; i++) {
      const row = start + Math.floor(i / group.size) * strides[axis] + (i % group.size) * strides[axis + 1]
      for (let k = 0; k < inner; k++) data[(o * length + i) * inner + k] = compact.data[row + innerPlaces[k]]
    }
  })
  return { shape, data }
}

/** The place of each element of a shape, in row-major order, by its strides. */
const placesOf = (shape: Shape, strides: readonly number[]): readonly number[] =>
  shape.reduce<readonly number[]>(
    (places, n, d) => places.flatMap((p) => Array.from({ length: n }, (_, i) => p + i * strides[d])),
    [0],
  )

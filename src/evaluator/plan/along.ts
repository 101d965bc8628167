/**
 * Rows along an axis that is not the last. What is computed of rows is written for the last axis, so a graph moves the axis there and back;
 * a plan reads and writes the elements where they are.
 */
import { sizeOf, type Shape } from '../../data/shape.js'
import { permute } from '../../ops/permute.js'
import type { FlatNode, Ref } from './flatten.js'

/** The axis that a permutation moves behind all others, which keep their order; null for other permutations. */
const movedLast = (dims: readonly number[]): number | null => {
  const axis = dims[dims.length - 1]
  const others = dims.map((_, i) => i).filter((i) => i !== axis)
  return axis !== undefined && axis < dims.length - 1 && others.every((d, i) => dims[i] === d) ? axis : null
}

/** The place to which a permutation moves the last axis; null for other permutations. */
const movedFromLast = (dims: readonly number[]): number | null => {
  const axis = dims.indexOf(dims.length - 1)
  return movedLast(dims.map((_, i) => dims.indexOf(i))) === axis ? axis : null
}

const dimsOf = ({ op, attrs: { dims } }: FlatNode): readonly number[] =>
  op === permute && Array.isArray(dims) ? dims.filter((d): d is number => typeof d === 'number') : []

const around = (shape: Shape, axis: number): Shape => [
  sizeOf(shape.slice(0, axis)),
  shape[axis],
  sizeOf(shape.slice(axis + 1)),
]

/** Of rows of `n` that were moved to the last axis: where they lay, in the shape [outer, n, inner]; else null. */
export const unmoved = (nodes: readonly FlatNode[], rows: Ref, n: number): Ref | null => {
  const node = nodes[rows.id]
  const axis = movedLast(dimsOf(node))
  if (axis === null) return null
  const [{ id, shape }] = node.args
  return shape[axis] === n ? { id, shape: around(shape, axis) } : null
}

/** Of what was moved from the last axis back to another: the rows as they lay there, and how many elements lie behind that axis; else null. */
export const movedBack = (
  nodes: readonly FlatNode[],
  moved: Ref,
): { readonly rows: Ref; readonly inner: number } | null => {
  const node = nodes[moved.id]
  const axis = movedFromLast(dimsOf(node))
  if (axis === null) return null
  const [{ id, shape }] = node.args
  const n = node.shape[axis]
  return { rows: { id, shape: [sizeOf(shape) / n, n] }, inner: around(node.shape, axis)[2] }
}

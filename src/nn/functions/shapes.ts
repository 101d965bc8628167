/** Shapes, sums and joins of values. */
import { count, flag, isShape, required, whole, type Field } from '../../data/fields.js'
import { sameShape, showShape, sizeOf, type Shape } from '../../data/shape.js'
import type { Value } from '../../graph/op.js'
import { dequantize } from './operators.js'
import {
  applying,
  axesField,
  axis,
  axisField,
  badAxis,
  demandSome,
  demandValue,
  demandValues,
  refused,
} from './support.js'

const newShape: Field = {
  says: 'a list of whole numbers from 0 on, at most one of them -1',
  like: '[2, -1]',
  holds: (s) => Array.isArray(s) && isShape(s.filter((n) => n !== -1)) && s.filter((n) => n === -1).length <= 1,
}
const resolveShape = (x: Value, shape: Shape): Shape => {
  const known = shape.reduce((p, n) => (n === -1 ? p : p * n), 1)
  return shape.map((n) => (n === -1 ? sizeOf(x.shape) / Math.max(1, known) : n))
}

/** The same elements in another shape; one entry may be -1 (torch.reshape, view). Keeps metadata. */
export const reshape = (x: Value, shape: Shape): Value =>
  refused('reshape', x, { shape }, { shape: required(newShape) }) ??
  (shape.includes(-1) && shape.includes(0)
    ? x.kit.fail({
        op: 'reshape',
        refuse: `-1 may stand for any size in ${showShape(shape)}, because nothing is in it`,
        fix: 'write the size in its place',
      })
    : null) ??
  x.kit.emit('reshape', [x], { shape: resolveShape(x, shape) })
/** Joins the axes from `startDim` to `endDim` into one (torch.flatten). Keeps metadata. */
export const flatten = (x: Value, startDim = 0, endDim = -1): Value => {
  demandValue('flatten', x)
  if (x.shape.length === 0) return reshape(x, [1])
  const bad = badAxis('flatten', x, startDim, x.shape.length) ?? badAxis('flatten', x, endDim, x.shape.length)
  if (bad !== null) return bad
  const [from, to] = [axis(x, startDim), axis(x, endDim)]
  if (from > to)
    return x.kit.fail({
      op: 'flatten',
      refuse: `startDim ${startDim} comes after endDim ${endDim} among ${x.shape.length} axes`,
      fix: `name the outer axis first: flatten(x, ${endDim}, ${startDim})`,
    })
  return reshape(x, [...x.shape.slice(0, from), sizeOf(x.shape.slice(from, to + 1)), ...x.shape.slice(to + 1)])
}
const permutation: Field = {
  ...axesField,
  says: 'a list of axes',
  holds: (d) => Array.isArray(d) && axesField.holds(d),
}
/** The axes in another order; metadata follows (the method `permute`). torch.permute is `plain.permute`. */
export const permute = (x: Value, dims: readonly number[]): Value =>
  refused('permute', x, { dims }, { dims: required(permutation) }) ??
  x.kit.emit('permute', [x], { dims: dims.map((d) => axis(x, d)) })
/** Two axes swapped; metadata follows (torch.transpose). */
export const transpose = (x: Value, dim0: number, dim1: number): Value => {
  const bad =
    refused('transpose', x, { dim0, dim1 }, { dim0: required(axisField), dim1: required(axisField) }) ??
    badAxis('transpose', x, dim0, x.shape.length) ??
    badAxis('transpose', x, dim1, x.shape.length)
  if (bad !== null) return bad
  const [a, b] = [axis(x, dim0), axis(x, dim1)]
  return permute(
    x,
    x.shape.map((_, i) => {
      if (i === a) return b
      return i === b ? a : i
    }),
  )
}
/** Without an axis of size 1, or without all of them (torch.squeeze); strips, as in Brevitas. */
export const squeeze = (x: Value, dim?: number): Value =>
  refused('squeeze', x, { dim }, { dim: axisField }) ??
  (dim === undefined ? null : badAxis('squeeze', x, dim, x.shape.length)) ??
  reshape(
    dequantize(x, "torch.squeeze is in neither of Brevitas' tables and gets the bare value; use reshape"),
    x.shape.filter((n, i) => n !== 1 || (dim !== undefined && axis(x, dim) !== i)),
  )
/** With a new axis of size 1 (torch.unsqueeze); strips, as in Brevitas. */
export const unsqueeze = (x: Value, dim: number): Value => {
  const bad =
    refused('unsqueeze', x, { dim }, { dim: required(axisField) }) ?? badAxis('unsqueeze', x, dim, x.shape.length + 1)
  if (bad !== null) return bad
  const d = dim < 0 ? dim + x.shape.length + 1 : dim
  return reshape(
    dequantize(x, "torch.unsqueeze is in neither of Brevitas' tables and gets the bare value; use reshape"),
    [...x.shape.slice(0, d), 1, ...x.shape.slice(d)],
  )
}
const allAxes = (x: Value, dim: number | readonly number[] | undefined): readonly number[] =>
  dim === undefined ? x.shape.map((_, i) => i) : (typeof dim === 'number' ? [dim] : dim).map((d) => axis(x, d))
const REDUCTION = { dim: axesField, keepdim: flag }
/** The sum over some axes, or all (torch.sum); strips. */
export const sum = (x: Value, dim?: number | readonly number[], keepdim = false): Value =>
  refused('sum', x, { dim, keepdim }, REDUCTION) ?? x.kit.emit('sum', [x], { dims: allAxes(x, dim), keepdim })
/** The mean over some axes, or all (torch.mean); strips. */
export const mean = (x: Value, dim?: number | readonly number[], keepdim = false): Value =>
  refused('mean', x, { dim, keepdim }, REDUCTION) ?? x.kit.emit('mean', [x], { dims: allAxes(x, dim), keepdim })
/** The largest of all elements (torch.max); strips. Equal ones share the gradient. */
export const max = applying('maxAll', 'max')
/** The matrix product (torch.matmul); strips. */
export const matmul = (a: Value, b: Value): Value => {
  demandValues('matmul', [a, b])
  return a.kit.emit('matmul', [a, b])
}

/** Joins tensors along an axis (torch.cat): quant tensors of one scale, width and sign stay quantized. */
export const cat = (xs: readonly Value[], dim: number): Value => {
  const [first] = demandSome('cat', xs)
  const bad = refused('cat', first, { dim }, { dim: required(axisField) })
  if (bad !== null) return bad
  return xs.length === 1 ? first : first.kit.emit('concat', xs, { dim: axis(first, dim) })
}
/** Joins tensors along a new axis (torch.stack); strips. */
export const stack = (xs: readonly Value[], dim: number): Value => {
  const all = demandSome('stack', xs)
  const [first] = all
  const odd = all.find((x) => !sameShape(x.shape, first.shape))
  return (
    refused('stack', first, { dim }, { dim: required(axisField) }) ??
    badAxis('stack', first, dim, first.shape.length + 1) ??
    (odd === undefined
      ? null
      : first.kit.fail({
          op: 'stack',
          refuse: `${showShape(first.shape)} and ${showShape(odd.shape)} can not be stacked: all must have one shape`,
          fix: 'reshape them first, or join them along an axis that they have: cat',
        })) ??
    cat(
      all.map((x) => unsqueeze(x, dim)),
      dim,
    )
  )
}

const STRETCH = { dim: required(axisField), start: required(axisField), length: required(whole) }
/**
 * The stretch of `length` indices from `start` on along an axis (torch.narrow); a negative start counts from the end, and `reshape` takes away
 * an axis of one: of an LSTM's last step, `narrow(y, 0, -1, 1)`. Strips, as in Brevitas.
 */
export const narrow = (x: Value, dim: number, start: number, length: number): Value => {
  const bad = refused('narrow', x, { dim, start, length }, STRETCH) ?? badAxis('narrow', x, dim, x.shape.length)
  if (bad !== null) return bad
  const d = axis(x, dim)
  const from = start < 0 ? start + x.shape[d] : start
  return from < 0 || from + length > x.shape[d]
    ? x.kit.fail({
        op: 'narrow',
        refuse: `${length} from ${start} on is no stretch of axis ${dim} of ${showShape(x.shape)}`,
        fix: `stay within its ${x.shape[d]} indices`,
      })
    : x.kit.emit('slice', [x], { dim: d, start: from, end: from + length })
}
const MOST_FAILED = 64
/**
 * An axis cut into so many parts of one size (torch.chunk): where it can't be divided the last one is shorter, and there may be fewer. Each strips,
 * as in Brevitas.
 */
export const chunk = (x: Value, chunks: number, dim = 0): readonly Value[] => {
  const bad =
    refused('chunk', x, { chunks, dim }, { chunks: required(count), dim: required(axisField) }) ??
    badAxis('chunk', x, dim, x.shape.length)
  // As many as were asked for, within reason: whoever takes them apart finds a value at each place.
  if (bad !== null) return Array.from({ length: count.holds(chunks) ? Math.min(chunks, MOST_FAILED) : 1 }, () => bad)
  const n = x.shape[axis(x, dim)]
  const size = Math.max(1, Math.ceil(n / chunks))
  const parts = Array.from({ length: Math.max(1, Math.ceil(n / size)) }, (_, i) => i * size)
  return parts.map((start) => narrow(x, dim, start, Math.min(size, n - start)))
}

/** Softmax along an axis (F.softmax); strips. */
export const softmax = (x: Value, dim: number): Value =>
  refused('softmax', x, { dim }, { dim: required(axisField) }) ?? x.kit.emit('softmax', [x], { dim: axis(x, dim) })
/** Logarithm of the softmax along an axis (F.log_softmax); strips. */
export const logSoftmax = (x: Value, dim: number): Value =>
  refused('logSoftmax', x, { dim }, { dim: required(axisField) }) ??
  x.kit.emit('logSoftmax', [x], { dim: axis(x, dim) })

/** Shapes and axes that operators ask for, as attributes or operands: shared by what is folded and what is traced. */
import { broadcastShapes, showShape, sizeOf, type Shape } from '../../../data/shape.js'
import type { Importing } from './entry.js'

/** An axis counted from the front; refused where there is none such. */
export const axisAmong = (x: Importing, axis: number, rank: number): number => {
  const at = axis < 0 ? axis + rank : axis
  return Number.isInteger(at) && at >= 0 && at < rank
    ? at
    : x.refuse(`there is no axis ${axis} among ${rank}`, `name one from ${-rank} to ${rank - 1}`)
}

/** Several axes, each once. */
export const axesAmong = (x: Importing, axes: readonly number[], rank: number): readonly number[] => {
  const at = axes.map((a) => axisAmong(x, a, rank))
  return new Set(at).size === at.length ? at : x.refuse(`an axis is named twice: ${axes.join()}`, 'name each axis once')
}

/** Sizes as a tensor may have them. */
const sized = (x: Importing, shape: Shape): Shape =>
  shape.every((n) => Number.isSafeInteger(n) && n >= 0)
    ? shape
    : x.refuse(`${showShape(shape)} is no shape`, 'give whole numbers from 0 on')

/** The shape that Reshape asks for: 0 keeps an axis, -1 takes what is left. */
export const resolveReshape = (x: Importing, from: Shape): Shape => {
  const asked = x.setting('shape', 1) ?? x.refuse('it names no shape', 'give one')
  const keepZero = x.number('allowzero', 0) !== 0
  const shape = asked.map((n, i) => (n === 0 && !keepZero ? (from[i] ?? 0) : n))
  const rest = shape.filter((n) => n === -1).length
  if (rest > 1) return x.refuse('two of its sizes are -1', 'leave at most one open')
  const known = sizeOf(shape.filter((n) => n !== -1))
  const open = known === 0 ? 0 : sizeOf(from) / known
  const to = shape.map((n) => (n === -1 ? open : n))
  return sizeOf(to) === sizeOf(from)
    ? sized(x, to)
    : x.refuse(
        `${showShape(from)} has ${sizeOf(from)} elements and can't become ${showShape(asked)}`,
        'import for the sizes that the model was written for: inputs: { name: [1, 3, 224, 224] }',
      )
}

/** The shape without axes of size 1. */
export const squeezed = (x: Importing, from: Shape): Shape => {
  const asked = x.setting('axes', 1)
  if (asked === null) return from.filter((n) => n !== 1)
  const axes = axesAmong(x, asked, from.length)
  const wide = axes.find((a) => from[a] !== 1)
  return wide === undefined
    ? from.filter((_, i) => !axes.includes(i))
    : x.refuse(`axis ${wide} of ${showShape(from)} has not the size 1`, 'squeeze axes of size 1')
}

/** The shape with new axes of size 1. */
export const unsqueezed = (x: Importing, from: Shape): Shape => {
  const asked = x.setting('axes', 1) ?? x.refuse('it names no axes', 'give some')
  const rank = from.length + asked.length
  const axes = axesAmong(x, asked, rank)
  let next = 0
  return Array.from({ length: rank }, (_, i) => (axes.includes(i) ? 1 : from[next++]))
}

/** The axis along which Concat joins. */
export const concatAxis = (x: Importing, rank: number): number => axisAmong(x, x.number('axis', 1), rank)

/** The shape that Expand fills: both broadcast to it. */
export const expandShape = (x: Importing, from: Shape): Shape => {
  const asked = sized(x, x.numbers(1, 'shape'))
  return (
    broadcastShapes(from, asked) ??
    x.refuse(`${showShape(from)} does not broadcast with ${showShape(asked)}`, 'make the axes equal, or 1')
  )
}

/** One axis of a Slice: `count` elements from `start` on, `step` apart. */
export type SliceSpec = { readonly axis: number; readonly start: number; readonly step: number; readonly count: number }

const clampTo = (v: number, lo: number, hi: number): number => Math.min(hi, Math.max(lo, v))

/** What a Slice takes of each axis that it names. */
export const sliceSpecs = (x: Importing, from: Shape): readonly SliceSpec[] => {
  const starts = x.setting('starts', 1) ?? []
  const ends = x.setting('ends', 2) ?? []
  const axes = axesAmong(x, x.setting('axes', 3) ?? starts.map((_, i) => i), from.length)
  const steps = x.has(4) ? x.numbers(4, 'steps') : starts.map(() => 1)
  if ([ends, axes, steps].some((l) => l.length !== starts.length) || steps.includes(0))
    return x.refuse('its starts, ends, axes and steps do not fit each other', 'give one of each per axis, steps not 0')
  return axes.map((axis, i) => {
    const [n, step] = [from[axis], steps[i]]
    const at = (v: number): number => (v < 0 ? v + n : v)
    const start = step > 0 ? clampTo(at(starts[i]), 0, n) : clampTo(at(starts[i]), 0, n - 1)
    const end = step > 0 ? clampTo(at(ends[i]), 0, n) : clampTo(at(ends[i]), -1, n - 1)
    return { axis, start, step, count: Math.max(0, Math.ceil((end - start) / step)) }
  })
}

/** The parts that Split makes. */
export const splitSizes = (x: Importing, from: Shape): { readonly axis: number; readonly sizes: readonly number[] } => {
  const axis = axisAmong(x, x.number('axis', 0), from.length)
  const given = x.setting('split', 1)
  const parts = x.number('num_outputs', x.node.outputs.length)
  const each = Math.ceil(from[axis] / Math.max(1, parts))
  const sizes = given ?? Array.from({ length: parts }, (_, i) => clampTo(from[axis] - i * each, 0, each))
  return sized(x, sizes) === sizes &&
    sizes.reduce((a, b) => a + b, 0) === from[axis] &&
    sizes.length >= x.node.outputs.length
    ? { axis, sizes }
    : x.refuse(
        `parts of ${sizes.join()} do not make up the ${from[axis]} of axis ${axis}`,
        'give parts whose sum it is',
      )
}

/** The axes over which a reduction goes, and whether they stay as axes of size 1. */
export const reducedAxes = (
  x: Importing,
  rank: number,
): { readonly axes: readonly number[]; readonly keep: boolean } => {
  const asked = x.setting('axes', 1)
  const nothing = x.number('noop_with_empty_axes', 0) !== 0
  const none = asked === null || asked.length === 0
  const all = nothing ? [] : Array.from({ length: rank }, (_, i) => i)
  const axes = none ? all : axesAmong(x, asked, rank)
  return { axes, keep: x.number('keepdims', 1) !== 0 }
}

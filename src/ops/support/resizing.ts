/** Attributes, shape rule and float32 coordinates of resizing, as torch computes them (aten/native/UpSample.h). */
import type { Shape } from '../../data/shape.js'
import { axesInWords, showShape } from '../../data/shape.js'
import { flag, list, orNull, positive, whole } from '../../graph/attr.js'
import type { AttrField, AttrsOf } from '../../graph/attributes.js'
import type { Refusal } from '../../graph/op.js'
import { refuse } from '../../graph/op.js'
import { listOf } from './indices.js'
import type { AxisLookup, AxisMix } from './lookup.js'

const isStep = (x: number): boolean => x > 0 && Number.isFinite(x)
/** A factor whose reciprocal, the step in x, is a float32 number too. */
const factor: AttrField<number> = {
  says: 'a number above 0 whose reciprocal float32 can hold',
  like: '2',
  holds: (x): x is number => positive.holds(x) && isStep(Math.fround(1 / x)),
}

/** Sizes of the resized (trailing) axes of the result, and the factors they were made of, or null. Source: torch.nn.functional.interpolate. */
export const resizing = { size: list(whole), scales: list(orNull(factor)) }
/** Attributes of resizing. */
export type ResizeAttrs = AttrsOf<typeof resizing>

/** The same for linear interpolation; `alignCorners` lays the corners' centres on each other. */
export const linearResizing = { ...resizing, alignCorners: flag }
/** Attributes of linear interpolation. */
export type LinearAttrs = AttrsOf<typeof linearResizing>

/** Shape of `x` with its trailing axes resized, or a refusal. */
export const resizedShape = (name: string, x: Shape, { size, scales }: ResizeAttrs): Shape | Refusal => {
  const n = size.length
  if (n < 1 || n > 3 || x.length !== n + 2)
    return refuse(
      n < 1 || n > 3
        ? `${name} resizes 1 to 3 axes, not ${n} of ${showShape(x)}`
        : `${name} of ${n} axes needs an input ${axesInWords(n)}, not ${showShape(x)}`,
      'give an input [N,C,L], [N,C,H,W] or [N,C,D,H,W], and one size per spatial axis',
    )
  if (scales.length !== n)
    return refuse(`${name}: ${scales.length} scales do not fit ${n} sizes`, 'give one scale, or null, per size')
  if (size.includes(0))
    return refuse(
      `${name} of ${showShape(x)} to [${size.join(',')}]: sizes must be whole numbers of at least 1`,
      'give larger sizes or a larger factor',
    )
  return x.slice(-n).every((m) => m >= 1)
    ? [...x.slice(0, -n), ...size]
    : refuse(`${name} of ${showShape(x)}: a resized axis is empty`, 'give at least one element per spatial axis')
}

/** Steps in x per step of the result: from the factor if there is one. */
const stepOf = (length: number, size: number, scale: number | null): number =>
  Math.fround(scale === null ? length / size : 1 / scale)

const perAxis = <A>(
  x: Shape,
  { size, scales }: ResizeAttrs,
  f: (length: number, size: number, scale: number | null) => A,
): readonly A[] => size.map((m, d) => f(x[x.length - size.length + d], m, scales[d]))

/** A mode of resizing by the nearest element. `exactGrad`: the gradient of `exact`. */
export type Nearest = 'nearest' | 'exact' | 'exactGrad'

/** The index at `(i + 0.5) * step - 0.5`, a fused multiply-add, moved back by 0.5 in float32. */
const fusedIndex = (i: number, step: number): number =>
  Math.floor(Math.fround(Math.fround((i + 0.5) * step - 0.5) + 0.5))

/**
 * Does torch take its general kernel (UpSampleKernel.cpp), whose coordinates are fused multiply-adds? It does but for images of
 * at most 128 rows and columns together. Its gradients never do. The two differ where a coordinate is an integer but for
 * rounding: 2 elements resized to 41.
 */
const isFused = (mode: Nearest, { size }: ResizeAttrs): boolean =>
  mode === 'exact' && !(size.length === 2 && size[0] + size[1] <= 128)

/** What each resized axis reads: the element at `floor(i * step)` (`nearest`) or `floor((i + 0.5) * step)`, in torch's float32. */
export const nearestAxes = (x: Shape, attrs: ResizeAttrs, mode: Nearest): readonly AxisLookup[] =>
  perAxis(x, attrs, (length, size, scale) => {
    const step = stepOf(length, size, scale)
    const offset = mode === 'nearest' ? 0 : 0.5
    const index = isFused(mode, attrs) ? fusedIndex : (i: number) => Math.floor(Math.fround((i + offset) * step))
    return listOf(size, (i) => Math.min(index(i, step), length - 1))
  })

/** Position in x of element i of the result, in float32. */
const position = (i: number, step: number, alignCorners: boolean): number =>
  alignCorners ? Math.fround(i * step) : Math.max(0, Math.fround(Math.fround((i + 0.5) * step) - 0.5))

/** What each resized axis mixes in linear interpolation. */
export const linearAxes = (x: Shape, attrs: LinearAttrs): readonly AxisMix[] =>
  perAxis(x, attrs, (length, size, scale) => {
    const { alignCorners } = attrs
    const aligned = size > 1 ? Math.fround((length - 1) / (size - 1)) : 0
    const step = alignCorners ? aligned : stepOf(length, size, scale)
    return Array.from({ length: size }, (_, i) => {
      if (length === size) return { low: i, high: i, weight: 0 }
      const at = position(i, step, alignCorners)
      const low = Math.min(Math.floor(at), length - 1)
      return { low, high: Math.min(low + 1, length - 1), weight: Math.min(Math.max(Math.fround(at - low), 0), 1) }
    })
  })

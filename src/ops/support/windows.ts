/** Pooling windows as lists of element numbers: what all pools share, for any number of pooled axes. */
import type { Shape } from '../../data/shape.js'
import { axesInWords, showShape, sizeOf, stridesOf } from '../../data/shape.js'
import { count, flag, list, whole } from '../../graph/attr.js'
import type { AttrsOf } from '../../graph/attributes.js'
import type { Refusal } from '../../graph/op.js'
import { refuse } from '../../graph/op.js'
import { badGeometry } from './convShape.js'
import { outerSum } from './indices.js'

/** For each output index of one axis, the input indices of its window that lie inside the input. */
export type AxisWindows = readonly (readonly number[])[]

/** For each output element of a plane, the input elements of its window in row-major order: `members[starts[i] … starts[i+1]-1]`. */
export type Windows = { readonly starts: Int32Array; readonly members: Int32Array }

/** Geometry of sliding windows, one entry per pooled (trailing) axis. Source: torch.nn.functional.max_pool2d, avg_pool2d. */
export const pooling = {
  kernel: list(count),
  stride: list(count),
  padding: list(whole),
  ceilMode: flag,
}
/** Attributes of a pool with sliding windows. */
export type PoolAttrs = AttrsOf<typeof pooling>

/** The pooled axes of a shape: its last `spatial` ones. */
export const pooledShape = (x: Shape, spatial: number): Shape => x.slice(x.length - spatial)

/** The shape with its trailing axes replaced. */
export const withTrailing = (x: Shape, trailing: readonly number[]): Shape => [
  ...x.slice(0, x.length - trailing.length),
  ...trailing,
]

/** Refuses, as torch does, shapes that are no `[N,C,*S]` and no single sample `[C,*S]`, or whose pooled axes are empty. */
export const badPlane = (name: string, x: Shape, spatial: number): Refusal | null => {
  if (spatial < 1 || x.length < spatial + 1 || x.length > spatial + 2)
    return refuse(
      `${name} over ${spatial} axes needs an input of ${spatial + 2} axes, or ${spatial + 1} of a single sample, not ${showShape(x)}`,
      `give an input ${axesInWords(spatial)}, or one entry of kernel or outputSize per spatial axis`,
    )
  return pooledShape(x, spatial).every((n) => n >= 1)
    ? null
    : refuse(
        `${name} of input ${showShape(x)}: a pooled axis is empty`,
        'give an input with at least one element per spatial axis',
      )
}

const outputLength = (length: number, extent: number, stride: number, padding: number, ceilMode: boolean): number => {
  const steps = (length + 2 * padding - extent) / stride
  if (!ceilMode) return Math.floor(steps) + 1
  const n = Math.ceil(steps) + 1
  // The last window must start inside the input or the padding before it.
  return (n - 1) * stride >= length + padding ? n - 1 : n
}

/** Shape of a sliding pool of `x`, or a refusal. */
export const slidingShape = (
  name: string,
  x: Shape,
  attrs: PoolAttrs,
  dilation: readonly number[],
): Shape | Refusal => {
  const { kernel, stride, padding, ceilMode } = attrs
  const bad =
    badPlane(name, x, kernel.length) ??
    badGeometry(kernel.length, 1, { kernel, stride, dilation }) ??
    badGeometry(kernel.length, 0, { padding })
  if (bad !== null) return bad
  const extents = kernel.map((k, d) => dilation[d] * (k - 1) + 1)
  if (padding.some((p, d) => 2 * p > extents[d]))
    return refuse(
      `${name}: padding [${padding.join(',')}] is more than half of the window [${extents.join(',')}] (input ${showShape(x)})`,
      'pad by at most half of the kernel, so that no window lies in the padding alone',
    )
  const out = pooledShape(x, kernel.length).map((n, d) => outputLength(n, extents[d], stride[d], padding[d], ceilMode))
  return out.every((n) => n >= 1)
    ? withTrailing(x, out)
    : refuse(
        `${name}: the window [${extents.join(',')}] is larger than the padded input ${showShape(x)}`,
        'use a larger input, more padding or a smaller kernel',
      )
}

/** Windows of each pooled axis of a sliding pool from `x` to `out`. */
export const slidingAxes = (
  x: Shape,
  out: Shape,
  { kernel, stride, padding }: PoolAttrs,
  dilation: readonly number[],
): readonly AxisWindows[] =>
  kernel.map((k, d) => {
    const length = x[x.length - kernel.length + d]
    return Array.from({ length: out[out.length - kernel.length + d] }, (_, i) => {
      const start = i * stride[d] - padding[d]
      const first = Math.max(0, Math.ceil(-start / dilation[d]))
      const end = Math.min(k, Math.floor((length - 1 - start) / dilation[d]) + 1)
      return Array.from({ length: Math.max(0, end - first) }, (_, j) => start + (first + j) * dilation[d])
    })
  })

/** Windows of each pooled axis of an adaptive pool: output `i` of `m` covers `floor(i*n/m) … ceil((i+1)*n/m) - 1`. */
export const adaptiveAxes = (x: Shape, outputSize: readonly number[]): readonly AxisWindows[] =>
  outputSize.map((m, d) => {
    const n = x[x.length - outputSize.length + d]
    return Array.from({ length: m }, (_, i) => {
      const start = Math.floor((i * n) / m)
      return Array.from({ length: Math.ceil(((i + 1) * n) / m) - start }, (_, j) => start + j)
    })
  })

/** Shape of an adaptive pool of `x`, or a refusal. */
export const adaptiveShape = (name: string, x: Shape, outputSize: readonly number[]): Shape | Refusal =>
  badPlane(name, x, outputSize.length) ??
  badGeometry(outputSize.length, 1, { outputSize }) ??
  withTrailing(x, outputSize)

/** The windows of a plane from those of its axes. `plane` is the input's pooled shape. */
export const windowsOf = (axes: readonly AxisWindows[], plane: Shape): Windows => {
  const steps = stridesOf(plane)
  const counts = axes.map((a) => a.length)
  const n = sizeOf(counts)
  const outer = stridesOf(counts)
  const lists = Array.from({ length: n }, (_, i) =>
    outerSum(axes.map((a, d) => a[Math.floor(i / outer[d]) % counts[d]].map((p) => p * steps[d]))),
  )
  const starts = new Int32Array(n + 1)
  for (let i = 0; i < n; i++) starts[i + 1] = starts[i] + lists[i].length
  const members = new Int32Array(starts[n])
  lists.forEach((list, i) => members.set(list, starts[i]))
  return { starts, members }
}

/** Number of elements of each window. */
export const countsOf = ({ starts }: Windows): Float64Array =>
  Float64Array.from({ length: starts.length - 1 }, (_, i) => starts[i + 1] - starts[i])

/**
 * Index (in `members`) of the largest element of window `i` in the plane that starts at `base`: the first of equal ones,
 * a NaN before all others (torch: the last of several NaN); -1 for an empty window.
 */
const winner = (x: Float32Array, base: number, { starts, members }: Windows, i: number): number => {
  let best = -Infinity
  let at = -1
  for (let j = starts[i]; j < starts[i + 1]; j++) {
    const v = x[base + members[j]]
    if (at < 0 || v > best || v !== v) {
      best = v
      at = j
    }
  }
  return at
}

/** out = the largest element of each window of each plane of `size` elements (-Infinity for an empty window). */
export const maxOver = (x: Float32Array, size: number, windows: Windows, out: Float32Array): void => {
  const n = windows.starts.length - 1
  for (let to = 0, base = 0; to < out.length; base += size)
    for (let i = 0; i < n; i++) {
      const at = winner(x, base, windows, i)
      out[to++] = at < 0 ? -Infinity : x[base + windows.members[at]]
    }
}

/** out = the gradient of `maxOver`: each cotangent goes to the element that won its window. */
export const maxOverGrad = (
  g: Float32Array,
  x: Float32Array,
  size: number,
  windows: Windows,
  out: Float32Array,
): void => {
  const n = windows.starts.length - 1
  const sum = new Float64Array(size)
  for (let from = 0, base = 0; base < out.length; base += size) {
    sum.fill(0)
    for (let i = 0; i < n; i++, from++) {
      const at = winner(x, base, windows, i)
      if (at >= 0) sum[windows.members[at]] += g[from]
    }
    out.set(sum, base)
  }
}

/** out = the sum of each window of each plane, divided by its divisor; summed in double, rounded once. */
export const meanOver = (
  x: Float32Array,
  size: number,
  { starts, members }: Windows,
  divisors: Float64Array,
  out: Float32Array | Int32Array,
): void => {
  const n = starts.length - 1
  for (let to = 0, base = 0; to < out.length; base += size)
    for (let i = 0; i < n; i++) {
      let sum = 0
      for (let j = starts[i]; j < starts[i + 1]; j++) sum += x[base + members[j]]
      out[to++] = sum / divisors[i]
    }
}

/** out = the gradient of `meanOver`: each cotangent over its divisor, to every element of its window. */
export const meanOverGrad = (
  g: Float32Array,
  size: number,
  { starts, members }: Windows,
  divisors: Float64Array,
  out: Float32Array,
): void => {
  const n = starts.length - 1
  const sum = new Float64Array(size)
  for (let from = 0, base = 0; base < out.length; base += size) {
    sum.fill(0)
    for (let i = 0; i < n; i++) {
      const share = g[from++] / divisors[i]
      for (let j = starts[i]; j < starts[i + 1]; j++) sum[members[j]] += share
    }
    out.set(sum, base)
  }
}

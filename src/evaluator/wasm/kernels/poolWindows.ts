/** What pools are of: their planes, the windows of each axis, and by what an average divides. */
import { sizeOf, type Shape } from '../../../data/shape.js'
import type { Attrs } from '../../../graph/op.js'
import { type AvgPoolAttrs, divisorsOf } from '../../../ops/support/averages.js'
import {
  adaptiveAxes,
  type AxisWindows,
  countsOf,
  type PoolAttrs,
  pooledShape,
  slidingAxes,
  type Windows,
  windowsOf,
} from '../../../ops/support/windows.js'
import type { KernelSpec } from '../kernel.js'
import { MOST_ENTRIES } from '../machine.js'

/** A pool of `planes` planes of `size` elements each; its windows, and by what an average divides them. */
export type Pool = {
  readonly planes: number
  readonly size: number
  readonly windows: Windows
  readonly divisors: Float64Array | null
}

const numbersOf = (attrs: Attrs, name: string): readonly number[] => {
  const list = attrs[name]
  return Array.isArray(list) ? list.filter((n): n is number => typeof n === 'number') : []
}

const geometryOf = (attrs: Attrs): PoolAttrs => ({
  kernel: numbersOf(attrs, 'kernel'),
  stride: numbersOf(attrs, 'stride'),
  padding: numbersOf(attrs, 'padding'),
  ceilMode: attrs.ceilMode === true,
})

/** Windows of each pooled axis, the plane that they are of, and by what an average divides each. */
type PoolAxes = {
  readonly input: Shape
  readonly axes: readonly AxisWindows[]
  readonly plane: Shape
  readonly divisors: (windows: Windows) => Float64Array
}

const axesOf = ({ op, attrs, shapes, shape }: KernelSpec): PoolAxes => {
  const [input, output] = op.endsWith('Grad') ? [shape, shapes[0]] : [shapes[0], shape]
  const sliding = !op.startsWith('adaptive')
  const geometry = geometryOf(attrs)
  const dilation = op.includes('vgPool') ? geometry.kernel.map(() => 1) : numbersOf(attrs, 'dilation')
  const axes = sliding
    ? slidingAxes(input, output, geometry, dilation)
    : adaptiveAxes(input, numbersOf(attrs, 'outputSize'))
  const over = attrs.divisorOverride
  const averaging: AvgPoolAttrs = {
    ...geometry,
    countIncludePad: attrs.countIncludePad === true,
    divisorOverride: typeof over === 'number' ? over : null,
  }
  return {
    input,
    axes,
    plane: pooledShape(input, axes.length),
    divisors: (windows) => (sliding ? divisorsOf(input, output, averaging) : countsOf(windows)),
  }
}

/** The pool that an op or its gradient is about. */
export const poolOf = (spec: KernelSpec): Pool => {
  const { input, axes, plane, divisors } = axesOf(spec)
  const windows = windowsOf(axes, plane)
  const size = sizeOf(plane)
  return {
    planes: sizeOf(input) / size,
    size,
    windows,
    divisors: spec.op.includes('vgPool') ? divisors(windows) : null,
  }
}

/** An average pool by its axes. */
export type AverageAxes = Pick<PoolAxes, 'axes' | 'plane'> & {
  readonly planes: number
  readonly divisors: Float64Array
}

/** The windows of an average pool, axis by axis; null of other ops. */
export const averageAxes = (spec: KernelSpec): AverageAxes | null => {
  const { op, shapes, shape } = spec
  if ((op !== 'avgPool' && op !== 'adaptiveAvgPool') || [shape, ...shapes].some((s) => sizeOf(s) === 0)) return null
  const { input, axes, plane, divisors } = axesOf(spec)
  return { axes, plane, planes: sizeOf(input) / sizeOf(plane), divisors: divisors(windowsOf(axes, plane)) }
}

/** Windows of a max pool, each of one element at least: where the members of each begin, and their numbers in the plane. */
export type MaxWindows = { readonly planes: number; readonly size: number } & Windows

/** The windows of a max pool; null of other ops, and where a window is empty or there are too many. */
export const maxWindows = (spec: KernelSpec): MaxWindows | null => {
  const { op, shapes, shape } = spec
  if ((op !== 'maxPool' && op !== 'adaptiveMaxPool') || [shape, ...shapes].some((s) => sizeOf(s) === 0)) return null
  const { planes, size, windows } = poolOf(spec)
  const { starts, members } = windows
  return members.length <= MOST_ENTRIES && starts.every((s, i) => i === 0 || s > starts[i - 1])
    ? { planes, size, starts, members }
    : null
}

/** Planes read through tables of indices: padding and resizing, and their gradients. */
import type { Shape } from '../../data/shape.js'
import { sizeOf, stridesOf } from '../../data/shape.js'
import { outerSum } from './indices.js'

/** For each index of the result along one axis, the index of x that it reads; -1 reads nothing. */
export type AxisLookup = readonly number[]

/** For each element of a plane of the result, the element of x's plane (of shape `plane`) that it reads, or -1. */
export const lookupOf = (axes: readonly AxisLookup[], plane: Shape): Int32Array => {
  const steps = stridesOf(plane)
  return outerSum(axes.map((axis, d) => axis.map((i) => (i < 0 ? -1 : i * steps[d]))))
}

/** out = x read through the table, plane by plane of `size` elements; `fill` where nothing is read. */
export const gatherPlanes = (
  x: Float32Array,
  size: number,
  table: Int32Array,
  fill: number,
  out: Float32Array,
): void => {
  for (let to = 0, base = 0; to < out.length; base += size)
    for (let i = 0; i < table.length; i++) out[to++] = table[i] < 0 ? fill : x[base + table[i]]
}

/** out = the adjoint of `gatherPlanes`: each g is added to the element it was read from. Sums in double, rounds once. */
export const scatterPlanes = (g: Float32Array, size: number, table: Int32Array, out: Float32Array): void => {
  const sums = new Float64Array(size)
  for (let from = 0, base = 0; base < out.length; base += size) {
    sums.fill(0)
    for (let i = 0; i < table.length; i++, from++) if (table[i] >= 0) sums[table[i]] += g[from]
    out.set(sums, base)
  }
}

/** For each index of the result along one axis, the two indices of x that it mixes, and the weight of the second. */
export type AxisMix = readonly { readonly low: number; readonly high: number; readonly weight: number }[]

/** Mixtures of `taps` elements per element of the result: element `i` has entries `i*taps … (i+1)*taps - 1`. */
export type Mixture = { readonly taps: number; readonly members: Int32Array; readonly weights: Float64Array }

/** The mixtures of a plane from those of its axes: 2^axes elements each, weighted by the product of the axes' weights. */
export const mixtureOf = (axes: readonly AxisMix[], plane: Shape): Mixture => {
  const steps = stridesOf(plane)
  const outer = stridesOf(axes.map((a) => a.length))
  const [n, taps] = [sizeOf(axes.map((a) => a.length)), 2 ** axes.length]
  const members = new Int32Array(n * taps)
  const weights = new Float64Array(n * taps).fill(1)
  for (let e = 0; e < n * taps; e++)
    for (let d = 0; d < axes.length; d++) {
      const { low, high, weight } = axes[d][Math.floor(Math.floor(e / taps) / outer[d]) % axes[d].length]
      const second = (e >> (axes.length - 1 - d)) & 1
      members[e] += (second ? high : low) * steps[d]
      weights[e] *= second ? weight : 1 - weight
    }
  return { taps, members, weights }
}

/** out = the mixtures of x, plane by plane of `size` elements; summed in double, rounded once. A weight of 0 multiplies too, as in torch: an infinity there makes a NaN. */
export const mixPlanes = (
  x: Float32Array,
  size: number,
  { taps, members, weights }: Mixture,
  out: Float32Array,
): void => {
  for (let to = 0, base = 0; to < out.length; base += size)
    for (let e = 0; e < members.length;) {
      let sum = 0
      for (let t = 0; t < taps; t++, e++) sum += weights[e] * x[base + members[e]]
      out[to++] = sum
    }
}

/** out = the adjoint of `mixPlanes`. */
export const unmixPlanes = (
  g: Float32Array,
  size: number,
  { taps, members, weights }: Mixture,
  out: Float32Array,
): void => {
  const sums = new Float64Array(size)
  for (let from = 0, base = 0; base < out.length; base += size) {
    sums.fill(0)
    for (let e = 0; e < members.length; from++)
      for (let t = 0; t < taps; t++, e++) sums[members[e]] += weights[e] * g[from]
    out.set(sums, base)
  }
}

/** What DequantizeLinear makes of known numbers. */
import { spreadGroups } from '../../../data/groups.js'
import type { Group } from '../../../data/quant.js'
import { sizeOf, type Shape } from '../../../data/shape.js'
import { DataType, float32, type Host } from './host.js'

/** Elements in a row that go with the same element of a vector along `axis`; all of them where there is one number. */
const stretch = (shape: Shape, axis: number | null, count: number): number =>
  count === 1 || axis === null ? sizeOf(shape) : sizeOf(shape.slice(axis + 1))

/** The same of numbers in blocks. */
const floatsOfBlocks = (ints: Host, scale: Host, zero: Host | null, group: Group): Host => {
  const spread = (h: Host): Float32Array => {
    const shape = [...h.shape.slice(0, group.dim + 1), 1, ...h.shape.slice(group.dim + 1)]
    return spreadGroups({ shape, data: float32(h) }, ints.shape, group).data
  }
  const [s, z] = [spread(scale), zero === null ? null : spread(zero)]
  const data = Float32Array.from(ints.data, (q, i) => Math.fround(q - (z === null ? 0 : z[i])) * s[i])
  return { type: DataType.FLOAT, shape: ints.shape, data }
}

/** `(q - z) * s` of known integers or minifloats, in float32 as the operator has it; `block`: elements of a block along the axis. */
export const floatsOf = (ints: Host, scale: Host, zero: Host | null, axis: number | null, block?: number): Host => {
  if (block !== undefined && axis !== null) return floatsOfBlocks(ints, scale, zero, { size: block, dim: axis })
  const [scales, zeros] = [float32(scale), zero === null ? Float32Array.of(0) : float32(zero)]
  const data = new Float32Array(ints.data.length)
  const runs = [stretch(ints.shape, axis, scales.length), stretch(ints.shape, axis, zeros.length)]
  // Runs are equal, or one of them is the whole: within the shorter one, scale and zero point stand still.
  const run = Math.max(1, Math.min(...runs))
  for (let from = 0; from < data.length; from += run) {
    const [s, z] = [
      scales[Math.floor(from / runs[0]) % scales.length],
      zeros[Math.floor(from / runs[1]) % zeros.length],
    ]
    const to = Math.min(data.length, from + run)
    for (let i = from; i < to; i++) data[i] = Math.fround(ints.data[i] - z) * s
  }
  return { type: DataType.FLOAT, shape: ints.shape, data }
}

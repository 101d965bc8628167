/** Numbers of a quantized value as `numbersOf` gives them, in one pass over it: cheap enough for several times a second. */
import { isQuantTensor, outputField, type Output, type QuantTensor } from '../../src/data/quantTensor.js'
import { demandArguments, required } from '../../src/data/fields.js'
import { intMax, intMin } from '../../src/data/quant.js'
import { numbersOf } from '../scene/numbers.js'
import type { SceneNumbers } from '../scene/scene.js'

const BINS = 64
/** Wider grids are not counted integer by integer. */
const MOST_LEVELS = 512

/** How often each integer `lo` … `hi` occurs; the last count is of what is not finite. Values lie on the grid, so that plain rounding finds their integer. */
const countLevels = (data: Float32Array, scale: number, zero: number, lo: number, levels: number): Uint32Array => {
  const counts = new Uint32Array(levels + 1)
  for (let i = 0; i < data.length; i++) {
    const x = data[i]
    // NaN - NaN and ∞ - ∞ are not 0.
    if (x - x !== 0) counts[levels]++
    else counts[Math.max(0, Math.min(levels - 1, Math.round(x / scale + zero) - lo))]++
  }
  return counts
}

const perTensor = (x: QuantTensor): SceneNumbers => {
  const [bits, scale, zero] = [x.bitWidth.data[0], x.scale.data[0], x.zeroPoint.data[0]]
  const lo = intMin(bits, x.signed)
  const levels = intMax(bits, x.signed) - lo + 1
  const counts = countLevels(x.value.data, scale, zero, lo, levels)
  const bins = new Array<number>(Math.min(BINS, levels)).fill(0)
  let [first, last] = [levels, -1]
  for (let q = 0; q < levels; q++) {
    if (counts[q] === 0) continue
    first = Math.min(first, q)
    last = q
    bins[Math.floor((q * bins.length) / levels)] += counts[q]
  }
  const count = x.value.data.length
  const at = (q: number): number => (q < 0 || q >= levels ? 0 : Math.fround((q + lo - zero) * scale))
  return {
    count,
    min: at(first),
    max: at(last),
    nonfinite: counts[levels],
    bins,
    from: lo,
    to: lo + levels - 1,
    used: [lo + first, lo + last],
    usedBits: Math.log2(Math.max(1, last - first + 1)),
    atEnds: [counts[0] / Math.max(1, count), counts[levels - 1] / Math.max(1, count)],
    levels: counts.subarray(0, levels).reduce((n, c) => n + (c > 0 ? 1 : 0), 0),
    scales: [scale],
    zeroPoints: [zero],
    channels: 1,
  }
}

/** Describes a value of a run; values with one scale and a narrow grid in one pass. */
export const summaryOf = (x: Output): SceneNumbers => {
  if (!outputField.holds(x)) demandArguments('summaryOf', { x }, { x: required(outputField) })
  return isQuantTensor(x) &&
    x.format === undefined &&
    x.scale.data.length === 1 &&
    x.zeroPoint.data.length === 1 &&
    x.bitWidth.data[0] <= Math.log2(MOST_LEVELS)
    ? perTensor(x)
    : numbersOf(x)
}

/** Numbers of a run for a value: its range, and where it is a quant tensor the grid it uses. Linear in the elements. */
import { intRepr, isQuantTensor, type Output, type QuantTensor } from '../../src/data/quantTensor.js'
import { intMax, intMin } from '../../src/data/quant.js'
import type { SceneNumbers } from './scene.js'

const BINS = 64
const MOST_CHANNELS = 64

type Spread = { readonly min: number; readonly max: number; readonly nonfinite: number }

const spreadOf = (data: Float32Array): Spread => {
  let [min, max, nonfinite] = [Infinity, -Infinity, 0]
  for (const x of data) {
    if (!Number.isFinite(x)) nonfinite++
    else [min, max] = [Math.min(min, x), Math.max(max, x)]
  }
  return min > max ? { min: 0, max: 0, nonfinite } : { min, max, nonfinite }
}

const histogram = (data: Float32Array, from: number, to: number, bins: number): readonly number[] => {
  const counts = new Array<number>(bins).fill(0)
  const width = (to - from) / bins
  for (const x of data) {
    if (Number.isFinite(x) && x >= from && x <= to) counts[Math.min(bins - 1, width > 0 ? Math.floor((x - from) / width) : 0)]++
  }
  return counts
}

const gridNumbers = (x: QuantTensor): Pick<SceneNumbers, 'bins' | 'from' | 'to' | 'usedBits' | 'clipped' | 'scales' | 'zeroPoints' | 'channels'> => {
  const ints = intRepr(x).data
  const bits = x.bitWidth.data[0]
  const [lo, hi] = [intMin(bits, x.signed), intMax(bits, x.signed)]
  const { min, max } = spreadOf(ints)
  const wide = hi - lo + 1 > 512
  const [from, to] = wide ? [min, max + 1] : [lo, hi + 1]
  const share = (q: number): number => ints.reduce((n, i) => n + (i === q ? 1 : 0), 0) / Math.max(1, ints.length)
  return {
    bins: histogram(ints, from, to, Math.max(1, Math.min(BINS, to - from))), from, to: to - 1,
    usedBits: Math.log2(Math.max(1, max - min + 1)), clipped: [share(lo), share(hi)],
    scales: Array.from(x.scale.data.slice(0, MOST_CHANNELS)), zeroPoints: Array.from(x.zeroPoint.data.slice(0, MOST_CHANNELS)), channels: x.scale.data.length,
  }
}

/** Describes a value of a run. */
export const numbersOf = (x: Output): SceneNumbers => {
  const { data } = isQuantTensor(x) ? x.value : x
  const { min, max, nonfinite } = spreadOf(data)
  const common = { count: data.length, min, max, nonfinite }
  return isQuantTensor(x) ? { ...common, ...gridNumbers(x) } : { ...common, bins: histogram(data, min, max, BINS), from: min, to: max }
}

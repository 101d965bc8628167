/** Numbers of a run for a value: its range, and where it is a quant tensor the grid it uses. Linear in the elements. */
import { isQuantTensor, positions, type Output, type QuantTensor } from '../../src/data/quantTensor.js'
import { largestOf, leastStep, stepOf, type FloatFormat } from '../../src/data/minifloat.js'
import { intMax, intMin } from '../../src/data/quant.js'
import { roundHalfEven } from '../../src/data/math.js'
import type { Tensor } from '../../src/data/tensor.js'
import type { SceneNumbers } from './scene.js'

const BINS = 64
/** Grids of up to this many integers have a bar for each of them. */
const MOST_BARS = 256
/** Of wider grids only the part that is used is shown. */
const WIDE = 512
const MOST_CHANNELS = 64
/** Wider grids than this are not asked how many of their integers occur. */
const MOST_LEVELS = 65536

type Spread = { readonly min: number; readonly max: number; readonly nonfinite: number }

const spreadOf = (data: Float32Array): Spread => {
  let min = Infinity
  let max = -Infinity
  let nonfinite = 0
  for (const x of data) {
    if (!Number.isFinite(x)) nonfinite++
    else {
      if (x < min) min = x
      if (x > max) max = x
    }
  }
  return min > max ? { min: 0, max: 0, nonfinite } : { min, max, nonfinite }
}

const histogram = (data: Float32Array, from: number, to: number, bins: number): readonly number[] => {
  const counts = new Array<number>(bins).fill(0)
  const width = (to - from) / bins
  for (const x of data) {
    if (Number.isFinite(x) && x >= from && x <= to)
      counts[Math.min(bins - 1, width > 0 ? Math.floor((x - from) / width) : 0)]++
  }
  return counts
}

/** The parts of a quant tensor that its grid needs. */
export type Gridded = Pick<QuantTensor, 'value' | 'scale' | 'zeroPoint' | 'signed'> & { readonly bits: number }

const integers = (x: Gridded): Float32Array => {
  const ints = new Float32Array(x.value.data.length)
  positions(x, (p, i) => {
    ints[i] = roundHalfEven(p)
  })
  return ints
}

/** How many different integers occur between two. */
const levelsOf = (ints: Float32Array, lo: number, hi: number): number => {
  const seen = new Uint8Array(hi - lo + 1)
  for (const q of ints) if (q >= lo && q <= hi) seen[q - lo] = 1
  return seen.reduce((n, x) => n + x, 0)
}

const shareOf = (ints: Float32Array, q: number): number => {
  let n = 0
  for (const i of ints) if (i === q) n++
  return n / Math.max(1, ints.length)
}

/** Scales and zero points of a grid, not more than a page shows. */
export const gridOf = (scale: Tensor, zeroPoint: Tensor): Pick<SceneNumbers, 'scales' | 'zeroPoints' | 'channels'> => ({
  scales: Array.from(scale.data.slice(0, MOST_CHANNELS)),
  zeroPoints: Array.from(zeroPoint.data.slice(0, MOST_CHANNELS)),
  channels: scale.data.length,
})

const gridNumbers = (
  x: Gridded,
): Pick<
  SceneNumbers,
  'bins' | 'from' | 'to' | 'used' | 'usedBits' | 'levels' | 'atEnds' | 'scales' | 'zeroPoints' | 'channels'
> => {
  const ints = integers(x)
  const [lo, hi] = [intMin(x.bits, x.signed), intMax(x.bits, x.signed)]
  const { min, max } = spreadOf(ints)
  const size = hi - lo + 1
  const [from, to] = size > WIDE ? [min, max + 1] : [lo, hi + 1]
  const bars = to - from <= MOST_BARS ? to - from : BINS
  return {
    bins: histogram(ints, from, to, Math.max(1, bars)),
    from,
    to: to - 1,
    used: [min, max],
    usedBits: Math.log2(Math.max(1, max - min + 1)),
    atEnds: [shareOf(ints, lo), shareOf(ints, hi)],
    ...(size <= MOST_LEVELS ? { levels: levelsOf(ints, lo, hi) } : {}),
    ...gridOf(x.scale, x.zeroPoint),
  }
}

/** Describes numbers without a grid. */
export const plainNumbers = (data: Float32Array, bins = BINS): SceneNumbers => {
  const { min, max, nonfinite } = spreadOf(data)
  return {
    count: data.length,
    min,
    max,
    nonfinite,
    bins: bins === 0 ? [] : histogram(data, min, max, bins),
    from: min,
    to: max,
  }
}

/** Describes numbers on a grid. */
export const gridded = (x: Gridded): SceneNumbers => {
  const { min, max, nonfinite } = spreadOf(x.value.data)
  return { count: x.value.data.length, min, max, nonfinite, ...gridNumbers(x) }
}

/** The place of a minifloat among those of its format, 0 in the middle: a step from one number to the next is 1, whatever their distance. */
const ordinalOf = (p: number, m: number, least: number): number => {
  const t = stepOf(p, m, least)
  return Math.sign(p) * (Math.log2(t / 2 ** least) * 2 ** m + Math.round(Math.abs(p) / t))
}

/** Describes numbers on a grid of minifloats: a bar for each of them, side by side, though their distances differ. */
export const floatNumbers = (
  x: Pick<QuantTensor, 'value' | 'scale' | 'zeroPoint' | 'signed'>,
  format: FloatFormat,
): SceneNumbers => {
  const [m, least, largest] = [format.mantissaBits, leastStep(format), largestOf(format)]
  const places = new Float32Array(x.value.data.length)
  positions(x, (p, i) => {
    places[i] = ordinalOf(p, m, least)
  })
  const top = ordinalOf(largest, m, least)
  const from = x.signed ? -top : 0
  const levels = top - from + 1
  const { min, max, nonfinite } = spreadOf(x.value.data)
  return {
    count: x.value.data.length,
    min,
    max,
    nonfinite,
    bins: histogram(places, from, top + 1, Math.min(levels, MOST_BARS)),
    from: x.signed ? -largest : 0,
    to: largest,
    ...gridOf(x.scale, x.zeroPoint),
  }
}

const quantNumbers = (x: QuantTensor): SceneNumbers =>
  x.format === undefined ? gridded({ ...x, bits: x.bitWidth.data[0] }) : floatNumbers(x, x.format)

/** Describes a value of a run. */
export const numbersOf = (x: Output): SceneNumbers => (!isQuantTensor(x) ? plainNumbers(x.data) : quantNumbers(x))

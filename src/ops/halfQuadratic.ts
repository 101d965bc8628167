/**
 * Half-quadratic searches (Brevitas `HQO`, SEMANTICS-2 section 5): what is quantized is shrunk towards the numbers, and scale or zero point are
 * solved for, in turns, until the mean absolute error of the whole tensor no longer falls. No gradients.
 */
import { pow, roundHalfEven } from '../data/math.js'
import { sizeOf } from '../data/shape.js'
import type { Tensor } from '../data/tensor.js'
import { finite, flag } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import { isRefusal, type Op } from '../graph/op.js'
import { strips } from './support/elementwise.js'
import { clip, endsOf, integerGrid, largestMagnitude, onIntegers, perRow, type IntegerGrid } from './support/search.js'
import { ROUNDINGS } from './rounding.js'

const TURNS = 1000
const GROWTH = 1.01
const plainNumber = strips('a statistic of a tensor is used as a plain number')

/** `sign(x) * max(|x| - |x|^(p-1)/β, 0)` in float32 steps. */
const shrink = (x: number, inverse: number, power: number): number => {
  const size = Math.abs(x)
  const less = Math.fround(size - Math.fround(inverse * Math.fround(pow(size, power))))
  if (less > 0) return Math.sign(x) * less
  return Number.isNaN(x) ? NaN : 0
}

/** Mean absolute distance of a tensor from what it becomes. */
const meanError = (x: Float32Array, y: Float32Array): number => {
  let sum = 0
  for (let i = 0; i < x.length; i++) sum += Math.abs(Math.fround(y[i] - x[i]))
  return Math.fround(sum / x.length)
}

/** Turns of a search over one number per row: `turn` quantizes by `now` and says the error, `next` solves anew. Gives the best and the turns made. */
const inTurns = (
  start: Float32Array,
  turn: (now: Float32Array) => number,
  next: (now: Float32Array, turns: number) => Float32Array,
): readonly [best: Float32Array, turns: number] => {
  let [best, now, least] = [start, start, Infinity]
  for (let turns = 0; turns < TURNS; turns++) {
    const error = turn(now)
    if (error < least) best = now
    if (error >= least) return [best, turns]
    least = error
    now = next(now, turns)
  }
  return [best, TURNS]
}

/** β after so many turns, as repeated multiplication in double has it. */
const grown = (beta: number, turns: number): number => {
  let b = beta
  for (let i = 0; i < turns; i++) b *= GROWTH
  return b
}

const zeroSearch = {
  ...integerGrid,
  /** Are rows filled up with zeros? Then the start is never left (surprise). */
  padded: flag,
}
type ZeroAttrs = AttrsOf<typeof zeroSearch>

const quantizeRows = (x: Float32Array, y: Float32Array, s: Float32Array, c: Float32Array, grid: IntegerGrid): void => {
  const n = x.length / s.length
  for (let r = 0; r < s.length; r++) {
    const f = onIntegers(s[r], Math.fround(-c[r] / s[r]), grid)
    for (let i = r * n; i < (r + 1) * n; i++) y[i] = f(x[i])
  }
}

/** `mean((x - shrink(x - y)) - (y/s + z)*s)` of each row. */
const solveZero = (x: Float32Array, y: Float32Array, s: Float32Array, c: Float32Array, beta: number): Float32Array => {
  const inverse = Math.fround(1 / beta)
  const n = x.length / s.length
  return s.map((step, r) => {
    const z = Math.fround(-c[r] / step)
    let sum = 0
    for (let i = r * n; i < (r + 1) * n; i++) {
      const near = Math.fround(x[i] - shrink(Math.fround(x[i] - y[i]), inverse, -0.5))
      sum += Math.fround(near - Math.fround(Math.fround(Math.fround(y[i] / step) + z) * step))
    }
    return sum / n
  })
}

const searchZero = ([x, scale, before]: readonly Tensor[], attrs: ZeroAttrs, out: Tensor): null => {
  const rows = scale.data.length
  const n = x.data.length / Math.max(1, rows)
  const low = scale.data.map((_, r) => endsOf(x.data, r * n, (r + 1) * n)[0])
  const y = new Float32Array(x.data.length)
  let beta = grown(1, before.data[0])
  const [best, turns] = attrs.padded
    ? [low, TURNS]
    : inTurns(
        low,
        (c) => {
          quantizeRows(x.data, y, scale.data, c, attrs)
          return meanError(x.data, y)
        },
        (c) => {
          const solved = solveZero(x.data, y, scale.data, c, beta)
          beta *= GROWTH
          return solved
        },
      )
  out.data.set(best)
  out.data[rows] = before.data[0] + turns
  return null
}

/**
 * The lower end of each row, by half-quadratic steps with a given scale, and behind them how many turns all searches so far have made: the
 * weight β of the shrinking is never set back (surprise). Operands: rows, one scale per row, turns made before.
 */
export const hqoLowerEnd: Op<ZeroAttrs> = {
  name: 'hqoLowerEnd',
  doc: 'The lower end of a range by half-quadratic steps, and the turns made (Brevitas HQO zero point).',
  operands: ['x', 'scale', 'turns'],
  attributes: zeroSearch,
  shape: ([x, s]) => {
    const rows = perRow([x, s])
    return isRefusal(rows) ? rows : [sizeOf(rows) + 1]
  },
  carry: plainNumber,
  vjp: ({ args }) => args.map(() => null),
  evaluate: searchZero,
  examples: [
    {
      args: [{ shape: [2, 9] }, { shape: [2], range: [0.1, 1] }, { shape: [], range: [0, 0] }],
      attrs: { lo: 0, hi: 15, rounding: 'ROUND', padded: false },
    },
  ],
  smooth: false,
}

const scaleSearch = { ...integerGrid, threshold: finite, minVal: finite }
type ScaleAttrs = AttrsOf<typeof scaleSearch>

const boundedBy = (t: number, min: number): number =>
  Number.isNaN(t) ? t : (t >= 0 ? 1 : -1) * Math.max(Math.abs(t), Math.fround(min))

/** The lower of the two middle numbers; NaN of none. */
const lowerMedian = (numbers: readonly number[]): number => {
  const sorted = Float32Array.from(numbers).sort()
  return sorted.length === 0 ? NaN : sorted[(sorted.length - 1) >> 1]
}

/** The median of `(x - shrink(x - y)) / round(y/s)` of each row, times the threshold; where that is no number the old one. */
const solveThreshold = (
  x: Float32Array,
  y: Float32Array,
  now: Float32Array,
  inverse: number,
  a: ScaleAttrs,
): Float32Array => {
  const n = x.length / now.length
  const power = Math.fround(0.7 - 1)
  return now.map((c, r) => {
    const s = Math.fround(boundedBy(c, a.minVal) / a.threshold)
    const ratios: number[] = []
    for (let i = r * n; i < (r + 1) * n; i++) {
      const over = Math.fround(x[i] - shrink(Math.fround(x[i] - y[i]), inverse, power))
      const steps = roundHalfEven(Math.fround(y[i] / s))
      const ratio = Math.fround(over / steps)
      if (over !== 0 && steps !== 0 && !Number.isNaN(ratio)) ratios.push(ratio)
    }
    const solved = Math.fround(Math.fround(boundedBy(lowerMedian(ratios), a.minVal)) * a.threshold)
    return Number.isFinite(solved) ? solved : c
  })
}

const searchThreshold = ([x]: readonly Tensor[], attrs: ScaleAttrs, out: Tensor): null => {
  const n = x.data.length / Math.max(1, out.data.length)
  const f = ROUNDINGS[attrs.rounding]
  const y = new Float32Array(x.data.length)
  const start = out.data.map((_, r) => largestMagnitude(x.data, r * n, (r + 1) * n))
  let beta = 1e5
  const [best] = inTurns(
    start,
    (now) => {
      now.forEach((c, r) => {
        const s = Math.fround(boundedBy(c, attrs.minVal) / attrs.threshold)
        for (let i = r * n; i < (r + 1) * n; i++) {
          const steps = f(Math.fround(x.data[i] / s))
          y[i] = clip(steps, attrs.lo, attrs.hi) * s
        }
      })
      return meanError(x.data, y)
    },
    (now) => {
      const solved = solveThreshold(x.data, y, now, Math.fround(1 / beta), attrs)
      beta *= GROWTH
      return solved
    },
  )
  out.data.set(best)
  return null
}

/** The threshold of each row by half-quadratic steps (SEMANTICS-2 section 5). Operand: rows `[n]` or `[channels, n]`. */
export const hqoThreshold: Op<ScaleAttrs> = {
  name: 'hqoThreshold',
  doc: 'The threshold of integers by half-quadratic steps (Brevitas HQO scale).',
  operands: ['x'],
  attributes: scaleSearch,
  shape: ([x]) => x.slice(0, -1),
  carry: plainNumber,
  vjp: ({ args }) => args.map(() => null),
  evaluate: searchThreshold,
  examples: [{ args: [{ shape: [2, 9] }], attrs: { lo: -7, hi: 7, rounding: 'ROUND', threshold: 7, minVal: 1e-10 } }],
  smooth: false,
}

declare module '../graph/op.js' {
  interface Primitives {
    hqoLowerEnd: ZeroAttrs
    hqoThreshold: ScaleAttrs
  }
}

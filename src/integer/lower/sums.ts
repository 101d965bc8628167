/** Rules of average pools, means and sums: the division goes into the scale. */
import { sizeOf, type Shape } from '../../data/shape.js'
import type { Node } from '../../graph/graph.js'
import { divisorsOf, type AvgPoolAttrs } from '../../ops/support/averages.js'
import { adaptiveAxes, countsOf, pooledShape, windowsOf } from '../../ops/support/windows.js'
import { integerSum, integerSumPool } from '../ops/sums.js'
import { FLOAT_WHOLE, INT32, type Range } from '../values.js'
import { padded } from './chain.js'
import { axesOf, single, uniform } from './grids.js'
import type { Rule } from './products.js'
import { settleWhole } from './settle.js'
import { ANEW, integer, wholeZero } from './shared.js'
import { append, prevented, type Integer, type Lowered, type Session } from './session.js'

/** A sum: how many terms, by what it is divided, along which axes, and its node. */
type Summed = {
  readonly terms: number
  readonly divisor: number
  readonly axes: readonly number[]
  readonly emit: (zero: number, range: Range) => Integer['value']
}

/** Sums behind which a division goes into the scale. */
const summed = (s: Session, node: Node, x: Integer, sum: Summed): Lowered => {
  const { terms, divisor, axes, emit } = sum
  const zero = wholeZero(s, node, x)
  if (zero === null) return { tag: 'lost' }
  const rank = x.value.shape.length
  if (axesOf(x.grid, rank).some((d) => axes.includes(d)))
    return prevented(s, node, 'its scale varies along an axis that is summed', ANEW)
  const range = { lo: Math.min(0, x.range.lo - zero) * terms, hi: Math.max(0, x.range.hi - zero) * terms }
  if (range.lo < INT32.lo || range.hi > INT32.hi || Math.max(-x.range.lo, x.range.hi) >= FLOAT_WHOLE)
    return prevented(s, node, `the sum reaches ${range.lo} … ${range.hi}, too wide`, ANEW)
  // One number has no axes: those that are summed may be gone.
  const one = uniform(x.grid.scale)
  const scale = one === null ? x.grid.scale : single(one)
  const divided = { shape: scale.shape, data: scale.data.map((v) => v / divisor) }
  return integer(emit(zero, range), range, { scale: divided, zeroPoint: single(0) })
}

const uneven = (s: Session, node: Node, found: readonly number[]): Lowered =>
  prevented(
    s,
    node,
    `its windows are divided by different numbers (${[...new Set(found)].slice(0, 3).join(', ')}), and one scale can't say that`,
    'choose kernel, stride and padding so that all windows count alike (countIncludePad: true, ceilMode: false), or sizes that divide',
  )

export const avgPool: Rule = (s, node) => {
  const x = settleWhole(s, node.inputs[0], node)
  if (x === null) return { tag: 'lost' }
  const attrs = node.attrs as AvgPoolAttrs
  const divisors = [...divisorsOf(x.value.shape, node.shape, attrs)]
  if (divisors.some((d) => d !== divisors[0])) return uneven(s, node, divisors)
  const { kernel, stride, padding, ceilMode } = attrs
  const rank = x.value.shape.length
  const axes = kernel.map((_, i) => rank - kernel.length + i)
  const attrsOf = { kernel, stride, padding, ceilMode }
  return summed(s, node, x, {
    terms: sizeOf(kernel),
    divisor: divisors[0],
    axes,
    emit: (zero, range) => append(s, node.path, integerSumPool, [x.value], { ...attrsOf, zero, ...range }),
  })
}

/** Sliding windows that are an adaptive pool's: size and step per axis, or null. */
const sliding = (
  x: Shape,
  outputSize: readonly number[],
): { readonly kernel: readonly number[]; readonly stride: readonly number[] } | null => {
  const axes = adaptiveAxes(x, outputSize)
  const kernel = axes.map((a) => a[0].length)
  const stride = axes.map((a) => (a.length > 1 ? a[1][0] - a[0][0] : 1))
  const even = axes.every((a, d) => a.every((w, i) => w.length === kernel[d] && w[0] === i * stride[d]))
  const covered = axes.every(
    (_, d) => Math.floor((x[x.length - axes.length + d] - kernel[d]) / stride[d]) + 1 === outputSize[d],
  )
  return even && covered ? { kernel, stride } : null
}

export const adaptiveAvgPool: Rule = (s, node) => {
  const x = settleWhole(s, node.inputs[0], node)
  if (x === null) return { tag: 'lost' }
  const outputSize = node.attrs.outputSize as readonly number[]
  const windows = sliding(x.value.shape, outputSize)
  if (windows === null)
    return uneven(s, node, [
      ...countsOf(windowsOf(adaptiveAxes(x.value.shape, outputSize), pooledShape(x.value.shape, outputSize.length))),
    ])
  const rank = x.value.shape.length
  const terms = sizeOf(windows.kernel)
  const attrs = { ...windows, padding: windows.kernel.map(() => 0), ceilMode: false }
  return summed(s, node, x, {
    terms,
    divisor: terms,
    axes: windows.kernel.map((_, i) => rank - windows.kernel.length + i),
    emit: (zero, range) => append(s, node.path, integerSumPool, [x.value], { ...attrs, zero, ...range }),
  })
}

const reducing =
  (divides: boolean): Rule =>
  (s, node) => {
    const x = settleWhole(s, node.inputs[0], node)
    if (x === null) return { tag: 'lost' }
    const dims = node.attrs.dims as readonly number[]
    const keepdim = node.attrs.keepdim === true
    const terms = dims.reduce((n, d) => n * x.value.shape[d], 1)
    const made = summed(s, node, x, {
      terms,
      divisor: divides ? terms : 1,
      axes: dims,
      emit: (zero, range) => append(s, node.path, integerSum, [x.value], { dims, keepdim, zero, ...range }),
    })
    if (made.tag !== 'integer' || keepdim || uniform(made.integer.grid.scale) !== null) return made
    // A scale per channel loses the axes that are gone.
    const { shape, data } = made.integer.grid.scale
    const left = padded(shape, x.value.shape.length).filter((_, d) => !dims.includes(d))
    const grid = { ...made.integer.grid, scale: { shape: left, data } }
    return { ...made, integer: { ...made.integer, grid } }
  }

export const mean = reducing(true)
export const sum = reducing(false)

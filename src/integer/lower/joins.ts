/** Rules of sums and joins of branches, of pools, and of ops that only move elements. */
import { sameShape, sizeOf, type Shape } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import type { Node } from '../../graph/graph.js'
import { computes } from '../../graph/op.js'
import { concat as concatOp } from '../../ops/concat.js'
import type { MaxPoolAttrs } from '../../ops/maxPool.js'
import { divisorsOf, type AvgPoolAttrs } from '../../ops/support/averages.js'
import { adaptiveAxes, countsOf, pooledShape, windowsOf } from '../../ops/support/windows.js'
import { moves, pools } from '../ops/moves.js'
import { integerAdd, integerSum, integerSumPool } from '../ops/sums.js'
import { FLOAT_WHOLE, INT32, type Range } from '../values.js'
import { classesOf, evaluator, mapFixed, type Expr } from './chain.js'
import { axesOf, moved, sameNumbers, single, uniform } from './grids.js'
import type { Rule } from './products.js'
import { settle } from './settle.js'
import { append, prevented, type Integer, type Lowered, type Session } from './session.js'

const ANEW = 'quantize it in front of this op, with a QuantIdentity'

/** A float op that moves or chooses, of integers. */
const moveInteger = (s: Session, node: Node, x: Integer['value'], range: Range): Integer['value'] => {
  const name = computes(node.op).name
  return append(s, node.path, (moves[name] ?? pools[name]).integer, [x], { ...node.attrs, ...range })
}

const integer = (value: Integer['value'], range: Range, grid: Integer['grid']): Lowered => ({
  tag: 'integer',
  integer: { value, range, grid },
})

/** The one zero point, or one per operand's own: whole numbers only. */
const wholeZero = (s: Session, node: Node, x: Integer): number | null => {
  const zero = uniform(x.grid.zeroPoint)
  if (zero !== null && Number.isInteger(zero)) return zero
  prevented(s, node, 'an operand has a zero point per channel, or one that is no integer', ANEW)
  return null
}

const WIDEST_FACTOR = 2 ** 15

/** Factors that bring two scales to one grid: exact where one is a power of two times the other. */
const factorsFor = (a: number, b: number, room: number): readonly [number, number, number] => {
  const [large, small] = [Math.max(a, b), Math.min(a, b)]
  const ratio = large / small
  let best: readonly [number, number] = [Math.max(1, Math.round(ratio)), 1]
  for (let m = 1; m <= WIDEST_FACTOR; m *= 2) {
    const n = Math.round(ratio * m)
    if ((n + m) * room > INT32.hi) break
    best = [n, m]
    if (n === ratio * m) break
  }
  const grid = small / best[1]
  return a >= b ? [best[0], best[1], grid] : [best[1], best[0], grid]
}

/** `a ± b` of two integers. */
const joined =
  (sign: 1 | -1): Rule =>
  (s, node) => {
    const [a, b] = node.inputs.map((id) => settle(s, id, node))
    if (a === null || b === null) return { tag: 'lost' }
    const zeros = [wholeZero(s, node, a), wholeZero(s, node, b)]
    if (zeros[0] === null || zeros[1] === null) return { tag: 'lost' }
    const [za, zb] = [zeros[0], zeros[1]]
    const alike = sameNumbers(a.grid.scale, b.grid.scale, 1e-5)
    const [sa, sb] = [uniform(a.grid.scale), uniform(b.grid.scale)]
    if (!alike && (sa === null || sb === null || sa <= 0 || sb <= 0))
      return prevented(
        s,
        node,
        'its operands have different scales, and not one each',
        'quantize both with one quantizer, as QuantEltwiseAdd does',
      )
    const reach = Math.max(
      ...[a, b].flatMap((x, i) => [x.range.lo, x.range.hi].map((v) => Math.abs(v - (i === 0 ? za : zb)))),
    )
    const [fa, fb, grid] = alike || sa === null || sb === null ? [1, 1, null] : factorsFor(sa, sb, Math.max(1, reach))
    const factors = [fa, sign * fb]
    const ends = [a, b].map((x, i) => [x.range.lo, x.range.hi].map((v) => factors[i] * (v - (i === 0 ? za : zb))))
    const range = {
      lo: Math.min(...ends[0]) + Math.min(...ends[1]),
      hi: Math.max(...ends[0]) + Math.max(...ends[1]),
    }
    if (range.lo < INT32.lo || range.hi > INT32.hi)
      return prevented(s, node, `the sum reaches ${range.lo} … ${range.hi}, which 32 bits do not hold`, ANEW)
    const value = append(s, node.path, integerAdd, [a.value, b.value], { factors, zeros: [za, zb], ...range })
    return integer(value, range, { scale: grid === null ? a.grid.scale : single(grid), zeroPoint: single(0) })
  }

export const add = joined(1)
export const sub = joined(-1)

/** Sums behind which a division goes into the scale. */
const summed = (
  s: Session,
  node: Node,
  x: Integer,
  terms: number,
  divisor: number,
  emit: (zero: number, range: Range) => Integer['value'],
  axes: readonly number[],
): Lowered => {
  const zero = wholeZero(s, node, x)
  if (zero === null) return { tag: 'lost' }
  const rank = x.value.shape.length
  if (axesOf(x.grid, rank).some((d) => axes.includes(d)))
    return prevented(s, node, 'its scale varies along an axis that is summed', ANEW)
  const range = { lo: Math.min(0, x.range.lo - zero) * terms, hi: Math.max(0, x.range.hi - zero) * terms }
  if (range.lo < INT32.lo || range.hi > INT32.hi || Math.max(-x.range.lo, x.range.hi) >= FLOAT_WHOLE)
    return prevented(s, node, `the sum reaches ${range.lo} … ${range.hi}, too wide`, ANEW)
  const { scale } = x.grid
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
  const x = settle(s, node.inputs[0], node)
  if (x === null) return { tag: 'lost' }
  const attrs = node.attrs as AvgPoolAttrs
  const divisors = [...divisorsOf(x.value.shape, node.shape, attrs)]
  if (divisors.some((d) => d !== divisors[0])) return uneven(s, node, divisors)
  const { kernel, stride, padding, ceilMode } = attrs
  const rank = x.value.shape.length
  const axes = kernel.map((_, i) => rank - kernel.length + i)
  return summed(
    s,
    node,
    x,
    sizeOf(kernel),
    divisors[0],
    (zero, range) =>
      append(s, node.path, integerSumPool, [x.value], { kernel, stride, padding, ceilMode, zero, ...range }),
    axes,
  )
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
  const x = settle(s, node.inputs[0], node)
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
  return summed(
    s,
    node,
    x,
    terms,
    terms,
    (zero, range) => append(s, node.path, integerSumPool, [x.value], { ...attrs, zero, ...range }),
    windows.kernel.map((_, i) => rank - windows.kernel.length + i),
  )
}

const reducing =
  (divides: boolean): Rule =>
  (s, node) => {
    const x = settle(s, node.inputs[0], node)
    if (x === null) return { tag: 'lost' }
    const dims = node.attrs.dims as readonly number[]
    const keepdim = node.attrs.keepdim === true
    const terms = dims.reduce((n, d) => n * x.value.shape[d], 1)
    const made = summed(
      s,
      node,
      x,
      terms,
      divides ? terms : 1,
      (zero, range) => append(s, node.path, integerSum, [x.value], { dims, keepdim, zero, ...range }),
      dims,
    )
    if (made.tag !== 'integer' || uniform(made.integer.grid.scale) !== null) return made
    return keepdim
      ? made
      : prevented(
          s,
          node,
          'its scale per channel would change its axis',
          'sum with keepdim: true, or quantize per tensor',
        )
  }

export const mean = reducing(true)
export const sum = reducing(false)

/** Does a chain never fall? Then the largest of several results is the result of the largest integer. */
const rises = (root: Integer, expr: Expr): boolean => {
  const classes = classesOf(root.value.shape, [root.grid], [expr])
  const [n, total] = [1024, sizeOf(classes)]
  const { lo, hi } = root.range
  const points = Float64Array.from({ length: n * total }, (_, i) => lo + Math.round(((i % n) * (hi - lo)) / (n - 1)))
  const values = evaluator({ grid: root.grid, expr, classes })(points, n)
  return values.every((v, i) => i % n === 0 || v >= values[i - 1])
}

/** A max pool in front of a chain instead of behind it, where the chain never falls. */
const pooledFirst = (s: Session, node: Node, spatial: number): Lowered | null => {
  const x = s.lowered.get(node.inputs[0])
  if (x === undefined || x.tag !== 'chain' || !sameShape(x.root.value.shape, x.node.shape)) return null
  const rank = x.node.shape.length
  const axes = classesOf(x.root.value.shape, [x.root.grid], [x.expr]).flatMap((n, d) => (n > 1 ? [d] : []))
  if (axes.some((d) => d >= rank - spatial) || !rises(x.root, x.expr)) return null
  const root = { ...x.root, value: moveInteger(s, node, x.root.value, x.root.range) }
  return { tag: 'chain', root, expr: x.expr, node }
}

const largest =
  (spatialOf: (node: Node) => number): Rule =>
  (s, node) => {
    const spatial = spatialOf(node)
    const early = pooledFirst(s, node, spatial)
    if (early !== null) return early
    const x = settle(s, node.inputs[0], node)
    if (x === null) return { tag: 'lost' }
    const rank = x.value.shape.length
    if (axesOf(x.grid, rank).some((d) => d >= rank - spatial) || x.grid.scale.data.some((v) => v < 0))
      return prevented(
        s,
        node,
        'the largest value is not the largest integer: scales vary within a window, or one is negative',
        ANEW,
      )
    if (Math.max(-x.range.lo, x.range.hi) >= FLOAT_WHOLE)
      return prevented(s, node, `its integers reach ${x.range.lo} … ${x.range.hi}`, ANEW)
    return integer(moveInteger(s, node, x.value, x.range), x.range, x.grid)
  }

export const maxPool: Rule = largest((node) => (node.attrs as MaxPoolAttrs).kernel.length)
export const adaptiveMaxPool: Rule = largest((node) => (node.attrs.outputSize as readonly number[]).length)

/** Ops that move elements: the same of integers, of a chain's root, and of grids. */
export const move: Rule = (s, node) => {
  const op = computes(node.op)
  const x = s.lowered.get(node.inputs[0])
  if (x === undefined || x.tag === 'lost') return { tag: 'lost' }
  if (x.tag === 'chain') {
    const from = x.node.shape
    const through = (t: Tensor): Tensor => moved(op, node.attrs, [t], [from])
    const grid = { scale: through(x.root.grid.scale), zeroPoint: through(x.root.grid.zeroPoint) }
    const value = moveInteger(s, node, x.root.value, x.root.range)
    return { tag: 'chain', root: { ...x.root, value, grid }, expr: mapFixed(x.expr, through), node }
  }
  const known = settle(s, node.inputs[0], node)
  if (known === null) return { tag: 'lost' }
  const through = (t: Tensor): Tensor => moved(op, node.attrs, [t], [known.value.shape])
  return integer(moveInteger(s, node, known.value, known.range), known.range, {
    scale: through(known.grid.scale),
    zeroPoint: through(known.grid.zeroPoint),
  })
}

export const pad: Rule = (s, node) => {
  const x = settle(s, node.inputs[0], node)
  if (x === null) return { tag: 'lost' }
  const [scale, zero] = [uniform(x.grid.scale), uniform(x.grid.zeroPoint)]
  if (scale === null || zero === null) return prevented(s, node, 'it has a scale or zero point per channel', ANEW)
  const steps = Number(node.attrs.value) / scale + zero
  const value = Math.round(steps)
  if (!(Math.abs(steps - value) < 0.01))
    return prevented(
      s,
      node,
      `the value ${String(node.attrs.value)} that is filled in lies on no integer of its grid`,
      'pad with 0, or with a multiple of the scale',
    )
  const range = { lo: Math.min(x.range.lo, value), hi: Math.max(x.range.hi, value) }
  return integer(append(s, node.path, moves.pad.integer, [x.value], { ...node.attrs, value, ...range }), range, x.grid)
}

export const concat: Rule = (s, node) => {
  const parts = node.inputs.map((id) => settle(s, id, node))
  const all = parts.filter((p) => p !== null)
  if (all.length < parts.length) return { tag: 'lost' }
  const range = { lo: Math.min(...all.map((p) => p.range.lo)), hi: Math.max(...all.map((p) => p.range.hi)) }
  const shapes = all.map((p) => p.value.shape)
  const alike = all.every((p) => sameNumbers(p.grid.scale, all[0].grid.scale, 1e-5))
  const scale = alike
    ? all[0].grid.scale
    : moved(
        concatOp,
        node.attrs as { readonly dim: number },
        all.map((p) => p.grid.scale),
        shapes,
      )
  const zeroPoint = moved(
    concatOp,
    node.attrs as { readonly dim: number },
    all.map((p) => p.grid.zeroPoint),
    shapes,
  )
  const value = append(
    s,
    node.path,
    moves.concat.integer,
    all.map((p) => p.value),
    { ...node.attrs, ...range },
  )
  return integer(value, range, { scale, zeroPoint })
}

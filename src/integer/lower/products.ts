/** Rules of sums of products: convolutions, linear layers, products of matrices; with the proof that each sum fits. */
import { sizeOf, type Shape } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import type { Node } from '../../graph/graph.js'
import type { Attrs } from '../../graph/op.js'
import { integerConv, integerConvTranspose, integerLinear, integerMatmul, integerMul } from '../ops/products.js'
import type { IntegerOp } from '../ops/record.js'
import { FLOAT_WHOLE, INT32, type IntegerTensor, type Range } from '../values.js'
import { broadcastOfScales, filled, padded } from './chain.js'
import { axesOf, single, uniform, variesOnlyAlong } from './grids.js'
import { settle, settleWhole } from './settle.js'
import { append, prevented, type Integer, type Lowered, type Session } from './session.js'

const REQUANTIZE = 'quantize it in front of this layer per tensor, with a QuantIdentity'

/** The one zero point of an operand, if it is a whole number; else an error has been recorded. */
const zeroOf = (s: Session, node: Node, x: Integer): number | null => {
  const zero = uniform(x.grid.zeroPoint)
  if (zero !== null && Number.isInteger(zero)) return zero
  prevented(
    s,
    node,
    zero === null
      ? 'its input has a zero point per channel, and a sum over channels has no zero point then'
      : `its input has the zero point ${zero}, which is no integer`,
    REQUANTIZE,
  )
  return null
}

const fits = ({ lo, hi }: Range): boolean => Math.max(-lo, hi) < FLOAT_WHOLE

/** The least width of 16, 24 and 32 bits that holds a range; null if none does. */
export const accumulatorBits = ({ lo, hi }: Range): 16 | 24 | 32 | null =>
  ([16, 24, 32] as const).find((bits) => lo >= -(2 ** (bits - 1)) && hi < 2 ** (bits - 1)) ?? null

/** What `w * x` and nothing can be, x in a range: hulls, so that sums in any order stay inside. */
const productHull = (w: number, x: Range): readonly [number, number] => [
  Math.min(0, w * x.lo, w * x.hi),
  Math.max(0, w * x.lo, w * x.hi),
]

/** The widest hull of the sums of rows of `terms` weights each; `rowOf` says to which row a weight belongs. */
const weightBound = (w: IntegerTensor, x: Range, rows: number, rowOf: (i: number) => number): Range => {
  const [lo, hi] = [new Float64Array(rows), new Float64Array(rows)]
  for (let i = 0; i < w.data.length; i++) {
    const [a, b] = productHull(w.data[i], x)
    const r = rowOf(i)
    lo[r] += a
    hi[r] += b
  }
  return { lo: lo.reduce((a, b) => Math.min(a, b), 0), hi: hi.reduce((a, b) => Math.max(a, b), 0) }
}

type Weighted = {
  readonly op: IntegerOp
  readonly attrs: Attrs
  /** Channel axes: of the result, and of the weight. */
  readonly axis: number
  readonly weightAxis: number
  readonly groups: number
  /** Which accumulator a weight goes to. */
  readonly rowOf: (w: Shape, i: number) => number
}

const wide = (s: Session, node: Node, range: Range): Lowered =>
  prevented(
    s,
    node,
    `its accumulator reaches ${range.lo} … ${range.hi}, which 32 bits do not hold`,
    'use fewer bits for weights or activations (weightBitWidth, bitWidth), or fewer terms per sum',
  )

type Accumulated = {
  readonly op: IntegerOp
  readonly args: readonly Integer[]
  readonly attrs: Attrs
  readonly range: Range
  readonly grid: Integer['grid']
}

/** Records the proof of an accumulator and appends its node. */
const accumulated = (s: Session, node: Node, sum: Accumulated): Lowered => {
  const { op, args, attrs, range, grid } = sum
  const bits = accumulatorBits(range)
  if (bits === null) return wide(s, node, range)
  const value = append(
    s,
    node.path,
    op,
    args.map((a) => a.value),
    { ...attrs, lo: range.lo, hi: range.hi },
  )
  s.accumulators.push({
    path: node.path,
    op: node.op.name,
    input: args[0].range,
    accumulator: { ...range, bits },
    node: value.id,
    inputGrid: args[0].grid,
    weightScale: args[1].grid.scale,
    scale: grid.scale,
  })
  return { tag: 'integer', integer: { value, range, grid } }
}

/** The scale of each channel of the result: input's times weight's, rounded to float32 as the float rule does. */
const productScale = (x: number, w: Tensor, rank: number, axis: number, repeats: number): Tensor => {
  const n = w.data.length
  const data = Float32Array.from({ length: n === 1 ? 1 : n * repeats }, (_, i) => x * w.data[i % n])
  return { shape: n === 1 ? [] : Array.from({ length: rank }, (_, d) => (d === axis ? data.length : 1)), data }
}

const OWN_SCALES = 'its input has a scale per channel, and its sums over channels then lie on no grid'

/** The scale of a depthwise layer's result, whose channels never meet; null where they do. */
const channelScale = (x: Integer, w: Tensor, node: Node, k: Weighted): Tensor | null => {
  const rank = node.shape.length
  if (k.op !== integerConv || axesOf(x.grid, rank).some((d) => d !== 1)) return null
  const [channels, outs] = [x.value.shape[1], node.shape[1]]
  if (k.groups !== channels || !variesOnlyAlong(x.grid.zeroPoint, rank, -1)) return null
  const sx = filled(x.grid.scale, padded([channels, ...new Array<number>(rank - 2).fill(1)], rank)).data
  const per = outs / channels
  const data = Float32Array.from(
    { length: outs },
    (_, o) => sx[Math.floor(o / per)] * w.data[w.data.length === 1 ? 0 : o],
  )
  return { shape: [outs, ...new Array<number>(rank - 2).fill(1)], data }
}

const weightedRule = (s: Session, node: Node, k: Weighted): Lowered => {
  const x = settleWhole(s, node.inputs[0], node)
  const w = settle(s, node.inputs[1], node)
  if (x === null || w === null) return { tag: 'lost' }
  const constant = s.constants[s.keys.get(w.value.id) ?? '']
  if (constant === undefined)
    return prevented(s, node, 'its weight depends on data', 'multiply two values of data with matmul')
  const zero = zeroOf(s, node, x)
  if (zero === null) return { tag: 'lost' }
  if (!fits(w.range) || !fits(x.range) || !constant.data.every(Number.isInteger))
    return prevented(
      s,
      node,
      `its operands reach ${x.range.lo} … ${x.range.hi} and ${w.range.lo} … ${w.range.hi}, too wide for an integer product`,
      REQUANTIZE,
    )
  const rank = node.shape.length
  if (!variesOnlyAlong(w.grid.scale, constant.shape.length, k.weightAxis))
    return prevented(
      s,
      node,
      "its weight's scale varies within one output channel",
      'give the weight one scale per output channel, or one in all',
    )
  const ws = { shape: [w.grid.scale.data.length], data: w.grid.scale.data }
  const one = uniform(x.grid.scale)
  const single1 = uniform(ws)
  const wScale: Tensor = single1 === null ? ws : single(single1)
  const scale = one === null ? channelScale(x, wScale, node, k) : productScale(one, wScale, rank, k.axis, k.groups)
  if (scale === null) return prevented(s, node, OWN_SCALES, REQUANTIZE)
  const range = weightBound(
    constant,
    { lo: x.range.lo - zero, hi: x.range.hi - zero },
    sizeOf(node.shape.slice(k.axis, k.axis + 1)),
    (i) => k.rowOf(constant.shape, i),
  )
  return accumulated(s, node, {
    op: k.op,
    args: [x, w],
    attrs: { ...k.attrs, zero },
    range,
    grid: { scale, zeroPoint: single(0) },
  })
}

/** One op of the float graph as integers. */
export type Rule = (s: Session, node: Node) => Lowered

export const conv: Rule = (s, node) =>
  weightedRule(s, node, {
    op: integerConv,
    attrs: node.attrs,
    axis: 1,
    weightAxis: 0,
    groups: Number(node.attrs.groups),
    rowOf: (w, i) => Math.floor(i / sizeOf(w.slice(1))),
  })

export const convTranspose: Rule = (s, node) => {
  const groups = Number(node.attrs.groups)
  return weightedRule(s, node, {
    op: integerConvTranspose,
    attrs: node.attrs,
    axis: 1,
    weightAxis: 1,
    groups,
    rowOf: (w, i) => {
      const taps = sizeOf(w.slice(2))
      const c = Math.floor(i / (taps * w[1]))
      return Math.floor(c / (w[0] / groups)) * w[1] + (Math.floor(i / taps) % w[1])
    },
  })
}

export const linear: Rule = (s, node) =>
  weightedRule(s, node, {
    op: integerLinear,
    attrs: {},
    axis: node.shape.length - 1,
    weightAxis: 0,
    groups: 1,
    rowOf: (w, i) => Math.floor(i / w[1]),
  })

const ends = (a: Range, b: Range): Range => {
  const all = [a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi]
  return { lo: Math.min(...all), hi: Math.max(...all) }
}

const less = ({ lo, hi }: Range, zero: number): Range => ({ lo: lo - zero, hi: hi - zero })

type Pair = {
  readonly a: Integer
  readonly b: Integer
  readonly zeros: { readonly zeroA: number; readonly zeroB: number }
  readonly each: Range
}

const pairOf = (s: Session, node: Node): Pair | null => {
  const [a, b] = node.inputs.map((id) => settleWhole(s, id, node))
  if (a === null || b === null) return null
  const [zeroA, zeroB] = [zeroOf(s, node, a), zeroOf(s, node, b)]
  return zeroA === null || zeroB === null
    ? null
    : { a, b, zeros: { zeroA, zeroB }, each: ends(less(a.range, zeroA), less(b.range, zeroB)) }
}

export const matmul: Rule = (s, node) => {
  const p = pairOf(s, node)
  if (p === null) return { tag: 'lost' }
  const [sa, sb] = [uniform(p.a.grid.scale), uniform(p.b.grid.scale)]
  if (sa === null || sb === null) return prevented(s, node, OWN_SCALES, REQUANTIZE)
  const terms = p.a.value.shape[p.a.value.shape.length - 1]
  const range = { lo: Math.min(0, p.each.lo) * terms, hi: Math.max(0, p.each.hi) * terms }
  return accumulated(s, node, {
    op: integerMatmul,
    args: [p.a, p.b],
    attrs: p.zeros,
    range,
    grid: { scale: single(sa * sb), zeroPoint: single(0) },
  })
}

export const mul: Rule = (s, node) => {
  const p = pairOf(s, node)
  if (p === null) return { tag: 'lost' }
  if (p.each.lo < INT32.lo || p.each.hi > INT32.hi) return wide(s, node, p.each)
  const value = append(s, node.path, integerMul, [p.a.value, p.b.value], { ...p.zeros, lo: p.each.lo, hi: p.each.hi })
  const scale = broadcastOfScales(p.a.grid.scale, p.b.grid.scale)
  return { tag: 'integer', integer: { value, range: p.each, grid: { scale, zeroPoint: single(0) } } }
}

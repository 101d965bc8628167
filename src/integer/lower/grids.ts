/** Grids: what is the same for all elements, and what becomes of a grid where elements move. */
import { broadcastShapes, sameShape, sizeOf, type Shape } from '../../data/shape.js'
import type { Quant } from '../../data/quant.js'
import { quantOf } from '../../data/quant.js'
import type { Tensor } from '../../data/tensor.js'
import type { Node } from '../../graph/graph.js'
import type { Attrs, Op } from '../../graph/op.js'
import { isRefusal } from '../../graph/op.js'
import { compressed, filled, type Grid } from './chain.js'
import type { Session } from './session.js'

/** A tensor with one number. */
export const single = (value: number): Tensor => ({ shape: [], data: Float32Array.of(value) })

/** The number that fills a tensor, or null. */
export const uniform = (t: Tensor): number | null => {
  for (let i = 1; i < t.data.length; i++) if (t.data[i] !== t.data[0]) return null
  return t.data.length === 0 ? null : t.data[0]
}

/** Do two tensors hold the same numbers, broadcast alike? */
export const sameNumbers = (a: Tensor, b: Tensor, within = 0): boolean => {
  const [p, q] = [compressed(a), compressed(b)]
  const bare = (s: Shape): Shape =>
    s.slice(
      Math.max(
        0,
        s.findIndex((n) => n > 1),
      ),
    )
  return (
    p.data.length === q.data.length &&
    (p.data.length === 1 || sameShape(bare(p.shape), bare(q.shape))) &&
    p.data.every((v, i) => v === q.data[i] || Math.abs(v - q.data[i]) <= within * Math.abs(q.data[i]))
  )
}

/** Does a scale or zero point say of each element of a shape what it is? A claim may not: a reshaped value keeps what its channels had. */
const fits = (t: Tensor, shape: Shape): boolean =>
  sizeOf(t.shape) === 1 || sameShape(broadcastShapes(t.shape, shape) ?? [-1], shape)

/** The grid of what a value carries, where its numbers are known. */
export const gridOf = (
  s: Session,
  { carried, shape }: Pick<Node, 'carried' | 'shape'>,
): { readonly grid: Grid; readonly quant: Quant } | null => {
  const quant = quantOf(carried)
  if (quant === null) return null
  const [scale, zeroPoint] = [s.fixed.valueOf(quant.scale), s.fixed.valueOf(quant.zeroPoint)]
  if (scale === undefined || zeroPoint === undefined) return null
  return fits(scale, shape) && fits(zeroPoint, shape) ? { grid: { scale, zeroPoint }, quant } : null
}

/** Runs an op on tensors, for those that only move elements. */
export const applied = (op: Op, attrs: Attrs, args: readonly Tensor[]): Tensor => {
  const shape = op.shape(
    args.map((a) => a.shape),
    attrs,
  )
  if (isRefusal(shape)) throw new Error(`internal: ${op.name}: ${shape.refuse}`)
  const out: Tensor = { shape, data: new Float32Array(sizeOf(shape)) }
  const failure = op.evaluate(args, attrs, out)
  if (failure !== null) throw new Error(`internal: ${op.name}: ${failure}`)
  return out
}

/** What an op that moves elements makes of numbers that belong to its operands' elements. */
export const moved = (op: Op, attrs: Attrs, tensors: readonly Tensor[], shapes: readonly Shape[]): Tensor => {
  const numbers = tensors.map(uniform)
  if (numbers[0] !== null && numbers.every((n) => n === numbers[0])) return single(numbers[0])
  return compressed(
    applied(
      op,
      attrs,
      tensors.map((t, i) => filled(t, shapes[i])),
    ),
  )
}

/** The axis along which a scale or a zero point of a grid varies, if it is a certain one or none; `shape` is the value's. */
export const variesOnlyAlong = (t: Tensor, rank: number, axis: number): boolean => {
  const { shape } = compressed(t)
  return shape.every((n, d) => n === 1 || d + rank - shape.length === axis)
}

/** The axes along which a grid varies. */
export const axesOf = ({ scale, zeroPoint }: Grid, rank: number): readonly number[] =>
  [scale, zeroPoint].flatMap((t) => {
    const { shape } = compressed(t)
    return shape.flatMap((n, d) => (n > 1 ? [d + rank - shape.length] : []))
  })

/** Why a value has no integers, as far as its metadata tell. */
export const whyPlain = (node: Node): string =>
  node.carried.tag === 'stripped' || node.carried.tag === 'claimed' ? ` (${node.carried.why})` : ''

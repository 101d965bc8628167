/** What tests of single ops share: evaluation without a graph, random tensors, and values that carry metadata. */
import fc from 'fast-check'
import { carries, type Carried, type Quant } from '../../src/data/quant.js'
import { sizeOf, stridesOf, type Shape } from '../../src/data/shape.js'
import { tensor, type Tensor } from '../../src/data/tensor.js'
import { newBuilder, type Builder } from '../../src/graph/builder.js'
import { isRefusal, type Attrs, type Op, type OpTable, type Value } from '../../src/graph/op.js'
import { shapeOfCall } from '../../src/graph/signature.js'
import { ops } from '../../src/ops/index.js'

/** The result of an op on tensors. */
export const evaluate = <A extends Attrs>(op: Op<A>, args: readonly Tensor[], attrs: A): Tensor => {
  const shape = shapeOfCall(
    op,
    args.map((a) => a.shape),
    attrs,
  )
  if (isRefusal(shape)) throw new Error(shape.refuse)
  const out = tensor(shape, new Float32Array(sizeOf(shape)).fill(NaN))
  const failure = op.evaluate(args, attrs, out)
  if (failure !== null) throw new Error(failure)
  return out
}

/** Why a call is refused, by the op's schema or its shape rule, or null. */
export const refusalOf = <A extends Attrs>(op: Op<A>, shapes: readonly Shape[], attrs: A): string | null => {
  const answer = shapeOfCall(op, shapes, attrs)
  return isRefusal(answer) ? answer.refuse : null
}

/** A tensor of numbers -1 … 1 that a seed determines. */
export const randomTensor = (shape: Shape, seed: number): Tensor => {
  let state = (seed * 2654435761 + 1) >>> 0
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 31 - 1
  }
  return tensor(shape, Float32Array.from({ length: sizeOf(shape) }, next))
}

/** A tensor of random integers lo … hi. */
export const randomIntegers = (shape: Shape, lo: number, hi: number, seed: number): Tensor => {
  const t = randomTensor(shape, seed)
  return tensor(
    shape,
    t.data.map((x) => lo + Math.min(hi - lo, Math.floor(((x + 1) / 2) * (hi - lo + 1)))),
  )
}

/** Sum of products of equally long tensors, in double. */
export const dot = (a: Tensor, b: Tensor): number => a.data.reduce((s, x, i) => s + x * b.data[i], 0)

/** All indices of a shape, row-major. */
export const indices = (shape: Shape): readonly (readonly number[])[] =>
  Array.from({ length: sizeOf(shape) }, (_, i) => stridesOf(shape).map((s, d) => Math.floor(i / s) % shape[d]))

/** One element. */
export const at = (t: Tensor, index: readonly number[]): number =>
  t.data[index.reduce((n, i, d) => n + i * stridesOf(t.shape)[d], 0)]

/** Do two tensors agree up to rounding? */
export const isClose = (a: Tensor, b: ArrayLike<number>, size = 1): boolean =>
  a.data.length === b.length &&
  a.data.every((x, i) => Object.is(x, b[i]) || Math.abs(x - b[i]) <= 1e-6 * size + 1e-6 * Math.abs(b[i]))

/** Seeds. */
export const seeds = fc.integer({ min: 0, max: 2 ** 30 })

/** A graph in which the named ops can be emitted. */
export const builderWith = (more: readonly Op[]): Builder => {
  const table: OpTable = { ...ops, ...Object.fromEntries(more.map((op) => [op.name, op])) }
  return newBuilder({ table, mode: 'eval' })
}

/** An input that carries a grid of `bits` and a scale of the given shape, changed by `more`. */
export const quantInput = (
  b: Builder,
  name: string,
  shape: Shape,
  bits: number,
  signed: boolean,
  scaleShape: Shape = [],
  more: Partial<Quant> = {},
): Value => {
  const v = b.input('data', name, shape)
  const [lo, hi] = signed ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1]
  const quant: Quant = {
    scale: b.input('data', `${name}.scale`, scaleShape).id,
    zeroPoint: b.constant(0).id,
    bitWidth: b.constant(bits).id,
    bits,
    signed,
    training: false,
    zero: 'zero',
    lo,
    hi,
    slack: 2 ** -24 * Math.max(-lo, hi),
    ...more,
  }
  return b.declare(v, carries(quant))
}

/** `claimed: why` as text, or the tag alone. */
export const tagOf = (c: Carried): string => ('why' in c ? `${c.tag}: ${c.why}` : c.tag)

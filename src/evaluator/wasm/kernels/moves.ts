/** Ops that move elements without changing them, as strided copies; padding and resizing by table where strides don't do. */
import { broadcastStrides, sizeOf, stridesOf, type Shape } from '../../../data/shape.js'
import type { Attrs } from '../../../graph/op.js'
import type { Kernel, KernelSpec, Stage } from '../kernel.js'
import { copyStage, fillStage, type Copy, type CopyAxis } from './copies.js'
import { lookupKernel } from './lookups.js'

const numbersOf = (list: unknown): readonly number[] =>
  Array.isArray(list) ? list.filter((n): n is number => typeof n === 'number') : []

const axesOf = (sizes: Shape, from: readonly number[], to: readonly number[]): readonly CopyAxis[] =>
  sizes.map((size, d) => ({ size, from: from[d], to: to[d] }))

/** The whole result, read with other strides. */
const reading = (shape: Shape, strides: readonly number[], from = 0): readonly Copy[] => [
  { arg: 0, from, to: 0, axes: axesOf(shape, strides, stridesOf(shape)) },
]

const members = (shapes: readonly Shape[], shape: Shape, dim: number): readonly Copy[] => {
  let to = 0
  return shapes
    .map((s, arg) => {
      const copy: Copy = { arg, from: 0, to, axes: axesOf(s, stridesOf(s), stridesOf(shape)) }
      to += s[dim] * stridesOf(shape)[dim]
      return copy
    })
    .filter((_, i) => sizeOf(shapes[i]) > 0)
}

/** Shapes `[…, C, H*r, W*r]` seen as `[outer, C, H, r, W, r]`, and the strides of `[…, C*r², H, W]` along these axes. */
const shuffle = (large: Shape, r: number) => {
  const [c, h, w] = large.slice(-3)
  const [hs, ws] = [h / r, w / r]
  const plane = hs * ws
  return {
    sizes: [sizeOf(large.slice(0, -3)), c, hs, r, ws, r],
    packed: [c * r * r * plane, r * r * plane, ws, r * plane, 1, plane],
  }
}

const shuffles = ({ op, attrs: { factor }, shapes: [x], shape }: KernelSpec): readonly Copy[] => {
  const up = op === 'pixelShuffle'
  const { sizes, packed } = shuffle(up ? shape : x, Number(factor))
  const flat = stridesOf(sizes)
  return [{ arg: 0, from: 0, to: 0, axes: up ? axesOf(sizes, packed, flat) : axesOf(sizes, flat, packed) }]
}

/** What lies both in the padded tensor and in the one that is padded (negative pads crop). */
const interior = (small: Shape, large: Shape, pads: readonly (readonly number[])[]) => {
  const [own, other] = [stridesOf(small), stridesOf(large)]
  const start = (sign: number, strides: readonly number[]): number =>
    pads.reduce((n, [before], d) => n + Math.max(0, sign * before) * strides[d], 0)
  const sizes = small.map((n, d) => n - pads[d].reduce((sum, p) => sum + Math.max(0, -p), 0))
  return { sizes, own, other, inSmall: start(-1, own), inLarge: start(1, other) }
}

/** Padding with a value, and its gradient: the part that both have is copied, the rest filled. */
const constantPad = ({ op, attrs, shapes: [x], shape }: KernelSpec): readonly Stage[] => {
  const pads = Array.isArray(attrs.pad) ? attrs.pad.map(numbersOf) : []
  const grad = op === 'padGrad'
  const { sizes, own, other, inSmall, inLarge } = grad ? interior(shape, x, pads) : interior(x, shape, pads)
  const copied = sizes.every((n) => n > 0)
  const whole = copied && sizeOf(sizes) === sizeOf(shape)
  const copy: Copy = grad
    ? { arg: 0, from: inLarge, to: inSmall, axes: axesOf(sizes, other, own), plusZero: true }
    : { arg: 0, from: inSmall, to: inLarge, axes: axesOf(sizes, own, other) }
  return [
    ...(whole ? [] : [fillStage(sizeOf(shape), grad ? 0 : Number(attrs.value))]),
    ...(copied ? [copyStage(op, [copy])] : []),
  ]
}

const isConstant = (attrs: Attrs): boolean => attrs.mode === 'constant'

/** Ops that hand their operand on. */
const SAME = ['reshape', 'identity', 'detach', 'assign', 'dequantize', 'asTraining', 'joinGroups']

const copiesOf = (spec: KernelSpec): readonly Copy[] | null => {
  const { op, attrs, shapes, shape } = spec
  const [x] = shapes
  if (SAME.includes(op)) return reading(shape, stridesOf(shape))
  if (op === 'slice') return reading(shape, stridesOf(x), Number(attrs.start) * stridesOf(x)[Number(attrs.dim)])
  if (op === 'trimGroups') return reading(shape, stridesOf(x))
  if (op === 'permute')
    return reading(
      shape,
      numbersOf(attrs.dims).map((d) => stridesOf(x)[d]),
    )
  if (op === 'broadcastTo') return reading(shape, broadcastStrides(x, shape))
  if (op === 'concat') return members(shapes, shape, Number(attrs.dim))
  return op === 'pixelShuffle' || op === 'pixelUnshuffle' ? shuffles(spec) : null
}

/** Stages that copy by strides, or null: places must be looked up. */
const stagesOf = (spec: KernelSpec): readonly Stage[] | null => {
  const { op, attrs } = spec
  if ((op === 'pad' || op === 'padGrad') && isConstant(attrs)) return constantPad(spec)
  const copies = copiesOf(spec)
  return copies === null ? null : [copyStage(op, copies)]
}

/** Operands whose elements are all of the result, where each is one of theirs and strides tell its place; null of other ops. */
export const movedOperands = (spec: KernelSpec): readonly number[] | null =>
  sizeOf(spec.shape) === 0 ? null : (copiesOf(spec)?.map((c) => c.arg) ?? null)

/** The same from bytes to bytes, or null: the spec is none. */
export const byteMoveKernel = (spec: KernelSpec): Kernel | null => {
  const copies = copiesOf(spec)
  if (copies === null) return null
  const { op, shapes, shape } = spec
  return {
    name: `${op} bytes by strides`,
    scratch: 0,
    constants: null,
    stages: [copyStage(op, copies, 1)],
    flops: 0,
    bytes: sizeOf(shape) + shapes.reduce((n, s) => n + sizeOf(s), 0),
  }
}

/** Concatenation, slices, permutations, broadcasting, shuffles, padding, resizing and reshaping. */
export const moveKernel = (spec: KernelSpec): Kernel | null => {
  const { op, shapes, shape } = spec
  if (sizeOf(shape) === 0 || [shape, ...shapes].some((s) => sizeOf(s) >= 2 ** 29)) return null
  const stages = stagesOf(spec)
  if (stages === null) return lookupKernel(spec)
  return {
    name: `${op} by strides`,
    scratch: 0,
    constants: null,
    stages,
    flops: 0,
    bytes: 4 * (sizeOf(shape) + shapes.reduce((n, s) => n + sizeOf(s), 0)),
  }
}

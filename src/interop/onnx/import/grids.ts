/** Scales, zero points and widths of foreign quantizers, and the primitive that they become. */
import type { FloatFormat } from '../../../data/minifloat.js'
import { intMax, intMin } from '../../../data/quant.js'
import { showShape, sizeOf, type Shape } from '../../../data/shape.js'
import type { Value } from '../../../graph/op.js'
import type { QuantizeAttrs } from '../../../ops/quantize.js'
import type { Rounding } from '../../../ops/rounding.js'
import { dequantize, isQuantValue } from '../../../nn/functions/index.js'
import type { Entry, Importing, Known, Levels, Stored, Traced } from './entry.js'
import { formatOfFloat8 } from '../float8.js'
import { floatsOf } from './floats.js'
import { DataType, float32, isFloat, type Host } from './host.js'
import { rangeOf, widthOf, type Width } from './widths.js'

const isZero = (h: Host): boolean => h.data.every((z) => z === 0)

/** A scale or zero point with its one number as a scalar, so that it broadcasts over a value of any rank. */
const scalarly = (k: Known): Known =>
  k.host.data.length === 1 && k.host.shape.length > 0 ? { ...k, host: { ...k.host, shape: [] } } : k

/** A vector along an axis of a value of this shape; anything else broadcasts as it stands. */
const along = (x: Importing, v: Value, shape: Shape, axis: number | null, what: string): Value => {
  if (axis === null || v.shape.length !== 1) return v
  if (axis < 0 || axis >= shape.length || shape[axis] !== v.shape[0])
    return x.refuse(
      `${v.shape[0]} ${what} do not fit axis ${axis} of ${showShape(shape)}`,
      'give one per element of that axis, or one in all',
    )
  return x.kit.emit('reshape', [v], { shape: shape.map((n, i) => (i === axis ? n : 1)) })
}

/**
 * A scale as a value. What is learned is the end of its grid, the scale times a power of two, as Brevitas learns thresholds: numbers of the size of
 * the data, on which one rate of learning fits all. Both multiplications are exact.
 */
export const scaleValue = (x: Importing, k: Known, { bits, signed }: Omit<Width, 'narrow'>): Value => {
  const steps = 2 ** (signed ? bits - 1 : bits)
  const key = `${k.leaf}\0${steps}`
  const { host } = scalarly(k)
  const ends = x.cached(key, () => ({ ...host, type: DataType.FLOAT, data: float32(host).map((s) => s * steps) }))
  const v = x.kit.emit('mul', [
    x.leaf({ is: 'known', host: ends, leaf: k.leaf, key }, 'scale'),
    x.kit.constant(1 / steps),
  ])
  x.note(v, float32(host))
  return v
}

/** The same along an axis of a value. */
const scaleOver = (x: Importing, g: Grid, shape: Shape): Value => {
  const v = scaleValue(x, g.scale, g)
  const wide = along(x, v, shape, g.axis, 'scales')
  x.note(wide, float32(g.scale.host))
  return wide
}

/** Where a zero point lies: the shape and axis of what it is for, or a value that lies there already. */
type ZeroPlace = { readonly shape: Shape; readonly axis: number | null; readonly own?: Value }

/** The zero point as a value, and what is known of it. Learned ones are rounded at every call, so that they stay integers. */
const zeroOf = (
  x: Importing,
  zero: Known | null,
  { shape, axis, own }: ZeroPlace,
  bounds: readonly [number, number],
): readonly [Value, 'zero' | 'integer' | 'any'] => {
  if (zero === null || isZero(zero.host)) return [x.kit.constant(0), 'zero']
  const z = own ?? along(x, x.leaf(scalarly(zero), 'zero'), shape, axis, 'zero points')
  const whole = zero.host.data.every((n) => Number.isInteger(n) && n >= bounds[0] && n <= bounds[1])
  if (!whole) return [z, 'any']
  const rounded = x.kit.emit('round~identity', [z])
  return [x.kit.emit('tensorClamp', [rounded], { min: bounds[0], max: bounds[1] }), 'integer']
}

/** A quantizer of the file. */
export type Grid = Width & {
  readonly rounding: Rounding
  readonly scale: Known
  readonly zero: Known | null
  /** The axis of a scale that is a vector or of blocks; null where it broadcasts as it stands. */
  readonly axis: number | null
  /** Elements of a block along that axis; a tensor is cut into groups of as many. */
  readonly block?: number
  /** Minifloats instead of integers. */
  readonly format?: FloatFormat
}

const bare = (v: Value): Value => (isQuantValue(v) ? dequantize(v, 'it is quantized anew') : v)

/** The value on its grid: the primitive in which metadata is born. */
export const quantized = (x: Importing, v: Value, g: Grid, ownScale?: Value): Value => {
  const cut = cutOf(g, v.shape)
  if (cut !== null) return inGroups(x, v, g, cut)
  const scale = ownScale ?? scaleOver(x, g, v.shape)
  return g.format === undefined ? integers(x, v, g, scale) : minifloats(x, v, g.format, scale)
}

const minifloats = (x: Importing, v: Value, format: FloatFormat, scale: Value): Value =>
  x.kit.emit('quantizeFloat', [bare(v), scale], { ...format, signed: true, training: x.kit.mode === 'train' })

/** How a tensor is cut into groups: filled up along an axis, which becomes two. */
type Cut = { readonly axis: number; readonly size: number; readonly groups: number; readonly shape: Shape }

const cutOf = ({ block, axis }: Grid, shape: Shape): Cut | null => {
  if (block === undefined || axis === null || axis < 0 || axis >= shape.length) return null
  const groups = Math.ceil(shape[axis] / block)
  return { axis, size: block, groups, shape: [...shape.slice(0, axis), groups, block, ...shape.slice(axis + 1)] }
}

/** A scale or zero point of blocks, over the groups of a cut tensor. */
const overGroups = (x: Importing, v: Value, { axis, groups, shape }: Cut): Value => {
  const compact = shape.map((n, i) => (i === axis + 1 ? 1 : n))
  return sizeOf(v.shape) === sizeOf(compact) && v.shape[axis] === groups
    ? x.kit.emit('reshape', [v], { shape: compact })
    : x.refuse(`scales ${showShape(v.shape)} are not one per block of ${showShape(shape)}`, 'give one per block')
}

/** Blocks are groups: the tensor is cut, quantized, and joined again. */
const inGroups = (x: Importing, v: Value, g: Grid, cut: Cut): Value => {
  const { kit } = x
  const { axis, size, groups } = cut
  const missing = groups * size - v.shape[axis]
  const pad = v.shape.map((_, i): readonly [number, number] => [0, i === axis ? missing : 0])
  const full = missing === 0 ? bare(v) : kit.emit('pad', [bare(v)], { pad, mode: 'constant', value: 0 })
  const whole = kit.emit('reshape', [full], { shape: cut.shape })
  const scale = overGroups(x, scaleValue(x, g.scale, g), cut)
  const zero = g.zero === null || isZero(g.zero.host) ? null : g.zero
  const zeroPoint = zero === null ? undefined : overGroups(x, x.leaf(zero, 'zero'), cut)
  const y =
    g.format === undefined
      ? integers(x, whole, { ...g, zero, axis: null }, scale, zeroPoint)
      : minifloats(x, whole, g.format, scale)
  const joined = kit.emit('joinGroups', [y], { axis, dim: axis })
  return missing === 0 ? joined : kit.emit('trimGroups', [joined], { axis, length: v.shape[axis] })
}

const integers = (x: Importing, v: Value, g: Grid, scale: Value, ownZero?: Value): Value => {
  const bounds = [intMin(g.bits, g.signed, g.narrow), intMax(g.bits, g.signed, g.narrow)] as const
  const [zeroPoint, zero] = zeroOf(
    x,
    g.zero,
    { shape: v.shape, axis: g.axis, ...(ownZero === undefined ? {} : { own: ownZero }) },
    bounds,
  )
  const attrs: QuantizeAttrs = {
    bits: g.bits,
    signed: g.signed,
    narrow: g.narrow,
    rounding: g.rounding,
    clamp: 'mask',
    training: x.kit.mode === 'train',
    zero,
  }
  return x.kit.emit('quantize', [bare(v), scale, zeroPoint], attrs)
}

/** A quantized constant: a vector waits for the product that it is the bias of, others are traced at once. */
export const storedOn = (x: Importing, floats: Known, g: Grid): Entry => {
  const make = (scale?: Value): Value => quantized(x, x.leaf(floats, 'weight'), g, scale)
  const stored: Stored = {
    is: 'stored',
    shape: floats.host.shape,
    make,
    scale: g.scale.host,
    zeroIsZero: g.zero === null || isZero(g.zero.host),
  }
  return floats.host.shape.length === 1 ? stored : { is: 'value', value: make(), type: DataType.FLOAT }
}

/** What a scale of minifloats is learned as: the end of eight bits. */
const EIGHT_BITS: Width = { bits: 8, signed: true, narrow: false }

/** The axis of a vector or of blocks, and the elements of a block. */
export const axisAndBlock = (
  x: Importing,
  shape: Shape,
  scale: Host,
): readonly [axis: number | null, block: number | undefined] => {
  const axis = x.number('axis', 1)
  const own = axis < 0 ? axis + shape.length : axis
  if (scale.shape.length < 2 || scale.shape.length !== shape.length) return [axisOf(x, shape.length, scale), undefined]
  return [own, x.number('block_size', 0) || Math.ceil(shape[own] / Math.max(1, scale.shape[own]))]
}

/** The axis that a node names, counted from the front; null where its scale is one number. */
export const axisOf = (x: Importing, rank: number, scale: Host): number | null => {
  const axis = x.number('axis', 1)
  if (scale.data.length === 1 || scale.shape.length !== 1) return null
  return axis < 0 ? axis + rank : axis
}

/** Integers behind a DequantizeLinear, known when the file was written. */
export const dequantizedConstant = (x: Importing, k: Known, scale: Known, zero: Known | null): Entry => {
  const { type, shape } = k.host
  const format = formatOfFloat8(type, true) ?? undefined
  const bounds = k.bounds ?? rangeOf(type)
  const whole = bounds === null ? null : widthOf(bounds)
  const width = format === undefined ? whole : EIGHT_BITS
  const [axis, block] = axisAndBlock(x, shape, scale.host)
  const key = [k.leaf, scale.leaf, zero?.leaf ?? '', String(k.bounds), String(axis), String(block)].join('\0')
  const host = x.cached(key, () => floatsOf(k.host, scale.host, zero?.host ?? null, axis, block))
  const floats: Known = { is: 'known', host, leaf: k.leaf, key }
  const own = { ...(block === undefined ? {} : { block }), ...(format === undefined ? {} : { format }) }
  // Infinities that are stored are meant, and on no grid: they stay as they are.
  const isOnGrid = width !== null && (format === undefined || host.data.every((v) => Math.abs(v) !== Infinity))
  return !isOnGrid ? floats : storedOn(x, floats, { ...width, ...own, rounding: 'ROUND', scale, zero, axis })
}

const sameNumbers = (a: Host | undefined, b: Host | undefined): boolean => {
  if (a === b) return true
  const [p, q] = [a ?? b, b ?? a]
  if (p === undefined || q === undefined) return false
  if (a === undefined || b === undefined) return isZero(p)
  return p.data.length === q.data.length && p.data.every((v, i) => v === q.data[i])
}

/** The value that QuantizeLinear was given. */
const source = (x: Importing, e: Known | Traced): Value => (e.is === 'value' ? e.value : x.leaf(e, 'weight'))

/** What QuantizeLinear, Clip and DequantizeLinear make together; null where they don't belong together. */
export const dequantizedLevels = (x: Importing, l: Levels, scale: Known, zero: Known | null): Entry | null => {
  const width = l.format === undefined ? widthOf(l.bounds) : EIGHT_BITS
  if (width === null || !sameNumbers(l.scale.host, scale.host) || !sameNumbers(l.zero?.host, zero?.host)) return null
  const { block, format } = l
  const own = { ...(block === undefined ? {} : { block }), ...(format === undefined ? {} : { format }) }
  const g: Grid = { ...width, ...own, rounding: 'ROUND', scale: l.scale, zero: l.zero, axis: l.axis }
  if (l.from.is === 'known') return storedOn(x, l.from, g)
  return { is: 'value', value: quantized(x, l.from.value, g), type: DataType.FLOAT }
}

/** The integers themselves, as floats: where others than DequantizeLinear read them. */
export const integersOf = (x: Importing, l: Levels): Value => {
  const { kit } = x
  const range = rangeOf(l.type) ?? l.bounds
  const width = widthOf(l.bounds) ?? widthOf(range)
  if (width === null) return x.refuse('its integers have no width that is known here', 'use int8 or uint8')
  const v = source(x, l.from)
  const g: Grid = { ...width, rounding: 'ROUND', scale: l.scale, zero: l.zero, axis: l.axis }
  const y = dequantize(quantized(x, v, g), 'its integers are read')
  const steps = kit.emit('div', [y, scaleOver(x, g, v.shape)])
  const q =
    l.zero === null ? steps : kit.emit('add', [steps, zeroOf(x, l.zero, { shape: v.shape, axis: l.axis }, range)[0]])
  const ints = kit.emit('round', [q])
  return widthOf(l.bounds) === null ? kit.emit('tensorClamp', [ints], { min: l.bounds[0], max: l.bounds[1] }) : ints
}

/** Does the scale stand for one number per block of elements along the axis? */
const inBlocks = (x: Importing, v: Value, s: Value, axis: number): Value => {
  const at = axis < 0 ? axis + v.shape.length : axis
  const block = v.shape[at] / s.shape[at]
  if (s.shape.length !== v.shape.length || !Number.isInteger(block))
    return x.refuse(`a scale ${showShape(s.shape)} does not fit ${showShape(v.shape)}`, 'give one per block')
  const [front, back] = [s.shape.slice(0, at + 1), s.shape.slice(at + 1)]
  const column = x.kit.emit('reshape', [s], { shape: [...front, 1, ...back] })
  const filled = x.kit.emit('broadcastTo', [column], { shape: [...front, block, ...back] })
  return x.kit.emit('reshape', [filled], { shape: v.shape })
}

/** Operand `i`, a scale or zero point, over a value: one number, a vector along the axis, or blocks. */
export const spreadOver = (x: Importing, i: number, v: Value, axis: number): Value => {
  const s = x.plain(i)
  if (sizeOf(s.shape) === 1) return x.kit.emit('reshape', [s], { shape: [] })
  const at = axis < 0 ? axis + v.shape.length : axis
  if (s.shape.length === 1)
    return x.kit.emit('reshape', [s], { shape: v.shape.map((_, d) => (d === at ? s.shape[0] : 1)) })
  return inBlocks(x, v, s, axis)
}

/** A scale or zero point as known floats; refused where it depends on data. */
export const knownScale = (x: Importing, i: number, what: string): Known => {
  const e = x.entry(i)
  if (e.is !== 'known')
    return x.refuse(`its ${what} depends on data`, 'export it with static quantization: constants as scales')
  if (what === 'scale' && !isFloat(e.host.type)) return x.refuse('its scale is no float', 'give float scales')
  return e
}

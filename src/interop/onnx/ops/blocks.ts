/**
 * Quantizers whose scales lie in blocks, depend on data, or give floats of 8 bits: QuantizeLinear and DequantizeLinear with their newer operands.
 * A block is a stretch of an axis with one scale (opset 21); the groups of a tensor that is cut are blocks of its second axis.
 */
import { spreadGroups } from '../../../data/groups.js'
import { leastStep, roundToFormat } from '../../../data/minifloat.js'
import { gridOf, type Group } from '../../../data/quant.js'
import { broadcastStrides, sameShape, sizeOf, type Shape } from '../../../data/shape.js'
import type { Tensor } from '../../../data/tensor.js'
import type { Node } from '../../../graph/graph.js'
import { walk } from '../../../ops/support/elementwise.js'
import { toFloat8 } from '../float8.js'
import {
  computed,
  int64s,
  operand,
  scalarOf,
  unsupported,
  type Exporting,
  type Rule,
  type Unsupported,
} from '../rule.js'
import { DataType, flag, int, type Name } from '../writer.js'
import { areOf, rangeOf, targetOf, type Target } from './target.js'
import { attributesOf, layoutOf, type Layout } from './scaleLayout.js'

const BLOCKS = unsupported(
  'its scales are those of groups, and blocks of DequantizeLinear are of opset 21',
  'give opset: 21, or quantize per tensor or per channel',
)
const SEVERAL_AXES = unsupported(
  'its scale or zero point varies along several axes, and no axis is one block',
  'quantize per tensor, per channel of one axis, or in groups',
)
/** A scale or zero point in the shape in which it is wanted; one number for all is repeated. */
const inShape = (x: Exporting, node: Node, i: number, shape: Shape): Name => {
  const known = x.tensor(node.inputs[i])
  const n = sizeOf(shape)
  if (known !== undefined && known.data.length === n)
    return x.w.floats({ shape, data: known.data }, `${node.path}.${i === 1 ? 'scale' : 'zero_point'}`)
  const v = operand(x, node, i)
  const single = sizeOf(x.shape(node.inputs[i])) === 1 && n !== 1
  const flat = x.emit(node, 'Reshape', [v, int64s(x, single ? [1] : shape, 'shape')])
  return single ? x.emit(node, 'Expand', [flat, int64s(x, shape, 'shape')]) : flat
}

const isZero = (x: Exporting, node: Node): boolean =>
  node.inputs[2] === undefined || (x.tensor(node.inputs[2])?.data.every((z) => z === 0) ?? false)

/** Is the zero point one number, or do its numbers lie as those of the scale do? */
const isZeroAlong = (x: Exporting, node: Node, { axis, block, shape }: Layout): boolean => {
  const zeroShape = isZero(x, node) ? [] : x.shape(node.inputs[2])
  if (sizeOf(zeroShape) === 1) return true
  const own = layoutOf(node.shape, zeroShape)
  return own !== null && own.axis === axis && own.block === block && sameShape(own.shape, shape)
}

/** The zero point that says the type; of blocks an attribute does. */
const zeroPointOf = (x: Exporting, node: Node, t: Target, layout: Layout): Name => {
  if (!isZero(x, node)) {
    const known = x.tensor(node.inputs[2])
    const type = t.kind === 'integers' ? t.type : DataType.UINT8
    if (known !== undefined && known.data.length === sizeOf(layout.shape))
      return x.w.integers(type, layout.shape, known.data, `${node.path}.zero_point`)
    return x.emit(node, 'Cast', [inShape(x, node, 2, layout.shape)], { to: int(type) })
  }
  if (layout.block !== null) return ''
  const zeros = new Uint8Array(sizeOf(layout.shape))
  return t.kind === 'integers'
    ? x.w.integers(t.type, layout.shape, zeros, `${node.path}.zero_point`)
    : x.w.bytes(t.type, layout.shape, zeros, `${node.path}.zero_point`)
}

const clipped = (x: Exporting, node: Node, t: Target, v: Name): Name => {
  if (t.kind === 'floats') return v
  const [least, most] = rangeOf(t.type)
  if (t.lowest === least && t.highest === most) return v
  const bound = (n: number, hint: string): Name => x.w.integers(t.type, [], [n], hint)
  return x.emit(node, 'Clip', [v, bound(t.lowest, 'lowest'), bound(t.highest, 'highest')])
}

const NOT_WHOLE = unsupported(
  'its zero point is no integer of its storage type',
  'give a quantizer with an integer zero point',
)
const ROUNDED = unsupported('its rounding is not that of QuantizeLinear', "choose floatToIntImplType: 'ROUND'")
const UNSIGNED = unsupported(
  'it makes no number of what is below 0, and all types of ONNX are signed',
  'give saturating: true, which makes 0 of it, or a signed quantizer',
)
const ODD_ZERO = {
  what: 'its zero point depends on data: x/s + z is rounded here, and QuantizeLinear rounds x/s and adds z',
  instead: 'where the zero point is odd a number exactly between two steps may go to the other one',
  fix: 'nothing, where ties are rare; else take a quantizer with zero point 0',
}

/** Why QuantizeLinear can't say it of data, or null. */
const refusalOf = (x: Exporting, node: Node, t: Target, layout: Layout): Unsupported | null => {
  if (!isZeroAlong(x, node, layout)) return SEVERAL_AXES
  const zeroPoint = node.inputs[2] === undefined ? undefined : x.tensor(node.inputs[2])
  if (zeroPoint !== undefined && !areOf(t, zeroPoint)) return NOT_WHOLE
  if (layout.block !== null && x.opset < 21) return BLOCKS
  if (t.kind === 'floats') return t.signed || t.format.saturating ? null : UNSIGNED
  return node.attrs.rounding === 'ROUND' ? null : ROUNDED
}

/** QuantizeLinear, Clip, DequantizeLinear of data, with scales that may be computed and lie in blocks. */
const ofData = (x: Exporting, node: Node, t: Target): Name | Unsupported => {
  const layout = layoutOf(node.shape, x.shape(node.inputs[1]))
  if (layout === null) return SEVERAL_AXES
  const refused = refusalOf(x, node, t, layout)
  if (refused !== null) return refused
  if (!isZero(x, node)) x.remark(node, ODD_ZERO)
  const v = operand(x, node, 0)
  const given = t.kind === 'floats' && !t.signed ? x.emit(node, 'Max', [v, scalarOf(x, 0, 'zero')]) : v
  const [scale, zeroPoint] = [inShape(x, node, 1, layout.shape), zeroPointOf(x, node, t, layout)]
  const own = {
    ...attributesOf(layout),
    ...(zeroPoint === '' ? { output_dtype: int(t.type) } : {}),
    ...(t.kind === 'floats' && !t.format.saturating ? { saturate: flag(false) } : {}),
  }
  const q = x.emit(node, 'QuantizeLinear', [given, scale, zeroPoint], own)
  return x.emit(node, 'DequantizeLinear', [clipped(x, node, t, q), scale, zeroPoint], attributesOf(layout))
}

/** Known numbers, with the scale and zero point of each (or one for all). */
type Numbers = { readonly value: Tensor; readonly s: Tensor; readonly z: Tensor }

/** Minifloats have no zero point. */
const NO_ZERO: Tensor = { shape: [], data: Float32Array.of(0) }

/** A number for each element. */
const spreadOver = (t: Tensor, shape: Shape): Tensor => {
  const data = new Float32Array(sizeOf(shape))
  walk(shape, [broadcastStrides(t.shape, shape)], (i, [k]) => {
    data[i] = t.data[k]
  })
  return { shape, data }
}

/** Their steps, or minifloats. */
const storedAs = (x: Exporting, node: Node, t: Target, { value, s, z }: Numbers): Name => {
  const at = (p: Tensor, i: number): number => p.data[p.data.length === 1 ? 0 : i]
  if (t.kind === 'integers') {
    const ints = Float64Array.from(value.data, (v, i) => Math.round(v / at(s, i)) + at(z, i))
    return clipped(x, node, t, x.w.integers(t.type, value.shape, ints, `${node.path}.integers`))
  }
  const { mantissaBits } = t.format
  const floats = Array.from(value.data, (v, i) => {
    const size = Math.fround(v / at(s, i))
    return Number.isFinite(size) ? roundToFormat(size, mantissaBits, leastStep(t.format)) : size
  })
  return x.w.bytes(t.type, value.shape, toFloat8(t.type, floats), `${node.path}.minifloats`)
}

/** What a cut tensor becomes: joined, and trimmed where groups were filled up. */
type Joined = { readonly end: Node; readonly group: Group }

const joinedOf = (x: Exporting, node: Node): Joined | null => {
  const join = x.users(node.id).find((u) => computed(u.op) === 'joinGroups')
  if (join === undefined) return null
  const end = x.users(join.id).find((u) => computed(u.op) === 'trimGroups') ?? join
  const group = gridOf(end.carried)?.group
  return group === undefined ? null : { end, group }
}

/** A known tensor in groups, stored as one: its end, the scales, and the zero points. */
const knownGroups = (x: Exporting, node: Node) => {
  const joined = x.format === 'qcdq' ? joinedOf(x, node) : null
  if (joined === null) return null
  const value = x.tensor(joined.end.id)
  const scale = x.tensor(node.inputs[1])
  const zeroPoint = node.inputs[2] === undefined ? undefined : x.tensor(node.inputs[2])
  return value === undefined || scale === undefined || (node.inputs[2] !== undefined && zeroPoint === undefined)
    ? null
    : { ...joined, value, scale, zeroPoint: zeroPoint ?? NO_ZERO }
}

/** Integers or minifloats that are stored, and a DequantizeLinear with a scale per block. */
const groupsStored = (
  x: Exporting,
  node: Node,
  t: Target,
  known: NonNullable<ReturnType<typeof knownGroups>>,
): Name | Unsupported => {
  const { value, scale, zeroPoint, group } = known
  if (x.opset < 21) return BLOCKS
  const axis = group.dim < 0 ? group.dim + value.shape.length : group.dim
  const blocks = scale.shape.filter((_, i) => i !== axis + 1)
  if (!areOf(t, zeroPoint)) return NOT_WHOLE
  const [s, z] = [scale, zeroPoint].map((p) => spreadGroups(p, value.shape, group))
  const stored = storedAs(x, node, t, { value, s, z })
  const hasZero = zeroPoint.data.some((n) => n !== 0)
  const zeros = zeroPoint.data.length === scale.data.length ? zeroPoint.data : scale.data.map(() => zeroPoint.data[0])
  const zeroName =
    hasZero && t.kind === 'integers' ? x.w.integers(t.type, blocks, zeros, `${node.path}.zero_point`) : ''
  return x.emit(
    node,
    'DequantizeLinear',
    [stored, x.w.floats({ shape: blocks, data: scale.data }, `${node.path}.scale`), zeroName],
    { axis: int(axis), block_size: int(group.size) },
  )
}

/** A known tensor of minifloats with one scale, or one per channel. */
const floatsStored = (x: Exporting, node: Node, t: Target, value: Tensor): Name | Unsupported => {
  const scale = x.tensor(node.inputs[1])
  const layout = scale === undefined ? null : layoutOf(value.shape, scale.shape)
  if (scale === undefined || layout === null) return SEVERAL_AXES
  if (layout.block !== null && x.opset < 21) return BLOCKS
  const stored = storedAs(x, node, t, { value, s: spreadOver(scale, value.shape), z: NO_ZERO })
  const name = inShape(x, node, 1, layout.shape)
  return x.emit(node, 'DequantizeLinear', [stored, name, zeroPointOf(x, node, t, layout)], attributesOf(layout))
}

/** A quantizer in groups, or with a scale of data, in QCDQ. */
export const inBlocks: Rule = (x, node) => {
  const t = targetOf(x, node)
  if ('unsupported' in t) return t
  const known = knownGroups(x, node)
  if (known !== null) return groupsStored(x, node, t, known)
  const value = x.tensor(node.id)
  return t.kind === 'floats' && value !== undefined ? floatsStored(x, node, t, value) : ofData(x, node, t)
}

/** Is the tensor cut into groups? */
export const isCut = (x: Exporting, node: Node): boolean =>
  x.users(node.id).some((u) => computed(u.op) === 'joinGroups')

/** Minifloats. */
export const quantizeFloat: Rule = (x, node) =>
  x.format === 'qonnx'
    ? unsupported("it gives minifloats, and QONNX' Quant gives integers", "export as 'qcdq' with opset: 19 or later")
    : inBlocks(x, node)

/** Groups joined: of stored ones they are already. */
export const joinGroups: Rule = (x, node) =>
  knownGroups(x, x.node(node.inputs[0])) === null
    ? x.emit(node, 'Reshape', [operand(x, node, 0), int64s(x, node.shape, 'shape')])
    : operand(x, node, 0)

/** What groups were filled up with is cut off. */
export const trimGroups: Rule = (x, node) => {
  const join = x.node(node.inputs[0])
  if (computed(join.op) === 'joinGroups' && knownGroups(x, x.node(join.inputs[0])) !== null) return operand(x, node, 0)
  const [axis, length] = [Number(node.attrs.axis), Number(node.attrs.length)]
  return x.emit(node, 'Slice', [
    operand(x, node, 0),
    int64s(x, [0], 'starts'),
    int64s(x, [length], 'ends'),
    int64s(x, [axis], 'axes'),
  ])
}

/** ReLU. In front of minifloats it is said as a maximum: onnxruntime drops a Relu before a QuantizeLinear whose zero point is 0, as if that were of unsigned integers. */
export const relu: Rule = (x, node) =>
  x.format === 'qcdq' && x.users(node.id).some((u) => computed(u.op) === 'quantizeFloat')
    ? x.emit(node, 'Max', [operand(x, node, 0), scalarOf(x, 0, 'zero')])
    : x.emit(node, 'Relu', [operand(x, node, 0)])

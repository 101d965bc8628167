/** Quantizers as QCDQ (QuantizeLinear, Clip, DequantizeLinear) and as QONNX (Quant, BipolarQuant, Trunc). */
import type { Node } from '../../../graph/graph.js'
import { intMax, intMin } from '../../../data/quant.js'
import { sizeOf, type Shape } from '../../../data/shape.js'
import type { Tensor } from '../../../data/tensor.js'
import {
  computed,
  operand,
  scalarOf,
  unsupported,
  type Exporting,
  type Rule,
  type Said,
  type Unsupported,
} from '../rule.js'
import { inBlocks, isCut } from './blocks.js'
import { DataType, flag, int, text, type IntegerType, type Name } from '../writer.js'

/** Domain of QONNX' operators. */
export const QONNX = 'qonnx.custom_op.general'

/** A quantizer whose numbers are known. */
type Grid = {
  readonly bits: number
  readonly signed: boolean
  readonly narrow: boolean
  readonly rounding: string
  readonly scale: Tensor
  readonly zeroPoint: Tensor
}

const DATA_SCALE = unsupported(
  'its scale or zero point depends on the data, and ONNX wants constants',
  'export a network whose quantizers have learned or fixed scales, traced in eval',
)

/** The quantizer of a node whose last two operands are scale and zero point. */
const gridOf = (x: Exporting, node: Node): Grid | Unsupported => {
  const [scale, zeroPoint] = node.inputs.slice(-2).map((id) => x.tensor(id))
  if (scale === undefined || zeroPoint === undefined) return DATA_SCALE
  const { bits, signed, narrow, rounding } = node.attrs
  return {
    bits: Number(bits),
    signed: signed === true,
    narrow: narrow === true,
    rounding: String(rounding),
    scale,
    zeroPoint,
  }
}

/** The axis along which a scale varies, aligned to the last axes of a value; null for one number, -1 for several axes. */
const axisOf = (shape: Shape, scale: Shape): number | null => {
  const varying = scale.flatMap((n, i) => (n > 1 ? [i + shape.length - scale.length] : []))
  if (varying.length === 0) return null
  return varying.length === 1 ? varying[0] : -1
}

/** Scale and zero point as QuantizeLinear wants them: scalars, or vectors along one axis. */
type Parameters = {
  readonly type: IntegerType
  readonly scale: Name
  readonly zeroPoint: Name
  readonly axis: number | null
  readonly scales: Float32Array
  readonly zeros: Float32Array
}

const TOO_WIDE = (bits: number): Unsupported =>
  unsupported(`${bits} bits don't fit the 8 of QuantizeLinear`, "give bitWidth: 8 or less, or export as 'qonnx'")

const storage = (x: Exporting, g: Grid, known: boolean): IntegerType | Unsupported => {
  // There is no Clip of 4 bits: integers that are there already need none, those of data with a narrow range do.
  if (x.int4 && g.bits === 4 && (known || !g.narrow)) return g.signed ? DataType.INT4 : DataType.UINT4
  if (g.bits <= 8) return g.signed ? DataType.INT8 : DataType.UINT8
  // Only DequantizeLinear knows 32 bits: numbers that are stored as integers.
  return known && g.bits <= 32 && g.zeroPoint.data.every((z) => z === 0) ? DataType.INT32 : TOO_WIDE(g.bits)
}

const parametersOf = (x: Exporting, node: Node, g: Grid, shape: Shape, known: boolean): Parameters | Unsupported => {
  const type = storage(x, g, known)
  if (typeof type === 'object') return type
  const axes = [axisOf(shape, g.scale.shape), axisOf(shape, g.zeroPoint.shape)]
  const axis = axes[0] ?? axes[1]
  if (axes.some((a) => a === -1 || (a !== null && a !== axis)))
    return unsupported(
      'its scale or zero point varies along several axes',
      'quantize per tensor, or per channel of one axis',
    )
  // Of an infinite number of steps, which is none, runtimes make the lowest integer: right only where that is 0.
  if (g.signed && !g.scale.data.every((s) => Math.abs(s) < Infinity || Number.isNaN(s)))
    return unsupported('its scale is infinite', 'train the network on finite data')
  const [least, most] = [intMin(Math.max(8, g.bits), g.signed), intMax(Math.max(8, g.bits), g.signed)]
  if (!g.zeroPoint.data.every((z) => Number.isInteger(z) && z >= least && z <= most))
    return unsupported(
      'its zero point is no integer of its storage type',
      "give a quantizer with an integer zero point, or export as 'qonnx'",
    )
  const n = axis === null ? 1 : shape[axis]
  const spread = (t: Tensor): Float32Array => (t.data.length === n ? t.data : new Float32Array(n).fill(t.data[0]))
  const [scales, zeros] = [spread(g.scale), spread(g.zeroPoint)]
  const vector: Shape = axis === null ? [] : [n]
  return {
    type,
    axis,
    scales,
    zeros,
    scale: x.w.floats({ shape: vector, data: scales }, `${node.path}.scale`),
    zeroPoint: type === DataType.INT32 ? '' : x.w.integers(type, vector, zeros, `${node.path}.zero_point`),
  }
}

/** The integers of known numbers that lie on the grid. */
const integersOf = (value: Tensor, p: Parameters): Float64Array => {
  const out = new Float64Array(value.data.length)
  const inner = p.axis === null ? value.data.length : sizeOf(value.shape.slice(p.axis + 1))
  for (let i = 0; i < out.length; i++) {
    const c = p.axis === null ? 0 : Math.floor(i / inner) % p.scales.length
    // 2^31 is what float32 makes of the largest integer of 32 bits.
    out[i] = Math.min(2 ** 31 - 1, Math.round(value.data[i] / p.scales[c]) + p.zeros[c])
  }
  return out
}

/** Clip to the integers of fewer bits than the storage has, or of a narrow range. */
const clipped = (x: Exporting, node: Node, g: Grid, p: Parameters, v: Name): Name => {
  const full = p.type === DataType.INT8 || p.type === DataType.UINT8 ? 8 : g.bits
  const least = p.type === DataType.INT32 ? 32 : full
  if (g.bits === least && !g.narrow) return v
  if (p.type === DataType.INT4 || p.type === DataType.UINT4) return v
  const bound = (n: number, hint: string): Name => x.w.integers(p.type, [], [n], hint)
  return x.emit(node, 'Clip', [
    v,
    bound(intMin(g.bits, g.signed, g.narrow), 'lowest'),
    bound(intMax(g.bits, g.signed, g.narrow), 'highest'),
  ])
}

const axisAttribute = (p: Parameters) => (p.axis === null ? {} : { axis: int(p.axis) })

const dequantized = (x: Exporting, node: Node, p: Parameters, v: Name): Name =>
  x.emit(node, 'DequantizeLinear', [v, p.scale, p.zeroPoint], axisAttribute(p))

/**
 * How a number of steps is rounded with ONNX' own ops, where QuantizeLinear alone would round it to the nearest. Brevitas writes such a quantizer as
 * if it rounded to the nearest, which is wrong.
 */
const ROUNDERS: { readonly [rounding: string]: (x: Exporting, node: Node, steps: Name) => Name } = {
  FLOOR: (x, node, u) => x.emit(node, 'Floor', [u]),
  CEIL: (x, node, u) => x.emit(node, 'Ceil', [u]),
  ROUND_TO_ZERO: (x, node, u) =>
    x.emit(node, 'Mul', [x.emit(node, 'Sign', [u]), x.emit(node, 'Floor', [x.emit(node, 'Abs', [u])])]),
  DPU: (x, node, u) => {
    const half = x.emit(node, 'Equal', [x.emit(node, 'Sub', [u, x.emit(node, 'Floor', [u])]), scalarOf(x, 0.5, 'half')])
    const tie = x.emit(node, 'And', [half, x.emit(node, 'Less', [u, scalarOf(x, 0, 'zero')])])
    return x.emit(node, 'Where', [tie, x.emit(node, 'Ceil', [u]), x.emit(node, 'Round', [u])])
  },
}

/** The value that QuantizeLinear is given: on the grid already, where the rounding is not its own; `steps` is the number of steps, if at hand. */
const rounded = (x: Exporting, node: Node, g: Grid, v: Name, steps?: Name): Name => {
  const round = ROUNDERS[g.rounding]
  if (round !== undefined)
    x.remark(node, {
      what: `it rounds by ${g.rounding}, and QuantizeLinear rounds to the nearest`,
      instead: 'its value is rounded by other operators, in floats, before QuantizeLinear finds it on the grid',
      fix: "choose floatToIntImplType: 'ROUND', or export as 'qonnx', which says the rounding",
    })
  if (round === undefined && steps === undefined) return v
  const s = x.w.floats(g.scale, `${node.path}.steps`)
  const shifted = g.zeroPoint.data.some((z) => z !== 0)
  const z = shifted ? x.w.floats(g.zeroPoint, `${node.path}.zero`) : ''
  const moved = (u: Name, by: 'Add' | 'Sub'): Name => (shifted ? x.emit(node, by, [u, z]) : u)
  const u = steps ?? moved(x.emit(node, 'Div', [v, s]), 'Add')
  const whole = round === undefined ? x.emit(node, 'Round', [u]) : round(x, node, u)
  return x.emit(node, 'Mul', [moved(whole, 'Sub'), s])
}

const ODD: Said = {
  what: 'its zero point is odd: x/s + z is rounded here, and QuantizeLinear rounds x/s and adds z',
  instead: 'a number exactly between two steps may go to the other one; all others are the same',
  fix: "nothing, where ties are rare; else take a quantizer with zero point 0, or export as 'qonnx'",
}

/** QuantizeLinear → Clip → DequantizeLinear of data. */
const qcdq = (x: Exporting, node: Node, g: Grid, v: Name, steps?: Name): Name | Unsupported => {
  const p = parametersOf(x, node, g, node.shape, false)
  if ('unsupported' in p) return p
  if (ROUNDERS[g.rounding] === undefined && steps === undefined && g.zeroPoint.data.some((z) => z % 2 !== 0))
    x.remark(node, ODD)
  const quantized = x.emit(
    node,
    'QuantizeLinear',
    [rounded(x, node, g, v, steps), p.scale, p.zeroPoint],
    axisAttribute(p),
  )
  return dequantized(x, node, p, clipped(x, node, g, p, quantized))
}

/** Integers → Clip → DequantizeLinear of a weight or bias. */
const stored = (x: Exporting, node: Node, g: Grid, value: Tensor): Name | Unsupported => {
  const p = parametersOf(x, node, g, value.shape, true)
  if ('unsupported' in p) return p
  const integers = x.w.integers(p.type, value.shape, integersOf(value, p), `${node.path}.integers`)
  const isBias = x.users(node.id).some((u) => u.op.name === 'addBias')
  return dequantized(x, node, p, isBias || p.type === DataType.INT32 ? integers : clipped(x, node, g, p, integers))
}

/** qonnx' words for roundings. It has none for DPU. */
const ROUNDINGS: { readonly [rounding: string]: string } = {
  ROUND: 'ROUND',
  FLOOR: 'FLOOR',
  CEIL: 'CEIL',
  ROUND_TO_ZERO: 'DOWN',
}

const quant = (x: Exporting, node: Node, g: Grid, v: Name): Name | Unsupported => {
  const rounding = ROUNDINGS[g.rounding]
  if (rounding === undefined)
    return unsupported(`QONNX has no rounding ${g.rounding}`, 'choose ROUND, FLOOR, CEIL or ROUND_TO_ZERO')
  return x.w.node(
    'Quant',
    [
      v,
      x.w.floats(g.scale, `${node.path}.scale`),
      x.w.floats(g.zeroPoint, `${node.path}.zero_point`),
      scalarOf(x, g.bits, 'bit_width'),
    ],
    { signed: flag(g.signed), narrow: flag(g.narrow), rounding_mode: text(rounding) },
    { domain: QONNX, path: node.path, hint: `${node.path}.quant` },
  )
}

/** Does a scale or zero point depend on data? */
const dependsOnData = (x: Exporting, node: Node): boolean =>
  node.inputs.slice(1).some((id) => x.tensor(id) === undefined)

/** The primitive in which metadata is born. */
export const quantize: Rule = (x, node) => {
  if (x.format === 'qcdq' && (isCut(x, node) || dependsOnData(x, node))) return inBlocks(x, node)
  const g = gridOf(x, node)
  if ('unsupported' in g) return g
  const value = x.tensor(node.id)
  if (x.format === 'qonnx') return quant(x, node, g, operand(x, node, 0))
  return value === undefined ? qcdq(x, node, g, operand(x, node, 0)) : stored(x, node, g, value)
}

/** A grid whose width was learned: after training it is a number as any other. What lies on it already is found there again. */
export const onLearnedGrid: Rule = (x, node) => {
  const [scale, zeroPoint, width] = node.inputs.slice(1).map((id) => x.tensor(id))
  if (scale === undefined || zeroPoint === undefined || width === undefined) return DATA_SCALE
  const bits = Math.round(width.data[0])
  const g: Grid = { bits, signed: node.attrs.signed === true, narrow: false, rounding: 'ROUND', scale, zeroPoint }
  const value = x.tensor(node.id)
  if (x.format === 'qonnx') return quant(x, node, g, operand(x, node, 0))
  return value === undefined ? qcdq(x, node, g, operand(x, node, 0)) : stored(x, node, g, value)
}

/** Two levels, s and -s. */
export const binaryQuantize: Rule = (x, node) => {
  if (x.format === 'qcdq')
    return unsupported('QCDQ has no binary quantizer', "export as 'qonnx', which has BipolarQuant")
  const scale = x.tensor(node.inputs[1])
  if (scale === undefined) return DATA_SCALE
  return x.w.node(
    'BipolarQuant',
    [operand(x, node, 0), x.w.floats(scale, `${node.path}.scale`)],
    {},
    { domain: QONNX, path: node.path, hint: `${node.path}.quant` },
  )
}

/** What is truncated: a value on a finer grid, its scale and zero point, and by how much it is divided. */
type Truncated = { readonly value: Node; readonly scale: Tensor; readonly zeroPoint: Tensor; readonly bits: number }

/**
 * Truncation is traced as `fromSteps(round(x/s + z) / 2^t)`. From its operand back to x; null if the steps were made another way.
 */
const truncatedBy = (x: Exporting, node: Node): Truncated | null => {
  const back = (n: Node | undefined, name: string, slot = 0): Node | undefined =>
    n === undefined || computed(n.op) !== name ? undefined : x.node(n.inputs[slot])
  const divided = x.node(node.inputs[0])
  const rounded = back(divided, 'div')
  const moved = back(rounded, 'round')
  const steps = back(moved, 'add')
  const value = back(steps, 'div')
  if (steps === undefined || moved === undefined || value === undefined) return null
  const [scale, zeroPoint] = [x.tensor(steps.inputs[1]), x.tensor(moved.inputs[1])]
  const plain = value.op.name === 'dequantize' ? x.node(value.inputs[0]) : value
  const c = plain.carried
  if (scale === undefined || zeroPoint === undefined) return null
  return { value, scale, zeroPoint, bits: c.tag === 'carries' || c.tag === 'claimed' ? c.quant.bits : 32 }
}

/** Truncation (Brevitas TruncIntQuant): in QCDQ the value quantized anew with the coarser scale, in QONNX a Trunc. */
export const fromSteps: Rule = (x, node) => {
  const g = gridOf(x, node)
  if ('unsupported' in g) return g
  const from = truncatedBy(x, node)
  if (x.format === 'qonnx') return from === null ? NO_TRUNCATION : truncated(x, node, g, from)
  const plain = from !== null && g.rounding === 'ROUND' && g.zeroPoint.data.every((z) => z === 0)
  return plain ? qcdq(x, node, g, x.name(from.value.id)) : qcdq(x, node, g, '', operand(x, node, 0))
}

const NO_TRUNCATION = unsupported(
  'QONNX has no place for a number of steps that no truncation made',
  "export as 'qcdq'",
)

const truncated = (x: Exporting, node: Node, g: Grid, from: Truncated): Name | Unsupported => {
  const rounding = ROUNDINGS[g.rounding]
  if (rounding === undefined)
    return unsupported(`QONNX has no rounding ${g.rounding}`, 'choose ROUND, FLOOR, CEIL or ROUND_TO_ZERO')
  return x.w.node(
    'Trunc',
    [
      x.name(from.value.id),
      x.w.floats(from.scale, `${node.path}.scale`),
      x.w.floats(from.zeroPoint, `${node.path}.zero_point`),
      scalarOf(x, from.bits, 'in_bit_width'),
      x.w.floats(g.scale, `${node.path}.out_scale`),
      scalarOf(x, g.bits, 'out_bit_width'),
    ],
    { rounding_mode: text(rounding), signed: flag(g.signed), narrow: flag(g.narrow) },
    { domain: QONNX, path: node.path, hint: `${node.path}.trunc` },
  )
}

/** `round(x / s) * s` of a value near its grid, as resizing leaves it. */
export const snapToGrid: Rule = (x, node) => {
  const [v, s] = [operand(x, node, 0), operand(x, node, 1)]
  return x.emit(node, 'Mul', [x.emit(node, 'Round', [x.emit(node, 'Div', [v, s])]), s])
}

/** Brevitas' `-x` and `|x|` on integers: `f(round(x/s + z), z) * s`. */
export const overIntegers =
  (correct: (x: Exporting, node: Node, q: Name, z: Name) => Name, quirk: typeof correct): Rule =>
  (x, node) => {
    const [v, s, z] = node.inputs.map((id) => x.name(id))
    const q = x.emit(node, 'Round', [x.emit(node, 'Add', [x.emit(node, 'Div', [v, s]), z])])
    return x.emit(node, 'Mul', [(node.attrs.correct === true ? correct : quirk)(x, node, q, z), s])
  }

/** Quantizers as QuantizeLinear, Clip and DequantizeLinear. */
import type { Node } from '../../../graph/graph.js'
import { intMax, intMin } from '../../../data/quant.js'
import { sizeOf, type Shape } from '../../../data/shape.js'
import type { Tensor } from '../../../data/tensor.js'
import { scalarOf, unsupported, type Exporting, type Said, type Unsupported } from '../rule.js'
import { DataType, int, type IntegerType, type Name } from '../writer.js'

/** A quantizer whose numbers are known. */
export type Grid = {
  readonly bits: number
  readonly signed: boolean
  readonly narrow: boolean
  readonly rounding: string
  readonly scale: Tensor
  readonly zeroPoint: Tensor
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

const isOf4Bits = (type: IntegerType): boolean => type === DataType.INT4 || type === DataType.UINT4

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
  const width = isOf4Bits(type) ? 4 : 8
  const [least, most] = [intMin(width, g.signed), intMax(width, g.signed)]
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

/** Clip to the integers of fewer bits than the storage has, or of a narrow range; of 4 and of 32 bits there is none. */
const clipped = (x: Exporting, node: Node, g: Grid, p: Parameters, v: Name): Name => {
  const isOf8 = p.type === DataType.INT8 || p.type === DataType.UINT8
  if (!isOf8 || (g.bits === 8 && !g.narrow)) return v
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
export const qcdq = (x: Exporting, node: Node, g: Grid, v: Name, steps?: Name): Name | Unsupported => {
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

const WIDER: Said = {
  what: 'its range is narrow, and there is no Clip of 4 bits',
  instead: 'its integers are the same; who reads the model takes all 16 of them to be allowed',
  fix: 'leave out int4, or take a quantizer with narrowRange: false',
}

/** Integers → Clip → DequantizeLinear of a weight or bias. */
export const stored = (x: Exporting, node: Node, g: Grid, value: Tensor): Name | Unsupported => {
  const p = parametersOf(x, node, g, value.shape, true)
  if ('unsupported' in p) return p
  if (!value.data.every(Number.isFinite))
    return unsupported(
      'some of its numbers are NaN or infinite, which no integer is',
      'export parameters that are finite',
    )
  const integers = x.w.integers(p.type, value.shape, integersOf(value, p), `${node.path}.integers`)
  if (g.narrow && isOf4Bits(p.type)) x.remark(node, WIDER)
  const isBias = x.users(node.id).some((u) => u.op.name === 'addBias')
  return dequantized(x, node, p, isBias ? integers : clipped(x, node, g, p, integers))
}

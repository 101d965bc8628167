/** Quantizers: which of them QCDQ can say, and the operators of QONNX (Quant, BipolarQuant, Trunc). */
import { intMax, intMin, type NodeId } from '../../../data/quant.js'
import type { Node } from '../../../graph/graph.js'
import type { Tensor } from '../../../data/tensor.js'
import { ROUNDING_OPS } from '../../../ops/rounding.js'
import { computed, operand, scalarOf, unsupported, type Exporting, type Rule, type Unsupported } from '../rule.js'
import { inBlocks, isCut } from './blocks.js'
import { qcdq, stored, type Grid } from './qcdq.js'
import { flag, text, type Name } from '../writer.js'

/** Domain of QONNX' operators. */
export const QONNX = 'qonnx.custom_op.general'

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

/** A node, if it computes this op. */
const made = (x: Exporting, id: NodeId, op: string): Node | null => {
  const node = x.node(id)
  return computed(node.op) === op ? node : null
}

/** `less(a, b)`? */
const compares = (x: Exporting, id: NodeId, a: NodeId, b: NodeId): boolean => {
  const inputs = made(x, id, 'less')?.inputs
  return inputs?.[0] === a && inputs[1] === b
}

/** What was clipped to the bounds of a grid, each chosen where the number lies beyond it; null of other bounds, and of anything else. */
const clippedFrom = (x: Exporting, id: NodeId, g: Grid): NodeId | null => {
  const [isMore, hi, raised] = made(x, id, 'select')?.inputs ?? []
  const [isLess, lo, v] = raised === undefined ? [] : (made(x, raised, 'select')?.inputs ?? [])
  if (v === undefined || !compares(x, isMore, hi, v) || !compares(x, isLess, v, lo)) return null
  const bounds = [intMin(g.bits, g.signed, g.narrow), intMax(g.bits, g.signed, g.narrow)]
  return [lo, hi].every((at, k) => x.tensor(at)?.data.every((n) => n === bounds[k]) === true) ? v : null
}

/**
 * A learned width is traced as `(clip(round(x/s + z)) - z) * s`, with bounds that are values. From its result back to x, and how it is rounded; null
 * where another formula made it, or other bounds.
 */
const learnedFrom = (x: Exporting, node: Node, g: Grid): { readonly id: NodeId; readonly rounding: string } | null => {
  const [value, s, z] = node.inputs
  const scaled = made(x, value, 'mul')
  const shifted = scaled?.inputs[1] === s ? made(x, scaled.inputs[0], 'sub') : null
  const rounded = shifted?.inputs[1] === z ? clippedFrom(x, shifted.inputs[0], g) : null
  if (rounded === null) return null
  const rounding = Object.entries(ROUNDING_OPS).find(([, op]) => made(x, rounded, op) !== null)?.[0]
  const added = rounding === undefined ? null : made(x, x.node(rounded).inputs[0], 'add')
  const steps = added?.inputs[1] === z ? made(x, added.inputs[0], 'div') : null
  return rounding === undefined || steps?.inputs[1] !== s ? null : { id: steps.inputs[0], rounding }
}

/** A grid whose width was learned: after training it is a number as any other. What lies on it in another way is found there again. */
export const onLearnedGrid: Rule = (x, node) => {
  const [scale, zeroPoint, width] = node.inputs.slice(1).map((id) => x.tensor(id))
  if (scale === undefined || zeroPoint === undefined || width === undefined) return DATA_SCALE
  const bits = Math.round(width.data[0])
  const { signed, narrow } = node.attrs
  const g: Grid = { bits, signed: signed === true, narrow: narrow === true, rounding: 'ROUND', scale, zeroPoint }
  const value = x.tensor(node.id)
  if (x.format === 'qcdq' && value !== undefined) return stored(x, node, g, value)
  const from = value === undefined ? learnedFrom(x, node, g) : null
  // QuantizeLinear rounds to even, and before it adds the zero point: an odd one moves ties.
  const said = from?.rounding === 'ROUND' && zeroPoint.data.every((z) => z % 2 === 0)
  const direct = x.format === 'qonnx' || said ? from : null
  const v = direct === null ? operand(x, node, 0) : x.name(direct.id)
  const grid = { ...g, rounding: direct?.rounding ?? 'ROUND' }
  return x.format === 'qonnx' ? quant(x, node, grid, v) : qcdq(x, node, grid, v)
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

/** A node and those that it stands for, each the first operand of the one before; null where one computes something else. */
const chain = (x: Exporting, node: Node, ...ops: readonly string[]): readonly Node[] | null => {
  const [name, ...names] = ops
  if (ops.length === 0) return [node]
  const rest = computed(node.op) === name ? chain(x, x.node(node.inputs[0]), ...names) : null
  return rest === null ? null : [node, ...rest]
}

/**
 * Truncation is traced as `fromSteps(round(x/s + z) / 2^t)`. From its operand back to x; null if the steps were made another way.
 */
const truncatedBy = (x: Exporting, node: Node): Truncated | null => {
  const found = chain(x, x.node(node.inputs[0]), 'div', 'round', 'add', 'div')
  if (found === null) return null
  const [, , moved, steps, value] = found
  const [scale, zeroPoint] = [x.tensor(steps.inputs[1]), x.tensor(moved.inputs[1])]
  const plain = value.op.name === 'dequantize' ? x.node(value.inputs[0]) : value
  const c = plain.carried
  if (scale === undefined || zeroPoint === undefined) return null
  return { value, scale, zeroPoint, bits: c.tag === 'carries' || c.tag === 'claimed' ? c.quant.bits : 32 }
}

/** With the fewest bits, from its own on, that hold all integers which are known to occur, for a file clips to its bits. */
const holding = (g: Grid, { lo, hi }: Node['attrs']): Grid | Unsupported => {
  const fits = (bits: number): boolean =>
    intMin(bits, g.signed) <= Number(lo ?? 0) && Number(hi ?? 0) <= intMax(bits, g.signed)
  const bits = Array.from({ length: 33 - g.bits }, (_, k) => g.bits + k).find(fits)
  return bits === undefined
    ? unsupported(`no grid of 32 ${g.signed ? 'signed' : 'unsigned'} bits holds its integers`, 'quantize its result')
    : { ...g, bits }
}

/** Truncation (Brevitas TruncIntQuant): in QCDQ the value quantized anew with the coarser scale, in QONNX a Trunc. */
export const fromSteps: Rule = (x, node) => {
  const said = gridOf(x, node)
  if ('unsupported' in said) return said
  const g = holding(said, node.attrs)
  if ('unsupported' in g) return g
  const value = x.tensor(node.id)
  // Weights: what lies on the grid is found there again, however it got there.
  if (value !== undefined)
    return x.format === 'qcdq'
      ? stored(x, node, g, value)
      : quant(x, node, { ...g, rounding: 'ROUND' }, x.w.floats(value, `${node.path}.value`))
  const { lo, hi } = node.attrs
  const from = lo === undefined && hi === undefined ? truncatedBy(x, node) : null
  if (x.format === 'qonnx') return from === null ? NO_TRUNCATION : truncated(x, node, g, from)
  const plain = from !== null && g.rounding === 'ROUND' && g.zeroPoint.data.every((z) => z === 0)
  if (plain) return qcdq(x, node, g, x.name(from.value.id))
  const own = [
    lo === undefined ? '' : scalarOf(x, Number(lo), 'lo'),
    hi === undefined ? '' : scalarOf(x, Number(hi), 'hi'),
  ]
  const steps = operand(x, node, 0)
  return qcdq(x, node, g, '', own.every((n) => n === '') ? steps : x.emit(node, 'Clip', [steps, ...own]))
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

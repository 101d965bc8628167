/** Element-wise ops. ONNX' names for most of them; what it lacks is composed. */
import type { Node } from '../../../graph/graph.js'
import { int64s, operand, scalarOf, type Exporting, type Rule } from '../rule.js'
import { DataType, float, int, text, type Name } from '../writer.js'

const attr = (node: Node, key: string): number => Number(node.attrs[key])

/** The op of that name over all operands, in order. */
export const direct =
  (opType: string): Rule =>
  (x, node) =>
    x.emit(
      node,
      opType,
      node.inputs.map((id) => x.name(id)),
    )

/** What hands its first operand on: no node at all. */
export const through: Rule = (x, node) => operand(x, node, 0)

/** A quantizer that gives what it is given for the first calls: what it gives now, which state decides; where data do, a choice. */
export const delay: Rule = (x, node) => {
  const left = x.tensor(node.inputs[2])
  if (left === undefined) {
    const count = x.emit(node, 'Reshape', [operand(x, node, 2), int64s(x, [], 'shape')])
    const waits = x.emit(node, 'Less', [scalarOf(x, 0, 'zero'), count])
    return x.emit(node, 'Where', [waits, operand(x, node, 1), operand(x, node, 0)])
  }
  if (!(left.data[0] > 0)) return operand(x, node, 0)
  x.remark(node, {
    what: `it quantizes nothing yet: ${left.data[0]} of its quantDelaySteps remain`,
    instead: 'what it is given is handed on, as a run of this network does',
    fix: 'train on until they are over, or set its leaf delay.remaining to 0',
  })
  return operand(x, node, 1)
}

/** Cut to a lower and an upper bound; a bound that is null is absent. */
const clipped = (x: Exporting, node: Node, min: number | null, max: number | null): Name =>
  x.emit(node, 'Clip', [
    operand(x, node, 0),
    min === null ? '' : scalarOf(x, min, 'min'),
    max === null ? '' : scalarOf(x, max, 'max'),
  ])

const bound = (node: Node, key: string): number | null => {
  const v = node.attrs[key]
  return typeof v === 'number' ? v : null
}

/** torch.clamp: where the bounds cross, the upper one holds, as ONNX' Clip has it too. */
export const clamp: Rule = (x, node) => clipped(x, node, bound(node, 'min'), bound(node, 'max'))
/** F.hardtanh. */
export const hardtanh: Rule = (x, node) => clipped(x, node, bound(node, 'minVal'), bound(node, 'maxVal'))
/** F.relu6. */
export const relu6: Rule = (x, node) => clipped(x, node, 0, 6)
/** F.leaky_relu. */
export const leakyRelu: Rule = (x, node) =>
  x.emit(node, 'LeakyRelu', [operand(x, node, 0)], { alpha: float(attr(node, 'negativeSlope')) })
/** F.elu. */
export const elu: Rule = (x, node) => x.emit(node, 'Elu', [operand(x, node, 0)], { alpha: float(attr(node, 'alpha')) })

/** F.gelu by the error function: `x * (1 + erf(x/√2))/2`, halved before x is large; the op Gelu exists from opset 20 on. */
export const gelu: Rule = (x, node) => {
  const v = operand(x, node, 0)
  if (x.opset >= 20) return x.emit(node, 'Gelu', [v], { approximate: text('none') })
  const scaled = x.emit(node, 'Div', [v, scalarOf(x, Math.SQRT2, 'sqrt2')])
  const one = x.emit(node, 'Add', [x.emit(node, 'Erf', [scaled]), scalarOf(x, 1, 'one')])
  return x.emit(node, 'Mul', [v, x.emit(node, 'Mul', [one, scalarOf(x, 0.5, 'half')])])
}

/** F.hardswish: `x * (clip(x + 3, 0, 6) / 6)`, divided before x is large; ONNX has it from opset 14 on. */
export const hardswish: Rule = (x, node) => {
  const v = operand(x, node, 0)
  if (x.opset >= 14) return x.emit(node, 'HardSwish', [v])
  const moved = x.emit(node, 'Add', [v, scalarOf(x, 3, 'three')])
  const cut = x.emit(node, 'Clip', [moved, scalarOf(x, 0, 'min'), scalarOf(x, 6, 'max')])
  return x.emit(node, 'Mul', [v, x.emit(node, 'Div', [cut, scalarOf(x, 6, 'six')])])
}

/** 2^x. */
export const exp2: Rule = (x, node) => x.emit(node, 'Pow', [scalarOf(x, 2, 'two'), operand(x, node, 0)])
/** log₂ x = ln x / ln 2. */
export const log2: Rule = (x, node) =>
  x.emit(node, 'Div', [x.emit(node, 'Log', [operand(x, node, 0)]), scalarOf(x, Math.LN2, 'ln2')])

/** Comparisons give numbers here, booleans in ONNX. */
export const compared =
  (opType: string): Rule =>
  (x, node) =>
    asFloat(x, node, x.emit(node, opType, [operand(x, node, 0), operand(x, node, 1)]))

const asFloat = (x: Exporting, node: Node, boolean: Name): Name =>
  x.emit(node, 'Cast', [boolean], { to: int(DataType.FLOAT) })

/** `c != 0 ? a : b`. */
export const select: Rule = (x, node) => {
  const [c, a, b] = node.inputs.map((id) => x.name(id))
  return x.emit(node, 'Where', [x.emit(node, 'Cast', [c], { to: int(DataType.BOOL) }), a, b])
}

/** 0 where x lies beyond a bound, else 1, also of NaN; a bound may be absent. */
export const within: Rule = (x, node) => {
  const v = operand(x, node, 0)
  const beyond = [
    ...(node.attrs.max === null ? [] : [x.emit(node, 'Greater', [v, scalarOf(x, attr(node, 'max'), 'max')])]),
    ...(node.attrs.min === null ? [] : [x.emit(node, 'Less', [v, scalarOf(x, attr(node, 'min'), 'min')])]),
  ]
  const [one = x.emit(node, 'Less', [v, v]), other] = beyond
  return asFloat(x, node, x.emit(node, 'Not', [other === undefined ? one : x.emit(node, 'Or', [one, other])]))
}

/** `x >= 0 ? 1 : -1`. */
export const binarySign: Rule = (x, node) =>
  x.emit(node, 'Where', [
    x.emit(node, 'GreaterOrEqual', [operand(x, node, 0), scalarOf(x, 0, 'zero')]),
    scalarOf(x, 1, 'one'),
    scalarOf(x, -1, 'minus_one'),
  ])

/** x / (1 + |x|). */
export const softsign: Rule = direct('Softsign')

/** Towards zero: `sign(x) * floor(|x|)`. */
export const roundToZero: Rule = (x, node) => {
  const v = operand(x, node, 0)
  const whole = x.emit(node, 'Floor', [x.emit(node, 'Abs', [v])])
  return x.emit(node, 'Mul', [x.emit(node, 'Sign', [v]), whole])
}

/** `sign(x) * max(|x|, min)` with sign(0) = 1. */
export const signedLowerBound: Rule = (x, node) => {
  const v = operand(x, node, 0)
  const size = x.emit(node, 'Max', [x.emit(node, 'Abs', [v]), scalarOf(x, attr(node, 'min'), 'least')])
  const positive = x.emit(node, 'GreaterOrEqual', [v, scalarOf(x, 0, 'zero')])
  return x.emit(node, 'Where', [positive, size, x.emit(node, 'Neg', [size])])
}

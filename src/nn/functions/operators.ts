/** Metadata of values, and Brevitas' operators of quant tensors. */
import { gridOf, isFloatGrid, type Carried, type Group } from '../../data/quant.js'
import { groupAxis, groupedShape } from '../../data/groups.js'
import { finite, required, showGiven, text } from '../../data/fields.js'
import type { Value } from '../../graph/op.js'
import { demandNoMore, demandValue, demandValues, kitOf, lift, refused, type Operand } from './support.js'

const isQuant = (x: Operand): boolean => typeof x !== 'number' && gridOf(x.carried) !== null

/** Is the value a quant tensor, carried or claimed? */
export const isQuantValue = (x: Value): boolean => {
  demandValue('isQuantValue', x)
  return gridOf(x.carried) !== null
}

/** What a value carries, and why not. */
export const carriedOf = (x: Value): Carried => {
  demandValue('carriedOf', x)
  return x.carried
}

/** Drops metadata on purpose. */
export const dequantize = (x: Value, why = 'dequantize was asked for'): Value =>
  refused('dequantize', x, { why }, { why: text }) ?? (isQuantValue(x) ? x.kit.emit('dequantize', [x], { why }) : x)

const needQuant = (name: string, x: Value): Value | null => {
  demandValue(name, x)
  return isQuantValue(x)
    ? null
    : x.kit.fail({
        op: name,
        tag: 'MetadataError',
        refuse: `${name} needs a quant tensor, but this value is a plain tensor: ${x.kit.whyPlain(x)}`,
        fix: 'quantize it first, with returnQuantTensor: true',
      })
}

/** One number per element, from one per group: repeated over each group, and what the last one has too many cut off. */
const spread = (x: Value, id: number, group: Group): Value => {
  const { kit, shape } = x
  const compact = kit.value(id)
  const cut = groupedShape(shape, group)
  if (cut === null || compact.shape.length === 0) return compact
  const axis = groupAxis(group, shape.length)
  const wide = kit.emit('broadcastTo', [compact], { shape: cut })
  const joined = kit.emit('reshape', [wide], { shape: shape.map((n, i) => (i === axis ? cut[i] * cut[i + 1] : n)) })
  return kit.emit('slice', [joined], { dim: axis, start: 0, end: shape[axis] })
}

const field =
  (name: 'scale' | 'zeroPoint' | 'bitWidth') =>
  (x: Value): Value => {
    const bad = needQuant(name, x)
    const q = gridOf(x.carried)
    if (bad !== null || q === null) return bad ?? x
    return q.group === undefined || name === 'bitWidth' ? x.kit.value(q[name]) : spread(x, q[name], q.group)
  }

/** The scale of a quant tensor, a plain value; gradients flow through it. */
export const scale = field('scale')
/** The zero point of a quant tensor, a plain value; gradients flow through it. */
export const zeroPoint = field('zeroPoint')
/** The bit width of a quant tensor, a plain value. */
export const bitWidth = field('bitWidth')
/** The dequantized value as a plain tensor. */
export const value = (x: Value): Value => needQuant('value', x) ?? dequantize(x, 'only its value was asked for')

/**
 * x with a check in front that it is a valid quant tensor, as Brevitas looks whenever it takes integers. A trace that says
 * `carries` proves it of finite numbers only: a NaN, an infinity or a scale of 0 is found by the check.
 */
const checked = (x: Value): Value => {
  const q = gridOf(x.carried)
  if (q === null) return x
  if (isFloatGrid(q)) {
    const { exponentBits, mantissaBits, bias } = q.format
    return x.kit.emit('checkValidFloat', [x, scale(x)], { exponentBits, mantissaBits, bias })
  }
  return 'learned' in q ? x : x.kit.emit('checkValid', [x, scale(x), zeroPoint(x)], { bits: q.bits, signed: q.signed })
}

/**
 * The integers of a quant tensor as floats; the run fails if it is not valid (`QuantTensor not valid.`), a NaN among it included.
 * Gradient straight through the rounding.
 */
export const int = (x: Value): Value => {
  const bad = needQuant('int', x)
  if (bad !== null) return bad
  const q = gridOf(x.carried)
  if (q !== null && isFloatGrid(q))
    return x.kit.fail({
      op: 'int',
      tag: 'MetadataError',
      refuse: 'int needs integers, but this value carries minifloats',
      fix: 'ask for minifloat(x), or quantize to integers',
    })
  const v = checked(x)
  const plain = dequantize(v, 'its integers were asked for')
  return x.kit.emit('round~identity', [x.kit.emit('add', [x.kit.emit('div', [plain, scale(v)]), zeroPoint(v)])])
}

const FLOAT_SIGNS = { quantNeg: 'floatNeg', quantAbs: 'floatAbs' } as const

const signOp = (name: 'quantNeg' | 'quantAbs', x: Value, correct: boolean): Value => {
  const v = checked(x)
  const q = gridOf(v.carried)
  if (q !== null && (isFloatGrid(q) || q.group !== undefined)) return v.kit.emit(FLOAT_SIGNS[name], [v])
  return v.kit.emit(name, [v, scale(v), zeroPoint(v)], { correct })
}

/**
 * The minifloats of a quant tensor as floats, without their scale (Brevitas `minifloat()`); the run fails if it is not valid. Gradient straight
 * through the rounding.
 */
export const minifloat = (x: Value): Value => {
  const bad = needQuant('minifloat', x)
  if (bad !== null) return bad
  const q = gridOf(x.carried)
  if (q === null || !isFloatGrid(q))
    return x.kit.fail({
      op: 'minifloat',
      tag: 'MetadataError',
      refuse: 'minifloat needs minifloats, but this value carries integers',
      fix: 'ask for int(x), or quantize to minifloats',
    })
  return x.kit.emit('div', [dequantize(checked(x), 'its minifloats were asked for'), scale(x)])
}

/** `-x`. Of a quant tensor on its integers; with a zero point Brevitas is off by 2*z*s (quirk), see `negCorrect`. */
export const neg = (x: Value): Value => {
  demandValue('neg', x)
  return isQuantValue(x) ? signOp('quantNeg', x, false) : x.kit.emit('neg', [x])
}
/** `-x` with the zero point negated too, so that the value is right for any zero point. */
export const negCorrect = (x: Value): Value => {
  demandValue('negCorrect', x)
  return isQuantValue(x) ? signOp('quantNeg', x, true) : x.kit.emit('neg', [x])
}
/** `|x|`. An unsigned quant tensor is unchanged; a signed one is taken on its integers (quirk with a zero point, see `absCorrect`). */
export const abs = (x: Value): Value => {
  demandValue('abs', x)
  const q = gridOf(x.carried)
  if (q === null) return x.kit.emit('abs', [x])
  return q.signed ? signOp('quantAbs', x, false) : checked(x)
}
/** `|x|` with zero point 0, so that the value is right for any zero point. */
export const absCorrect = (x: Value): Value => {
  demandValue('absCorrect', x)
  return isQuantValue(x) ? signOp('quantAbs', x, true) : x.kit.emit('abs', [x])
}

/** The operator `+`. quant + plain keeps metadata and moves the zero point; plain + quant is plain. */
export const add: (a: Operand, b: Operand) => Value = (a, b, ...more: readonly unknown[]) => {
  const kit = kitOf('add', [a, b])
  demandNoMore('add', more)
  return typeof a === 'number' && isQuant(b)
    ? kit.emit('add', [lift(kit, b), lift(kit, a)])
    : kit.emit('add', [lift(kit, a), lift(kit, b)])
}

/** The operator `-`: of quant tensors `x + (-y)`. number - quant is not defined, as in Brevitas. */
export const sub: (a: Operand, b: Operand) => Value = (a, b, ...more: readonly unknown[]) => {
  const kit = kitOf('sub', [a, b])
  demandNoMore('sub', more)
  if (typeof a === 'number' && isQuant(b))
    return kit.fail({
      op: 'sub',
      tag: 'MetadataError',
      refuse: 'number - quant tensor is not defined',
      fix: 'write add(neg(x), number)',
    })
  const [x, y] = [lift(kit, a), lift(kit, b)]
  if (!isQuant(x)) return kit.emit('sub', [x, isQuant(y) ? checked(y) : y])
  return kit.emit('add', [x, neg(y)])
}

const binaryOperator =
  (name: 'mul' | 'div'): ((a: Operand, b: Operand) => Value) =>
  (a: Operand, b: Operand, ...more: readonly unknown[]): Value => {
    const kit = kitOf(name, [a, b])
    demandNoMore(name, more)
    if (typeof a === 'number' && isQuant(b) && name === 'div')
      return kit.fail({
        op: name,
        tag: 'MetadataError',
        refuse: 'number / quant tensor is not defined',
        fix: 'write div(plain.value(x), number), or quantize the number',
      })
    return kit.emit(name, [lift(kit, a), lift(kit, b)])
  }

/** The operator `*`: of two quant tensors with zero point 0 a quant tensor, else plain. */
export const mul = binaryOperator('mul')
/** The operator `/`: of two quant tensors with zero point 0 a (hardly ever valid) quant tensor, else plain. */
export const div = binaryOperator('div')
/** Operators that quant tensors don't have: `<<`, `**`, `@`, indexing. */
const undefinedFor = (name: string, x: Value): Value =>
  x.kit.fail({
    op: name,
    tag: 'MetadataError',
    refuse: `${name} is not defined for quant tensors`,
    fix: 'take the plain value first: value(x)',
  })

/** The operator `@`; not defined where the left operand is a quant tensor, plain where the right one is. */
export const matmulOperator = (a: Value, b: Value): Value => {
  demandValues('matmulOperator', [a, b])
  return isQuant(a) ? undefinedFor('@', a) : a.kit.emit('matmul', [a, b])
}
/** The operator `**` with a small whole exponent, of plain tensors; not defined for quant tensors. */
export const pow = (x: Value, exponent: number): Value => {
  demandValue('pow', x)
  if (isQuant(x)) return undefinedFor('**', x)
  if (!Number.isInteger(exponent) || exponent < 0 || exponent > 64)
    return x.kit.fail({
      op: 'pow',
      refuse: `the exponent ${showGiven(exponent)} is not a whole number from 0 to 64`,
      fix: 'compose other powers of exp and log',
    })
  let y = x.kit.constant(1, x.shape)
  for (let i = 0; i < exponent; i++) y = i === 0 ? x : x.kit.emit('mul', [y, x])
  return y
}
/** The operator `<<`, which quant tensors don't have; `x * 2^n` of plain ones. */
export const shiftLeft = (x: Value, n: number): Value =>
  refused('shiftLeft', x, { n }, { n: required(finite) }) ??
  (isQuant(x) ? undefinedFor('<<', x) : x.kit.emit('mul', [x, x.kit.constant(2 ** n)]))

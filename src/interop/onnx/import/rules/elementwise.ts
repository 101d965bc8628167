/** Element-wise operators: activations, arithmetic, comparisons, roundings, types. */
import { quantOf } from '../../../../data/quant.js'
import { sizeOf } from '../../../../data/shape.js'
import type { BarePrimitive, Kit, Value } from '../../../../graph/op.js'
import { add, div, leakyRelu, mul } from '../../../../nn/functions/index.js'
import type { Entry, Importing, ImportRule } from '../entry.js'
import { DataType, isFloat } from '../host.js'
import { agreeing, broadcasts, outOf, typed } from '../values.js'
import { clippedLevels } from './quantizers.js'

/** The primitive of that name over the plain value. */
export const direct =
  (op: BarePrimitive): ImportRule =>
  (x) =>
    typed(x.kit.emit(op, [x.plain(0, 'weight')]), x.type(0))

/** The primitive of that name, which knows what becomes of metadata. */
export const keeping =
  (op: BarePrimitive): ImportRule =>
  (x) =>
    typed(x.kit.emit(op, [x.value(0)]), x.type(0))

/** A formula of a plain value. */
export const formula =
  (f: (v: Value, x: Importing) => Value): ImportRule =>
  (x) =>
    f(x.plain(0, 'weight'), x)

/** How an operand of a sum or product is known: a tensor of several numbers is a parameter, one number a constant. */
const operand = (x: Importing, i: number): Value => {
  const known = x.known(i)
  const trained = known !== null && isFloat(known.type) && sizeOf(known.shape) > 1
  return x.value(i, trained ? 'weight' : 'constant')
}

/** Older versions let the second operand stand along an axis of the first. */
const aligned = (x: Importing, a: Value, b: Value): Value => {
  if (x.number('broadcast', 0) === 0 || !x.has_('axis')) return b
  const axis = x.number('axis', 0)
  const at = axis < 0 ? axis + a.shape.length : axis
  const shape = [...b.shape, ...Array.from({ length: Math.max(0, a.shape.length - at - b.shape.length) }, () => 1)]
  return x.kit.emit('reshape', [b], { shape })
}

const wholeType = (x: Importing): boolean => !isFloat(x.type(0))

/** Quant tensors keep their metadata where they lie on one grid, or where the other operand is a parameter. */
const sum = (a: Value, b: Value): Value => {
  const [qa, qb] = [quantOf(a.carried), quantOf(b.carried)]
  if (qa !== null && qb !== null) return a.kit.emit('add', agreeing([a, b]))
  return qa === null && qb !== null ? add(a, outOf(b)) : add(a, b)
}

/** Addition. */
export const addition: ImportRule = (x) => {
  const [a, b] = [operand(x, 0), operand(x, 1)]
  return typed(broadcasts(x, a, b) ?? sum(a, aligned(x, a, b)), x.type(0))
}

/** Multiplication; of quant tensors with zero points that are 0 a quant tensor. */
export const multiplication: ImportRule = (x) => {
  const [a, b] = [operand(x, 0), operand(x, 1)]
  const zero = [a, b].every((v) => quantOf(v.carried)?.zero === 'zero')
  const [p, q] = zero ? [a, b] : [outOf(a), outOf(b)]
  return typed(broadcasts(x, a, b) ?? mul(p, aligned(x, p, q)), x.type(0))
}

/** Two plain operands. */
const plainBinary =
  (f: (a: Value, b: Value, x: Importing) => Value, result?: DataType): ImportRule =>
  (x) => {
    const [a, b] = [x.plain(0), x.plain(1)]
    return typed(broadcasts(x, a, b) ?? f(a, aligned(x, a, b), x), result ?? x.type(0))
  }

/** Subtraction. */
export const subtraction = plainBinary((a, b) => a.kit.emit('sub', [a, b]))
/** Division; of integers towards zero. */
export const division = plainBinary((a, b, x) => (wholeType(x) ? a.kit.emit('roundToZero', [div(a, b)]) : div(a, b)))
/** Remainder with the sign of the divisor, or (`fmod`) of the dividend. */
export const modulo = plainBinary((a, b, x) => {
  const part = x.number('fmod', 0) !== 0 ? 'roundToZero' : 'floor'
  return a.kit.emit('sub', [a, mul(b, a.kit.emit(part, [div(a, b)]))])
})

/** Small whole exponents are products, halves are roots; else the primitive `pow`. */
export const power: ImportRule = (x) => {
  const a = x.plain(0)
  const { kit } = x
  const known = x.known(1)
  const e = known !== null && known.data.length === 1 ? known.data[0] : NaN
  const rank = known?.shape.length ?? 0
  if (rank <= a.shape.length) {
    if (e === 2) return typed(kit.emit('mul', [a, a]), x.type(0))
    if (e === 3) return typed(kit.emit('mul', [kit.emit('mul', [a, a]), a]), x.type(0))
    if (e === 1) return typed(a, x.type(0))
    if (e === 0.5) return kit.emit('sqrt', [a])
    if (e === -1) return kit.emit('div', [kit.constant(1), a])
  }
  const b = x.plain(1)
  return typed(broadcasts(x, a, b) ?? kit.emit('pow', [a, b]), x.type(0))
}

const bool = DataType.BOOL
const not = (v: Value): Value => v.kit.emit('equal', [v, v.kit.constant(0)])
const truth = (v: Value): Value => not(not(v))

/** Comparisons. */
export const comparisons: { readonly [op: string]: ImportRule } = {
  Equal: plainBinary((a, b) => a.kit.emit('equal', [a, b]), bool),
  Less: plainBinary((a, b) => a.kit.emit('less', [a, b]), bool),
  LessOrEqual: plainBinary((a, b) => a.kit.emit('lessEqual', [a, b]), bool),
  Greater: plainBinary((a, b) => a.kit.emit('less', [b, a]), bool),
  GreaterOrEqual: plainBinary((a, b) => a.kit.emit('lessEqual', [b, a]), bool),
  And: plainBinary((a, b) => mul(truth(a), truth(b)), bool),
  Or: plainBinary((a, b) => a.kit.emit('maximum', [truth(a), truth(b)]), bool),
  Xor: plainBinary((a, b) => not(a.kit.emit('equal', [truth(a), truth(b)])), bool),
  Not: (x) => typed(not(x.plain(0)), bool),
}

/** Choice of two by a condition. */
export const where: ImportRule = (x) => {
  const [c, a, b] = [x.plain(0), x.plain(1), x.plain(2)]
  return typed(broadcasts(x, a, b) ?? broadcasts(x, c, a) ?? x.kit.emit('select', [c, a, b]), x.type(1))
}

/** The largest or smallest, the sum or the mean of any number of operands. */
export const variadic =
  (op: 'add' | 'maximum' | 'minimum', mean = false): ImportRule =>
  (x) => {
    const values = x.node.inputs.map((_, i) => x.plain(i))
    const [first, ...rest] = values
    const all = rest.reduce((a, b) => broadcasts(x, a, b) ?? x.kit.emit(op, [a, b]), first)
    return typed(mean ? div(all, values.length) : all, x.type(0))
  }

const bound = (x: Importing, i: number, name: string): number | null => {
  const named = x.has_(name) ? x.number(name, 0) : null
  const given = x.has(i) ? x.numbers(i, name)[0] : named
  return given === null || Number.isFinite(given) ? given : null
}

/** Clip: between integers a part of a quantizer; of floats F.hardtanh, relu or relu6, which keep metadata. */
export const clip: ImportRule = (x) => {
  if (!x.has(1) && !x.has(2) && !x.has_('min') && !x.has_('max')) return x.entry(0)
  const known = [1, 2].every((i) => !x.has(i) || x.entry(i).is === 'known')
  if (!known) return openClip(x)
  const [lo, hi] = [bound(x, 1, 'min'), bound(x, 2, 'max')]
  return clippedLevels(x, lo, hi) ?? between(x, lo, hi)
}

/** A float between two bounds that are known, null: none. */
const between = (x: Importing, lo: number | null, hi: number | null): Value | Entry => {
  const v = x.value(0)
  // Where the bounds cross, the upper one holds.
  const min = lo !== null && hi !== null && lo > hi ? hi : lo
  if (quantOf(v.carried) === null || min === hi)
    return typed(v.kit.emit('clamp', [outOf(v)], { min, max: hi }), x.type(0))
  if (min === 0 && hi === null) return x.kit.emit('relu', [v])
  if (min === 0 && hi === 6) return x.kit.emit('relu6', [v])
  return x.kit.emit('hardtanh', [v], { minVal: min, maxVal: hi })
}

const openClip = (x: Importing): Entry => {
  const raised = x.has(1) ? x.kit.emit('maximum', [x.plain(0), x.plain(1)]) : x.plain(0)
  return typed(x.has(2) ? x.kit.emit('minimum', [raised, x.plain(2)]) : raised, x.type(0))
}

/** Another element type. Floats are float32 here, whatever their type there; integers and booleans are whole floats. */
export const casted = (x: Importing, v: Value, to: DataType): Entry => {
  if (to === bool) return typed(truth(v), to)
  if (isFloat(to)) return typed(v, to)
  if (to === DataType.STRING || DataType[to] === undefined)
    return x.refuse(`there is no type ${DataType[to] ?? to} here`, 'cast to a type of numbers')
  return typed(isFloat(x.type(0)) ? v.kit.emit('roundToZero', [v]) : v, to)
}

/** Cast. */
export const cast: ImportRule = (x) => {
  const to = x.number('to', DataType.FLOAT)
  x.number('saturate', 1)
  x.text('round_mode', '')
  return isFloat(to) && isFloat(x.type(0)) ? x.entry(0) : casted(x, x.plain(0), to)
}
/** CastLike. */
export const castLike: ImportRule = (x) =>
  isFloat(x.type(1)) && isFloat(x.type(0)) ? x.entry(0) : casted(x, x.plain(0), x.type(1))

const one = (kit: Kit): Value => kit.constant(1)
const relu = (v: Value): Value => v.kit.emit('relu', [v])

/** `ln(1 + e^x)`, without overflow: `relu(x) + ln(1 + e^-|x|)`. */
export const softplus = (v: Value): Value => {
  const { kit } = v
  const small = kit.emit('exp', [kit.emit('neg', [kit.emit('abs', [v])])])
  return kit.emit('add', [relu(v), kit.emit('log', [kit.emit('add', [one(kit), small])])])
}

/** `clip(alpha*x + beta, 0, 1)`. */
export const hardSigmoid: ImportRule = formula((v, x) => {
  const [alpha, beta] = [x.number('alpha', 0.2), x.number('beta', 0.5)]
  return v.kit.emit('clamp', [add(mul(v, alpha), beta)], { min: 0, max: 1 })
})

/** The tanh form of gelu: `x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))`. */
const tanhGelu = (v: Value): Value => {
  const cube = mul(mul(v, v), v)
  const inner = mul(add(v, mul(cube, 0.044715)), Math.sqrt(2 / Math.PI))
  return mul(mul(v, 0.5), add(v.kit.emit('tanh', [inner]), 1))
}

/** Gelu. */
export const gelu: ImportRule = formula((v, x) =>
  x.text('approximate', 'none') === 'tanh' ? tanhGelu(v) : v.kit.emit('gelu', [v]),
)

/** `x > 0 ? x : slope*x`, with one slope or learned ones. */
export const prelu: ImportRule = (x) => {
  const v = x.plain(0)
  const slope = x.plain(1, 'weight')
  const below = v.kit.emit('sub', [v, relu(v)])
  return broadcasts(x, v, slope) ?? add(relu(v), mul(slope, below))
}

/** `gamma * (x > 0 ? x : alpha*(e^x - 1))`. */
export const selu: ImportRule = formula((v, x) => {
  const alpha = x.number('alpha', 1.6732631921768188)
  return mul(v.kit.emit('elu', [v], { alpha }), x.number('gamma', 1.0507010221481323))
})
/** `max(0, x) + min(0, alpha*(e^(x/alpha) - 1))`. */
export const celu: ImportRule = formula((v, x) => {
  const alpha = x.number('alpha', 1)
  return mul(v.kit.emit('elu', [div(v, alpha)], { alpha: 1 }), alpha)
})
/** `x > alpha ? x : 0`. */
export const thresholdedRelu: ImportRule = formula((v, x) =>
  v.kit.emit('select', [v.kit.emit('less', [v.kit.constant(x.number('alpha', 1)), v]), v, v.kit.constant(0)]),
)
/** LeakyRelu. */
export const leaky: ImportRule = formula((v, x) => leakyRelu(v, x.number('alpha', 0.01)))
/** Elu. */
export const elu: ImportRule = formula((v, x) => v.kit.emit('elu', [v], { alpha: x.number('alpha', 1) }))
/** `x * tanh(softplus(x))`. */
export const mish: ImportRule = formula((v) => mul(v, v.kit.emit('tanh', [softplus(v)])))
/** `x * sigmoid(alpha*x)`. */
export const swish: ImportRule = formula((v, x) => mul(v, v.kit.emit('sigmoid', [mul(v, x.number('alpha', 1))])))

/**
 * Functions of traced values. Under their plain names they treat quant tensors as Brevitas' own functions and
 * operators do (`F.relu`, `+`); `plain` has torch's functions of the same name, which get bare values.
 */
import { quantOf, type Carried } from '../data/quant.js'
import type { Shape } from '../data/shape.js'
import { showShape, sizeOf } from '../data/shape.js'
import type { Attrs, Kit, Op, Value } from '../graph/op.js'

/** A value, or a number that is lifted to a constant. */
export type Operand = Value | number

const lift = (kit: Kit, x: Operand): Value => (typeof x === 'number' ? kit.constant(x) : x)
const kitOf = (a: Operand, b: Operand): Kit | null => (typeof a !== 'number' ? a.kit : typeof b !== 'number' ? b.kit : null)
const isQuant = (x: Operand): boolean => typeof x !== 'number' && quantOf(x.carried) !== null

/** Is the value a quant tensor, carried or claimed? */
export const isQuantValue = (x: Value): boolean => quantOf(x.carried) !== null

/** What a value carries, and why not. */
export const carriedOf = (x: Value): Carried => x.carried

/** Drops metadata on purpose. */
export const dequantize = (x: Value, why = 'dequantize was asked for'): Value =>
  isQuantValue(x) ? x.kit.emit('dequantize', [x], { why }) : x

const needQuant = (name: string, x: Value): Value | null =>
  isQuantValue(x) ? null : x.kit.fail({ op: name, tag: 'MetadataError', refuse: `${name} needs a quant tensor, but this value has no metadata${x.carried.tag === 'stripped' ? `: ${x.carried.why}` : ''}`, fix: 'quantize it first, with returnQuantTensor: true' })

const field = (name: 'scale' | 'zeroPoint' | 'bitWidth') => (x: Value): Value => {
  const bad = needQuant(name, x)
  const q = quantOf(x.carried)
  return bad ?? (q === null ? x : x.kit.value(q[name]))
}

/** The scale of a quant tensor, a plain value; gradients flow through it. */
export const scale = field('scale')
/** The zero point of a quant tensor, a plain value; gradients flow through it. */
export const zeroPoint = field('zeroPoint')
/** The bit width of a quant tensor, a plain value. */
export const bitWidth = field('bitWidth')
/** The dequantized value as a plain tensor. */
export const value = (x: Value): Value => needQuant('value', x) ?? dequantize(x, 'only its value was asked for')

/** x with a check in front that it is a valid quant tensor, unless the trace proves it. */
const checked = (x: Value): Value => {
  const q = quantOf(x.carried)
  return q === null || (x.carried.tag === 'carries' && q.bits >= 2) ? x : x.kit.emit('checkValid', [x, x.kit.value(q.scale), x.kit.value(q.zeroPoint)], { bits: q.bits, signed: q.signed })
}

/** The integers of a quant tensor as floats; the run fails if it is not valid. Gradient straight through the rounding. */
export const int = (x: Value): Value => {
  const bad = needQuant('int', x)
  if (bad !== null) return bad
  const v = checked(x)
  const plain = dequantize(v, 'its integers were asked for')
  return x.kit.emit('round~identity', [x.kit.emit('add', [x.kit.emit('div', [plain, scale(v)]), zeroPoint(v)])])
}

const signOp = (name: 'quantNeg' | 'quantAbs', x: Value, correct: boolean): Value => {
  const v = checked(x)
  return v.kit.emit(name, [v, scale(v), zeroPoint(v)], { correct })
}

/** `-x`. Of a quant tensor on its integers; with a zero point Brevitas is off by 2*z*s (quirk), see `negCorrect`. */
export const neg = (x: Value): Value => (isQuantValue(x) ? signOp('quantNeg', x, false) : x.kit.emit('neg', [x]))
/** `-x` with the zero point negated too, so that the value is right for any zero point. */
export const negCorrect = (x: Value): Value => (isQuantValue(x) ? signOp('quantNeg', x, true) : x.kit.emit('neg', [x]))
/** `|x|`. An unsigned quant tensor is unchanged; a signed one is taken on its integers (quirk with a zero point, see `absCorrect`). */
export const abs = (x: Value): Value => {
  const q = quantOf(x.carried)
  return q === null ? x.kit.emit('abs', [x]) : q.signed ? signOp('quantAbs', x, false) : checked(x)
}
/** `|x|` with zero point 0, so that the value is right for any zero point. */
export const absCorrect = (x: Value): Value => (isQuantValue(x) ? signOp('quantAbs', x, true) : x.kit.emit('abs', [x]))

/** The operator `+`. quant + plain keeps metadata and moves the zero point; plain + quant is plain. */
export const add = (a: Operand, b: Operand): Value => {
  const kit = kitOf(a, b)
  if (kit === null) throw new TypeError('add: at least one operand must be a traced value')
  return typeof a === 'number' && isQuant(b) ? kit.emit('add', [lift(kit, b), lift(kit, a)]) : kit.emit('add', [lift(kit, a), lift(kit, b)])
}

/** The operator `-`: of quant tensors `x + (-y)`. number - quant is not defined, as in Brevitas. */
export const sub = (a: Operand, b: Operand): Value => {
  const kit = kitOf(a, b)
  if (kit === null) throw new TypeError('sub: at least one operand must be a traced value')
  if (typeof a === 'number' && isQuant(b)) return kit.fail({ op: 'sub', tag: 'MetadataError', refuse: 'number - quant tensor is not defined', fix: 'write add(neg(x), number)' })
  const [x, y] = [lift(kit, a), lift(kit, b)]
  if (!isQuant(x)) return kit.emit('sub', [x, isQuant(y) ? checked(y) : y])
  return kit.emit('add', [x, neg(y)])
}

const binaryOperator = (name: 'mul' | 'div') => (a: Operand, b: Operand): Value => {
  const kit = kitOf(a, b)
  if (kit === null) throw new TypeError(`${name}: at least one operand must be a traced value`)
  if (typeof a === 'number' && isQuant(b) && name === 'div') return kit.fail({ op: name, tag: 'MetadataError', refuse: 'number / quant tensor is not defined', fix: 'write div(plain.value(x), number), or quantize the number' })
  return kit.emit(name, [lift(kit, a), lift(kit, b)])
}

/** The operator `*`: of two quant tensors with zero point 0 a quant tensor, else plain. */
export const mul = binaryOperator('mul')
/** The operator `/`: of two quant tensors with zero point 0 a (hardly ever valid) quant tensor, else plain. */
export const div = binaryOperator('div')
/** Operators that quant tensors don't have: `<<`, `**`, `@`, indexing. */
const undefinedFor = (name: string, x: Value): Value =>
  x.kit.fail({ op: name, tag: 'MetadataError', refuse: `${name} is not defined for quant tensors`, fix: 'take the plain value first: value(x)' })

/** The operator `@` of plain tensors; not defined for quant tensors. */
export const matmulOperator = (a: Value, b: Value): Value => (isQuant(a) || isQuant(b) ? undefinedFor('@', a) : a.kit.emit('matmul', [a, b]))
/** The operator `**` with a small whole exponent, of plain tensors; not defined for quant tensors. */
export const pow = (x: Value, exponent: number): Value => {
  if (isQuant(x)) return undefinedFor('**', x)
  if (!Number.isInteger(exponent) || exponent < 0 || exponent > 64) return x.kit.fail({ op: 'pow', refuse: `the exponent ${exponent} is not a whole number from 0 to 64`, fix: 'compose other powers of exp and log' })
  let y = x.kit.constant(1, x.shape)
  for (let i = 0; i < exponent; i++) y = i === 0 ? x : x.kit.emit('mul', [y, x])
  return y
}
/** The operator `<<`, which quant tensors don't have; `x * 2^n` of plain ones. */
export const shiftLeft = (x: Value, n: number): Value => (isQuant(x) ? undefinedFor('<<', x) : x.kit.emit('mul', [x, x.kit.constant(2 ** n)]))

const kept = (op: string) => (x: Value): Value => x.kit.emit(op, [x])

/** `max(x, 0)`; keeps metadata (F.relu). torch.relu is `plain.relu`. */
export const relu = kept('relu')
/** x cut to 0 … 6; keeps metadata as a claim (F.relu6). */
export const relu6 = kept('relu6')
/** x cut to `minVal … maxVal`; keeps metadata as a claim (F.hardtanh). */
export const hardtanh = (x: Value, minVal = -1, maxVal = 1): Value =>
  x.kit.emit('hardtanh', [x], { minVal: minVal === -Infinity ? null : minVal, maxVal: maxVal === Infinity ? null : maxVal })
/** x itself (unary plus, `contiguous`, nn.Identity). */
export const identity = kept('identity')
/** x, through which no gradient flows; the metadata is detached too. */
export const detach = (x: Value): Value => {
  const y = x.kit.emit('detach', [x])
  return y
}

/** Sigmoid (torch.sigmoid); strips. */
export const sigmoid = kept('sigmoid')
/** Hyperbolic tangent (torch.tanh); strips. */
export const tanh = kept('tanh')
/** `x > 0 ? x : negativeSlope*x` (F.leaky_relu); strips. */
export const leakyRelu = (x: Value, negativeSlope = 0.01): Value => x.kit.emit('leakyRelu', [x], { negativeSlope })
/** `x > 0 ? x : alpha*(e^x - 1)` (F.elu); strips. */
export const elu = (x: Value, alpha = 1): Value => x.kit.emit('elu', [x], { alpha })
/** `x * Phi(x)` (F.gelu); strips. */
export const gelu = kept('gelu')
/** `x * relu6(x + 3)/6` (F.hardswish); strips. */
export const hardswish = kept('hardswish')
/** `x/(1 + |x|)` (F.softsign); strips. */
export const softsign = kept('softsign')
/** To the nearest integer, ties to even, gradient 0 (torch.round); strips. */
export const round = kept('round')
/** The rounding whose gradient is that of the identity. */
export const roundSte = kept('round~identity')
/** `e^x`; strips. */
export const exp = kept('exp')
/** Natural logarithm; strips. */
export const log = kept('log')
/** Square root; strips. */
export const sqrt = kept('sqrt')
/** x cut to `min … max`, null for no bound (torch.clamp); strips. */
export const clamp = (x: Value, min: number | null, max: number | null): Value => x.kit.emit('clamp', [x], { min, max })

const axis = (x: Value, d: number): number => (d < 0 ? d + x.shape.length : d)
const resolveShape = (x: Value, shape: Shape): Shape => {
  const known = shape.reduce((p, n) => (n === -1 ? p : p * n), 1)
  return shape.map((n) => (n === -1 ? sizeOf(x.shape) / Math.max(1, known) : n))
}

/** The same elements in another shape; one entry may be -1 (torch.reshape, view). Keeps metadata. */
export const reshape = (x: Value, shape: Shape): Value => x.kit.emit('reshape', [x], { shape: resolveShape(x, shape) })
/** Joins the axes from `startDim` to `endDim` into one (torch.flatten). Keeps metadata. */
export const flatten = (x: Value, startDim = 0, endDim = -1): Value => {
  if (x.shape.length === 0) return reshape(x, [1])
  const [from, to] = [axis(x, startDim), axis(x, endDim)]
  return reshape(x, [...x.shape.slice(0, from), sizeOf(x.shape.slice(from, to + 1)), ...x.shape.slice(to + 1)])
}
/** The axes in another order; metadata follows (the method `permute`). torch.permute is `plain.permute`. */
export const permute = (x: Value, dims: readonly number[]): Value => x.kit.emit('permute', [x], { dims: dims.map((d) => axis(x, d)) })
/** Two axes swapped; metadata follows (torch.transpose). */
export const transpose = (x: Value, dim0: number, dim1: number): Value => {
  const [a, b] = [axis(x, dim0), axis(x, dim1)]
  return permute(x, x.shape.map((_, i) => (i === a ? b : i === b ? a : i)))
}
/** Without an axis of size 1, or without all of them (torch.squeeze); strips, as in Brevitas. */
export const squeeze = (x: Value, dim?: number): Value =>
  reshape(dequantize(x, 'torch.squeeze is in neither of Brevitas\' tables and gets the bare value; use reshape'), x.shape.filter((n, i) => n !== 1 || (dim !== undefined && axis(x, dim) !== i)))
/** With a new axis of size 1 (torch.unsqueeze); strips, as in Brevitas. */
export const unsqueeze = (x: Value, dim: number): Value => {
  const d = dim < 0 ? dim + x.shape.length + 1 : dim
  return reshape(dequantize(x, 'torch.unsqueeze is in neither of Brevitas\' tables and gets the bare value; use reshape'), [...x.shape.slice(0, d), 1, ...x.shape.slice(d)])
}
const allAxes = (x: Value, dim: number | readonly number[] | undefined): readonly number[] =>
  dim === undefined ? x.shape.map((_, i) => i) : (typeof dim === 'number' ? [dim] : dim).map((d) => axis(x, d))
/** The sum over some axes, or all (torch.sum); strips. */
export const sum = (x: Value, dim?: number | readonly number[], keepdim = false): Value => x.kit.emit('sum', [x], { dims: allAxes(x, dim), keepdim })
/** The mean over some axes, or all (torch.mean); strips. */
export const mean = (x: Value, dim?: number | readonly number[], keepdim = false): Value => x.kit.emit('mean', [x], { dims: allAxes(x, dim), keepdim })
/** The largest of all elements (torch.max); strips. Equal ones share the gradient. */
export const max = kept('maxAll')
/** The matrix product (torch.matmul); strips. */
export const matmul = (a: Value, b: Value): Value => a.kit.emit('matmul', [a, b])

/** Joins tensors along an axis (torch.cat): quant tensors of one scale, width and sign stay quantized. */
export const cat = (xs: readonly Value[], dim: number): Value => {
  const [first] = xs
  if (first === undefined) throw new TypeError('cat: give at least one value')
  return xs.length === 1 ? first : first.kit.emit('concat', xs, { dim: axis(first, dim) })
}
/** Joins tensors along a new axis (torch.stack); strips. */
export const stack = (xs: readonly Value[], dim: number): Value => cat(xs.map((x) => unsqueeze(x, dim)), dim)

type PerAxis = number | readonly number[]
const spread = (n: PerAxis, count: number): readonly number[] => (typeof n === 'number' ? new Array<number>(count).fill(n) : n)
/** Spatial axes of [N, C, …], unless a function's name says how many. */
const spatial = (x: Value): number => Math.max(0, x.shape.length - 2)

/** How a pool walks over its input. */
export type PoolOptions = { readonly kernelSize: PerAxis; readonly stride?: PerAxis; readonly padding?: PerAxis; readonly dilation?: PerAxis; readonly ceilMode?: boolean }
/** The same for averages. */
export type AvgPoolOptions = Omit<PoolOptions, 'dilation'> & { readonly countIncludePad?: boolean; readonly divisorOverride?: number | null }

/** Largest of each window, over 1 to 3 spatial axes (F.max_pool1d/2d/3d). Keeps metadata. */
export const maxPool = (x: Value, o: PoolOptions, n = spatial(x)): Value => {
  return x.kit.emit('maxPool', [x], { kernel: spread(o.kernelSize, n), stride: spread(o.stride ?? o.kernelSize, n), padding: spread(o.padding ?? 0, n), dilation: spread(o.dilation ?? 1, n), ceilMode: o.ceilMode ?? false })
}
const avgPoolAttrs = (o: AvgPoolOptions, n: number): Attrs => ({
  kernel: spread(o.kernelSize, n), stride: spread(o.stride ?? o.kernelSize, n), padding: spread(o.padding ?? 0, n),
  ceilMode: o.ceilMode ?? false, countIncludePad: o.countIncludePad ?? true, divisorOverride: o.divisorOverride ?? null,
})

/** Mean of each window (F.avg_pool1d/2d/3d). Over two spatial axes Brevitas keeps metadata: scale/k, more bits. */
export const avgPool = (x: Value, o: AvgPoolOptions, n = spatial(x)): Value => x.kit.emit('avgPool', [x], avgPoolAttrs(o, n))
/** Means of as many windows as asked for (F.adaptive_avg_pool1d/2d/3d). */
export const adaptiveAvgPool = (x: Value, outputSize: PerAxis, n = spatial(x)): Value => x.kit.emit('adaptiveAvgPool', [x], { outputSize: spread(outputSize, n) })
/** The same with right metadata where Brevitas' is a quirk: uneven windows strip, and a zero point is multiplied too. */
export const adaptiveAvgPoolCorrect = (x: Value, outputSize: PerAxis, n = spatial(x)): Value => x.kit.emit('adaptiveAvgPool', [x], { outputSize: spread(outputSize, n), correct: true })
/** `avgPool` with right metadata where Brevitas' is off: the zero point is multiplied too, and uneven windows strip. */
export const avgPoolCorrect = (x: Value, o: AvgPoolOptions, n = spatial(x)): Value => x.kit.emit('avgPool', [x], { ...avgPoolAttrs(o, n), correct: true })
/** Largest of as many windows as asked for (F.adaptive_max_pool1d/2d/3d). Keeps metadata. */
export const adaptiveMaxPool = (x: Value, outputSize: PerAxis, n = spatial(x)): Value => x.kit.emit('adaptiveMaxPool', [x], { outputSize: spread(outputSize, n) })

/** How `pad` fills the new elements. */
export type PadMode = 'constant' | 'reflect' | 'replicate' | 'circular'
/** Pads the last axes; pairs `[before, after]` in one flat list, the last axis first, as torch has them (F.pad). Keeps metadata; a value that is off the grid makes it a claim. */
export const pad = (x: Value, pads: readonly number[], fill = 0, mode: PadMode = 'constant'): Value => {
  if (pads.length % 2 !== 0 || pads.length / 2 > x.shape.length)
    return x.kit.fail({ op: 'pad', refuse: `${pads.length} numbers are no pairs for the last axes of ${showShape(x.shape)}`, fix: 'give [before, after] of the last axis, then of the one before it, and so on' })
  const per = x.shape.map((_, i) => {
    const k = 2 * (x.shape.length - 1 - i)
    return k < pads.length ? [pads[k], pads[k + 1]] : [0, 0]
  })
  return x.kit.emit('pad', [x], { pad: per, mode, value: fill })
}

/** How an image is resized: to a size or by a factor. */
export type ResizeOptions = { readonly size?: PerAxis; readonly scaleFactor?: PerAxis }

const resized = (x: Value, o: ResizeOptions): { readonly size: readonly number[]; readonly scales: readonly (number | null)[] } => {
  const n = spatial(x)
  if (o.size !== undefined) return { size: spread(o.size, n), scales: new Array<null>(n).fill(null) }
  const scales = spread(o.scaleFactor ?? 1, n)
  return { size: scales.map((f, i) => Math.floor(x.shape[i + 2] * f)), scales }
}

/** Resizes by repeating the nearest element (F.interpolate, mode `nearest`). Keeps metadata. */
export const upsampleNearest = (x: Value, o: ResizeOptions): Value => x.kit.emit('upsampleNearest', [x], resized(x, o))
/** Resizes by the nearest element, rounding correctly (mode `nearest-exact`); strips. */
export const upsampleNearestExact = (x: Value, o: ResizeOptions): Value => x.kit.emit('upsampleNearestExact', [x], resized(x, o))
/** Resizes by linear, bilinear or trilinear interpolation, by rank; strips. */
export const upsampleLinear = (x: Value, o: ResizeOptions & { readonly alignCorners?: boolean }): Value => x.kit.emit('upsampleLinear', [x], { ...resized(x, o), alignCorners: o.alignCorners ?? false })

/** `[N, C*r², H, W]` to `[N, C, H*r, W*r]` (F.pixel_shuffle). Keeps metadata. */
export const pixelShuffle = (x: Value, factor: number): Value => x.kit.emit('pixelShuffle', [x], { factor })
/** `[N, C, H*r, W*r]` to `[N, C*r², H, W]` (F.pixel_unshuffle). Keeps metadata. */
export const pixelUnshuffle = (x: Value, factor: number): Value => x.kit.emit('pixelUnshuffle', [x], { factor })
/** Softmax along an axis (F.softmax); strips. */
export const softmax = (x: Value, dim: number): Value => x.kit.emit('softmax', [x], { dim: axis(x, dim) })
/** Logarithm of the softmax along an axis (F.log_softmax); strips. */
export const logSoftmax = (x: Value, dim: number): Value => x.kit.emit('logSoftmax', [x], { dim: axis(x, dim) })
/** Applies a primitive, a user's own included. */
export const apply = (op: Op, xs: readonly Value[], attrs: Attrs = {}): Value => {
  const [first] = xs
  if (first === undefined) throw new TypeError(`${op.name}: give at least one value`)
  return first.kit.apply(op, xs, attrs)
}

const bare = (name: string, x: Value): Value => dequantize(x, `torch.${name} is in neither of Brevitas' tables and gets the bare value`)
const plainUnary = (name: string, op = name) => (x: Value): Value => x.kit.emit(op, [bare(name, x)])
const plainBinary = (name: string) => (a: Value, b: Operand): Value => a.kit.emit(name, [bare(name, a), bare(name, lift(a.kit, b))])

/** torch's functions, which get bare values: they strip where the functions of the same name above keep. */
export const plain = {
  relu: plainUnary('relu'), neg: plainUnary('neg'), abs: plainUnary('abs'),
  add: plainBinary('add'), sub: plainBinary('sub'), mul: plainBinary('mul'), div: plainBinary('div'),
  permute: (x: Value, dims: readonly number[]): Value => permute(bare('permute', x), dims),
  /** torch.max_pool2d, which is not F.max_pool2d. */
  maxPool2d: (x: Value, o: PoolOptions): Value => maxPool(bare('max_pool2d', x), o, 2),
} as const

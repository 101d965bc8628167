/**
 * Ops as operations on lanes: each does, element by element, exactly what the op's reference does, rounding for rounding
 * (checked bit by bit against the reference for every op of this table). What isn't here has a kernel, or runs on the host.
 */
import { intMax, intMin } from '../../../data/quant.js'
import type { Shape } from '../../../data/shape.js'
import { computes, type Attrs } from '../../../graph/op.js'
import type { FlatNode } from '../../plan/flatten.js'
import type { Exprs } from './exprs.js'
import { floated } from './minifloats.js'

/** Writes an element-wise op: numbers of its operands' expressions in, that of its result out. */
export type Lowering = (e: Exprs, args: readonly number[], attrs: Attrs) => number

const unary =
  (op: 'neg' | 'abs' | 'sqrt' | 'nearest' | 'floor' | 'ceil' | 'trunc'): Lowering =>
  (e, [x]) =>
    e.op(op, x)
const binary =
  (op: 'add' | 'sub' | 'mul' | 'div' | 'min' | 'max'): Lowering =>
  (e, [a, b]) =>
    e.op(op, a, b)
const compare =
  (op: 'lt' | 'le' | 'eq'): Lowering =>
  (e, [a, b]) =>
    e.flag(e.op(op, a, b))
const called =
  (name: string): Lowering =>
  (e, [x], attrs) =>
    e.call(name, x, attrs)

const bound = (x: unknown): number | null => (typeof x === 'number' ? Math.fround(x) : null)

/** Below, then above, NaN kept: where both bind and cross, the upper one wins. */
const cut = (e: Exprs, x: number, min: number | null, max: number | null): number => {
  const raised = min === null ? x : e.op('pmax', x, e.constant(min))
  return max === null ? raised : e.op('pmin', raised, e.constant(max))
}

const rounded = (e: Exprs, x: number, rounding: unknown): number => {
  switch (rounding) {
    case 'FLOOR':
      return e.op('floor', x)
    case 'CEIL':
      return e.op('ceil', x)
    case 'ROUND_TO_ZERO':
      return e.op('trunc', x)
    case 'DPU':
      return dpu(e, x)
    default:
      return e.op('nearest', x)
  }
}

/** Ties of negative numbers go up, others to even. */
const dpu = (e: Exprs, x: number): number => {
  const tie = e.op('eq', e.op('sub', x, e.op('floor', x)), e.constant(0.5))
  return e.op('select', e.op('and', tie, e.op('lt', x, e.constant(0))), e.op('ceil', x), e.op('nearest', x))
}

/** 1 where the mask does not hold, else 0. */
const unless = (e: Exprs, ...masks: readonly number[]): number =>
  masks.length === 0
    ? e.constant(1)
    : e.op(
        'andnot',
        e.constant(1),
        masks.reduce((a, b) => e.op('or', a, b)),
      )

/** How x compares with the bounds that bind: two masks at most. */
const compared = (
  e: Exprs,
  x: number,
  a: Attrs,
  ops: readonly [min: 'lt' | 'le' | 'ge', max: 'gt' | 'ge' | 'le'],
): readonly number[] => {
  const [min, max] = [bound(a.min), bound(a.max)]
  return [
    ...(max === null ? [] : [e.op(ops[1], x, e.constant(max))]),
    ...(min === null ? [] : [e.op(ops[0], x, e.constant(min))]),
  ]
}

/** What the forward of `quantize` and its gradients share. */
const quantized = (e: Exprs, [x, s, z]: readonly number[], a: Attrs) => {
  const lo = e.constant(Math.fround(intMin(Number(a.bits), a.signed === true, a.narrow === true)))
  const hi = e.constant(Math.fround(intMax(Number(a.bits), a.signed === true, a.narrow === true)))
  const p = e.op('div', x, s)
  const r = rounded(e, e.op('add', p, z), a.rounding)
  const i = e.op('pmax', e.op('pmin', r, hi), lo)
  const q = e.list[z].op === 'const' && e.list[z].value === 0 ? i : e.op('sub', i, z)
  return { p, q, clipped: () => e.op('or', e.op('gt', r, hi), e.op('lt', r, lo)) }
}

/** Element-wise ops, by name; surrogates stand here as their forward. */
const MAPS: { readonly [op: string]: Lowering } = {
  add: binary('add'),
  sub: binary('sub'),
  mul: binary('mul'),
  div: binary('div'),
  maximum: binary('max'),
  minimum: binary('min'),
  neg: unary('neg'),
  abs: unary('abs'),
  absBinarySign: unary('abs'),
  sqrt: unary('sqrt'),
  less: compare('lt'),
  lessEqual: compare('le'),
  equal: compare('eq'),
  round: unary('nearest'),
  floor: unary('floor'),
  ceil: unary('ceil'),
  roundToZero: unary('trunc'),
  dpuRound: (e, [x]) => dpu(e, x),
  select: (e, [c, a, b]) => {
    const not = e.untruth(c)
    return not === null ? e.op('select', e.truth(c), a, b) : e.op('select', not, b, a)
  },
  sign: (e, [x]) => e.op('sub', e.flag(e.op('gt', x, e.constant(0))), e.flag(e.op('lt', x, e.constant(0)))),
  binarySign: (e, [x]) => e.op('select', e.op('ge', x, e.constant(0)), e.constant(1), e.constant(-1)),
  binaryQuantize: (e, [x, s]) => e.op('select', e.op('ge', x, e.constant(0)), s, e.op('neg', s)),
  // x < 0 ? 0 : x keeps -0, which the addition of 0 makes 0.
  relu: (e, [x]) => e.op('add', e.op('pmax', x, e.constant(0)), e.constant(0)),
  relu6: (e, [x]) => cut(e, x, 0, 6),
  hardtanh: (e, [x], a) => cut(e, x, bound(a.minVal), bound(a.maxVal)),
  clamp: (e, [x], a) => cut(e, x, bound(a.min), bound(a.max)),
  tensorClamp: (e, [x], a) => {
    const [min, max] = [bound(a.min), bound(a.max)]
    const lowered = max === null ? x : e.op('pmin', x, e.constant(max))
    return min === null ? lowered : e.op('pmax', lowered, e.constant(min))
  },
  within: (e, [x], a) => unless(e, ...compared(e, x, a, ['lt', 'gt'])),
  inside: (e, [x], a) => unless(e, ...compared(e, x, a, ['le', 'ge'])),
  between: (e, [x], a) => {
    const [first, second] = compared(e, x, a, ['ge', 'le'])
    return e.flag(first === undefined ? e.op('eq', x, x) : second === undefined ? first : e.op('and', first, second))
  },
  signedLowerBound: (e, [x], a) => lowerBound(e, x, a),
  leakyRelu: (e, [x], a) =>
    e.op('select', e.op('gt', x, e.constant(0)), x, e.op('mul', x, e.constant(Math.fround(Number(a.negativeSlope))))),
  broadcastTo: (_e, [x]) => x,
  quantize: (e, args, a) => e.op('mul', quantized(e, args, a).q, args[1]),
  quantizeGradInput: (e, [g, ...args], a) =>
    a.clamp === 'ste' ? g : e.op('andnot', g, quantized(e, args, a).clipped()),
  quantizeFloat: (e, args, a) => e.op('mul', floated(e, args, a).c, args[1]),
  quantizeFloatGradInput: (e, [g, ...args], a) => {
    const { slope, clipped } = floated(e, args, a)
    return e.op('andnot', e.op('mul', g, slope()), clipped())
  },
  floatNeg: unary('neg'),
  floatAbs: unary('abs'),
  delay: (e, [q, x, left]) => e.op('select', e.op('gt', left, e.constant(0)), x, q),
  ...Object.fromEntries(
    ['erf', 'exp', 'log', 'exp2', 'log2', 'tanh', 'sigmoid', 'softsign', 'elu', 'gelu', 'geluSlope', 'hardswish'].map(
      (name) => [name, called(name)],
    ),
  ),
  scatterLast: (e, [g, classes], attrs) => e.op('select', column(e, classes, attrs), g, e.constant(0)),
  scatterAt: (e, [g, index], attrs) => e.op('select', e.op('ieq', e.iota(Number(attrs.row)), index), g, e.constant(0)),
}

/** Where an element's column is the class of its row. */
const column = (e: Exprs, classes: number, a: Attrs): number =>
  e.op('eq', e.op('itof', e.iota(Number(a.columns))), classes)

const lowerBound = (e: Exprs, x: number, a: Attrs): number => {
  const size = e.op('max', e.op('abs', x), e.constant(Math.fround(Number(a.min))))
  return e.op('select', e.op('ge', x, e.constant(0)), size, e.op('neg', size))
}

/** Whole float32 bounds only: the reference compares with the double. */
const wholeBounds = (...bounds: readonly unknown[]): boolean =>
  bounds.every((b) => b === null || b === undefined || (typeof b === 'number' && Math.fround(b) === b))
const ordered = (min: unknown, max: unknown): boolean =>
  typeof min !== 'number' || typeof max !== 'number' || min <= max

/** Cases in which the lanes would not do what the reference does. */
const EXCEPT: { readonly [op: string]: (a: Attrs) => boolean } = {
  clamp: (a) => !wholeBounds(a.min, a.max),
  within: (a) => !wholeBounds(a.min, a.max),
  between: (a) => !wholeBounds(a.min, a.max),
  tensorClamp: (a) => !wholeBounds(a.min, a.max),
  hardtanh: (a) => !wholeBounds(a.minVal, a.maxVal) || !ordered(a.minVal, a.maxVal),
}

/** Can this node be computed element by element? */
export const isMap = ({ op, attrs }: FlatNode): boolean => {
  const { name } = computes(op)
  return Object.hasOwn(MAPS, name) && !(Object.hasOwn(EXCEPT, name) && EXCEPT[name](attrs))
}

/** How a node that `isMap` is written; a surrogate, a user's own too, as its forward. */
export const loweringOf = ({ op }: FlatNode): Lowering => MAPS[computes(op).name]

/** A reduction over the loop: the term of each element, how terms are put together, and the shape of the result seen from the operand's. */
export type Reduction = {
  readonly term: Lowering
  readonly join: 'sum' | 'max'
  /** The sum is divided by so many (a mean). */
  readonly divisor: (node: FlatNode) => number
  readonly over: (node: FlatNode) => Shape
}

const once = (): number => 1
const sameRank = (node: FlatNode): Shape => node.shape
const keptDims = (node: FlatNode): Shape => {
  const dims = node.attrs.dims
  return node.args[0].shape.map((n, i) => (Array.isArray(dims) && dims.includes(i) ? 1 : n))
}
const itself: Lowering = (_e, [x]) => x

/** Reductions that end a loop. Operand 0 spans it. */
export const REDUCTIONS: { readonly [op: string]: Reduction } = {
  sum: { term: itself, join: 'sum', divisor: once, over: keptDims },
  mean: {
    term: itself,
    join: 'sum',
    divisor: (n) =>
      n.args[0].shape.reduce((p, m) => p * m, 1) /
      Math.max(
        1,
        n.shape.reduce((p, m) => p * m, 1),
      ),
    over: keptDims,
  },
  sumTo: { term: itself, join: 'sum', divisor: once, over: sameRank },
  gatherLast: {
    term: (e, [x, classes], a) => e.op('select', column(e, classes, a), x, e.constant(0)),
    join: 'sum',
    divisor: once,
    over: (n) => [...n.shape, 1],
  },
  maxAll: { term: itself, join: 'max', divisor: once, over: () => [] },
  maxLast: { term: itself, join: 'max', divisor: once, over: (n) => [...n.shape, 1] },
  quantizeGradScale: {
    join: 'sum',
    divisor: once,
    over: sameRank,
    term: (e, [g, ...args], a) => {
      const { p, q, clipped } = quantized(e, args, a)
      const steps = a.clamp === 'ste' ? p : e.op('select', clipped(), e.op('sub', p, p), p)
      return e.op('mul', g, e.op('sub', q, steps))
    },
  },
  quantizeFloatGradScale: {
    join: 'sum',
    divisor: once,
    over: sameRank,
    term: (e, [g, ...args], a) => {
      const { q, c, slope, clipped } = floated(e, args, a)
      const reached = e.op('select', clipped(), e.op('sub', q, q), e.op('mul', slope(), q))
      return e.op('mul', g, e.op('sub', c, reached))
    },
  },
  quantizeGradZeroPoint: {
    join: 'sum',
    divisor: once,
    over: sameRank,
    term: (e, [g, ...args], a) => {
      const gs = e.op('mul', g, args[1])
      return e.op('sub', e.op('andnot', gs, quantized(e, args, a).clipped()), gs)
    },
  },
}

/** What is done with an element before it is stored: bias, requantization, thresholds, a table. */
import { rangeOf, type IntegerTensor } from '../values.js'
import type { Node } from '../../graph/graph.js'
import { broadcastPlace, indented, plus, sumOf, term, type Lines } from './code.js'
import { literal, type Table } from './tables.js'

/** What a tail is made of: its constants, as numbers and as tables, and the helpers that it needs. */
export type Tail = {
  readonly node: Node
  readonly at: readonly string[]
  readonly prefix: string
  readonly constant: (operand: number) => IntegerTensor
  readonly table: (operand: number) => Table
  /** Asks for a helper function; returns its name. */
  readonly helper: (name: string, text: (fn: string) => string) => string
}

/** A constant operand at these coordinates: a number where it is one, else an element of a table. */
const param = (t: Tail, operand: number): string => {
  const { data, shape } = t.constant(operand)
  const { lo, hi } = rangeOf(data)
  if (data.length > 0 && lo === hi) return literal(lo)
  return t.table(operand).read(broadcastPlace(shape, t.at))
}

const cut = (lo: number, hi: number, x = 'a'): Lines => [
  `if (${x} < ${lo}) ${x} = ${lo};`,
  `if (${x} > ${hi}) ${x} = ${hi};`,
]

const FLOOR = (fn: string): string =>
  [
    '/* v / 2^shift, rounded down. */',
    `static int64_t ${fn}(int64_t v, int32_t shift)`,
    '{',
    '    return v >= 0 ? v >> shift : ~(~v >> shift);',
    '}',
  ].join('\n')

/** Each rounding of v / 2^shift, from the one that rounds down. */
const ROUNDERS: { readonly [rounding: string]: (fn: string, floor: string) => string } = {
  ROUND: (fn, floor) =>
    [
      '/* v / 2^shift, rounded to the nearest, ties to even. */',
      `static int64_t ${fn}(int64_t v, int32_t shift)`,
      '{',
      '    int64_t q, rest, half;',
      '    if (shift == 0) return v;',
      `    q = ${floor}(v, shift);`,
      '    rest = v - q * ((int64_t)1 << shift);',
      '    half = (int64_t)1 << (shift - 1);',
      '    return rest > half || (rest == half && q % 2 != 0) ? q + 1 : q;',
      '}',
    ].join('\n'),
  DPU: (fn, floor) =>
    [
      '/* v / 2^shift, rounded to the nearest; ties up below 0, else to even. */',
      `static int64_t ${fn}(int64_t v, int32_t shift)`,
      '{',
      '    int64_t q, rest, half;',
      '    if (shift == 0) return v;',
      `    q = ${floor}(v, shift);`,
      '    rest = v - q * ((int64_t)1 << shift);',
      '    half = (int64_t)1 << (shift - 1);',
      '    return rest > half || (rest == half && (v < 0 || q % 2 != 0)) ? q + 1 : q;',
      '}',
    ].join('\n'),
  CEIL: (fn, floor) =>
    [
      '/* v / 2^shift, rounded up. */',
      `static int64_t ${fn}(int64_t v, int32_t shift)`,
      '{',
      `    return -${floor}(-v, shift);`,
      '}',
    ].join('\n'),
  ROUND_TO_ZERO: (fn, floor) =>
    [
      '/* v / 2^shift, rounded towards 0. */',
      `static int64_t ${fn}(int64_t v, int32_t shift)`,
      '{',
      `    return v >= 0 ? ${floor}(v, shift) : -${floor}(-v, shift);`,
      '}',
    ].join('\n'),
}

const requantize = (t: Tail): Lines => {
  const { lo, hi } = t.node.attrs
  const [m, o, s] = [param(t, 1), param(t, 2), param(t, 3)]
  const limits = cut(Number(lo), Number(hi))
  if (m === '1' && s === '0' && o === '0') return limits
  const floor = s === '0' ? '' : t.helper('floor', FLOOR)
  const rounding = String(t.node.attrs.rounding)
  const rounder = ROUNDERS[rounding]
  const round =
    rounder === undefined || s === '0' ? floor : t.helper(rounding.toLowerCase(), (fn) => rounder(fn, floor))
  const product = m === '1' ? '(int64_t)a' : `(int64_t)a * ${m}`
  return [
    '{',
    ...indented([
      `int64_t v = ${s === '0' ? '' : `${round}(`}${o === '0' ? product : plusText(product, o)}${s === '0' ? '' : `, ${s})`};`,
      ...cut(Number(lo), Number(hi), 'v'),
      'a = (int32_t)v;',
    ]),
    '}',
  ]
}

const plusText = (x: string, o: string): string => (/^-\d+$/.test(o) ? `${x} - ${o.slice(1)}` : `${x} + ${o}`)

const COUNT =
  (type: string) =>
  (fn: string): string =>
    [
      '/* How many of n rising thresholds a reaches. */',
      `static int32_t ${fn}(const ${type} *t, int32_t n, int32_t a)`,
      '{',
      '    int32_t low = 0, high = n;',
      '    while (low < high) {',
      '        int32_t mid = low + (high - low) / 2;',
      '        if (t[mid] <= a) low = mid + 1;',
      '        else high = mid;',
      '    }',
      '    return low;',
      '}',
    ].join('\n')

const thresholds = (t: Tail): Lines => {
  const { shape } = t.constant(1)
  const n = shape[shape.length - 1]
  const table = t.table(1)
  const count = t.helper(`count_${table.type.replace(/_t$/, '')}`, COUNT(table.type))
  const row = term(broadcastPlace(shape.slice(0, -1), t.at), n)
  const counted = `${count}(${row === null ? table.name : `${table.name} + ${row}`}, ${n}, a)`
  const [start, step] = [param(t, 2), param(t, 3)]
  if (step === '1') return [`a = ${start === '0' ? '' : `${start} + `}${counted};`]
  return [step === '-1' ? `a = ${start} - ${counted};` : `a = ${start} + ${step} * ${counted};`]
}

const lookup = (t: Tail): Lines => {
  const { shape } = t.constant(1)
  const n = shape[shape.length - 1]
  const row = term(broadcastPlace(shape.slice(0, -1), t.at), n)
  return [`a = ${t.table(1).read(sumOf([row, plus('a', -Number(t.node.attrs.first))]))};`]
}

/** By name: ops that change the element where it stands. */
export const tails: { readonly [op: string]: ((t: Tail) => Lines) | undefined } = {
  integerBias: (t) => [`a += ${param(t, 1)};`],
  requantize,
  thresholds,
  lookup,
}

/** Exponentials, logarithms and roots, by our own deterministic algorithms (src/data/math.ts). */
import { exp as expOf, exp2 as exp2Of, log as logOf, log2 as log2Of } from '../data/math.js'
import type { NoAttrs } from '../graph/attributes.js'
import type { Op } from '../graph/op.js'
import { scaledBy, strips, unary } from './support/elementwise.js'

const positive: readonly [number, number] = [0.25, 4]

/** `e^x` (torch.exp). */
export const exp: Op = unary({
  name: 'exp',
  sign: () => 'nonNegative',
  doc: 'e^x (torch.exp).',
  attrs: {},
  f: expOf,
  lanes: (e, [x]) => e.exp(x),
  carry: strips('e^(s*q) is on no grid of s: e^0 = 1'),
  vjp: scaledBy((_x, _a, out) => out()),
})
/** `2^x`, exact at whole numbers (torch.exp2). */
export const exp2: Op = unary({
  name: 'exp2',
  doc: '2^x, exact at whole numbers (torch.exp2).',
  attrs: {},
  f: exp2Of,
  lanes: (e, [x]) => e.exp2(x),
  carry: strips('2^(s*q) is on no grid of s: 2^0 = 1'),
  vjp: scaledBy((x, _a, out) => x.kit.emit('mul', [out(), x.kit.constant(Math.LN2)])),
})
/** Natural logarithm (torch.log). */
export const log: Op = unary({
  name: 'log',
  doc: 'The natural logarithm (torch.log).',
  attrs: {},
  f: logOf,
  lanes: (e, [x]) => e.log(x),
  range: positive,
  carry: strips('a logarithm is on no grid: ln(s) is no multiple of s'),
  vjp: ({ g, args: [x], kit }) => [kit.emit('div', [g, x])],
})
/** Base-2 logarithm, exact at powers of two (torch.log2). */
export const log2: Op = unary({
  name: 'log2',
  doc: 'The base-2 logarithm, exact at powers of two (torch.log2).',
  attrs: {},
  f: log2Of,
  lanes: (e, [x]) => e.log2(x),
  range: positive,
  carry: strips('a logarithm is on no grid: log2(s) is no multiple of s'),
  vjp: ({ g, args: [x], kit }) => [kit.emit('div', [g, kit.emit('mul', [x, kit.constant(Math.LN2)])])],
})
/** Square root (torch.sqrt). */
export const sqrt: Op = unary({
  name: 'sqrt',
  doc: 'The square root (torch.sqrt).',
  attrs: {},
  f: Math.sqrt,
  lanes: (e, [x]) => e.sqrt(x),
  range: positive,
  carry: strips('sqrt(s) is no multiple of s'),
  vjp: ({ g, out, kit }) => [kit.emit('div', [g, kit.emit('mul', [out(), kit.constant(2)])])],
})

declare module '../graph/op.js' {
  interface Primitives {
    exp: NoAttrs
    exp2: NoAttrs
    log: NoAttrs
    log2: NoAttrs
    sqrt: NoAttrs
  }
}

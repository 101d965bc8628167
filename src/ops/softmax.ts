/** Softmax and its logarithm along an axis, shifted by the largest entry; accumulated in double. */
import { exp, log } from '../data/math.js'
import { whole } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import { refuse, type Op } from '../graph/op.js'
import { showShape, sizeOf, type Shape } from '../data/shape.js'
import { strips } from './support/elementwise.js'

const attributes = { dim: whole }
type Along = AttrsOf<typeof attributes>

const alongAxis = ([x]: readonly Shape[], { dim }: Along) =>
  Number.isInteger(dim) && dim >= 0 && dim < x.length
    ? x
    : refuse(`there is no axis ${dim} in ${showShape(x)}`, `name an axis from 0 to ${x.length - 1}`)

/** Calls `run(start, step, n)` for each line along the axis. */
const lines = (shape: Shape, dim: number, run: (start: number, step: number, n: number) => void): void => {
  const [n, step] = [shape[dim], sizeOf(shape.slice(dim + 1))]
  const outer = sizeOf(shape.slice(0, dim))
  for (let o = 0; o < outer; o++) for (let i = 0; i < step; i++) run(o * n * step + i, step, n)
}

/** Largest entry and the sum of `e^(x - largest)` of a line. */
const partition = (x: Float32Array, start: number, step: number, n: number): readonly [number, number] => {
  let m = -Infinity
  for (let k = 0; k < n; k++) m = Math.max(m, x[start + k * step])
  let total = 0
  for (let k = 0; k < n; k++) total += exp(x[start + k * step] - m)
  return [m, total]
}

const examples = [
  { args: [{ shape: [2, 4] }], attrs: { dim: 1 } },
  { args: [{ shape: [3, 2] }], attrs: { dim: 0 } },
] as const

/** `e^x / Σ e^x` along an axis (F.softmax). */
export const softmax: Op<Along> = {
  name: 'softmax',
  sign: () => 'nonNegative',
  doc: 'e^x over its sum along an axis (F.softmax).',
  operands: ['x'],
  attributes,
  shape: alongAxis,
  carry: strips('a share of a whole is on no grid of its input: softmax(0, 0) = (0.5, 0.5)'),
  vjp: ({ g, attrs: { dim }, out, kit }) => {
    const weighted = kit.emit('mul', [g, out()])
    return [
      kit.emit('sub', [
        weighted,
        kit.emit('mul', [out(), kit.emit('sum', [weighted], { dims: [dim], keepdim: true })]),
      ]),
    ]
  },
  evaluate: ([x], { dim }, out) => {
    lines(x.shape, dim, (start, step, n) => {
      const [m, total] = partition(x.data, start, step, n)
      for (let k = 0; k < n; k++) out.data[start + k * step] = exp(x.data[start + k * step] - m) / total
    })
    return null
  },
  examples,
  smooth: true,
}

/** `x - log Σ e^x` along an axis (F.log_softmax). */
export const logSoftmax: Op<Along> = {
  ...softmax,
  name: 'logSoftmax',
  sign: () => null,
  doc: 'The logarithm of the softmax along an axis (F.log_softmax).',
  carry: strips('a logarithm of a share is on no grid'),
  vjp: ({ g, attrs: { dim }, out, kit }) => [
    kit.emit('sub', [
      g,
      kit.emit('mul', [kit.emit('exp', [out()]), kit.emit('sum', [g], { dims: [dim], keepdim: true })]),
    ]),
  ],
  evaluate: ([x], { dim }, out) => {
    lines(x.shape, dim, (start, step, n) => {
      const [m, total] = partition(x.data, start, step, n)
      const shift = m + log(total)
      for (let k = 0; k < n; k++) out.data[start + k * step] = x.data[start + k * step] - shift
    })
    return null
  },
}

declare module '../graph/op.js' {
  interface Primitives {
    softmax: Along
    logSoftmax: Along
  }
}

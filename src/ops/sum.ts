/** Sums and means over axes (torch.sum, torch.mean). Accumulate in double, round once. */
import { broadcastStrides, showShape, type Shape } from '../data/shape.js'
import type { Tensor } from '../data/tensor.js'
import { flag, list, whole } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import type { Op, Refusal } from '../graph/op.js'
import { refuse } from '../graph/op.js'
import { broadcastTo, strips, walk } from './support/elementwise.js'

const attributes = { dims: list(whole), keepdim: flag }
type Axes = AttrsOf<typeof attributes>

const kept = (x: Shape, dims: readonly number[]): Shape => x.map((n, i) => (dims.includes(i) ? 1 : n))

const reduced = ([x]: readonly Shape[], { dims, keepdim }: Axes): Shape | Refusal => {
  const bad = dims.find((d) => !Number.isInteger(d) || d < 0 || d >= x.length)
  if (bad !== undefined)
    return refuse(`there is no axis ${bad} in ${showShape(x)}`, `name axes from 0 to ${x.length - 1}`)
  if (new Set(dims).size < dims.length)
    return refuse(`an axis of ${showShape(x)} is named twice: ${dims.join()}`, 'name each axis once')
  return keepdim ? kept(x, dims) : x.filter((_, i) => !dims.includes(i))
}

const sums = (x: Tensor, dims: readonly number[], size: number): Float64Array => {
  const out = new Float64Array(size)
  if (dims.length === x.shape.length) for (let i = 0; i < x.data.length; i++) out[0] += x.data[i]
  else
    walk(x.shape, [broadcastStrides(kept(x.shape, dims), x.shape)], (i, [j]) => {
      out[j] += x.data[i]
    })
  return out
}

const examples = [
  { args: [{ shape: [2, 3] }], attrs: { dims: [1], keepdim: false } },
  { args: [{ shape: [2, 3, 2] }], attrs: { dims: [0, 2], keepdim: true } },
  { args: [{ shape: [4] }], attrs: { dims: [0], keepdim: false } },
] as const

/** The sum over the axes `dims` (torch.sum). */
export const sum: Op<Axes> = {
  name: 'sum',
  sign: () => 'kept',
  doc: 'The sum over some axes (torch.sum).',
  operands: ['x'],
  exact: 'sum',
  reduces: { join: 'sum', over: ([x], { dims }) => kept(x, dims) },
  attributes,
  shape: reduced,
  carry: strips('torch.sum gets the bare value and returns a plain tensor'),
  vjp: ({ g, args: [x], attrs: { dims }, kit }) => [
    broadcastTo(kit.emit('reshape', [g], { shape: kept(x.shape, dims) }), x.shape),
  ],
  evaluate: ([x], { dims }, out) => {
    out.data.set(sums(x, dims, out.data.length))
    return null
  },
  examples,
  smooth: true,
}

/** The mean over the axes `dims` (torch.mean); of nothing it is NaN. */
export const mean: Op<Axes> = {
  ...sum,
  reduces: { join: 'mean', over: ([x], { dims }) => kept(x, dims) },
  name: 'mean',
  sign: () => 'kept',
  doc: 'The mean over some axes (torch.mean).',
  carry: strips('torch.mean gets the bare value and returns a plain tensor: the mean of 0 and s is s/2'),
  vjp: ({ g, args: [x], attrs: { dims }, kit }) => {
    const n = dims.reduce((p, d) => p * x.shape[d], 1)
    const each = kit.emit('div', [kit.emit('reshape', [g], { shape: kept(x.shape, dims) }), kit.constant(n)])
    return [broadcastTo(each, x.shape)]
  },
  evaluate: ([x], { dims }, out) => {
    const total = sums(x, dims, out.data.length)
    const n = x.data.length / Math.max(1, out.data.length)
    for (let i = 0; i < total.length; i++) out.data[i] = total[i] / n
    return null
  },
}

declare module '../graph/op.js' {
  interface Primitives {
    sum: Axes
    mean: Axes
  }
}

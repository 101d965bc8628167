/** Pools and reductions. */
import { showShape, sizeOf, type Shape } from '../../../../data/shape.js'
import type { Value } from '../../../../graph/op.js'
import { div, mul } from '../../../../nn/functions/index.js'
import type { Importing, ImportRule } from '../entry.js'
import { reducedAxes } from '../sizes.js'
import { outOf, typed } from '../values.js'
import { autoPads, perAxis } from '../windows.js'

/** Lowest float32: what pads of a max pool hold where the primitive can't pad by itself. */
const LOWEST = -3.4028234663852886e38

type Pair = readonly [before: number, after: number]

const NO_PAD: Pair = [0, 0]

/** The windows of a pool: its attributes, and what lies before and behind each axis once the last window fits. */
type Geometry = {
  readonly kernel: readonly number[]
  readonly stride: readonly number[]
  readonly dilation: readonly number[]
  readonly pads: readonly (readonly [number, number])[]
  /** How far the padded axis reaches, or is cut, so that whole windows fill it. */
  readonly beyond: readonly number[]
  readonly even: boolean
}

const geometryOf = (x: Importing, shape: Shape): Geometry => {
  const kernel = x.list('kernel_shape') ?? x.refuse('it has no kernel_shape', 'give one')
  const n = kernel.length
  if (shape.length !== n + 2)
    return x.refuse(`its input ${showShape(shape)} does not fit a window of ${n} axes`, 'give [N, C, …]')
  const [stride, dilation] = [perAxis(x, 'strides', n, 1), perAxis(x, 'dilations', n, 1)]
  const size = shape.slice(2)
  const pads = autoPads(x, size, kernel, stride, dilation)
  const ceil = x.number('ceil_mode', 0) !== 0
  const beyond = kernel.map((k, d) => {
    const extent = dilation[d] * (k - 1) + 1
    const padded = size[d] + pads[d][0] + pads[d][1]
    const steps = (padded - extent) / stride[d]
    let out = (ceil ? Math.ceil(steps) : Math.floor(steps)) + 1
    // A window that would start behind the input and its first padding is none.
    if (ceil && (out - 1) * stride[d] >= size[d] + pads[d][0]) out--
    if (out < 1)
      x.refuse(
        `its window ${kernel.join('×')} is larger than the padded input ${showShape(shape)}`,
        'give a larger input',
      )
    return (out - 1) * stride[d] + extent - padded
  })
  const even =
    pads.every(([b, a], d) => b === a && 2 * b <= dilation[d] * (kernel[d] - 1) + 1) && beyond.every((e) => e <= 0)
  return { kernel, stride, dilation, pads, beyond, even }
}

/** A value with elements added (or cut) before and behind its spatial axes. */
const padded = (v: Value, pads: readonly Pair[], value: number): Value =>
  pads.every(([b, a]) => b === 0 && a === 0)
    ? v
    : v.kit.emit('pad', [v], { pad: [NO_PAD, NO_PAD, ...pads], mode: 'constant', value })

/** MaxPool. Where each maximum stood (its second result) is not known. */
export const maxPool: ImportRule = (x) => {
  x.number('storage_order', 0)
  if ((x.node.outputs[1] ?? '') !== '')
    return x.refuse('its second result, where each maximum stood, is not known', 'leave that result out')
  const v = x.value(0)
  const g = geometryOf(x, v.shape)
  const attrs = { kernel: g.kernel, stride: g.stride, dilation: g.dilation, ceilMode: false }
  if (g.even) return typed(x.kit.emit('maxPool', [v], { ...attrs, padding: g.pads.map(([b]) => b) }), x.type(0))
  const wide = padded(
    outOf(v),
    g.pads.map(([b, a], d): Pair => [b, a + g.beyond[d]]),
    LOWEST,
  )
  return typed(x.kit.emit('maxPool', [wide], { ...attrs, padding: g.kernel.map(() => 0) }), x.type(0))
}

/** The sum over each window of an input that is padded already. */
const windowSums = (v: Value, g: Geometry): Value => {
  const { kit } = v
  const [n, c, ...plane] = v.shape
  if (g.dilation.every((d) => d === 1))
    return kit.emit('avgPool', [v], {
      kernel: g.kernel,
      stride: g.stride,
      padding: g.kernel.map(() => 0),
      ceilMode: false,
      countIncludePad: true,
      divisorOverride: 1,
    })
  const each = kit.emit('reshape', [v], { shape: [n * c, 1, ...plane] })
  const ones = kit.constant(1, [1, 1, ...g.kernel])
  const sums = kit.emit('conv', [each, ones], {
    stride: g.stride,
    padding: g.kernel.map(() => NO_PAD),
    dilation: g.dilation,
    groups: 1,
  })
  return kit.emit('reshape', [sums], { shape: [n, c, ...sums.shape.slice(2)] })
}

/** AveragePool. Uneven windows: sums over the elements of each, divided by how many there are. */
export const averagePool: ImportRule = (x) => {
  const v = x.value(0)
  const g = geometryOf(x, v.shape)
  const countPads = x.number('count_include_pad', 0) !== 0
  if (g.even && g.dilation.every((d) => d === 1))
    return x.kit.emit('avgPool', [v], {
      kernel: g.kernel,
      stride: g.stride,
      padding: g.pads.map(([b]) => b),
      ceilMode: false,
      // Without pads both are the same, and all windows have one size.
      countIncludePad: countPads || g.pads.every(([b]) => b === 0),
      divisorOverride: null,
      correct: true,
    })
  const behind = g.beyond.map((e): Pair => [0, e])
  const ones = x.kit.constant(1, [1, 1, ...v.shape.slice(2)])
  const count = windowSums(padded(padded(ones, g.pads, countPads ? 1 : 0), behind, 0), g)
  return div(windowSums(padded(padded(outOf(v), g.pads, 0), behind, 0), g), count)
}

/** GlobalAveragePool and GlobalMaxPool. */
export const globalPool =
  (op: 'adaptiveAvgPool' | 'adaptiveMaxPool'): ImportRule =>
  (x) => {
    const v = x.value(0)
    if (v.shape.length < 3) return x.refuse(`its input ${showShape(v.shape)} has no plane`, 'give [N, C, …]')
    const outputSize = v.shape.slice(2).map(() => 1)
    return x.kit.emit(op, [v], op === 'adaptiveAvgPool' ? { outputSize, correct: true } : { outputSize })
  }

/** Sums, means and what is made of them over some axes. */
export const reduced =
  (op: 'sum' | 'mean', before: (v: Value) => Value = (v) => v, after: (v: Value) => Value = (v) => v): ImportRule =>
  (x) => {
    const v = x.plain(0)
    const { axes, keep } = reducedAxes(x, v.shape.length)
    const given = before(v)
    return typed(after(axes.length === 0 ? given : x.kit.emit(op, [given], { dims: axes, keepdim: keep })), x.type(0))
  }

/** The largest over some axes: moved to the end, where the primitive takes it. */
const largest = (v: Value, axes: readonly number[], keep: boolean): Value => {
  const { kit } = v
  if (axes.length === 0) return v
  const rest = v.shape.map((_, i) => i).filter((i) => !axes.includes(i))
  const last = kit.emit('permute', [v], { dims: [...rest, ...axes] })
  const size = sizeOf(axes.map((a) => v.shape[a]))
  const rows = kit.emit('reshape', [last], { shape: [...rest.map((d) => v.shape[d]), size] })
  const most = kit.emit('maxLast', [rows])
  return keep ? kit.emit('reshape', [most], { shape: v.shape.map((n, i) => (axes.includes(i) ? 1 : n)) }) : most
}

/** ReduceMax, and ReduceMin as the largest of what is negated. */
export const extreme =
  (sign: 1 | -1): ImportRule =>
  (x) => {
    const v = x.plain(0)
    const { axes, keep } = reducedAxes(x, v.shape.length)
    if (axes.some((a) => v.shape[a] === 0))
      return x.refuse('it takes the extreme of nothing', 'give at least one element per axis')
    return typed(
      sign === 1 ? largest(v, axes, keep) : x.kit.emit('neg', [largest(x.kit.emit('neg', [v]), axes, keep)]),
      x.type(0),
    )
  }

/** ReduceLogSumExp, shifted by the largest. */
export const logSumExp: ImportRule = (x) => {
  const v = x.plain(0)
  const { axes, keep } = reducedAxes(x, v.shape.length)
  const { kit } = x
  const top = largest(v, axes, true)
  const total = kit.emit('sum', [kit.emit('exp', [kit.emit('sub', [v, top])])], { dims: axes, keepdim: true })
  const y = kit.emit('add', [top, kit.emit('log', [total])])
  return keep ? y : kit.emit('reshape', [y], { shape: v.shape.filter((_, i) => !axes.includes(i)) })
}

const square = (v: Value): Value => mul(v, v)
const root = (v: Value): Value => v.kit.emit('sqrt', [v])
const size = (v: Value): Value => v.kit.emit('abs', [v])
const log = (v: Value): Value => v.kit.emit('log', [v])

/** Reductions by name. */
export const reductions: { readonly [op: string]: ImportRule } = {
  ReduceSum: reduced('sum'),
  ReduceMean: reduced('mean'),
  ReduceSumSquare: reduced('sum', square),
  ReduceL2: reduced('sum', square, root),
  ReduceL1: reduced('sum', size),
  ReduceLogSum: reduced('sum', undefined, log),
  ReduceLogSumExp: logSumExp,
  ReduceMax: extreme(1),
  ReduceMin: extreme(-1),
}

/** Softmax and its logarithm. Before version 13 all axes from `axis` on were one. */
export const softmax =
  (op: 'softmax' | 'logSoftmax'): ImportRule =>
  (x) => {
    const v = x.plain(0)
    const rank = v.shape.length
    const given = x.number('axis', x.opset < 13 ? 1 : -1)
    const axis = given < 0 ? given + rank : given
    if (x.opset >= 13 || axis === rank - 1) return x.kit.emit(op, [v], { dim: axis })
    const flat = [sizeOf(v.shape.slice(0, axis)), sizeOf(v.shape.slice(axis))]
    const y = x.kit.emit(op, [x.kit.emit('reshape', [v], { shape: flat })], { dim: 1 })
    return x.kit.emit('reshape', [y], { shape: v.shape })
  }

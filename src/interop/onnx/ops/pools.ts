/** Pools and reductions. */
import type { Node } from '../../../graph/graph.js'
import { int64s, numbers, operand, scalarOf, unsupported, type Exporting, type Rule } from '../rule.js'
import { DataType, flag, int, ints, type Name } from '../writer.js'

/** ONNX wants a batch axis in front of the channels; torch takes both. */
const withBatch = (x: Exporting, node: Node, spatial: number, pool: (v: Name) => Name): Name => {
  const v = operand(x, node, 0)
  const shape = x.shape(node.inputs[0])
  if (shape.length === spatial + 2) return pool(v)
  const given = x.emit(node, 'Reshape', [v, int64s(x, [1, ...shape], 'shape')])
  return x.emit(node, 'Reshape', [pool(given), int64s(x, node.shape, 'shape')])
}

const geometry = (node: Node): Parameters<Exporting['emit']>[3] => ({
  kernel_shape: ints(numbers(node, 'kernel')),
  strides: ints(numbers(node, 'stride')),
  pads: ints([...numbers(node, 'padding'), ...numbers(node, 'padding')]),
  ceil_mode: flag(node.attrs.ceilMode === true),
})

/** F.max_pool1d, 2d, 3d. */
export const maxPool: Rule = (x, node) =>
  withBatch(x, node, numbers(node, 'kernel').length, (v) =>
    x.emit(node, 'MaxPool', [v], { ...geometry(node), dilations: ints(numbers(node, 'dilation')) }),
  )

/** F.avg_pool1d, 2d, 3d. A divisor of one's own: the mean, times the window's size, over it. */
export const avgPool: Rule = (x, node) => {
  const kernel = numbers(node, 'kernel')
  const divisor = node.attrs.divisorOverride
  const own = typeof divisor === 'number'
  const mean = withBatch(x, node, kernel.length, (v) =>
    x.emit(node, 'AveragePool', [v], {
      ...geometry(node),
      count_include_pad: flag(own || node.attrs.countIncludePad === true),
    }),
  )
  if (!own) return mean
  if (node.attrs.ceilMode === true)
    return unsupported(
      'windows beyond the border have their own sizes in ONNX, so that a divisorOverride with ceilMode can not be undone',
      'leave out divisorOverride or ceilMode',
    )
  const terms = kernel.reduce((a, b) => a * b, 1)
  return x.emit(node, 'Mul', [mean, scalarOf(x, terms / divisor, 'factor')])
}

/** Adaptive pools as ordinary ones, where all windows have one size; 1 is the whole plane. */
const adaptive =
  (opType: string, whole: string): Rule =>
  (x, node) => {
    const sizes = numbers(node, 'outputSize')
    const plane = x.shape(node.inputs[0]).slice(-sizes.length)
    const uneven = plane.findIndex((n, i) => n % sizes[i] !== 0)
    if (uneven >= 0)
      return unsupported(
        `an adaptive pool from ${plane.join('×')} to ${sizes.join('×')} has windows of several sizes, which ONNX lacks`,
        'choose an output size that divides the input',
      )
    const kernel = plane.map((n, i) => n / sizes[i])
    return withBatch(x, node, sizes.length, (v) =>
      sizes.every((n) => n === 1)
        ? x.emit(node, whole, [v])
        : x.emit(node, opType, [v], { kernel_shape: ints(kernel), strides: ints(kernel) }),
    )
  }
/** F.adaptive_avg_pool1d, 2d, 3d. */
export const adaptiveAvgPool = adaptive('AveragePool', 'GlobalAveragePool')
/** F.adaptive_max_pool1d, 2d, 3d. */
export const adaptiveMaxPool = adaptive('MaxPool', 'GlobalMaxPool')

/** Sums and means over axes. ReduceMean takes its axes as an operand from opset 18 on, ReduceSum from 13. */
export const reduced =
  (opType: 'ReduceSum' | 'ReduceMean' | 'ReduceMax', operandFrom: number): Rule =>
  (x, node) => {
    const axes = numbers(node, 'dims')
    const v = operand(x, node, 0)
    if (axes.length === 0) return x.emit(node, 'Identity', [v])
    const keepdims = flag(node.attrs.keepdim === true)
    return x.opset >= operandFrom
      ? x.emit(node, opType, [v, int64s(x, axes, 'axes')], { keepdims })
      : x.emit(node, opType, [v], { axes: ints(axes), keepdims })
  }

const largest = (x: Exporting, node: Node, axes: readonly number[]): Name =>
  x.opset >= 18
    ? x.emit(node, 'ReduceMax', [operand(x, node, 0), int64s(x, axes, 'axes')], { keepdims: flag(false) })
    : x.emit(node, 'ReduceMax', [operand(x, node, 0)], { axes: ints(axes), keepdims: flag(false) })

/** The largest element. */
export const maxAll: Rule = (x, node) => largest(x, node, [...x.shape(node.inputs[0]).keys()])
/** The largest element along the last axis. */
export const maxLast: Rule = (x, node) => largest(x, node, [x.shape(node.inputs[0]).length - 1])

/** Softmax and its logarithm along `dim`. */
export const along =
  (opType: 'Softmax' | 'LogSoftmax'): Rule =>
  (x, node) =>
    x.emit(node, opType, [operand(x, node, 0)], { axis: int(Number(node.attrs.dim)) })

/** The element of each row that its class names. */
export const gatherLast: Rule = (x, node) => {
  const [v, classes] = [operand(x, node, 0), operand(x, node, 1)]
  const indices = x.emit(node, 'Cast', [classes], { to: int(DataType.INT64) })
  const column = x.emit(node, 'Unsqueeze', [indices, int64s(x, [1], 'axes')])
  const found = x.emit(node, 'GatherElements', [v, column], { axis: int(1) })
  return x.emit(node, 'Squeeze', [found, int64s(x, [1], 'axes')])
}

/** Rows of a table by their indices. */
export const gatherRows: Rule = (x, node) => {
  const indices = x.emit(node, 'Cast', [operand(x, node, 1)], { to: int(DataType.INT64) })
  return x.emit(node, 'Gather', [operand(x, node, 0), indices], { axis: int(0) })
}

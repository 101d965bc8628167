/** Convolutions and products; a bias behind one of them becomes its operand. */
import type { Node } from '../../../graph/graph.js'
import { numbers, operand, pairs, type Exporting, type Rule } from '../rule.js'
import { int, ints, type Name } from '../writer.js'

/** A product with a bias, which may be absent (an empty name); `at` is the node that stands for both. */
export type Product = (x: Exporting, node: Node, bias: Name, at: Node) => Name

/** F.conv1d, 2d, 3d. ONNX: Conv. */
export const conv: Product = (x, node, bias, at) => {
  const pads = pairs(node, 'padding')
  return x.emit(at, 'Conv', [operand(x, node, 0), operand(x, node, 1), bias], {
    kernel_shape: ints(x.shape(node.inputs[1]).slice(2)),
    strides: ints(numbers(node, 'stride')),
    dilations: ints(numbers(node, 'dilation')),
    pads: ints([...pads.map(([before]) => before), ...pads.map(([, after]) => after)]),
    group: int(Number(node.attrs.groups)),
  })
}

/** F.conv_transpose1d, 2d, 3d. ONNX: ConvTranspose. */
export const convTranspose: Product = (x, node, bias, at) => {
  const padding = numbers(node, 'padding')
  return x.emit(at, 'ConvTranspose', [operand(x, node, 0), operand(x, node, 1), bias], {
    kernel_shape: ints(x.shape(node.inputs[1]).slice(2)),
    strides: ints(numbers(node, 'stride')),
    dilations: ints(numbers(node, 'dilation')),
    pads: ints([...padding, ...padding]),
    output_padding: ints(numbers(node, 'outputPadding')),
    group: int(Number(node.attrs.groups)),
  })
}

/** F.linear: Gemm for a matrix, else a product with the transposed weight. */
export const linear: Product = (x, node, bias, at) => {
  const [v, w] = [operand(x, node, 0), operand(x, node, 1)]
  if (x.shape(node.inputs[0]).length === 2) return x.emit(at, 'Gemm', [v, w, bias], { transB: int(1) })
  const product = x.emit(node, 'MatMul', [v, x.emit(node, 'Transpose', [w], { perm: ints([1, 0]) })])
  return bias === '' ? product : x.emit(at, 'Add', [product, bias])
}

/** A product alone. */
export const alone =
  (product: Product): Rule =>
  (x, node) =>
    product(x, node, '', node)

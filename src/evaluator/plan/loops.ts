/** Loops in a flat program: one node whose result is all that the loop gives, packed, and a slice for each output. */
import type { NodeId } from '../../data/quant.js'
import type { Node } from '../../graph/graph.js'
import type { Shape } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import type { Attrs, Op } from '../../graph/op.js'
import { slice } from '../../ops/slice.js'
import { loopSizes, oneOfLoop, packedLoop } from '../reference/reference.js'

type Ref = { readonly id: number; readonly shape: Shape }
/** A flat node of a loop. */
type Made = Ref & {
  readonly op: Op
  readonly args: readonly Ref[]
  readonly attrs: Attrs
  readonly origin: NodeId
  readonly path: string
  readonly loop?: Node
  readonly ofLoop?: (arg: (operand: number) => Tensor) => Float32Array
}

/** Appends a loop to a list of flat nodes, and gives what it gives. */
export const loopNodes = (
  nodes: { readonly length: number; push(node: Made): number },
  loop: Node,
  args: readonly Ref[],
  from: { readonly origin: NodeId; readonly path: string },
): readonly Ref[] => {
  const sizes = loopSizes(loop)
  const shape = [sizes.reduce((n, s) => n + s, 0)]
  const packed = nodes.length
  nodes.push({ id: packed, op: packedLoop(loop), args, attrs: loop.attrs, shape, ...from, loop })
  const [body] = loop.branches ?? []
  const [carries, length] = [Number(loop.attrs.carries), Number(loop.attrs.length)]
  let start = 0
  return sizes.map((size, i): Ref => {
    const id = nodes.length
    nodes.push({
      id,
      op: slice as Op,
      args: [{ id: packed, shape }],
      attrs: { dim: 0, start, end: start + size },
      shape: [size],
      ...from,
      ofLoop: oneOfLoop(loop, i),
    })
    start += size
    const own = body === undefined ? [] : body.nodes[body.outputs[i]].shape
    return { id, shape: i < carries ? own : [length, ...own] }
  })
}

/** How a scale or zero point is laid over a tensor: one number, one per channel, or any broadcast. */
import type { Shape } from '../../data/shape.js'
import { broadcastStrides, sizeOf } from '../../data/shape.js'
import { walk } from './elementwise.js'

/**
 * Calls `run(start, end, k)` for stretches of a row-major tensor of `shape` over which an operand of shape `over`
 * has the one element `k`: the whole tensor for a scalar, one stretch per channel and batch item per channel.
 */
export const stretches = (shape: Shape, over: Shape, run: (start: number, end: number, k: number) => void): void => {
  const n = sizeOf(shape)
  if (sizeOf(over) === 1) return run(0, n, 0)
  const skip = shape.length - over.length
  const axes = over.map((size, i) => (size > 1 ? i + skip : -1)).filter((i) => i >= 0)
  if (axes.length !== 1) return walk(shape, [broadcastStrides(over, shape)], (i, [k]) => run(i, i + 1, k))
  const inner = sizeOf(shape.slice(axes[0] + 1))
  const channels = shape[axes[0]]
  for (let start = 0, c = 0; start < n; start += inner, c = c + 1 === channels ? 0 : c + 1) run(start, start + inner, c)
}

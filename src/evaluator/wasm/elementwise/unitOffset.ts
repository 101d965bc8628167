/** Where the elements of a unit of a loop begin. */
import type { Code } from '../asm/encode.js'
import { i32 } from '../asm/instructions.js'
import type { Space } from './space.js'

/** Offset in elements of unit `u` along the outer axes (all but the innermost). */
export const unitOffset = (u: Code<'i32'>, space: Space, strides: readonly number[]): Code<'i32'> => {
  let [offset, below]: [Code<'i32'> | null, number] = [null, 1]
  for (let d = 1; d < space.axes.length; d++) {
    if (strides[d] !== 0 && space.axes[d] > 1) {
      const shifted = below === 1 ? u : i32.div_u(u, i32.const(below))
      const index = d === space.axes.length - 1 ? shifted : i32.rem_u(shifted, i32.const(space.axes[d]))
      const term = strides[d] === 1 ? index : i32.mul(index, i32.const(strides[d]))
      offset = offset === null ? term : i32.add(offset, term)
    }
    below *= space.axes[d]
  }
  return offset ?? i32.const(0)
}

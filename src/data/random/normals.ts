/** Normal numbers. */
import type { State } from 'fp-ts/lib/State.js'
import { cos, log, log1p, sin } from '../math.js'
import { sizeOf, type Shape } from '../shape.js'
import { allocate, tensor, type Tensor } from '../tensor.js'
import { demand, demandFloat, demandShape } from './arguments.js'
import { drawing, filling, nextDouble, nextFloat, type Cursor, type Generator } from './generator.js'

const BLOCK = 16
const TWO_PI = 6.283185307179586
const TWO_PI_F32 = 6.2831854820251465

/** The next standard normal number of a small draw: Box-Muller in double, of whose two results the second is kept. */
const nextNormal = (cursor: Cursor): number => {
  const kept = cursor.kept
  cursor.kept = null
  if (kept !== null) return kept
  const theta = TWO_PI * nextDouble(cursor)
  const radius = Math.sqrt(-2 * log1p(-nextDouble(cursor)))
  cursor.kept = radius * sin(theta)
  return radius * cos(theta)
}

/** Turns 16 uniform numbers into normal ones in place, in float32 steps as torch does: those at j and j+8 are a pair. */
const normalBlock = (data: Float32Array, start: number, mean: number, std: number): void => {
  for (let j = start; j < start + BLOCK / 2; j++) {
    const radius = Math.fround(Math.sqrt(Math.fround(-2 * Math.fround(log(1 - data[j])))))
    const theta = Math.fround(TWO_PI_F32 * data[j + BLOCK / 2])
    data[j] = Math.fround(radius * Math.fround(cos(theta))) * std + mean
    data[j + BLOCK / 2] = Math.fround(radius * Math.fround(sin(theta))) * std + mean
  }
}

/** A normal draw of 16 numbers or more; a size that is no multiple of 16 has its last 16 drawn anew. */
const manyNormals = (data: Float32Array, mean: number, std: number, cursor: Cursor): void => {
  const rest = data.length % BLOCK
  for (let i = 0; i < data.length; i++) data[i] = nextFloat(cursor)
  for (let i = 0; i < data.length - rest; i += BLOCK) normalBlock(data, i, mean, std)
  if (rest === 0) return
  for (let i = data.length - BLOCK; i < data.length; i++) data[i] = nextFloat(cursor)
  normalBlock(data, data.length - BLOCK, mean, std)
}

/** Normal numbers of that mean and deviation. */
export const normals = (mean: number, std: number, shape: Shape): State<Generator, Tensor> =>
  sizeOf(shape) < BLOCK
    ? filling(shape, (cursor) => nextNormal(cursor) * std + mean)
    : drawing((cursor) => {
        const data = allocate('random', shape)
        manyNormals(data, Math.fround(mean), Math.fround(std), cursor)
        return tensor(shape, data)
      })

/** `torch.randn`: standard normal numbers. Below 16 elements in pairs, whose second number may wait in the generator for the next small draw. */
export const randn = (shape: Shape): State<Generator, Tensor> => {
  demandShape('randn', shape)
  return normals(0, 1, shape)
}

/** `normal_(mean, std)`: as `randn`, times std plus mean. Accepted: float32 numbers, std >= 0. */
export const normal = (mean: number, std: number, shape: Shape): State<Generator, Tensor> => {
  demandShape('normal', shape)
  demandFloat('normal', 'mean', mean)
  demandFloat('normal', 'std', std)
  demand(std >= 0, 'normal', 'std', std, 'at least 0')
  return normals(mean, std, shape)
}

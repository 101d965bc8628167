/** In which orientation a correlation keeps registers and lanes fuller: along a row of positions, or across channels. */
import { sizeOf } from '../../../../data/shape.js'
import { ALONG_FROM, TILE_SPENT } from '../../machine.js'
import type { Correlation } from './geometry.js'

/** Share of the lanes and registers that tiles of so many rows by columns use. */
const use = (rows: number, columns: number): number => {
  const full = Math.floor(columns / 16)
  const rest = Math.ceil((columns % 16) / 4)
  const spent = rows < 2 ? TILE_SPENT.single : rows + TILE_SPENT.odd * (rows % 2)
  return (rows * columns) / (spent * (16 * full + 4 * TILE_SPENT.vectors[rest]))
}

/** Which orientation keeps the vectors fuller? */
export const goesAlong = (c: Correlation): boolean => {
  const last = c.positions.length - 1
  if (c.stride[last] !== 1 && c.positions[last] > 1) return false
  return use(c.to, c.positions[last]) >= ALONG_FROM * use(sizeOf(c.positions), c.to)
}

/** Which correlations Winograd's tiles of 2×2 cover, and how rows of tiles are cut into blocks and units. */
import type { Code } from '../../asm/encode.js'
import { i32 } from '../../asm/instructions.js'
import { forLoop } from '../../asm/module.js'
import { range, type Writing } from './code.js'
import type { Correlation } from './geometry.js'
import type { Work } from './winogradTransforms.js'
import { WINOGRAD_COLUMNS, WINOGRAD_HAND, WINOGRAD_LEAST, WINOGRAD_ROOM, WINOGRAD_UNITS } from '../../machine.js'

/** Tiles of a correlation: rows of tiles of one image, tiles in a row; and rows of a block, blocks of a unit, units. */
export type Tiling = {
  readonly high: number
  readonly wide: number
  readonly rows: number
  readonly blocks: number
  readonly units: number
}

/** Does the transform apply, and are there enough channels for it to win? `words`: 32-bit words per position of the source. */
export const suitsWinograd = (c: Correlation, words: number): boolean =>
  isTileable(c) &&
  words >= WINOGRAD_LEAST.channels &&
  c.to >= WINOGRAD_LEAST.channels &&
  words * c.to >= WINOGRAD_LEAST.pairs

/** A 3×3 kernel of stride 1 in one group, whose result has rows of whole tiles. */
export const isTileable = (c: Correlation): boolean =>
  c.groups === 1 &&
  c.kernel.length === 2 &&
  c.kernel.every((k) => k === 3) &&
  [...c.stride, ...c.dilation].every((s) => s === 1) &&
  c.positions[1] % 2 === 0 &&
  c.positions[1] >= 8 &&
  c.positions[0] >= 2

/** The correlation with its source placed in planes that whole tiles cover. */
export const forTiles = (c: Correlation): Correlation => ({
  ...c,
  placement: { ...c.placement, target: c.positions.map((n) => 2 * Math.ceil(n / 2) + 2) },
})

/** How many rows of tiles go together: enough columns to fill panels, few enough to stay in cache. */
export const tilingOf = (c: Correlation, words: number): Tiling => {
  const [high, wide] = c.positions.map((n) => Math.ceil(n / 2))
  const all = c.batch * high
  const row = 64 * (words + c.to) * wide
  const most = Math.min(all, Math.max(Math.ceil(WINOGRAD_COLUMNS / wide), Math.floor(WINOGRAD_HAND / row)))
  const waste = (rows: number): number => (Math.ceil((rows * wide) / 16) * 16) / (rows * wide) + 4 / (rows * wide)
  const rows = range(most)
    .map((i) => i + 1)
    .reduce((best, r) => (waste(r) <= waste(best) ? r : best), 1)
  const blocks = Math.ceil(
    Math.ceil(all / rows) /
      Math.min(WINOGRAD_UNITS.most, Math.max(WINOGRAD_UNITS.always, Math.floor(WINOGRAD_ROOM / (row * rows)))),
  )
  return { high, wide, rows, blocks, units: Math.ceil(all / (rows * blocks)) }
}

/** Units of whole images where that leaves enough of them: what follows can then be done while an image is in cache. */
export const wholeImages = (c: Correlation, t: Tiling): Tiling => {
  const step =
    range(t.high)
      .map((i) => i + 1)
      .find((n) => (n * t.rows) % t.high === 0) ?? t.high
  const blocks = Math.ceil(t.blocks / step) * step
  const units = Math.ceil((c.batch * t.high) / (blocks * t.rows))
  return units >= Math.min(WINOGRAD_UNITS.least, c.batch) ? { ...t, blocks, units } : t
}

/** What the code of a block is written with: its correlation, and its rows of tiles from the first to the last. */
export type Block = Writing & {
  readonly c: Correlation
  readonly t: Tiling
  readonly work: Work
  readonly first: Code<'i32'>
  readonly end: Code<'i32'>
}

/** Calls `body` for each row of tiles of a block with its image and its number within the image. */
export const eachRow = (
  { scope, t, first, end }: Block,
  body: (image: Code<'i32'>, tileRow: Code<'i32'>, inBlock: Code<'i32'>) => Code,
): Code => {
  const [r, n, y] = range(3).map(() => scope.local('i32'))
  return forLoop(r, first, end, 1, [
    n.set(i32.div_u(r.get, i32.const(t.high))),
    y.set(i32.rem_u(r.get, i32.const(t.high))),
    body(n.get, y.get, i32.sub(r.get, first)),
  ])
}

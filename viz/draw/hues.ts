/** Colours of scales: one scale, one colour, whatever is open; beyond eight of them the same hues with another ply. Pure. */
import { firstOpen } from '../scene/opening.js'
import type { Scene } from '../scene/scene.js'
import { onSide } from '../scene/sides.js'
import { visibleOf } from '../scene/visible.js'

/** How many hues there are, and how many ways to draw a line in one of them: plain, with a light core, with a beaded core. */
export const HUES = 8
const PLIES = 3

/** Places of scales in the order of colours, by the scale's name. */
export type Hues = ReadonlyMap<string, number>

/** Scales that a reader meets first, then those inside layers, then those that only other scales are made of. */
export const huesOf = (scene: Scene): Hues => {
  const front = onSide(scene, 'forward')
  const met = visibleOf(front, firstOpen(front), false).lines.map((l) => l.source)
  const inside = [...scene.nodes].sort((a, b) => Number(b.flow) - Number(a.flow))
  const hues = new Map<string, number>()
  for (const { scale } of [...met, ...inside]) if (scale !== undefined && !hues.has(scale)) hues.set(scale, hues.size)
  return hues
}

/** The class of a colour's hue; the last is of whatever has no scale of its own. */
export const hueOf = (hues: Hues, scale: string | undefined): string => {
  const at = hues.get(scale ?? '')
  return `hue${at === undefined ? HUES : at % HUES}`
}

/** Which way a line in this colour is drawn: 0 plain, 1 with a light core, 2 with a beaded one. */
export const plyOf = (hues: Hues, scale: string | undefined): number =>
  Math.floor((hues.get(scale ?? '') ?? 0) / HUES) % PLIES

/** Where a drawing that has no room as a whole is shown at first. */
import type { Rect } from './rect.js'
import type { Item } from './visible.js'

/** A drawing, and how much of it a window shows, in the units of the drawing. */
export type Shown = {
  readonly width: number
  readonly height: number
  readonly window: { readonly width: number; readonly height: number }
}

/** So few names say nothing of where one is. */
const TELLING = 3

const clamped = (x: number, most: number): number => Math.max(0, Math.min(most, x))
const byHeight = (a: Rect, b: Rect): number => a.y - b.y

/** How many of these have their middle in sight where `first` stands in the middle, at the top. */
const inSight = (first: Rect, rects: readonly Rect[], { width, height, window }: Shown): number => {
  const left = clamped(first.x + first.width / 2 - window.width / 2, width - window.width)
  const top = clamped(first.y, height - window.height)
  return rects.filter((r) => {
    const [x, y] = [r.x + r.width / 2 - left, r.y + r.height / 2 - top]
    return x >= 0 && y >= 0 && x <= window.width && y <= window.height
  }).length
}

/**
 * What is to be seen at first: the topmost input around which names are in sight; where all inputs stand alone (lines
 * run far from them in a drawing that is wide), the place with the most names. Undefined of a drawing without items.
 */
export const startOf = (items: readonly Item[], rects: ReadonlyMap<string, Rect>, shown: Shown): Rect | undefined => {
  const rectsOf = (some: readonly Item[]): readonly Rect[] => some.flatMap((i) => rects.get(i.id) ?? []).sort(byHeight)
  const named = rectsOf(items.filter((i) => !i.open))
  const inputs = rectsOf(items.filter((i) => i.values.some((v) => v.role === 'input')))
  const telling = inputs.find((r) => inSight(r, named, shown) >= Math.min(TELLING, named.length))
  if (telling !== undefined) return telling
  let best: { readonly rect: Rect; readonly count: number } | undefined
  for (const rect of [...inputs, ...named]) {
    const count = inSight(rect, named, shown)
    if (best === undefined || count > best.count) best = { rect, count }
  }
  return best?.rect
}

/** Two layouts made level: what belongs together stands at the same height, by gaps where one side has less. Pure. */
import type { Layout, Rect } from '../scene/layout.js'
import type { Point } from '../scene/level.js'
import type { Visible } from '../scene/visible.js'

/** Tops of two things that belong together. */
type Anchor = readonly [a: number, b: number]

/** The longest chain of anchors that grows on both sides: the others would have to cross it. O(n log n). */
export const risingAnchors = (anchors: readonly Anchor[]): readonly Anchor[] => {
  const sorted = [...anchors].sort((x, y) => x[0] - y[0] || y[1] - x[1])
  const tails: number[] = []
  const before: number[] = []
  sorted.forEach(([, b], i) => {
    let [lo, hi] = [0, tails.length]
    while (lo < hi) {
      const mid = (lo + hi) >> 1
      if (sorted[tails[mid]][1] < b) lo = mid + 1
      else hi = mid
    }
    before.push(lo === 0 ? -1 : tails[lo - 1])
    tails[lo] = i
  })
  const out: Anchor[] = []
  for (let at = tails.at(-1) ?? -1; at >= 0; at = before[at]) out.push(sorted[at])
  return out.reverse()
}

/** How far down everything at a height moves: a step at each anchor, never upwards. */
type Shift = (y: number) => number

const stepsOf =
  (tops: readonly number[], levels: readonly number[]): Shift =>
  (y) => {
    let [lo, hi] = [0, tops.length]
    while (lo < hi) {
      const mid = (lo + hi) >> 1
      if (tops[mid] <= y + 0.01) lo = mid + 1
      else hi = mid
    }
    return lo === 0 ? 0 : levels[lo - 1] - tops[lo - 1]
  }

/** Common heights for a chain of anchors: each at least as far below the last as on either side. */
const levelsOf = (chain: readonly Anchor[]): readonly number[] => {
  const out: number[] = []
  chain.forEach(([a, b], k) =>
    out.push(k === 0 ? Math.max(a, b) : out[k - 1] + Math.max(a - chain[k - 1][0], b - chain[k - 1][1])),
  )
  return out
}

const moveRect = (r: Rect, isOpen: boolean, shift: Shift): Rect => {
  const y = r.y + shift(r.y)
  return { ...r, y, height: isOpen ? r.y + r.height + shift(r.y + r.height) - y : r.height }
}

/** An end of a line stays at the border of what it ends at. */
const moveEnd = ([x, y]: Point, old: Rect | undefined, moved: Rect | undefined): Point =>
  old === undefined || moved === undefined ? [x, y] : [x, Math.abs(y - old.y) < 0.5 ? moved.y : moved.y + moved.height]

const moved = (v: Visible, layout: Layout, shift: Shift): Layout => {
  const rects = new Map(
    [...layout.rects].map(([id, r]): [string, Rect] => [id, moveRect(r, v.at.get(id)?.open === true, shift)]),
  )
  const ways = new Map(
    v.lines.map((l): [string, readonly Point[]] => {
      const way = layout.ways.get(l.id) ?? []
      return [
        l.id,
        way.map((p, i): Point => {
          if (i === 0) return moveEnd(p, layout.rects.get(l.from), rects.get(l.from))
          return i === way.length - 1 ? moveEnd(p, layout.rects.get(l.to), rects.get(l.to)) : [p[0], p[1] + shift(p[1])]
        }),
      ]
    }),
  )
  return { ...layout, height: layout.height + shift(Infinity), rects, ways }
}

/** Makes two layouts level. `partner`: what of the first belongs to what of the second. */
export const levelled = (
  vs: readonly [Visible, Visible],
  layouts: readonly [Layout, Layout],
  partner: ReadonlyMap<string, string>,
): readonly [Layout, Layout] => {
  const anchors = [...layouts[0].rects].flatMap(([id, r]): readonly Anchor[] => {
    const other = layouts[1].rects.get(partner.get(id) ?? '')
    return other === undefined ? [] : [[r.y, other.y]]
  })
  const chain = risingAnchors(anchors)
  const levels = levelsOf(chain)
  const [a, b] = [
    moved(
      vs[0],
      layouts[0],
      stepsOf(
        chain.map((c) => c[0]),
        levels,
      ),
    ),
    moved(
      vs[1],
      layouts[1],
      stepsOf(
        chain.map((c) => c[1]),
        levels,
      ),
    ),
  ]
  const height = Math.max(a.height, b.height)
  return [
    { ...a, height },
    { ...b, height },
  ]
}

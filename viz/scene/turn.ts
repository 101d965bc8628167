/** Turns the column of the backward pass upside down and sets it level with the forward pass, layer by layer. */
import { alignColumns, bandsOf, type Band, type Warp } from './align.js'
import type { Layout, Rect } from './rect.js'
import type { Point } from './level.js'
import { mirrorBox } from './names.js'
import { isBackward, type Item, type Line, type Visible } from './visible.js'

const bandOf = (r: Rect | undefined): Band => [r?.y ?? 0, (r?.y ?? 0) + (r?.height ?? 0)]
const middleOf = (r: Rect): number => r.y + r.height / 2

/** All items inside one, itself included. */
const whole = (i: Item): readonly Item[] => [i, ...i.children.flatMap(whole)]

const mapRects = (
  rects: ReadonlyMap<string, Rect>,
  items: readonly Item[],
  f: (r: Rect) => Rect,
): ReadonlyMap<string, Rect> =>
  new Map(
    items.flatMap((i): readonly [string, Rect][] => {
      const r = rects.get(i.id)
      return r === undefined ? [] : [[i.id, f(r)]]
    }),
  )

/** Rows of open boxes move as one, so a box keeps its height: only its corner is warped. */
const warped =
  (warp: Warp) =>
  (r: Rect): Rect => ({ ...r, y: warp(r.y) })

/** A way from the side of one item to the side of another. */
const sideways = (a: Rect | undefined, b: Rect | undefined): readonly Point[] => {
  if (a === undefined || b === undefined) return []
  return a.x < b.x
    ? [
        [a.x + a.width, middleOf(a)],
        [b.x, middleOf(b)],
      ]
    : [
        [a.x, middleOf(a)],
        [b.x + b.width, middleOf(b)],
      ]
}

/** Lays the columns of a page side by side. `tall`: height of the backward column as it was laid out, top to bottom. */
export const besideEachOther = (v: Visible, layout: Layout, tall: number, across: readonly Line[]): Layout => {
  const [front, back] = [v.items.filter((i) => !isBackward(i)), v.items.filter(isBackward)]
  const turned = mapRects(layout.rects, back.flatMap(whole), (r) => ({ ...r, y: tall - r.y - r.height }))
  const pairs = front.flatMap((f): readonly (readonly [number, number])[] => {
    const [a, b] = [layout.rects.get(f.id), turned.get(mirrorBox(f.id))]
    return f.kind !== 'box' || a === undefined || b === undefined ? [] : [[middleOf(a), middleOf(b)]]
  })
  const [down, up] = alignColumns(
    bandsOf(front.map((i) => bandOf(layout.rects.get(i.id)))),
    bandsOf(back.map((i) => bandOf(turned.get(i.id)))),
    pairs,
  )
  const rects = new Map([
    ...mapRects(layout.rects, front.flatMap(whole), warped(down)),
    ...mapRects(turned, back.flatMap(whole), warped(up)),
  ])
  const ways = new Map<string, readonly Point[]>()
  for (const l of v.lines) {
    const points = layout.ways.get(l.id)
    if (points !== undefined)
      ways.set(
        l.id,
        points.map(([x, y]): Point => (isBackward(v.at.get(l.from)) ? [x, up(tall - y)] : [x, down(y)])),
      )
  }
  for (const l of across) ways.set(l.id, sideways(rects.get(l.from), rects.get(l.to)))
  const height = [...rects.values()].reduce((most, r) => Math.max(most, r.y + r.height), 0) + 24
  return { ...layout, height, rects, ways, across: new Set(across.map((l) => l.id)) }
}

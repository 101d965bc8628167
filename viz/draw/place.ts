/** Where labels stand so that none is over an item, a border or another label; one without such a place is left out. Pure. */
import { ASIDE, cut } from '../scene/layout.js'
import type { Layout, Rect } from '../scene/rect.js'
import type { Point } from '../scene/level.js'
import { ROW, type Measure } from '../scene/type.js'
import type { Item, Line, Visible } from '../scene/visible.js'
import { nameOf } from '../scene/text.js'
import { lookOf } from './words.js'

/** Where the first row of a label begins, or with `end` where it ends. */
export type Spot = { readonly x: number; readonly y: number; readonly anchor: 'start' | 'end' }

/** What is written at a line, row by row. */
export type Written = { readonly line: Line; readonly rows: readonly string[] }

/** From the baseline of a row to its top and its bottom. */
const ROOM = { above: 12, below: 4 }
/** Of more lines than this it isn't asked which of them a label would cross. */
const MANY_LINES = 1500
const CELL = 96

/** Rectangles by where they are, to find those that one meets. */
const grid = <R extends Rect>(): { readonly add: (r: R) => void; readonly met: (r: Rect) => readonly R[] } => {
  const cells = new Map<string, R[]>()
  const keys = (r: Rect): readonly string[] => {
    const out: string[] = []
    for (let x = Math.floor(r.x / CELL); x <= Math.floor((r.x + r.width) / CELL); x++)
      for (let y = Math.floor(r.y / CELL); y <= Math.floor((r.y + r.height) / CELL); y++) out.push(`${x} ${y}`)
    return out
  }
  const meets = (a: Rect, b: Rect): boolean =>
    a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height
  return {
    add: (r) => {
      for (const key of keys(r)) {
        const known = cells.get(key)
        if (known === undefined) cells.set(key, [r])
        else known.push(r)
      }
    },
    met: (r) => [...new Set(keys(r).flatMap((key) => (cells.get(key) ?? []).filter((o) => meets(r, o))))],
  }
}

/** Where the name of an open box begins: at its left, or right of the lines that come in there. */
export const headAt = (layout: Layout, i: Item, r: Rect, measure: Measure): number => {
  const width = measure(cut(measure, nameOf(i)), 'strong')
  const from = r.x + 12
  let x = from
  for (const gate of [...(layout.gates.get(i.id) ?? [])].sort((a, b) => a - b))
    if (gate > x - 8 && gate < x + width + 8) x = gate + 9
  return x + width <= r.x + r.width - 28 ? x : from
}

const EDGE = 3
/** The border of an open box, and the band of its name. */
const borders = (layout: Layout, i: Item, r: Rect, measure: Measure): readonly Rect[] => [
  { x: r.x - EDGE / 2, y: r.y, width: EDGE, height: r.height },
  { x: r.x + r.width - EDGE / 2, y: r.y, width: EDGE, height: r.height },
  { x: r.x, y: r.y - EDGE / 2, width: r.width, height: EDGE },
  { x: r.x, y: r.y + r.height - EDGE / 2, width: r.width, height: EDGE },
  {
    x: headAt(layout, i, r, measure),
    y: r.y + 6,
    width: measure(cut(measure, nameOf(i)), 'strong'),
    height: 22,
  },
  { x: r.x + r.width - 90, y: r.y + 6, width: 88, height: 22 },
]

const rectOf = ({ x, y, anchor }: Spot, width: number, rows: number): Rect => ({
  x: anchor === 'start' ? x : x - width,
  y: y - ROOM.above,
  width,
  height: ROOM.above + ROOM.below + (rows - 1) * ROW,
})

/** Places for a label, the best first: under its source, on the side from which the line turns away; then further along. */
const candidates = (way: readonly Point[], across: boolean, lost: boolean, rows: number): readonly Spot[] => {
  const [[x0, y0], [x1, y1]] = [way[0], way[1]]
  const last = way[way.length - 1]
  if (across) {
    const toRight = x1 >= x0
    const aside = lost ? 24 : 8
    const anchor = toRight ? 'start' : 'end'
    const up = [-7, 18, -22].map((dy): Spot => ({
      x: toRight ? x0 + aside : x0 - aside,
      y: y0 + dy - (dy < 0 ? (rows - 1) * ROW : 0),
      anchor,
    }))
    return [...up, { x: toRight ? last[0] - 8 : last[0] + 8, y: last[1] - 7, anchor: toRight ? 'end' : 'start' }]
  }
  const down = y1 >= y0
  const aside = lost ? ASIDE : 8
  const sides: readonly Spot['anchor'][] = x1 > x0 + 12 ? ['end', 'start'] : ['start', 'end']
  const beside = (x: number, off: number, y: number): readonly Spot[] =>
    sides.map((anchor) => ({ x: anchor === 'start' ? x + off : x - off, y, anchor }))
  const near = [0, 1, 2, 3].flatMap((k) =>
    beside(x0, aside, down ? y0 + ROOM.above + 2 + k * ROW : y0 - 6 - (rows - 1 + k) * ROW),
  )
  const [x2, y2] = last
  const far = [0, 1].flatMap((k) => beside(x2, 8, down ? y2 - 7 - (rows - 1 + k) * ROW : y2 + ROOM.above + 3 + k * ROW))
  return [...near, ...beside(x1, 8, y1 + 4), ...far]
}

/** A point of a line, as a small rectangle. */
type Dot = Rect & { readonly line: Line }

/** Points along the lines. */
const lineDots = (v: Visible, layout: Layout): readonly Dot[] =>
  v.lines.length > MANY_LINES
    ? []
    : v.lines.flatMap((l) => {
        const way = layout.ways.get(l.id) ?? []
        const upright = !layout.across.has(l.id)
        return way.slice(1).flatMap(([x1, y1], k): readonly Dot[] => {
          const [x0, y0] = way[k]
          const steps = Math.max(2, Math.min(24, Math.ceil(Math.hypot(x1 - x0, y1 - y0) / 12)))
          return Array.from({ length: steps + 1 }, (_, n) => {
            const t = n / steps
            const bend = t * t * (3 - 2 * t)
            const [x, y] = upright
              ? [x0 + (x1 - x0) * bend, y0 + (y1 - y0) * t]
              : [x0 + (x1 - x0) * t, y0 + (y1 - y0) * bend]
            return { line: l, x: x - 1, y: y - 1, width: 2, height: 2 }
          })
        })
      })

/** Where the labels of a drawing stand. */
export type Placed = {
  /** By the line at which they stand. */
  readonly spots: ReadonlyMap<string, Spot>
  /** Which other lines run through the label of a line. */
  readonly through: ReadonlyMap<string, readonly Line[]>
}

/** Places of labels, and what they could not keep clear of. */
export const placeLabels = (v: Visible, layout: Layout, measure: Measure, written: readonly Written[]): Placed => {
  const [taken, dots] = [grid(), grid<Dot>()]
  for (const i of v.at.values()) {
    const r = layout.rects.get(i.id)
    if (r === undefined) continue
    if (i.open) borders(layout, i, r, measure).forEach(taken.add)
    else taken.add({ x: r.x - 2, y: r.y - 1, width: r.width + 4, height: r.height + 2 })
  }
  lineDots(v, layout).forEach(dots.add)
  const [spots, through] = [new Map<string, Spot>(), new Map<string, readonly Line[]>()]
  for (const { line, rows } of written) {
    const way = layout.ways.get(line.id) ?? []
    if (way.length < 2) continue
    const width = Math.max(...rows.map((r) => measure(r, 'label')))
    const free = candidates(way, layout.across.has(line.id), lookOf(line.source) !== 'carries', rows.length)
      .map((spot, k) => ({ spot, r: rectOf(spot, width, rows.length), k }))
      .filter(({ r }) => r.x >= 2 && r.x + r.width <= layout.width - 2 && taken.met(r).length === 0)
    const best = free
      .map((c) => ({ ...c, cost: Math.min(3, dots.met(c.r).length) + c.k / 8 }))
      .sort((a, b) => a.cost - b.cost)[0]
    if (best === undefined) continue
    spots.set(line.id, best.spot)
    const others = dots.met(best.r).flatMap((dot) => (dot.line === line ? [] : [dot.line]))
    through.set(line.id, [...new Set(others)])
    taken.add(best.r)
  }
  return { spots, through }
}

/**
 * The order in which lines are painted: one that runs through the label of another comes before it, so that the label
 * lies on top; otherwise as they are given.
 */
export const paintedInOrder = (lines: readonly Line[], through: Placed['through']): readonly Line[] => {
  const [out, begun] = [[] as Line[], new Set<Line>()]
  const paint = (l: Line): void => {
    if (begun.has(l)) return
    begun.add(l)
    // Quiet lines stay below all others.
    for (const other of through.get(l.id) ?? []) if (other.flow === l.flow) paint(other)
    out.push(l)
  }
  lines.forEach(paint)
  return out
}

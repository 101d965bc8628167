/** Sets a tall drawing in columns, like text, where one line at most leads from a column to the next. Pure. */
import type { Layout, Rect } from './rect.js'
import type { Point } from './level.js'
import type { Item, Line, Visible } from './visible.js'

/** Room for a drawing, in units of the window. */
export type Room = { readonly width: number; readonly height: number }

const GUTTER = 190
/** How wide a line turns from one column to the next. */
const TURN = 64
const PAD = { x: 90, y: 24 }
/** At this scale text can still be read with ease: then there is no need for more columns. */
const EASY = 0.8
/** A drawing of so many rows has better ways to be seen than columns; more columns than this are a labyrinth. */
const MOST = { rows: 120, columns: 6 } as const
/** More columns must be worth the longer way. */
const WORTH = 1.15

/** Items beside each other, and whether a new column may begin above them. */
type Row = { readonly top: number; readonly bottom: number; readonly items: readonly string[]; readonly free: boolean }

const bottomOf = (r: Rect): number => r.y + r.height

const rowsOf = (v: Visible, layout: Layout): readonly Omit<Row, 'free'>[] => {
  const rows: { top: number; bottom: number; items: string[] }[] = []
  const placed = v.items
    .flatMap((i) => {
      const r = layout.rects.get(i.id)
      return r === undefined ? [] : [{ id: i.id, r }]
    })
    .sort((a, b) => a.r.y - b.r.y)
  for (const { id, r } of placed) {
    const last = rows.at(-1)
    if (last === undefined || r.y >= last.bottom) rows.push({ top: r.y, bottom: bottomOf(r), items: [id] })
    else {
      last.items.push(id)
      last.bottom = Math.max(last.bottom, bottomOf(r))
    }
  }
  return rows
}

/** The row of every item, those inside of boxes included. */
const rowOfItems = (v: Visible, rows: readonly Omit<Row, 'free'>[]): ReadonlyMap<string, number> => {
  const out = new Map<string, number>()
  const enter = (i: Item, row: number): void => {
    out.set(i.id, row)
    i.children.forEach((c) => enter(c, row))
  }
  rows.forEach((row, k) =>
    row.items.forEach((id) => {
      const item = v.at.get(id)
      if (item !== undefined) enter(item, k)
    }),
  )
  return out
}

/** Between two rows a column may end if at most one line crosses, downwards. */
const freeRows = (
  v: Visible,
  rows: readonly Omit<Row, 'free'>[],
  rowOf: ReadonlyMap<string, number>,
): readonly Row[] => {
  const crossing = rows.map(() => 0)
  const barred = rows.map(() => false)
  for (const l of v.lines) {
    const [a, b] = [rowOf.get(l.from) ?? 0, rowOf.get(l.to) ?? 0]
    for (let k = Math.min(a, b) + 1; k <= Math.max(a, b); k++) {
      crossing[k]++
      if (b < a) barred[k] = true
    }
  }
  return rows.map((r, k) => ({ ...r, free: k > 0 && !barred[k] && crossing[k] <= 1 }))
}

/** First rows of columns no taller than `most`, as far as they can be cut. */
const cutsFor = (rows: readonly Row[], most: number): readonly number[] => {
  const starts = [0]
  let free = 0
  for (let k = 1; k < rows.length; k++) {
    if (rows[k].free) free = k
    const start = starts[starts.length - 1]
    if (rows[k].bottom - rows[start].top > most && free > start) starts.push(free)
  }
  return starts
}

/** The extent of each column: from row to row, and from left to right. */
type Column = {
  readonly first: number
  readonly last: number
  readonly left: number
  readonly width: number
  readonly top: number
  readonly height: number
}

const columnsOf = (rows: readonly Row[], rects: Layout['rects'], starts: readonly number[]): readonly Column[] =>
  starts.map((first, c) => {
    const last = (starts[c + 1] ?? rows.length) - 1
    const inside = rows
      .slice(first, last + 1)
      .flatMap((r) => r.items)
      .flatMap((id) => rects.get(id) ?? [])
    const left = Math.min(...inside.map((r) => r.x))
    return {
      first,
      last,
      left,
      width: Math.max(...inside.map((r) => r.x + r.width)) - left,
      top: rows[first].top,
      height: rows[last].bottom - rows[first].top,
    }
  })

const sizeOf = (columns: readonly Column[]): Room => ({
  width: columns.reduce((w, c) => w + c.width, (columns.length - 1) * GUTTER + 2 * PAD.x),
  height: Math.max(...columns.map((c) => c.height)) + 2 * PAD.y,
})

const scaleOf = (size: Room, room: Room): number => Math.min(room.width / size.width, room.height / size.height)

/** The fewest columns at which the drawing can be read with ease, else those at which it is largest. */
const bestColumns = (rows: readonly Row[], layout: Layout, room: Room): readonly Column[] | null => {
  const alone = scaleOf(layout, room)
  if (alone >= EASY) return null
  const heights = [...new Set(rows.flatMap((r, i) => rows.slice(i).map((o) => o.bottom - r.top)))].sort((a, b) => a - b)
  let best: { readonly columns: readonly Column[]; readonly k: number } | null = null
  for (let count = 2; count <= MOST.columns; count++) {
    const most = heights.find((h) => cutsFor(rows, h).length <= count)
    if (most === undefined) continue
    const columns = columnsOf(rows, layout.rects, cutsFor(rows, most))
    const k = scaleOf(sizeOf(columns), room)
    if (k > (best?.k ?? alone) * (best === null ? WORTH : 1)) best = { columns, k }
    if (k >= EASY) break
  }
  return best?.columns ?? null
}

/** Straight on for the labels beside the column, then over to the next one, whose left edge is at `edge`. */
const sideways = (a: Rect, b: Rect, edge: number): readonly Point[] => {
  const [y0, y1] = [a.y + a.height / 2, b.y + b.height / 2]
  return [
    [a.x + a.width, y0],
    [edge - TURN, y0],
    [edge - 6, y1],
    [b.x, y1],
  ]
}

/** A layout in columns, where one column would be too small to read in this room; else as it is. Drawings that show both passes have columns already. */
export const foldedInto = (v: Visible, layout: Layout, room: Room): Layout => {
  const plain = rowsOf(v, layout)
  if (layout.across.size > 0 || plain.length < 4 || plain.length > MOST.rows || !(room.width > 0 && room.height > 0))
    return layout
  const rowOf = rowOfItems(v, plain)
  const columns = bestColumns(freeRows(v, plain, rowOf), layout, room)
  return columns === null ? layout : arranged(v, layout, columns, rowOf)
}

const arranged = (
  v: Visible,
  layout: Layout,
  columns: readonly Column[],
  rowOf: ReadonlyMap<string, number>,
): Layout => {
  const shifts = columns.map((c, k): Point => [
    PAD.x + columns.slice(0, k).reduce((w, o) => w + o.width + GUTTER, 0) - c.left,
    PAD.y - c.top,
  ])
  const columnOf = (id: string): number => columns.findIndex((c) => (rowOf.get(id) ?? 0) <= c.last)
  const rects = new Map(
    [...layout.rects].map(([id, r]): [string, Rect] => {
      const [dx, dy] = shifts[columnOf(id)]
      return [id, { ...r, x: r.x + dx, y: r.y + dy }]
    }),
  )
  const crosses = (l: Line): boolean => columnOf(l.from) !== columnOf(l.to)
  const ways = new Map(
    v.lines.map((l): [string, readonly Point[]] => {
      const [a, b, [dx, dy]] = [rects.get(l.from), rects.get(l.to), shifts[columnOf(l.from)]]
      return [
        l.id,
        crosses(l) && a !== undefined && b !== undefined
          ? sideways(a, b, columns[columnOf(l.to)].left + shifts[columnOf(l.to)][0])
          : (layout.ways.get(l.id) ?? []).map(([x, y]): Point => [x + dx, y + dy]),
      ]
    }),
  )
  return { ...sizeOf(columns), rects, ways, across: new Set(v.lines.filter(crosses).map((l) => l.id)) }
}

/** Sets a tall drawing in columns, like text, where one line at most leads from a column to the next. Pure. */
import type { Layout, Rect } from './rect.js'
import type { Point } from './level.js'
import { READABLE } from './type.js'
import { isBackward, type Item, type Line, type Visible } from './visible.js'

/** Room for a drawing, in units of the window. */
export type Room = { readonly width: number; readonly height: number }

/** The least room between two columns, and how wide a line turns from one to the next. */
const GUTTER = 64
const TURN = 36
const PAD = { x: 24, y: 24 }
/** A drawing of so many rows has better ways to be seen than columns; more columns than this are a labyrinth. */
const MOST = { rows: 120, columns: 12 } as const
/** From an item to the label of a line that runs sideways. */
const BESIDE = 8

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
  layout: Layout,
  rows: readonly Omit<Row, 'free'>[],
  rowOf: ReadonlyMap<string, number>,
): Rows => {
  const crossing = rows.map(() => 0)
  const barred = rows.map(() => false)
  const into = new Map<number, string>()
  for (const l of v.lines) {
    const [a, b] = [rowOf.get(l.from) ?? 0, rowOf.get(l.to) ?? 0]
    for (let k = Math.min(a, b) + 1; k <= Math.max(a, b); k++) {
      crossing[k]++
      into.set(k, l.from)
      if (b < a) barred[k] = true
    }
  }
  return { layout, into, rows: rows.map((r, k) => ({ ...r, free: k > 0 && !barred[k] && crossing[k] <= 1 })) }
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

/** The extent of each column: from row to row, and from left to right; `gap`: room before the next one. */
type Column = {
  readonly first: number
  readonly last: number
  readonly left: number
  readonly width: number
  readonly top: number
  readonly height: number
  readonly gap: number
}

/** What is needed to cut: rows, where they are, and from which item the line into each row comes, if it is one alone. */
type Rows = {
  readonly rows: readonly Row[]
  readonly layout: Layout
  readonly into: ReadonlyMap<number, string>
}

const columnsOf = ({ rows, layout, into }: Rows, starts: readonly number[]): readonly Column[] =>
  starts.map((first, c) => {
    const last = (starts[c + 1] ?? rows.length) - 1
    const inside = rows.slice(first, last + 1).flatMap((r) => r.items)
    const rects = inside.flatMap((id) => layout.rects.get(id) ?? [])
    const left = Math.min(...rects.map((r) => r.x))
    const leaver = into.get(starts[c + 1] ?? -1) ?? ''
    const labelled = inside.filter((id) => id !== leaver).map((id) => endOf(layout, id))
    const right = Math.max(...rects.map((r) => r.x + r.width), ...labelled)
    const from = layout.rects.get(leaver)
    const wanted =
      from === undefined ? 0 : from.x + from.width + (layout.reach.get(leaver) ?? 0) + BESIDE + TURN - right
    return {
      first,
      last,
      left,
      width: right - left,
      top: rows[first].top,
      height: rows[last].bottom - rows[first].top,
      gap: c === starts.length - 1 ? 0 : Math.max(GUTTER, wanted),
    }
  })

/** Where the labels of an item end. */
const endOf = (layout: Layout, id: string): number => {
  const r = layout.rects.get(id)
  return r === undefined ? -Infinity : r.x + r.width / 2 + (layout.reach.get(id) ?? 0)
}

const sizeOf = (columns: readonly Column[]): Room => ({
  width: columns.reduce((w, c) => w + c.width + c.gap, 2 * PAD.x),
  height: Math.max(...columns.map((c) => c.height)) + 2 * PAD.y,
})

const scaleOf = (size: Room, room: Room): number => Math.min(room.width / size.width, room.height / size.height)

/** The fewest columns that fit at a readable size; else columns as tall as the window, if two of them are seen at once. */
const bestColumns = (cut: Rows, room: Room): readonly Column[] | null => {
  const { rows, layout } = cut
  if (scaleOf(layout, room) >= READABLE) return null
  const heights = [...new Set(rows.flatMap((r, i) => rows.slice(i).map((o) => o.bottom - r.top)))].sort((a, b) => a - b)
  const tall = room.height / READABLE - 2 * PAD.y
  for (let count = 2; count <= MOST.columns; count++) {
    const most = heights.find((h) => cutsFor(rows, h).length <= count)
    if (most === undefined || most > tall) continue
    const columns = columnsOf(cut, cutsFor(rows, most))
    if (scaleOf(sizeOf(columns), room) >= READABLE) return columns
  }
  const columns = columnsOf(cut, cutsFor(rows, tall))
  const isSeen = columns.length > 1 && sizeOf(columns.slice(0, 2)).width * READABLE <= room.width
  return isSeen && columns.length <= MOST.columns && columns.every((c) => c.height <= tall) ? columns : null
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
  const bothPasses = v.items.some(isBackward) && !v.items.every(isBackward)
  if (bothPasses || plain.length < 4 || plain.length > MOST.rows || !(room.width > 0 && room.height > 0)) return layout
  const rowOf = rowOfItems(v, plain)
  const columns = bestColumns(freeRows(v, layout, plain, rowOf), room)
  return columns === null ? layout : arranged(v, layout, columns, rowOf)
}

const arranged = (
  v: Visible,
  layout: Layout,
  columns: readonly Column[],
  rowOf: ReadonlyMap<string, number>,
): Layout => {
  const shifts = columns.map((c, k): Point => [
    PAD.x + columns.slice(0, k).reduce((w, o) => w + o.width + o.gap, 0) - c.left,
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
  const gates = new Map(
    [...layout.gates].map(([id, xs]): [string, readonly number[]] => [id, xs.map((x) => x + shifts[columnOf(id)][0])]),
  )
  return {
    ...layout,
    ...sizeOf(columns),
    rects,
    ways,
    gates,
    across: new Set(v.lines.filter(crosses).map((l) => l.id)),
  }
}

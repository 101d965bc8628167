/** Sizes of items, and the room that labels of lines need around them. */
import type { Sized } from './level.js'
import { lineOf, nameOf, piecesOf } from './text.js'
import { cutTo, estimate, ROW, type Measure } from './type.js'
import { labelled, type Item, type Line, type Visible } from './visible.js'

/** Heights of items with one line of text, and with two. */
const HEIGHT = { one: 28, two: 40 }
/** Beside the name of a box stands a sign to open it. */
const ROOM = { box: 52, node: 26, result: 30 }
const LEAST = 48
/** No name is wider than this; the whole of it stands in the panel. */
const MOST = 230
/** From the middle of an item to the label of the line that leaves it. */
export const ASIDE = 14

/** How text is measured, the longest text that may be laid over an item, whose gradient is an estimate, and what is written at a line. */
export type Setting = {
  readonly measure: Measure
  readonly badge: string
  readonly estimated: (i: Item) => boolean
  readonly rows: (l: Line) => readonly string[]
}

/** For drawings of which no more is known. */
export const plainSetting: Setting = {
  measure: estimate,
  badge: '',
  estimated: (i) => i.node?.estimator !== undefined,
  rows: () => [],
}

/** A name as it is written: cut to what fits. */
export const cut = (measure: Measure, text: string): string => cutTo(measure, text, 'strong', MOST)

/** How large a closed item is, or the head of an open one. */
export const sizeOf = (t: Setting, i: Item): Pick<Sized, 'width' | 'height'> => {
  const estimated = t.estimated(i)
  const sub = lineOf(piecesOf(i, { estimated }))
  const over = t.badge === '' ? '' : lineOf(piecesOf(i, { estimated, badge: { text: t.badge, tone: 'plain' } }))
  const texts = [sub, over].map((x) => (x === '' ? 0 : t.measure(x, 'sub')))
  const title = t.measure(cut(t.measure, nameOf(i)), i.kind === 'box' ? 'strong' : 'title')
  const width = i.open ? title + texts[1] + 16 : Math.max(title, ...texts)
  return {
    width: Math.ceil(Math.max(width + ROOM[i.kind], LEAST)),
    height: sub === '' && i.kind !== 'box' ? HEIGHT.one : HEIGHT.two,
  }
}

/** Room that the labels of the lines from an item need, on both sides of it and below. */
type Around = Pick<Sized, 'pad' | 'below'>

/** From how far labels reach, and how many rows they are, the room around an item. */
export const aroundOf = (width: number, reach: number, rows: number): Around => ({
  pad: Math.max(0, Math.ceil(reach - width / 2)),
  below: Math.max(0, (rows - 1) * ROW),
})

/** How far the labels of an item reach, and how many lines of text they are. */
export type Labels = { readonly reach: number; readonly rows: number }

/** The labels of each item from which lines lead. */
export const labelsOf = (v: Visible, t: Setting): ReadonlyMap<string, Labels> => {
  const first = labelled(v)
  const out = new Map<string, Labels>()
  for (const l of v.lines) {
    const rows = first.has(l.id) ? t.rows(l) : []
    if (rows.length === 0) continue
    const known = out.get(l.from) ?? { reach: 0, rows: 0 }
    const reach = Math.max(known.reach, ...rows.map((r) => ASIDE + t.measure(r, 'label') + 6))
    out.set(l.from, { reach, rows: known.rows + rows.length })
  }
  return out
}

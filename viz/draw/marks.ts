/** The marks of a visible scene: boxes behind, lines, nodes in front. Pure; attributes follow the read-back contract. */
import type { Layout } from '../scene/layout.js'
import { labelled, type Item, type Visible } from '../scene/visible.js'
import { NOTHING_YET, plainLook, rowsAt, type Drawing, type Look } from './drawing.js'
import { itemMark } from './items.js'
import { lineMark, movingLabel, signedLines } from './lines.js'
import { mark, type Mark } from './mark.js'
import { paintedInOrder, placeLabels } from './place.js'

/** Open boxes first, outer before inner, so that what is inside lies in front. */
const inPaintingOrder = (items: readonly Item[]): readonly Item[] =>
  items.flatMap((i) => (i.open ? [i, ...inPaintingOrder(i.children)] : [i]))

/** All marks, in layers: open boxes, lines (quiet ones first), closed boxes and nodes. */
export const marksOf = (v: Visible, layout: Layout, look: Look = plainLook): readonly Mark[] => {
  const items = inPaintingOrder(v.items)
  const first = labelled(v)
  const written = v.lines.flatMap((line) => {
    const rows = first.has(line.id) ? rowsAt(look, line) : []
    return rows.length === 0 ? [] : [{ line, rows }]
  })
  const { spots, through } = placeLabels(v, layout, look.measure, written)
  const lines = paintedInOrder(
    [...v.lines].sort((a, b) => Number(a.flow) - Number(b.flow)),
    through,
  )
  const d: Drawing = {
    ...look,
    v,
    layout,
    signed: signedLines(v, layout),
    spots,
  }
  return [
    mark(
      'g',
      'boxes',
      { class: 'boxes' },
      items.filter((i) => i.open).map((i) => itemMark(d, i)),
    ),
    mark(
      'g',
      'lines',
      { class: 'lines' },
      lines.map((l) => lineMark(d, l)),
    ),
    mark(
      'g',
      'items',
      { class: 'items' },
      items.filter((i) => !i.open).map((i) => itemMark(d, i)),
    ),
    ...(look.now === NOTHING_YET
      ? []
      : [
          mark(
            'g',
            'labels',
            { class: 'labels', 'aria-hidden': 'true' },
            lines.flatMap((l) => movingLabel(d, l)),
          ),
        ]),
  ]
}

/** The marks of items: frames, names, and the line of pieces under them. All words stand inside the frame. */
import { cut, type Rect } from '../scene/layout.js'
import { BETWEEN, lineOf, nameOf, piecesOf, type Piece } from '../scene/text.js'
import { isBackward, type Item } from '../scene/visible.js'
import { metaAttrs, notesAt, type Drawing } from './drawing.js'
import { mark, type Mark } from './mark.js'
import { colouredAt } from './overlay.js'
import { headAt } from './place.js'
import { lookOf, sayItem } from './words.js'

const CORNER = 10

const toggle = (i: Item, r: Rect): readonly Mark[] =>
  i.kind !== 'box'
    ? []
    : [
        mark(
          'text',
          'toggle',
          {
            class: 'toggle',
            'aria-hidden': 'true',
            x: r.x + r.width - CORNER,
            y: r.y + (i.open ? 22 : r.height / 2 + 5),
            'text-anchor': 'end',
          },
          i.open ? '−' : '+',
        ),
      ]

/** The values that an item shows: of a result its own, of an input the names it goes by. */
const valuesShown = (i: Item): Item['values'] => i.values.filter((v) => (v.role === 'result') === (i.kind === 'result'))

const valueAttrs = (d: Drawing, i: Item, name: string): Mark['attrs'] => {
  const source = i.node ?? d.v.lines.find((l) => l.tail && l.to === i.id)?.source
  return { 'data-value': name, ...metaAttrs(source ?? { carry: 'float' }) }
}

/** Further names of an input, under it. */
const otherNames = (d: Drawing, i: Item, r: Rect): readonly Mark[] =>
  valuesShown(i)
    .slice(1)
    .map((v, k) =>
      mark(
        'text',
        `value ${v.name}`,
        {
          class: 'sub',
          ...valueAttrs(d, i, v.name),
          x: r.x + r.width / 2,
          y: r.y + r.height + 15 + k * 15,
          'text-anchor': 'middle',
        },
        cut(d.measure, v.name),
      ),
    )

/** A line of pieces, each in its tone. */
const piecesMarks = (pieces: readonly Piece[]): readonly Mark[] =>
  pieces.map((p, k) =>
    mark(
      'tspan',
      String(k),
      p.tone === 'soft' ? {} : { class: `badge ${p.tone}` },
      `${k === 0 ? '' : BETWEEN}${p.text}`,
    ),
  )

/** The second line: under the name of a closed item, at the right in the head of an open box. */
const subMark = (i: Item, r: Rect, pieces: readonly Piece[]): readonly Mark[] => {
  if (pieces.length === 0) return []
  const at = i.open
    ? { x: r.x + r.width - CORNER - 18, y: r.y + 22, 'text-anchor': 'end' }
    : { x: middleOf(i, r), y: r.y + 32.5, 'text-anchor': 'middle' }
  return [mark('text', 'sub', { class: 'sub', 'aria-hidden': 'true', ...at }, piecesMarks(pieces))]
}

/** Where the words of a closed item are centred: beside the sign that opens it. */
const middleOf = (i: Item, r: Rect): number => r.x + r.width / 2 - (i.kind === 'box' ? 8 : 0)

const kindOf = (i: Item): string => {
  if (i.kind === 'node' && i.node !== undefined) return ['input', 'const'].includes(i.node.op) ? i.node.op : 'op'
  return i.kind
}

const classOf = (d: Drawing, i: Item): string => {
  const n = i.node
  return [
    `item ${kindOf(i)}`,
    i.open ? 'open' : '',
    i.kind === 'node' && n?.flow === false ? 'quiet' : '',
    n?.flow === true && ['stripped', 'claimed'].includes(lookOf(n)) ? `at-${lookOf(n)}` : '',
    n?.loss === 'costly' ? 'costly' : '',
    isBackward(i) ? 'backward' : '',
    colouredAt(d.over, i)?.mark ?? '',
    d.over.nonfinite.has(i.id) ? 'at-nan' : '',
  ]
    .filter((c) => c !== '')
    .join(' ')
}

const saidOf = (d: Drawing, i: Item): readonly string[] => {
  const coloured = colouredAt(d.over, i)
  return [
    ...(d.over.nonfinite.has(i.id) ? ['makes the first NaN or infinity'] : []),
    ...(d.over.estimators.has(i.id) ? ['its gradient is an estimate'] : []),
    ...(coloured === undefined ? [] : [coloured.said]),
  ]
}

/** What names an item in the document. */
const namesOf = (i: Item) =>
  i.kind === 'result'
    ? { 'data-result': i.label }
    : { 'data-node': i.id, 'data-op': i.node?.op ?? i.box?.kind ?? 'layer' }

/** Where the name of an item stands: over what is in an open box, else in the middle, above a second line if there is one. */
const titleAt = (d: Drawing, i: Item, r: Rect, pieces: ReturnType<typeof piecesOf>) =>
  i.open
    ? { x: headAt(d.layout, i, r, d.measure), 'text-anchor': 'start', y: r.y + 22 }
    : { x: middleOf(i, r), 'text-anchor': 'middle', y: r.y + (pieces.length > 0 ? 16.5 : r.height / 2 + 4.5) }

/** How round its corners are: values are rounder than what is computed. */
const roundOf = (i: Item, r: Rect): number => (kindOf(i) === 'op' || i.kind === 'box' ? 6 : Math.min(14, r.height / 2))

/** An item: its frame, its name, what stands under it, and the sign that opens a box. */
export const itemMark = (d: Drawing, i: Item): Mark => {
  const r = d.layout.rects.get(i.id) ?? { x: 0, y: 0, width: 0, height: 0 }
  const pieces = piecesOf(i, notesAt(d.over, i))
  const [value] = valuesShown(i)
  const name = cut(d.measure, value?.name ?? nameOf(i))
  const seen = [name, lineOf(pieces)].filter((t) => t !== '').join(' ')
  return mark(
    'g',
    i.id,
    {
      class: classOf(d, i),
      ...namesOf(i),
      'data-item': i.id,
      role: 'button',
      tabindex: -1,
      'aria-label': sayItem(i, seen, saidOf(d, i)),
      ...(i.kind === 'box' ? { 'aria-expanded': String(i.open) } : {}),
    },
    [
      mark('rect', 'frame', { class: 'frame', ...r, rx: roundOf(i, r) }),
      mark(
        'text',
        'title',
        { class: 'title', ...(value === undefined ? {} : valueAttrs(d, i, value.name)), ...titleAt(d, i, r, pieces) },
        `${name}${pieces.length > 0 ? ' ' : ''}`,
      ),
      ...subMark(i, r, pieces),
      ...toggle(i, r),
      ...otherNames(d, i, r),
    ],
  )
}

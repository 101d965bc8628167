/** The marks of lines: their ways, the signs at their sources, their labels. */
import type { Meta } from '../scene/scene.js'
import { backText, nameSpot } from '../scene/back.js'
import { ROW } from '../scene/type.js'
import type { Layout } from '../scene/rect.js'
import type { Line, Visible } from '../scene/visible.js'
import { labelText, metaAttrs, NOTHING_YET, nowText, type Drawing } from './drawing.js'
import { hueOf, plyOf } from './hues.js'
import { mark, type Mark } from './mark.js'
import { backPath, tipPath, wayPath } from './path.js'
import { lookOf, sayLine } from './words.js'

/** Scissors, 12 units wide, around the origin: few fonts have them. */
export const SCISSORS =
  'M-5 -4.6L2.6 1.7M-5 4.6L2.6 -1.7M6 3.2A2 2 0 1 1 2 3.2A2 2 0 1 1 6 3.2M6 -3.2A2 2 0 1 1 2 -3.2A2 2 0 1 1 6 -3.2'

/** Width of a line: its bits, 1 to 16, then constant; a hairline without metadata. */
const thickness = (m: Meta): number => {
  if (m.bits === undefined) return m.carry === 'stripped' ? 2 : 1
  return 1.2 + Math.min(16, m.bits) * 0.3
}

const isColoured = (m: Meta): boolean => lookOf(m) === 'carries' && m.scale !== undefined
const hueClass = (d: Drawing, m: Meta): string => (isColoured(m) ? ` ${hueOf(d.hues, m.scale)}` : '')

/** The core of a line whose hue another scale has too. */
const coreOf = (d: Drawing, l: Line, path: string): readonly Mark[] => {
  const ply = isColoured(l.source) ? plyOf(d.hues, l.source.scale) : 0
  return ply === 0 || !l.flow ? [] : [mark('path', 'core', { class: `core ply${ply}`, d: path })]
}

/** Lines with a sign at their source, one for each item: where something is lost before one that is doubtful, down before up. */
export const signedLines = (v: Visible, layout: Layout): ReadonlySet<string> => {
  const isUp = (l: Line): boolean => {
    const [a, b] = layout.ways.get(l.id) ?? []
    return a !== undefined && b !== undefined && b[1] < a[1]
  }
  const lost = (l: Line): number => (l.source.carry === 'stripped' ? 0 : 1)
  const doubtful = v.lines.filter(
    (l) => l.flow && l.back === undefined && ['stripped', 'claimed'].includes(lookOf(l.source)),
  )
  const at = new Map<string, string>()
  for (const l of [...doubtful].sort((a, b) => lost(a) - lost(b) || Number(isUp(a)) - Number(isUp(b))))
    if (!at.has(l.from)) at.set(l.from, l.id)
  return new Set(at.values())
}

/** The glyph at the source of a line that says the same as its colour. */
const signOf = (d: Drawing, l: Line): readonly Mark[] => {
  const [[x0, y0], [x1, y1]] = d.layout.ways.get(l.id) ?? [
    [0, 0],
    [0, 0],
  ]
  // A line that runs sideways leaves its source at the side; one of a backward pass may run up.
  const [x, y] = d.layout.across.has(l.id) ? [x0 + (x1 < x0 ? -11 : 11), y0] : [x0, y1 < y0 ? y0 - 9 : y0 + 9]
  if (!d.signed.has(l.id)) return []
  const sign =
    l.source.carry === 'stripped'
      ? mark('path', 'scissors', { class: 'scissors', d: SCISSORS, transform: `translate(${x} ${y})` })
      : mark('text', 'sign', { class: 'sign', 'aria-hidden': 'true', x, y: y + 4, 'text-anchor': 'middle' }, '?')
  return [mark('circle', 'ring', { class: 'ring', cx: x, cy: y, r: 8.5 }), sign]
}

/** All that is written at a line, as one text. */
const seenAt = (d: Drawing, l: Line): string =>
  [
    l.back === undefined ? '' : `back to the next step as ${l.back.name}, `,
    labelText(d.over, l),
    d.over.wasted.get(l.source.id) ?? '',
  ]
    .filter((t) => t !== '')
    .join('')

const labelOf = (d: Drawing, l: Line): readonly Mark[] => {
  const spot = d.spots.get(l.id)
  if (spot === undefined) return []
  const { scale, id } = l.source
  const [text, wasted] = [labelText(d.over, l), d.over.wasted.get(id)]
  const at = { x: spot.x, ...(spot.anchor === 'end' ? { 'text-anchor': 'end' } : {}) }
  const content =
    d.now === NOTHING_YET || scale === undefined
      ? text
      : [
          mark('tspan', 'name', {}, text),
          mark('tspan', 'now', { class: 'now', 'data-now': scale }, nowText(d.now, scale)),
        ]
  return [
    mark('text', 'label', { class: 'label', ...at, y: spot.y }, content),
    ...(wasted === undefined ? [] : [mark('text', 'waste', { class: 'label waste', ...at, y: spot.y + ROW }, wasted)]),
  ]
}

/** The label of a line whose text changes all the time: apart from the line, whose name for screen readers stands still. */
export const movingLabel = (d: Drawing, l: Line): readonly Mark[] => {
  const marks = labelOf(d, l)
  return marks.length === 0 ? [] : [mark('g', l.id, { class: `${lookOf(l.source)}${hueClass(d, l.source)}` }, marks)]
}

/** Of a line that leads a state back: its head, and whose next value it is. */
const backMarks = (d: Drawing, l: Line): readonly Mark[] => {
  const way = d.layout.ways.get(l.id) ?? []
  const [text, [x, y]] = [backText(l, d.measure), nameSpot(way)]
  return [
    mark('path', 'tip', { class: 'way tip', d: tipPath(way), 'stroke-width': 1.6 }),
    ...(text === '' ? [] : [mark('text', 'label', { class: 'label next', x, y }, text)]),
  ]
}

const endsOf = (l: Line): Mark['attrs'] => {
  if (l.back !== undefined) return { 'data-back': l.back.name, 'data-back-from': l.from, 'data-back-to': l.to }
  return l.tail ? { 'data-tail': l.id } : { 'data-from': l.from, 'data-to': l.to, 'data-slot': l.slot }
}

/** A line: hit area, way, sign and label. */
export const lineMark = (d: Drawing, l: Line): Mark => {
  const way = d.layout.ways.get(l.id) ?? []
  const path = l.back === undefined ? wayPath(way, d.layout.across.has(l.id)) : backPath(way)
  const free = l.source.loss === 'costly' || l.source.carry !== 'stripped' ? '' : ' free'
  return mark(
    'g',
    l.id,
    {
      class: `line${l.back === undefined ? '' : ' back'} ${lookOf(l.source)}${free}${l.flow ? '' : ' quiet'}${hueClass(d, l.source)}`,
      ...endsOf(l),
      ...metaAttrs(l.source),
      'data-line': l.id,
      role: 'button',
      tabindex: -1,
      'aria-label': sayLine(l, d.v.at.get(l.from), d.v.at.get(l.to), seenAt(d, l)),
    },
    [
      mark('path', 'hit', { class: 'hit', d: path }),
      mark('path', 'way', { class: 'way', d: path, 'stroke-width': thickness(l.source) }),
      ...coreOf(d, l, path),
      ...signOf(d, l),
      ...(l.back === undefined ? [] : backMarks(d, l)),
      ...(d.now === NOTHING_YET ? labelOf(d, l) : []),
    ],
  )
}

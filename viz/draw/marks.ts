/** The marks of a visible scene: boxes behind, lines, nodes in front. Pure; attributes follow the read-back contract. */
import type { Meta } from '../scene/scene.js'
import { cut, piecesOf, textOf, type Layout, type Rect } from '../scene/layout.js'
import { isBackward, type Item, type Line, type Visible } from '../scene/visible.js'
import { mark, type Mark } from './mark.js'
import { errorAt, errorClass, noOverlay, shareText, timeAt, timeClass, type Overlay } from './overlay.js'
import { wayPath } from './path.js'
import { lineLabel, sayItem, sayLine } from './words.js'

/** How many hues there are; beyond them all scales share one. */
export const HUES = 8

/** Scissors, 12 units wide, around the origin: few fonts have them. */
export const SCISSORS =
  'M-5 -4.6L2.6 1.7M-5 4.6L2.6 -1.7M6 3.2A2 2 0 1 1 2 3.2A2 2 0 1 1 6 3.2M6 -3.2A2 2 0 1 1 2 -3.2A2 2 0 1 1 6 -3.2'

/** Hues of scales in the order in which values meet them: the same scale, the same hue; from the ninth on a common one. */
export const huesOf = (lines: readonly Line[]): ReadonlyMap<string, number> => {
  const hues = new Map<string, number>()
  for (const flow of [true, false])
    for (const l of lines) {
      const { scale } = l.source
      if (scale !== undefined && l.flow === flow && !hues.has(scale)) hues.set(scale, Math.min(hues.size, HUES))
    }
  return hues
}

/** The attributes by which metadata can be read back. */
export const metaAttrs = (m: Meta): Mark['attrs'] => ({
  'data-carry': m.carry,
  ...(m.bits === undefined ? {} : { 'data-bits': m.bits, 'data-signed': String(m.signed === true) }),
  ...(m.scale === undefined ? {} : { 'data-scale-id': m.scale }),
  ...(m.carry === 'stripped' || m.carry === 'claimed' ? { 'data-why': m.why ?? '' } : {}),
})

/** Width of a line: its bits, 1 to 16, then constant; a hairline without metadata. */
const thickness = (m: Meta): number =>
  m.bits === undefined ? (m.carry === 'stripped' ? 2 : 1) : 1.2 + Math.min(16, m.bits) * 0.3

const hueClass = (m: Meta, hues: ReadonlyMap<string, number>): string =>
  m.carry === 'carries' && m.scale !== undefined ? ` hue${hues.get(m.scale) ?? HUES}` : ''

/** What a run that goes on says: for each scale (by its identity) a text such as `= 0.0190`, and branches that do not run. */
export type Now = { readonly scales: ReadonlyMap<string, string>; readonly idle: ReadonlySet<string> }
/** Before a run, and for drawings that stand still. */
export const NOTHING_YET: Now = { scales: new Map(), idle: new Set() }
/** The text of a scale beside its name. */
export const nowText = (now: Now, scale: string): string =>
  now.scales.has(scale) ? ` ${now.scales.get(scale) ?? ''}` : ''

type Drawing = {
  readonly v: Visible
  readonly layout: Layout
  readonly hues: ReadonlyMap<string, number>
  readonly now: Now
  readonly over: Overlay
}

/** The glyph at the source of a line that says the same as its colour. */
const signOf = (d: Drawing, l: Line): readonly Mark[] => {
  const [x0, y0] = d.layout.ways.get(l.id)?.[0] ?? [0, 0]
  // A line that runs sideways leaves its source at the side.
  const [x, y] = d.layout.across.has(l.id) ? [x0 + 11, y0 - 9] : [x0, y0]
  if ((l.source.carry !== 'stripped' && l.source.carry !== 'claimed') || !l.flow) return []
  const sign =
    l.source.carry === 'stripped'
      ? mark('path', 'scissors', { class: 'scissors', d: SCISSORS, transform: `translate(${x} ${y + 9})` })
      : mark('text', 'sign', { class: 'sign', 'aria-hidden': 'true', x, y: y + 13, 'text-anchor': 'middle' }, '?')
  return [mark('circle', 'ring', { class: 'ring', cx: x, cy: y + 9, r: 8.5 }), sign]
}

/** The label of a line, with the number of its scale where it is known. */
const labelText = (d: Drawing, l: Line): string => {
  const name = `${lineLabel(l.source)}${l.source.carry === 'stripped' && l.source.loss === 'free' ? ', no cost' : ''}`
  const value = l.source.scale === undefined || name === '' ? undefined : d.over.scales.get(l.source.scale)
  return value === undefined ? name : `${name} = ${value}`
}

/** All that is written at a line, as one text. */
const seenAt = (d: Drawing, l: Line): string =>
  [labelText(d, l), d.over.wasted.get(l.source.id) ?? ''].filter((t) => t !== '').join('')

const labelOf = (d: Drawing, l: Line, first: boolean): readonly Mark[] => {
  const way = d.layout.ways.get(l.id) ?? []
  const text = l.flow && first ? labelText(d, l) : ''
  const wasted = d.over.wasted.get(l.source.id)
  if (text === '' || way.length < 2) return []
  const [[x0, y0], [x1, y1]] = [way[0], way[1]]
  const lost = l.source.carry !== 'carries'
  const [x, y] = d.layout.across.has(l.id)
    ? [x0 + (lost ? 24 : 8), y0 - 7]
    : [(lost ? x0 : (x0 + x1) / 2) + (lost ? 14 : 8), lost ? y0 + 13 : (y0 + y1) / 2 + (wasted === undefined ? 4 : -2)]
  const { scale } = l.source
  const content =
    d.now === NOTHING_YET || scale === undefined
      ? text
      : [
          mark('tspan', 'name', {}, text),
          mark('tspan', 'now', { class: 'now', 'data-now': scale }, nowText(d.now, scale)),
        ]
  return [
    mark('text', 'label', { class: 'label', x, y }, content),
    ...(wasted === undefined ? [] : [mark('text', 'waste', { class: 'label waste', x, y: y + 13 }, wasted)]),
  ]
}

const lineMark = (d: Drawing, l: Line, first: boolean): Mark => {
  const path = wayPath(d.layout.ways.get(l.id) ?? [], d.layout.across.has(l.id))
  const ends = l.tail ? { 'data-tail': l.id } : { 'data-from': l.from, 'data-to': l.to, 'data-slot': l.slot }
  const meta = metaAttrs(l.source)
  return mark(
    'g',
    l.id,
    {
      class: `line ${l.source.carry}${l.source.loss === 'costly' || l.source.carry !== 'stripped' ? '' : ' free'}${l.flow ? '' : ' quiet'}${hueClass(l.source, d.hues)}`,
      ...ends,
      ...meta,
      'data-line': l.id,
      role: 'button',
      tabindex: -1,
      'aria-label': sayLine(l, d.v.at.get(l.from), d.v.at.get(l.to), seenAt(d, l)),
    },
    [
      mark('path', 'hit', { class: 'hit', d: path }),
      mark('path', 'way', { class: 'way', d: path, 'stroke-width': thickness(l.source) }),
      ...signOf(d, l),
      ...(d.now === NOTHING_YET ? labelOf(d, l, first) : []),
    ],
  )
}

/** Signs at the corner of an item: an estimated gradient, the first NaN. */
const signs = (d: Drawing, i: Item, r: Rect): readonly Mark[] => {
  const middle = i.open ? r.y + 18 : r.y + r.height / 2
  return [
    ...(d.over.estimators.has(i.id)
      ? [
          mark('circle', 'guess', { class: 'guess', cx: r.x, cy: middle, r: 7.5 }),
          mark(
            'text',
            'tilde',
            { class: 'tilde', 'aria-hidden': 'true', x: r.x, y: middle + 4, 'text-anchor': 'middle' },
            '~',
          ),
        ]
      : []),
    ...(d.over.nonfinite.has(i.id)
      ? [
          mark(
            'text',
            'nan',
            { class: 'badge lost', 'aria-hidden': 'true', x: r.x - 10, y: middle + 4, 'text-anchor': 'end' },
            'NaN or ∞',
          ),
        ]
      : []),
  ]
}

/** Quantization errors, or shares of time, beside the items, apart from them: their accessible names say the same. */
const errorMarks = (d: Drawing, i: Item): readonly Mark[] => {
  const [error, time, r] = [errorAt(d.over, i), timeAt(d.over, i), d.layout.rects.get(i.id)]
  const text =
    error !== undefined ? `${error.toFixed(1)} dB` : time !== undefined && timeClass(time) > 0 ? shareText(time) : ''
  if (text === '' || r === undefined) return []
  const y = (i.open ? r.y + 18 : r.y + r.height / 2) + (d.over.nonfinite.has(i.id) ? 18 : 4)
  return [mark('text', i.id, { class: 'badge dB', x: r.x - 10, y, 'text-anchor': 'end' }, text)]
}

/** The label of a line whose text changes all the time: apart from the line, whose name for screen readers stands still. */
const movingLabel = (d: Drawing, l: Line, first: boolean): readonly Mark[] => {
  const marks = labelOf(d, l, first)
  return marks.length === 0 ? [] : [mark('g', l.id, { class: `${l.source.carry}${hueClass(l.source, d.hues)}` }, marks)]
}

/** How a product multiplies; nothing for others. */
const unitOf = (i: Item): string => (i.node?.integer === undefined ? '' : i.node.integer ? 'int' : 'float')

const badges = (i: Item, r: Rect): readonly Mark[] => {
  const right = r.x + r.width - 8
  const out: Mark[] = []
  if (i.node?.integer !== undefined)
    out.push(
      mark(
        'text',
        'unit',
        {
          class: i.node.integer ? 'badge good' : 'badge lost',
          'aria-hidden': 'true',
          x: r.x + r.width + 5,
          y: r.y + 13,
        },
        ` ${unitOf(i)}`,
      ),
    )
  if (i.kind === 'box')
    out.push(
      mark(
        'text',
        'toggle',
        { class: 'toggle', 'aria-hidden': 'true', x: right, y: r.y + 22, 'text-anchor': 'end' },
        i.open ? '−' : '+',
      ),
    )
  return out
}

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
          y: r.y + r.height + 13 + k * 13,
          'text-anchor': 'middle',
        },
        cut(v.name),
      ),
    )

/** The second line of an item: of a box in pieces, each in its tone. */
const subMarks = (i: Item, sub: string): string | readonly Mark[] => {
  const pieces = piecesOf(i)
  return pieces.length === 0
    ? sub
    : pieces.map((p, k) =>
        mark(
          'tspan',
          String(k),
          p.tone === 'soft' ? {} : { class: `badge ${p.tone}` },
          `${k === 0 ? '' : ' · '}${p.text}`,
        ),
      )
}

const itemMark = (d: Drawing, i: Item): Mark => {
  const r = d.layout.rects.get(i.id) ?? { x: 0, y: 0, width: 0, height: 0 }
  const [label, sub] = textOf(i)
  const [value] = valuesShown(i)
  const names =
    i.kind === 'result'
      ? { 'data-result': i.label }
      : { 'data-node': i.id, 'data-op': i.node?.op ?? i.box?.kind ?? 'layer' }
  const kind =
    i.kind === 'node' && i.node !== undefined ? (['input', 'const'].includes(i.node.op) ? i.node.op : 'op') : i.kind
  const quiet = i.kind === 'node' && i.node?.flow === false ? ' quiet' : ''
  const lost =
    i.node?.flow === true && (i.node.carry === 'stripped' || i.node.carry === 'claimed') ? ` at-${i.node.carry}` : ''
  const left = i.open
    ? { x: r.x + 12, 'text-anchor': 'start' }
    : { x: r.x + r.width / 2 - (i.kind === 'box' ? 6 : 0), 'text-anchor': 'middle' }
  const twoLines = sub !== '' && !i.open
  const [error, time] = [errorAt(d.over, i), timeAt(d.over, i)]
  const state = `${isBackward(i) ? ' backward' : ''}${error === undefined ? '' : ` error${errorClass(error)}`}${time === undefined ? '' : ` time${timeClass(time)}`}${d.over.nonfinite.has(i.id) ? ' at-nan' : ''}`
  const said = [
    ...(d.over.nonfinite.has(i.id) ? ['makes the first NaN or infinity'] : []),
    ...(i.kind === 'node' && i.node?.estimator !== undefined ? ['its gradient is an estimate'] : []),
    ...(error === undefined ? [] : [`signal over quantization noise ${error.toFixed(1)} dB`]),
    ...(time === undefined ? [] : [`${shareText(time)} of the time`]),
  ]
  return mark(
    'g',
    i.id,
    {
      class: `item ${kind}${i.open ? ' open' : ''}${quiet}${lost}${i.node?.loss === 'costly' ? ' costly' : ''}${state}`,
      ...names,
      'data-item': i.id,
      role: 'button',
      tabindex: -1,
      'aria-label': sayItem(
        i,
        [value?.name ?? label, ...(twoLines ? [sub] : []), unitOf(i)]
          .filter((t) => t !== '')
          .map(cut)
          .join(' '),
        said,
      ),
      ...(i.kind === 'box' ? { 'aria-expanded': String(i.open) } : {}),
    },
    [
      mark('rect', 'frame', { class: 'frame', ...r, rx: kind === 'op' || i.kind === 'box' ? 6 : r.height / 2 }),
      mark(
        'text',
        'title',
        {
          class: 'title',
          ...(value === undefined ? {} : valueAttrs(d, i, value.name)),
          ...left,
          y: r.y + (i.open ? 22 : twoLines ? 16 : r.height / 2 + 4.5),
        },
        `${cut(value?.name ?? label)}${twoLines ? ' ' : ''}`,
      ),
      ...(twoLines
        ? [mark('text', 'sub', { class: 'sub', 'aria-hidden': 'true', ...left, y: r.y + 30 }, subMarks(i, sub))]
        : []),
      ...badges(i, r),
      ...signs(d, i, r),
      ...otherNames(d, i, r),
    ],
  )
}

/** Open boxes first, outer before inner, so that what is inside lies in front. */
const inPaintingOrder = (items: readonly Item[]): readonly Item[] =>
  items.flatMap((i) => (i.open ? [i, ...inPaintingOrder(i.children)] : [i]))

/** All marks, in layers: open boxes, lines (quiet ones first), closed boxes and nodes. */
export const marksOf = (
  v: Visible,
  layout: Layout,
  hues: ReadonlyMap<string, number> = huesOf(v.lines),
  now: Now = NOTHING_YET,
  over: Overlay = noOverlay,
): readonly Mark[] => {
  const d: Drawing = { v, layout, hues, now, over }
  const items = inPaintingOrder(v.items)
  const labelled = new Set<string>()
  const firstOf = (l: Line): boolean => {
    if (!l.flow || labelled.has(l.source.id)) return false
    labelled.add(l.source.id)
    return true
  }
  const lines = [...v.lines].sort((a, b) => Number(a.flow) - Number(b.flow))
  const first = new Set(lines.filter(firstOf).map((l) => l.id))
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
      lines.map((l) => lineMark(d, l, first.has(l.id))),
    ),
    mark(
      'g',
      'items',
      { class: 'items' },
      items.filter((i) => !i.open).map((i) => itemMark(d, i)),
    ),
    mark(
      'g',
      'errors',
      { class: 'errors', 'aria-hidden': 'true' },
      items.flatMap((i) => errorMarks(d, i)),
    ),
    ...(now === NOTHING_YET
      ? []
      : [
          mark(
            'g',
            'labels',
            { class: 'labels', 'aria-hidden': 'true' },
            lines.flatMap((l) => movingLabel(d, l, first.has(l.id))),
          ),
        ]),
  ]
}

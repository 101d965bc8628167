/** The marks of two programs: each half as a page of its own would draw it, and between them what differs. Pure. */
import { mark, type Mark } from '../draw/mark.js'
import { plainLook, settingOf, type Look } from '../draw/drawing.js'
import { huesOf, type Hues } from '../draw/hues.js'
import { marksOf } from '../draw/marks.js'
import { noOverlay, type Overlay } from '../draw/overlay.js'
import { layoutOf, type Layout, type Rect } from '../scene/layout.js'
import type { Point } from '../scene/level.js'
import { cutTo, estimate, type Measure } from '../scene/type.js'
import type { Item, Visible } from '../scene/visible.js'
import { levelled } from './layout.js'
import { SIDES, type PairScene, type Side } from './sides.js'
import type { Status, Twins } from './twins.js'
import { modeChanges, modeNote } from './modes.js'
import { differenceText } from './words.js'

/** Room between the halves, and around the text of a chip in it. */
const GUTTER = { least: 96, most: 210, around: 44 }
const CHIP = { height: 24, gap: 5, around: 20 }

/** What is laid over each half. */
export type Overs = readonly [Overlay, Overlay]
const NO_OVERS: Overs = [noOverlay, noOverlay]

/** How both halves look. */
export type PairLook = { readonly hues: readonly [Hues, Hues]; readonly measure: Measure; readonly overs?: Overs }

/** Two drawings that stand side by side: `lefts` are where they begin. */
export type PairDrawing = {
  readonly visible: readonly [Visible, Visible]
  readonly layouts: readonly [Layout, Layout]
  readonly lefts: readonly [number, number]
  readonly width: number
  readonly height: number
  readonly chips: readonly Chip[]
}

/** A note between the halves: what it is about on each side (null: nothing there), its words, and where it stands. */
export type Chip = {
  readonly ids: readonly [string | null, string | null]
  readonly text: string
  readonly status: Status
  readonly at: number
  readonly ends: readonly [Point | null, Point | null]
}

/** The hues of both halves: a scale has that of its twin. */
export const jointHues = (pair: PairScene, twins: Twins): readonly [Hues, Hues] => {
  const first = huesOf(pair.scenes[0])
  let next = first.size
  const second = new Map(
    [...huesOf(pair.scenes[1]).keys()].map((scale): [string, number] => [
      scale,
      first.get(twins[1].partner.get(scale) ?? '') ?? next++,
    ]),
  )
  return [first, second]
}

/** Where the tie of a chip ends: beside a thing, at the height of its name. */
const besideOf = (r: Rect | undefined, isOpen: boolean, side: Side): Point | null =>
  r === undefined ? null : [side === 0 ? r.x + r.width + 6 : r.x - 6, isOpen ? r.y + 18 : r.y + r.height / 2]

/** What has a note: the innermost things drawn that values go through; of what stands on one side alone the outermost. */
const noted = (items: readonly Item[], status: ReadonlyMap<string, Status>): readonly Item[] =>
  items.flatMap((i) => {
    const own = status.get(i.id)
    if (own === 'only') return i.kind === 'node' && i.node?.flow === false ? [] : [i]
    if (i.open) return noted(i.children, status)
    return own === 'differs' && (i.kind !== 'node' || i.node?.flow === true) ? [i] : []
  })

type Draft = Omit<Chip, 'at'>

const draftsOf = (
  pair: PairScene,
  twins: Twins,
  visible: PairDrawing['visible'],
  layouts: PairDrawing['layouts'],
): readonly Draft[] => {
  const beside = (side: Side, id: string): Point | null =>
    besideOf(layouts[side].rects.get(id), visible[side].at.get(id)?.open === true, side)
  const known = new Set<string>()
  const modes = modeChanges(pair, twins)
  return SIDES.flatMap((side) =>
    noted(visible[side].items, twins[side].status).flatMap((i): readonly Draft[] => {
      const other = twins[side].partner.get(i.id)
      if (twins[side].status.get(i.id) === 'only' || other === undefined) {
        const [ids, ends] =
          side === 0
            ? [[i.id, null] as const, [beside(0, i.id), null] as const]
            : [[null, i.id] as const, [null, beside(1, i.id)] as const]
        return [{ ids, ends, text: `only ${side === 0 ? 'left' : 'right'}`, status: 'only' }]
      }
      const [a, b] = side === 0 ? [i.id, other] : [other, i.id]
      if (known.has(a) || !visible[0].at.has(a) || !visible[1].at.has(b)) return []
      known.add(a)
      const text = modeNote(modes, a, differenceText(pair, twins, a, b))
      return text === null ? [] : [{ ids: [a, b], ends: [beside(0, a), beside(1, b)], text, status: 'differs' }]
    }),
  )
}

/** Chips from top to bottom, none over another. */
const placed = (drafts: readonly Draft[]): readonly Chip[] => {
  const wanted = (d: Draft): number => {
    if (d.ends[0] === null) return d.ends[1]?.[1] ?? 0
    return d.ends[1] === null ? d.ends[0][1] : (d.ends[0][1] + d.ends[1][1]) / 2
  }
  let free = -Infinity
  return [...drafts]
    .sort((x, y) => wanted(x) - wanted(y))
    .map((d) => {
      const at = Math.max(wanted(d), free)
      free = at + CHIP.height + CHIP.gap
      return { ...d, at }
    })
}

/** Lays both halves out, level with each other. */
export const pairDrawing = (
  pair: PairScene,
  twins: Twins,
  visible: PairDrawing['visible'],
  measure: Measure = estimate,
  overs: Overs = NO_OVERS,
): PairDrawing => {
  const [a, b] = overs.map((over) => settingOf({ ...plainLook, measure, over }))
  const layouts = levelled(visible, [layoutOf(visible[0], a), layoutOf(visible[1], b)], twins[0].partner)
  const chips = placed(draftsOf(pair, twins, visible, layouts))
  const widest = Math.max(0, ...chips.map((c) => measure(c.text, 'label') + CHIP.around + GUTTER.around))
  const right = layouts[0].width + Math.min(GUTTER.most, Math.max(GUTTER.least, widest))
  const height = Math.max(layouts[0].height, (chips.at(-1)?.at ?? 0) + CHIP.height)
  return { visible, layouts, lefts: [0, right], width: right + layouts[1].width, height, chips }
}

/** Attributes by which the comparison can be read back, on every drawn thing and its line. */
const compared = (m: Mark, twins: Twins[Side], prefix: string): Mark => {
  const item = m.attrs['data-item']
  const id = item === undefined ? undefined : String(item)
  const status = id === undefined ? undefined : twins.status.get(id)
  const partner = id === undefined ? undefined : twins.partner.get(id)
  const label =
    m.attrs['aria-label'] === undefined
      ? {}
      : {
          'aria-label': `${String(m.attrs['aria-label'])}${status === 'only' ? ', only in ' : ', in '}${prefix}${status === 'differs' ? ', differs' : ''}`,
        }
  return {
    ...m,
    attrs: {
      ...m.attrs,
      ...label,
      ...(status === undefined ? {} : { 'data-pair': status, class: `${String(m.attrs.class)} pair-${status}` }),
      ...(partner === undefined ? {} : { 'data-partner': partner }),
    },
    ...(m.children === undefined ? {} : { children: m.children.map((c) => compared(c, twins, prefix)) }),
  }
}

const curve = (x0: number, y0: number, x1: number, y1: number): string => {
  const r = (n: number): number => Math.round(n * 10) / 10
  return `M${r(x0)} ${r(y0)}C${r((x0 + x1) / 2)} ${r(y0)} ${r((x0 + x1) / 2)} ${r(y1)} ${r(x1)} ${r(y1)}`
}

const sayChip = (pair: PairScene, c: Chip): string => {
  const name = c.ids[0] ?? c.ids[1] ?? ''
  return c.status === 'only'
    ? `${c.text}: ${name} is only in ${pair.scenes[c.ids[0] === null ? 1 : 0].title}`
    : `${c.text}: ${name} differs between ${pair.scenes[0].title} and ${pair.scenes[1].title}`
}

const chipMark = (pair: PairScene, d: PairDrawing, c: Chip, measure: Measure): Mark => {
  const [from, to] = [d.layouts[0].width, d.lefts[1]]
  const text = cutTo(measure, c.text, 'label', to - from - CHIP.around - 16)
  const width = measure(text, 'label') + CHIP.around
  const onOneSide = c.ids[0] === null ? to - width - 8 : from + 8
  const x = c.ids.includes(null) ? onOneSide : (from + to - width) / 2
  return mark(
    'g',
    `${c.ids[0] ?? ''}|${c.ids[1] ?? ''}`,
    {
      class: `chip ${c.status}`,
      'data-chip-a': c.ids[0] ?? '',
      'data-chip-b': c.ids[1] ?? '',
      role: 'button',
      tabindex: -1,
      'aria-label': sayChip(pair, c),
    },
    [
      ...(c.ends[0] === null ? [] : [mark('path', 'left', { class: 'tie', d: curve(...c.ends[0], x, c.at) })]),
      ...(c.ends[1] === null
        ? []
        : [mark('path', 'right', { class: 'tie', d: curve(x + width, c.at, to + c.ends[1][0], c.ends[1][1]) })]),
      mark('rect', 'pill', {
        class: 'pill',
        x,
        y: c.at - CHIP.height / 2,
        width,
        height: CHIP.height,
        rx: CHIP.height / 2,
      }),
      mark('text', 'text', { class: 'pill-text', x: x + width / 2, y: c.at + 4.5, 'text-anchor': 'middle' }, text),
    ],
  )
}

/** All marks of a drawing of two programs: a group for each half, `[data-program="0"]` and `"1"`, and the chips between them. */
export const pairMarks = (
  pair: PairScene,
  twins: Twins,
  d: PairDrawing,
  { hues, measure, overs = NO_OVERS }: PairLook,
): readonly Mark[] => {
  const look = (side: Side): Look => ({ ...plainLook, measure, hues: hues[side], over: overs[side] })
  return [
    mark(
      'g',
      'chips',
      { class: 'chips' },
      d.chips.map((c) => chipMark(pair, d, c, measure)),
    ),
    ...SIDES.map((side) =>
      mark(
        'g',
        `half ${side}`,
        {
          class: 'half',
          'data-program': side,
          role: 'group',
          'aria-label': `${side === 0 ? 'Left' : 'Right'}: ${pair.scenes[side].title}`,
          transform: `translate(${d.lefts[side]} 0)`,
        },
        marksOf(d.visible[side], d.layouts[side], look(side)).map((m) =>
          compared(m, twins[side], pair.scenes[side].title),
        ),
      ),
    ),
  ]
}

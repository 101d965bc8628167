/** The drawing in the page: lays out and paints what is visible, moves and scales it, marks what is lit or selected. */
import { paint } from '../draw/paint.js'
import { NOTHING_YET, nowText, settingOf, type Look, type Now } from '../draw/drawing.js'
import type { Hues } from '../draw/hues.js'
import { marksOf } from '../draw/marks.js'
import { noOverlay, type Overlay } from '../draw/overlay.js'
import { foldedInto } from '../scene/fold.js'
import { layoutOf, type Layout } from '../scene/layout.js'
import type { Scene } from '../scene/scene.js'
import { visibleOf, type Visible } from '../scene/visible.js'
import { startOf } from '../scene/start.js'
import { isReadable, looking, makeCamera, SCALE, type Camera, type Size } from './camera.js'
import { svgEl } from './dom.js'
import { pageMeasure } from './measure.js'

/** What is drawn: a scene with some boxes open, with or without the nodes that only compute scales, and what is laid over it. */
export type Drawn = {
  readonly scene: Scene
  readonly open: ReadonlySet<string>
  readonly details: boolean
  readonly over: Overlay
  readonly hues: Hues
}

/** What is marked in a drawing. */
export type Marked = {
  readonly selected: string | null
  readonly partners: ReadonlySet<string>
  /** The others are dimmed; null: everything is lit. */
  readonly lit: ReadonlySet<string> | null
}

/** The drawing. */
export type View = {
  /** What is drawn now. */
  readonly visible: () => Visible
  readonly layout: () => Layout
  readonly draw: (drawn: Drawn) => void
  /** Would all of this be seen at a readable size? */
  readonly fits: (drawn: Drawn) => boolean
  readonly fit: () => void
  /** Fits, but stays readable: what has no room begins where values come in. */
  readonly firstLook: () => void
  /** Looks anew after the window has changed, unless the reader has moved the drawing. */
  readonly settle: () => void
  /** Brings an item or a line into sight. */
  readonly reveal: (id: string) => void
  readonly zoomBy: (factor: number) => void
  /** Marks what is selected, what belongs to it in the other pass, and what is lit. */
  readonly mark: (marked: Marked) => void
  readonly element: (id: string) => SVGElement | null
  readonly onMove: (listener: () => void) => void
  /** What a run says now: texts of scales on their lines, and branches that do not run. */
  readonly setNow: (now: Now) => void
}

const idOf = (e: Element): string => e.getAttribute('data-item') ?? e.getAttribute('data-line') ?? ''

/** A drawing laid out: as it would be in one column, and as it is in this window. */
type Arranged = { readonly visible: Visible; readonly flat: Layout; readonly layout: Layout }

const EMPTY: Layout = {
  width: 1,
  height: 1,
  rects: new Map(),
  ways: new Map(),
  across: new Set(),
  gates: new Map(),
  reach: new Map(),
}
const NOTHING: Arranged = { visible: { items: [], lines: [], at: new Map() }, flat: EMPTY, layout: EMPTY }

/** Lays out what is visible; in columns where one would be too tall. */
const arranged = (drawn: Drawn, look: Look, room: Size): Arranged => {
  const visible = visibleOf(drawn.scene, drawn.open, drawn.details)
  const flat = layoutOf(visible, settingOf(look))
  return { visible, flat, layout: foldedInto(visible, flat, room) }
}

const lookOf = (measure: Look['measure'], now: Now, drawn: Drawn | null): Look => ({
  measure,
  now,
  over: drawn?.over ?? noOverlay,
  hues: drawn?.hues ?? new Map(),
})

/** Where something stands, for a camera that looks at it. */
const middleOf = (layout: Layout, id: string): readonly [number, number] | null => {
  const r = layout.rects.get(id)
  const way = layout.ways.get(id)
  if (r !== undefined) return [r.x + r.width / 2, r.y + Math.min(r.height, 200) / 2]
  return way !== undefined && way.length > 0 ? [way[0][0], way[0][1]] : null
}

/** The sheet on which a drawing is painted, and what is painted on it. */
type Sheet = {
  readonly element: SVGElement
  readonly shown: () => Arranged
  readonly paint: (shown: Arranged, drawn: Drawn | null) => void
  readonly mark: (marked: Marked) => void
  readonly now: () => Now
  /** Writes the texts of a run where they stand. */
  readonly write: (now: Now) => void
  /** The same numbers before anything is painted anew. */
  readonly keep: (now: Now) => void
}

const makeSheet = (svg: SVGSVGElement, measure: Look['measure']): Sheet => {
  const element = svgEl('g', { class: 'scene' })
  let [shown, now]: [Arranged, Now] = [NOTHING, NOTHING_YET]
  let marked: Marked = { selected: null, partners: new Set(), lit: null }
  const refresh = (): void => {
    const { selected, partners, lit } = marked
    svg.classList.toggle('dimming', lit !== null)
    for (const e of element.querySelectorAll<SVGElement>('[data-item],[data-line]')) {
      const id = idOf(e)
      e.classList.toggle('lit', lit?.has(id) === true)
      e.classList.toggle('selected', id === selected)
      e.classList.toggle('partner', partners.has(id))
      e.classList.toggle('idle', now.idle.has(id))
      e.setAttribute('tabindex', id === (selected ?? shown.visible.items[0]?.id) ? '0' : '-1')
    }
  }
  return {
    element,
    shown: () => shown,
    paint: (next, drawn) => {
      shown = next
      paint(element, marksOf(next.visible, next.layout, lookOf(measure, now, drawn)))
      refresh()
    },
    mark: (next) => {
      marked = next
      refresh()
    },
    now: () => now,
    keep: (next) => {
      now = next
    },
    write: (next) => {
      const sameIdle = next.idle.size === now.idle.size && [...next.idle].every((id) => now.idle.has(id))
      now = next
      for (const e of element.querySelectorAll('[data-now]')) {
        const text = nowText(now, e.getAttribute('data-now') ?? '')
        if (e.textContent !== text) e.textContent = text
      }
      if (!sameIdle) refresh()
    },
  }
}

/** Looks at a drawing from where values come in, folded for the window as it is now. */
const firstLookAt = (sheet: Sheet, camera: Camera, drawn: Drawn | null): void => {
  const { visible, flat, layout } = sheet.shown()
  const anew = foldedInto(visible, flat, camera.room())
  if (anew.width !== layout.width || anew.height !== layout.height) sheet.paint({ visible, flat, layout: anew }, drawn)
  const now = sheet.shown().layout
  const shown = { width: now.width, height: now.height, window: camera.window(now, SCALE.readable) }
  camera.look(now, SCALE.readable, startOf([...visible.at.values()], now.rects, shown))
}

const sameThings = (a: Drawn | null, b: Drawn): boolean =>
  a !== null && a.scene === b.scene && a.open === b.open && a.details === b.details

/** Makes the drawing inside an svg element. */
export const makeView = (svg: SVGSVGElement): View => {
  const measure = pageMeasure()
  const sheet = makeSheet(svg, measure)
  let before: Drawn | null = null
  const listeners: (() => void)[] = []
  const moved = (): void => listeners.forEach((l) => l())
  const camera = makeCamera(svg, sheet.element, moved)
  const arrange = (drawn: Drawn): Arranged => arranged(drawn, lookOf(measure, sheet.now(), drawn), camera.room())
  return {
    visible: () => sheet.shown().visible,
    layout: () => sheet.shown().layout,
    element: (id) => sheet.element.querySelector(`[data-item="${CSS.escape(id)}"],[data-line="${CSS.escape(id)}"]`),
    draw: (drawn) => {
      const next = sameThings(before, drawn) ? sheet.shown() : arrange(drawn)
      before = drawn
      sheet.paint(next, drawn)
      if (sheet.element.parentNode === null) svg.append(sheet.element)
      moved()
    },
    fits: (drawn) => isReadable(arrange(drawn).layout, camera.room()),
    ...looking(camera, {
      firstLook: () => firstLookAt(sheet, camera, before),
      fit: () => camera.look(sheet.shown().layout, SCALE.smallest),
    }),
    reveal: (id) => {
      const at = middleOf(sheet.shown().layout, id)
      if (at !== null) camera.reveal(at)
    },
    zoomBy: camera.zoomBy,
    mark: sheet.mark,
    onMove: (listener) => void listeners.push(listener),
    setNow: (next) => {
      if (sheet.now() !== NOTHING_YET || next === NOTHING_YET) return sheet.write(next)
      sheet.keep(next)
      // Numbers at the lines need room.
      sheet.paint(before === null ? sheet.shown() : arrange(before), before)
    },
  }
}

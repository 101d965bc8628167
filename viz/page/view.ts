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
import { makeCamera, SCALE } from './camera.js'
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
  /** Selects, and marks what belongs to the selection in the other pass. */
  readonly select: (id: string | null, partners?: ReadonlySet<string>) => void
  /** Lights some items and lines and dims the others; null lights all. */
  readonly light: (ids: ReadonlySet<string> | null) => void
  readonly element: (id: string) => SVGElement | null
  readonly onMove: (listener: () => void) => void
  /** What a run says now: texts of scales on their lines, and branches that do not run. */
  readonly setNow: (now: Now) => void
}

const idOf = (e: Element): string => e.getAttribute('data-item') ?? e.getAttribute('data-line') ?? ''

/** Makes the drawing inside an svg element. */
export const makeView = (svg: SVGSVGElement): View => {
  let now: Now = NOTHING_YET
  const sheet = svgEl('g', { class: 'scene' })
  let [visible, layout, selected]: [Visible, Layout, string | null] = [
    { items: [], lines: [], at: new Map() },
    {
      width: 1,
      height: 1,
      rects: new Map(),
      ways: new Map(),
      across: new Set(),
      gates: new Map(),
      reach: new Map(),
    },
    null,
  ]
  const measure = pageMeasure()
  let flat = layout
  let before: Drawn | null = null
  let partners: ReadonlySet<string> = new Set()
  let lit: ReadonlySet<string> | null = null
  const listeners: (() => void)[] = []
  const elements = (): readonly SVGElement[] => [...sheet.querySelectorAll<SVGElement>('[data-item],[data-line]')]
  const camera = makeCamera(svg, sheet, () => listeners.forEach((l) => l()))
  const refresh = (): void => {
    svg.classList.toggle('dimming', lit !== null)
    for (const e of elements()) {
      e.classList.toggle('lit', lit?.has(idOf(e)) === true)
      e.classList.toggle('selected', idOf(e) === selected)
      e.classList.toggle('partner', partners.has(idOf(e)))
      e.classList.toggle('idle', now.idle.has(idOf(e)))
      e.setAttribute('tabindex', idOf(e) === (selected ?? visible.items[0]?.id) ? '0' : '-1')
    }
  }
  const lookOf = (drawn: Drawn | null): Look => ({
    measure,
    now,
    over: drawn?.over ?? noOverlay,
    hues: drawn?.hues ?? new Map(),
  })
  const repaint = (): void => {
    paint(sheet, marksOf(visible, layout, lookOf(before)))
    refresh()
  }
  /** Lays out what is visible; in columns where one would be too tall. */
  const arrange = (drawn: Drawn): void => {
    visible = visibleOf(drawn.scene, drawn.open, drawn.details)
    flat = layoutOf(visible, settingOf(lookOf(drawn)))
    layout = foldedInto(visible, flat, camera.room())
  }
  const firstLook = (): void => {
    const anew = foldedInto(visible, flat, camera.room())
    if (anew.width !== layout.width || anew.height !== layout.height) {
      layout = anew
      repaint()
    }
    const { width, height, rects } = layout
    const shown = { width, height, window: camera.window(layout, SCALE.readable) }
    camera.look(layout, SCALE.readable, startOf([...visible.at.values()], rects, shown))
  }
  const fit = (): void => camera.look(layout, SCALE.smallest)
  /** How the drawing was last shown. */
  let looked = firstLook
  const element = (id: string): SVGElement | null =>
    sheet.querySelector(`[data-item="${CSS.escape(id)}"],[data-line="${CSS.escape(id)}"]`)
  const middle = (id: string): readonly [number, number] | null => {
    const r = layout.rects.get(id)
    const way = layout.ways.get(id)
    if (r !== undefined) return [r.x + r.width / 2, r.y + Math.min(r.height, 200) / 2]
    return way !== undefined && way.length > 0 ? [way[0][0], way[0][1]] : null
  }
  return {
    visible: () => visible,
    layout: () => layout,
    element,
    draw: (drawn) => {
      const same =
        before !== null &&
        before.scene === drawn.scene &&
        before.open === drawn.open &&
        before.details === drawn.details
      if (!same) arrange(drawn)
      before = drawn
      repaint()
      if (sheet.parentNode === null) svg.append(sheet)
      listeners.forEach((l) => l())
    },
    fits: (drawn) => {
      const [v, room] = [visibleOf(drawn.scene, drawn.open, drawn.details), camera.room()]
      const { width, height } = foldedInto(v, layoutOf(v, settingOf(lookOf(drawn))), room)
      return width * SCALE.readable <= room.width && height * SCALE.readable <= room.height
    },
    fit: () => {
      looked = fit
      fit()
    },
    firstLook: () => {
      looked = firstLook
      firstLook()
    },
    settle: () => {
      if (!camera.moved()) looked()
    },
    reveal: (id) => {
      const at = middle(id)
      if (at !== null) camera.reveal(at)
    },
    zoomBy: camera.zoomBy,
    select: (id, others = new Set()) => {
      selected = id
      partners = others
      refresh()
    },
    light: (ids) => {
      lit = ids
      refresh()
    },
    onMove: (listener) => void listeners.push(listener),
    setNow: (next) => {
      if (now === NOTHING_YET && next !== now) {
        now = next
        // Numbers at the lines need room.
        if (before !== null) arrange(before)
        repaint()
        return
      }
      const sameIdle = next.idle.size === now.idle.size && [...next.idle].every((id) => now.idle.has(id))
      now = next
      for (const e of sheet.querySelectorAll('[data-now]')) {
        const text = nowText(now, e.getAttribute('data-now') ?? '')
        if (e.textContent !== text) e.textContent = text
      }
      if (!sameIdle) refresh()
    },
  }
}

/** The drawing in the page: lays out and paints what is visible, moves and scales it, marks what is lit or selected. */
import { paint } from '../draw/paint.js'
import { marksOf, NOTHING_YET, nowText, type Now } from '../draw/marks.js'
import type { Overlay } from '../draw/overlay.js'
import { foldedInto } from '../scene/fold.js'
import { layoutOf, type Layout } from '../scene/layout.js'
import type { Scene } from '../scene/scene.js'
import { visibleOf, type Visible } from '../scene/visible.js'
import { makeCamera, SCALE } from './camera.js'
import { svgEl } from './dom.js'

/** What is drawn: a scene with some boxes open, with or without the nodes that only compute scales, and what is laid over it. */
export type Drawn = {
  readonly scene: Scene
  readonly open: ReadonlySet<string>
  readonly details: boolean
  readonly over: Overlay
}

/** The drawing. */
export type View = {
  /** What is drawn now. */
  readonly visible: () => Visible
  readonly layout: () => Layout
  readonly draw: (drawn: Drawn) => void
  readonly fit: () => void
  /** Fits, but stays readable (no smaller than `least`): a tall drawing begins at its top. */
  readonly firstLook: (least?: number) => void
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
    { width: 1, height: 1, rects: new Map(), ways: new Map(), across: new Set() },
    null,
  ]
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
  const repaint = (): void => {
    paint(sheet, marksOf(visible, layout, undefined, now, before?.over))
    refresh()
  }
  const element = (id: string): SVGElement | null =>
    sheet.querySelector(`[data-item="${CSS.escape(id)}"],[data-line="${CSS.escape(id)}"]`)
  const middle = (id: string): readonly [number, number] | null => {
    const r = layout.rects.get(id)
    const way = layout.ways.get(id)
    return r !== undefined
      ? [r.x + r.width / 2, r.y + Math.min(r.height, 200) / 2]
      : way !== undefined && way.length > 0
        ? [way[0][0], way[0][1]]
        : null
  }
  return {
    visible: () => visible,
    layout: () => layout,
    element,
    draw: (drawn) => {
      if (
        before === null ||
        before.scene !== drawn.scene ||
        before.open !== drawn.open ||
        before.details !== drawn.details
      ) {
        visible = visibleOf(drawn.scene, drawn.open, drawn.details)
        flat = layoutOf(visible)
        layout = foldedInto(visible, flat, camera.room())
      }
      before = drawn
      repaint()
      if (sheet.parentNode === null) svg.append(sheet)
      listeners.forEach((l) => l())
    },
    fit: () => camera.look(layout, SCALE.smallest),
    firstLook: (least = SCALE.readable) => {
      const anew = foldedInto(visible, flat, camera.room())
      if (anew.width !== layout.width || anew.height !== layout.height) {
        layout = anew
        repaint()
      }
      camera.look(layout, least)
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

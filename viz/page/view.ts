/** The drawing in the page: lays out and paints what is visible, moves and scales it, marks what is lit or selected. */
import { select, zoom, zoomIdentity, zoomTransform, type ZoomBehavior } from 'd3'
import { paint } from '../draw/paint.js'
import { marksOf } from '../draw/marks.js'
import { layoutOf, type Layout } from '../scene/layout.js'
import type { Scene } from '../scene/scene.js'
import { visibleOf, type Visible } from '../scene/visible.js'
import { svgEl } from './dom.js'

/** The drawing. */
export type View = {
  /** What is drawn now. */
  readonly visible: () => Visible
  readonly layout: () => Layout
  /** Draws what is visible with these boxes open, with or without the nodes that only compute scales. */
  readonly draw: (open: ReadonlySet<string>, details: boolean) => void
  readonly fit: () => void
  /** Fits, but stays readable: a tall drawing begins at its top. */
  readonly firstLook: () => void
  /** Brings an item or a line into sight. */
  readonly reveal: (id: string) => void
  readonly zoomBy: (factor: number) => void
  readonly select: (id: string | null) => void
  /** Lights some items and lines and dims the others; null lights all. */
  readonly light: (ids: ReadonlySet<string> | null) => void
  readonly element: (id: string) => SVGElement | null
  readonly onMove: (listener: () => void) => void
}

const moves = (): number => (matchMedia('(prefers-reduced-motion: reduce)').matches ? 0 : 160)

const MARGIN = 20
const LARGEST = 1.25
const READABLE = 0.65
const SMALLEST = 0.02

/** The part of the drawing that fits the window: the whole, or if that were too small to read its upper part. */
const fitted = (layout: Layout, box: DOMRect, least: number): { readonly k: number; readonly x: number; readonly y: number } => {
  const whole = Math.min((box.width - MARGIN) / layout.width, (box.height - MARGIN) / layout.height, LARGEST)
  const k = Math.max(whole, least)
  return { k, x: (box.width - layout.width * k) / 2, y: Math.max(MARGIN / 2, (box.height - layout.height * k) / 2) }
}

const idOf = (e: Element): string => e.getAttribute('data-item') ?? e.getAttribute('data-line') ?? ''

/** Makes the drawing inside an svg element. */
export const makeView = (svg: SVGSVGElement, scene: Scene): View => {
  const sheet = svgEl('g', { class: 'scene' })
  let [visible, layout, selected]: [Visible, Layout, string | null] = [visibleOf(scene, new Set(), false), { width: 1, height: 1, rects: new Map(), ways: new Map() }, null]
  let lit: ReadonlySet<string> | null = null
  const listeners: (() => void)[] = []
  const elements = (): readonly SVGElement[] => [...sheet.querySelectorAll<SVGElement>('[data-item],[data-line]')]
  const behavior: ZoomBehavior<SVGSVGElement, unknown> = zoom<SVGSVGElement, unknown>().scaleExtent([0.02, 4]).on('zoom', ({ transform }: { readonly transform: { toString(): string } }) => {
    sheet.setAttribute('transform', transform.toString())
    listeners.forEach((l) => l())
  })
  select(svg).call(behavior).on('dblclick.zoom', null)
  const refresh = (): void => {
    svg.classList.toggle('dimming', lit !== null)
    for (const e of elements()) {
      e.classList.toggle('lit', lit?.has(idOf(e)) === true)
      e.classList.toggle('selected', idOf(e) === selected)
      e.setAttribute('tabindex', idOf(e) === (selected ?? visible.items[0]?.id) ? '0' : '-1')
    }
  }
  const element = (id: string): SVGElement | null => sheet.querySelector(`[data-item="${CSS.escape(id)}"],[data-line="${CSS.escape(id)}"]`)
  const go = (k: number, x: number, y: number, time = moves()): void => {
    const target = zoomIdentity.translate(x, y).scale(k)
    if (time === 0) select(svg).call(behavior.transform, target)
    else select(svg).transition().duration(time).call(behavior.transform, target)
  }
  const look = (least: number): void => {
    const { k, x, y } = fitted(layout, svg.getBoundingClientRect(), least)
    go(k, x, y, 0)
  }
  const middle = (id: string): readonly [number, number] | null => {
    const r = layout.rects.get(id)
    const way = layout.ways.get(id)
    return r !== undefined ? [r.x + r.width / 2, r.y + Math.min(r.height, 200) / 2] : way !== undefined && way.length > 0 ? [way[0][0], way[0][1]] : null
  }
  return {
    visible: () => visible, layout: () => layout, element,
    draw: (open, details) => {
      visible = visibleOf(scene, open, details)
      layout = layoutOf(visible)
      paint(sheet, marksOf(visible, layout))
      if (sheet.parentNode === null) svg.append(sheet)
      refresh()
      listeners.forEach((l) => l())
    },
    fit: () => look(SMALLEST),
    firstLook: () => look(READABLE),
    reveal: (id) => {
      const at = middle(id)
      const box = svg.getBoundingClientRect()
      const t = zoomTransform(svg)
      if (at === null) return
      const [x, y] = t.apply([at[0], at[1]])
      const k = Math.max(t.k, 0.6)
      if (k !== t.k || x < 40 || y < 40 || x > box.width - 40 || y > box.height - 60) go(k, box.width / 2 - at[0] * k, box.height / 2 - at[1] * k)
    },
    zoomBy: (factor) => void select(svg).call(behavior.scaleBy, factor),
    select: (id) => {
      selected = id
      refresh()
    },
    light: (ids) => {
      lit = ids
      refresh()
    },
    onMove: (listener) => void listeners.push(listener),
  }
}

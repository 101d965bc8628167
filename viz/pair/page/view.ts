/** The drawing of two programs in the page: lays out and paints what is visible, marks what is lit or selected. */
import { coloursOnly } from '../../draw/overlay.js'
import { paint } from '../../draw/paint.js'
import { makeCamera, SCALE } from '../../page/camera.js'
import { svgEl } from '../../page/dom.js'
import type { Rect } from '../../scene/rect.js'
import { visibleOf } from '../../scene/visible.js'
import { pageMeasure } from '../../page/measure.js'
import { jointHues, pairDrawing, pairMarks, type Overs, type PairDrawing } from '../marks.js'
import { SIDES, type PairScene, type Side, type SideId } from '../sides.js'
import type { Twins } from '../twins.js'

/** An id on each side; null where there is none. */
export type Ids = readonly [string | null, string | null]

/** The drawing. */
export type PairView = {
  readonly drawing: () => PairDrawing
  /** Colours both halves by an overlay from the next drawing on; null: by none. */
  readonly colour: (overlay: string | null) => void
  readonly draw: (open: readonly [ReadonlySet<string>, ReadonlySet<string>], details: boolean) => void
  /** Would all of this be seen at a readable size? */
  readonly fits: (open: readonly [ReadonlySet<string>, ReadonlySet<string>], details: boolean) => boolean
  readonly fit: () => void
  readonly firstLook: () => void
  /** Looks anew after the window has changed, unless the reader has moved the drawing. */
  readonly settle: () => void
  readonly zoomBy: (factor: number) => void
  readonly reveal: (ids: Ids) => void
  readonly select: (ids: Ids) => void
  /** Lights these and dims the others; null lights all. */
  readonly light: (ids: ReadonlySet<SideId> | null) => void
  readonly element: (side: Side, id: string) => SVGElement | null
}

const half = (e: Element): Element | null => e.closest('[data-program]')

/** Which thing of which side an element draws. */
export const targetOf = (e: Element): { readonly side: Side; readonly id: string; readonly isBox: boolean } | null => {
  const hit = e.closest('[data-item],[data-line]')
  const id = hit?.getAttribute('data-item') ?? hit?.getAttribute('data-line')
  const program = hit === null ? undefined : half(hit)?.getAttribute('data-program')
  return hit === null || id === undefined || id === null
    ? null
    : { side: program === '1' ? 1 : 0, id, isBox: hit.hasAttribute('aria-expanded') }
}

/** Makes the drawing inside an svg element. */
export const makePairView = (svg: SVGSVGElement, pair: PairScene, twins: Twins): PairView => {
  const sheet = svgEl('g', { class: 'scene' })
  const none = new Set<string>()
  const measure = pageMeasure()
  const hues = jointHues(pair, twins)
  const oversFor = (id: string | null): Overs => [coloursOnly(pair.scenes[0], id), coloursOnly(pair.scenes[1], id)]
  let overs = oversFor(null)
  const drawn = (open: readonly [ReadonlySet<string>, ReadonlySet<string>], details: boolean): PairDrawing =>
    pairDrawing(
      pair,
      twins,
      [visibleOf(pair.scenes[0], open[0], details), visibleOf(pair.scenes[1], open[1], details)],
      measure,
      overs,
    )
  let drawing = drawn([none, none], false)
  let [selected, lit]: [Ids, ReadonlySet<SideId> | null] = [[null, null], null]
  const camera = makeCamera(svg, sheet, () => undefined)
  const first = (side: Side): string | undefined => drawing.visible[side].items[0]?.id
  /** Where values come into a half: its topmost input. */
  const inputOf = (side: Side): Rect | undefined => {
    const { rects } = drawing.layouts[side]
    const inputs = [...drawing.visible[side].at.values()].filter((i) => i.values.some((x) => x.role === 'input'))
    const [top] = inputs.flatMap((i) => rects.get(i.id) ?? []).sort((a, b) => a.y - b.y)
    return top === undefined ? undefined : { ...top, x: top.x + drawing.lefts[side] }
  }
  // Both halves, or of what is too wide for that where values come in: on both sides, or if they are too far apart on the left.
  const firstLook = (): void => {
    const [a, b] = [inputOf(0), inputOf(1)]
    const both = a === undefined || b === undefined ? undefined : { ...a, width: b.x + b.width - a.x }
    const fits = both !== undefined && both.width * SCALE.readable <= camera.room().width
    camera.look(drawing, SCALE.readable, fits ? both : a)
  }
  const fit = (): void => camera.look(drawing, SCALE.smallest)
  /** How the drawing was last shown. */
  let looked = firstLook
  const refresh = (): void => {
    svg.classList.toggle('dimming', lit !== null)
    for (const e of sheet.querySelectorAll('[data-item],[data-line]')) {
      const t = targetOf(e)
      if (t === null) continue
      const isChosen = selected[t.side] === t.id
      e.classList.toggle('lit', lit?.has(`${t.side}:${t.id}`) === true)
      e.classList.toggle('selected', isChosen)
      e.setAttribute(
        'tabindex',
        isChosen || (selected[0] === null && selected[1] === null && t.side === 0 && t.id === first(0)) ? '0' : '-1',
      )
    }
    for (const e of sheet.querySelectorAll('.chip'))
      e.classList.toggle(
        'selected',
        SIDES.every((s) => e.getAttribute(s === 0 ? 'data-chip-a' : 'data-chip-b') === (selected[s] ?? '')),
      )
  }
  const element = (side: Side, id: string): SVGElement | null =>
    sheet.querySelector(`[data-program="${side}"] :is([data-item="${CSS.escape(id)}"],[data-line="${CSS.escape(id)}"])`)
  const middle = (side: Side, id: string | null): readonly [number, number] | null => {
    const r = drawing.layouts[side].rects.get(id ?? '')
    const [p] = drawing.layouts[side].ways.get(id ?? '') ?? []
    if (r !== undefined) return [drawing.lefts[side] + r.x + r.width / 2, r.y + Math.min(r.height, 200) / 2]
    return p === undefined ? null : [drawing.lefts[side] + p[0], p[1]]
  }
  return {
    drawing: () => drawing,
    element,
    colour: (id) => {
      overs = oversFor(id)
    },
    draw: (open, details) => {
      drawing = drawn(open, details)
      paint(sheet, pairMarks(pair, twins, drawing, { hues, measure, overs }))
      if (sheet.parentNode === null) svg.append(sheet)
      refresh()
    },
    fits: (open, details) => {
      const [{ width, height }, room] = [drawn(open, details), camera.room()]
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
    zoomBy: camera.zoomBy,
    reveal: (ids) => {
      const [a, b] = [middle(0, ids[0]), middle(1, ids[1])]
      if (a !== null && b !== null)
        camera.reveal([(a[0] + b[0]) / 2, (a[1] + b[1]) / 2], Math.abs(b[0] - a[0]) / 2 + 80)
      else camera.reveal(a ?? b ?? [0, 0])
    },
    select: (ids) => {
      selected = ids
      refresh()
    },
    light: (ids) => {
      lit = ids
      refresh()
    },
  }
}

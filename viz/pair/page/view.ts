/** The drawing of two programs in the page: lays out and paints what is visible, marks what is lit or selected. */
import { coloursOnly } from '../../draw/overlay.js'
import { paint } from '../../draw/paint.js'
import { isReadable, looking, makeCamera, SCALE, type Size } from '../../page/camera.js'
import { svgEl } from '../../page/dom.js'
import type { Rect } from '../../scene/rect.js'
import type { Visible } from '../../scene/visible.js'
import { pageMeasure } from '../../page/measure.js'
import { jointHues, pairDrawing, pairMarks, type Overs, type PairDrawing } from '../marks.js'
import { SIDES, type PairScene, type Side, type SideId } from '../sides.js'
import type { Twins } from '../twins.js'
import type { Ids, Visibles } from './state.js'

export type { Ids } from './state.js'

/** The drawing. */
export type PairView = {
  readonly drawing: () => PairDrawing
  /** Draws what is visible, both halves coloured by an overlay; null: by none. */
  readonly draw: (visible: Visibles, overlay: string | null) => void
  /** Would all of this be seen at a readable size? */
  readonly fits: (visible: Visibles) => boolean
  readonly fit: () => void
  readonly firstLook: () => void
  /** Looks anew after the window has changed, unless the reader has moved the drawing. */
  readonly settle: () => void
  readonly zoomBy: (factor: number) => void
  readonly reveal: (ids: Ids) => void
  /** Marks what is selected, and lights these and dims the others; null lights all. */
  readonly mark: (ids: Ids, lit: ReadonlySet<SideId> | null) => void
  readonly element: (side: Side, id: string) => SVGElement | null
}

const NOTHING: Visible = { items: [], lines: [], at: new Map() }

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

/** Where values come into a half: its topmost input. */
const inputOf = (drawing: PairDrawing, side: Side): Rect | undefined => {
  const { rects } = drawing.layouts[side]
  const inputs = [...drawing.visible[side].at.values()].filter((i) => i.values.some((x) => x.role === 'input'))
  const [top] = inputs.flatMap((i) => rects.get(i.id) ?? []).sort((a, b) => a.y - b.y)
  return top === undefined ? undefined : { ...top, x: top.x + drawing.lefts[side] }
}

/** Both halves, or of what is too wide for that where values come in: on both sides, or if they are too far apart on the left. */
const beginOf = (drawing: PairDrawing, room: Size): Rect | undefined => {
  const [a, b] = [inputOf(drawing, 0), inputOf(drawing, 1)]
  const both = a === undefined || b === undefined ? undefined : { ...a, width: b.x + b.width - a.x }
  return both !== undefined && both.width * SCALE.readable <= room.width ? both : a
}

/** Where something of a half stands, for a camera that looks at it. */
const middleOf = (drawing: PairDrawing, side: Side, id: string | null): readonly [number, number] | null => {
  const r = drawing.layouts[side].rects.get(id ?? '')
  const [p] = drawing.layouts[side].ways.get(id ?? '') ?? []
  if (r !== undefined) return [drawing.lefts[side] + r.x + r.width / 2, r.y + Math.min(r.height, 200) / 2]
  return p === undefined ? null : [drawing.lefts[side] + p[0], p[1]]
}

/** What is marked in both halves. */
type Marked = { readonly ids: Ids; readonly lit: ReadonlySet<SideId> | null; readonly first: string | undefined }

const markItems = (sheet: SVGElement, { ids, lit, first }: Marked): void => {
  const nothing = ids[0] === null && ids[1] === null
  for (const e of sheet.querySelectorAll('[data-item],[data-line]')) {
    const t = targetOf(e)
    if (t === null) continue
    const isChosen = ids[t.side] === t.id
    e.classList.toggle('lit', lit?.has(`${t.side}:${t.id}`) === true)
    e.classList.toggle('selected', isChosen)
    e.setAttribute('tabindex', isChosen || (nothing && t.side === 0 && t.id === first) ? '0' : '-1')
  }
}

const markChips = (sheet: SVGElement, ids: Ids): void => {
  for (const e of sheet.querySelectorAll('.chip'))
    e.classList.toggle(
      'selected',
      SIDES.every((s) => e.getAttribute(s === 0 ? 'data-chip-a' : 'data-chip-b') === (ids[s] ?? '')),
    )
}

/** Makes the drawing inside an svg element. */
export const makePairView = (svg: SVGSVGElement, pair: PairScene, twins: Twins): PairView => {
  const sheet = svgEl('g', { class: 'scene' })
  const measure = pageMeasure()
  const hues = jointHues(pair, twins)
  const oversFor = (id: string | null): Overs => [coloursOnly(pair.scenes[0], id), coloursOnly(pair.scenes[1], id)]
  let overs = oversFor(null)
  const drawn = (visible: Visibles): PairDrawing => pairDrawing(pair, twins, visible, measure, overs)
  let drawing = drawn([NOTHING, NOTHING])
  let marked: Omit<Marked, 'first'> = { ids: [null, null], lit: null }
  const camera = makeCamera(svg, sheet, () => undefined)
  const refresh = (): void => {
    svg.classList.toggle('dimming', marked.lit !== null)
    markItems(sheet, { ...marked, first: drawing.visible[0].items[0]?.id })
    markChips(sheet, marked.ids)
  }
  return {
    drawing: () => drawing,
    element: (side, id) =>
      sheet.querySelector(
        `[data-program="${side}"] :is([data-item="${CSS.escape(id)}"],[data-line="${CSS.escape(id)}"])`,
      ),
    draw: (visible, overlay) => {
      overs = oversFor(overlay)
      drawing = drawn(visible)
      paint(sheet, pairMarks(pair, twins, drawing, { hues, measure, overs }))
      if (sheet.parentNode === null) svg.append(sheet)
      refresh()
    },
    fits: (visible) => isReadable(drawn(visible), camera.room()),
    ...looking(camera, {
      firstLook: () => camera.look(drawing, SCALE.readable, beginOf(drawing, camera.room())),
      fit: () => camera.look(drawing, SCALE.smallest),
    }),
    zoomBy: camera.zoomBy,
    reveal: (ids) => {
      const [a, b] = [middleOf(drawing, 0, ids[0]), middleOf(drawing, 1, ids[1])]
      if (a !== null && b !== null)
        camera.reveal([(a[0] + b[0]) / 2, (a[1] + b[1]) / 2], Math.abs(b[0] - a[0]) / 2 + 80)
      else camera.reveal(a ?? b ?? [0, 0])
    },
    mark: (ids, lit) => {
      marked = { ids, lit }
      refresh()
    },
  }
}

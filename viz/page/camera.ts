/** Moves and scales a drawing in its window. */
import { select, zoom, zoomIdentity, zoomTransform, type ZoomBehavior } from 'd3'
import type { Rect } from '../scene/rect.js'
import { FONTS, LEAST_PIXELS, READABLE, type Style } from '../scene/type.js'

/** The camera over a drawing. */
export type Camera = {
  /** Shows a drawing of this size: the whole, or if that were smaller than `least` the part around `begin`. */
  readonly look: (size: Size, least: number, begin?: Rect) => void
  /** Brings a point, and so much to both sides of it, into sight, at a readable size if that fits. */
  readonly reveal: (point: readonly [x: number, y: number], reach?: number) => void
  readonly zoomBy: (factor: number) => void
  /** Room for a whole drawing. */
  readonly room: () => Size
  /** How much of a drawing of this size `look` shows, in the units of the drawing. */
  readonly window: (size: Size, least: number) => Size
  /** Has the reader moved the drawing since it was last shown by `look`? */
  readonly moved: () => boolean
}
/** How large a drawing is. */
export type Size = { readonly width: number; readonly height: number }

/** Scales: the smallest at which a whole drawing is shown, and the smallest at which it can be read. */
export const SCALE = { smallest: 0.02, readable: READABLE, largest: 1.25 } as const

const MARGIN = 12
/** Nearer to the border of the window than this counts as out of sight. */
const EDGE = 40
const moves = (): number => (matchMedia('(prefers-reduced-motion: reduce)').matches ? 0 : 160)

/** Where an axis begins: in the middle if all of it has room, else at what is to be seen first, without a void at an end. */
const begin = (length: number, room: number, at: number): number =>
  length <= room - MARGIN ? (room - length) / 2 : Math.min(MARGIN, Math.max(room - length - MARGIN, at))

/** What is too small to be read isn't drawn: first what stands under names and at lines, then names. */
const showWords = (svg: Element, k: number): void => {
  const isSmall = (style: Style): boolean => k * FONTS[style].size < LEAST_PIXELS - 0.01
  svg.classList.toggle('far', isSmall('sub'))
  svg.classList.toggle('farther', isSmall('title'))
  const details = isSmall('sub') ? 'Zoom in for shapes and scales' : ''
  const said = isSmall('title') ? 'Too small for names: zoom in to read them' : details
  const note = svg.parentElement?.querySelector('#note')
  if (note !== null && note !== undefined && note.textContent !== said) note.textContent = said
}

/** Would a drawing of this size be seen whole at a readable size? */
export const isReadable = (size: Size, room: Size): boolean =>
  size.width * SCALE.readable <= room.width && size.height * SCALE.readable <= room.height

/** The ways to look at a drawing, of which the last one is taken again when the window changes. */
export type Looks = { readonly fit: () => void; readonly firstLook: () => void }

/** Remembers how the drawing was last shown; `settle` shows it so again, unless the reader has moved it. */
export const looking = (camera: Camera, looks: Looks): Looks & { readonly settle: () => void } => {
  let looked: () => void = looks.firstLook
  const by = (look: () => void) => (): void => {
    looked = look
    look()
  }
  return {
    fit: by(looks.fit),
    firstLook: by(looks.firstLook),
    settle: () => {
      if (!camera.moved()) looked()
    },
  }
}

type Zoomed = {
  readonly transform: { readonly k: number; toString(): string }
  readonly sourceEvent: unknown
}

/** Moves and scales `sheet` by wheel, pinch and drag; `onMove` hears of every move, and whether the reader made it. */
const movable = (
  svg: SVGSVGElement,
  sheet: SVGElement,
  onMove: (byReader: boolean) => void,
): ZoomBehavior<SVGSVGElement, unknown> => {
  const behavior = zoom<SVGSVGElement, unknown>()
    .scaleExtent([0.02, 4])
    .on('zoom', ({ transform, sourceEvent }: Zoomed) => {
      sheet.setAttribute('transform', transform.toString())
      showWords(svg, transform.k)
      onMove(sourceEvent !== null && sourceEvent !== undefined)
    })
  select(svg).call(behavior).on('dblclick.zoom', null)
  return behavior
}

/** The window with the room that the map takes when the drawing is seen in part. */
const frameOf = (svg: SVGSVGElement): Size => {
  const box = (svg.parentElement ?? svg).getBoundingClientRect()
  return { width: box.width, height: svg.getBoundingClientRect().height }
}

const mapWidth = (svg: SVGSVGElement): number => Number.parseFloat(getComputedStyle(svg).getPropertyValue('--map')) || 0

const roomOf = (svg: SVGSVGElement): Size => {
  const { width, height } = frameOf(svg)
  return { width: width - MARGIN, height: height - MARGIN }
}

/** The scale of a drawing, and the room that is left for it beside the map. */
const scaled = (svg: SVGSVGElement, size: Size, least: number): Size & { readonly k: number } => {
  const [box, most] = [frameOf(svg), roomOf(svg)]
  const whole = Math.min(most.width / size.width, most.height / size.height, SCALE.largest)
  const k = Math.max(whole, least)
  return { k, width: k > whole ? box.width - mapWidth(svg) : box.width, height: box.height }
}

/** Makes `sheet`, inside `svg`, movable by wheel, pinch and drag; `onMove` hears of every move. */
export const makeCamera = (svg: SVGSVGElement, sheet: SVGElement, onMove: () => void): Camera => {
  let isMoved = false
  const behavior = movable(svg, sheet, (byReader) => {
    isMoved ||= byReader
    onMove()
  })
  const go = (k: number, x: number, y: number, time = moves()): void => {
    const target = zoomIdentity.translate(x, y).scale(k)
    if (time === 0) select(svg).call(behavior.transform, target)
    else select(svg).transition().duration(time).call(behavior.transform, target)
  }
  return {
    look: (size, least, first = { x: size.width / 2, y: 0, width: 0, height: 0 }) => {
      const { k, width, height } = scaled(svg, size, least)
      const x = begin(size.width * k, width, width / 2 - (first.x + first.width / 2) * k)
      const y = begin(size.height * k, height, MARGIN - first.y * k)
      isMoved = false
      go(k, x, y, 0)
    },
    reveal: (point, reach = 0) => {
      const box = svg.getBoundingClientRect()
      const t = zoomTransform(svg)
      const [x, y] = t.apply([point[0], point[1]])
      const readable = Math.max(t.k, SCALE.readable)
      const k = reach === 0 ? readable : Math.min(readable, Math.max(t.k, (box.width / 2 - EDGE) / reach))
      const [left, right] = [x - reach * t.k, x + reach * t.k]
      isMoved = true
      if (k !== t.k || left < EDGE || y < EDGE || right > box.width - EDGE || y > box.height - EDGE)
        go(k, box.width / 2 - point[0] * k, box.height / 2 - point[1] * k)
    },
    room: () => roomOf(svg),
    window: (size, least) => {
      const { k, width, height } = scaled(svg, size, least)
      return { width: width / k, height: height / k }
    },
    moved: () => isMoved,
    zoomBy: (factor) => {
      isMoved = true
      select(svg).call(behavior.scaleBy, factor)
    },
  }
}

/** Moves and scales a drawing in its window. */
import { select, zoom, zoomIdentity, zoomTransform, type ZoomBehavior } from 'd3'

/** The camera over a drawing. */
export type Camera = {
  /** Shows a drawing of this size: the whole, or if that were smaller than `least` its upper part. */
  readonly look: (size: Size, least: number) => void
  /** Brings a point, and so much to both sides of it, into sight, at a readable size if that fits. */
  readonly reveal: (point: readonly [x: number, y: number], reach?: number) => void
  readonly zoomBy: (factor: number) => void
  /** The part of the window in which a drawing is not covered by tools. */
  readonly room: () => Size
}
/** How large a drawing is. */
export type Size = { readonly width: number; readonly height: number }

/** Scales: the smallest at which a whole drawing is shown, and the smallest at which it can be read. */
export const SCALE = { smallest: 0.02, readable: 0.65, largest: 1.25 } as const

const MARGIN = 20
/** Tools stand at the bottom. */
const TOOLS = 56
/** Nearer to the border of the window than this counts as out of sight. */
const EDGE = 40
const moves = (): number => (matchMedia('(prefers-reduced-motion: reduce)').matches ? 0 : 160)

const roomIn = (box: DOMRect): Size => ({ width: box.width - MARGIN, height: box.height - MARGIN / 2 - TOOLS })

const fitted = (
  size: Size,
  box: DOMRect,
  least: number,
): { readonly k: number; readonly x: number; readonly y: number } => {
  const room = roomIn(box)
  const whole = Math.min(room.width / size.width, room.height / size.height, SCALE.largest)
  const k = Math.max(whole, least)
  return {
    k,
    x: (box.width - size.width * k) / 2,
    y: Math.max(MARGIN / 2, MARGIN / 2 + (room.height - size.height * k) / 2),
  }
}

/** Makes `sheet`, inside `svg`, movable by wheel, pinch and drag; `onMove` hears of every move. */
export const makeCamera = (svg: SVGSVGElement, sheet: SVGElement, onMove: () => void): Camera => {
  const behavior: ZoomBehavior<SVGSVGElement, unknown> = zoom<SVGSVGElement, unknown>()
    .scaleExtent([0.02, 4])
    .on('zoom', ({ transform }: { readonly transform: { toString(): string } }) => {
      sheet.setAttribute('transform', transform.toString())
      onMove()
    })
  select(svg).call(behavior).on('dblclick.zoom', null)
  const go = (k: number, x: number, y: number, time = moves()): void => {
    const target = zoomIdentity.translate(x, y).scale(k)
    if (time === 0) select(svg).call(behavior.transform, target)
    else select(svg).transition().duration(time).call(behavior.transform, target)
  }
  return {
    look: (size, least) => {
      const { k, x, y } = fitted(size, svg.getBoundingClientRect(), least)
      go(k, x, y, 0)
    },
    reveal: (point, reach = 0) => {
      const box = svg.getBoundingClientRect()
      const t = zoomTransform(svg)
      const [x, y] = t.apply([point[0], point[1]])
      const k = reach === 0 ? Math.max(t.k, 0.6) : Math.min(Math.max(t.k, 0.6), (box.width / 2 - EDGE) / reach)
      const [left, right] = [x - reach * t.k, x + reach * t.k]
      if (k !== t.k || left < EDGE || y < EDGE || right > box.width - EDGE || y > box.height - 60)
        go(k, box.width / 2 - point[0] * k, box.height / 2 - point[1] * k)
    },
    room: () => roomIn(svg.getBoundingClientRect()),
    zoomBy: (factor) => void select(svg).call(behavior.scaleBy, factor),
  }
}

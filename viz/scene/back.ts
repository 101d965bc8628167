/** Lines that lead a state back: from what a step hands back down to the foot of the body, up at its right, and to where the next step begins. */
import type { Link, Placed, Point } from './level.js'
import { linkKey } from './level.js'
import type { Rect } from './rect.js'
import { cutTo, type Measure } from './type.js'
import type { Line } from './visible.js'

/** Between two of them. */
const LANE = 9
const MOST_NAME = 120
/** From the way of a line to its name, and from there to the next way. */
const AROUND = { before: 6, after: 12, below: 20 }

/** Where a line comes in at the top of the body, and where it leaves at its foot. */
export const topPort = (l: Line): string => `>${l.id}`
/** See `topPort`. */
export const footPort = (l: Line): string => `<${l.id}`

/** What is written beside a line: what of the next step it leads to. Lines that only lead counters and scales have no room for words. */
export const backText = (l: Line, measure: Measure): string =>
  l.back === undefined || !l.flow ? '' : cutTo(measure, `next ${l.back.name}`, 'label', MOST_NAME)

/** The connections in the body that make room for a line. */
export const backLinks = (l: Line, from: string): readonly Link[] => [
  { from: topPort(l), to: l.to },
  { from, to: footPort(l) },
]

const wide = (l: Line, measure: Measure): number => {
  const text = backText(l, measure)
  return LANE + (text === '' ? 0 : AROUND.before + measure(text, 'label') + AROUND.after)
}

/** Room at the right of a body, and above and below its contents. */
export const backRoom = (
  lines: readonly Line[],
  measure: Measure,
): { readonly side: number; readonly lanes: number } => ({
  side: Math.ceil(lines.reduce((w, l) => w + wide(l, measure), 0)),
  lanes: lines.length * LANE,
})

/** A body with its place, and where its contents begin. */
type Body = { readonly rect: Rect; readonly origin: Point; readonly level: Placed; readonly lines: readonly Line[] }

const moved = ([x, y]: Point, [x0, y0]: Point): Point => [x + x0, y + y0]

/** The way of the line number `k` of a body; `from`: the item in the body that holds its source. */
export const backWay = (
  { rect, origin, level, lines }: Body,
  k: number,
  [a, b]: readonly [Rect, Rect],
  from: string,
  measure: Measure,
): readonly Point[] => {
  const l = lines[k]
  const { side } = backRoom(lines, measure)
  const along = (link: Link): readonly Point[] => (level.ways.get(linkKey(link)) ?? []).map((p) => moved(p, origin))
  const [down, up] = [along({ from, to: footPort(l) }), along({ from: topPort(l), to: l.to })]
  // Where no layer lies between, and among many items where a far connection has no way of its own, it goes straight.
  const foot = down.length > 2 ? down[down.length - 1][0] : a.x + a.width / 2
  const top = up.length > 2 ? up[0][0] : b.x + b.width / 2
  const before = lines.slice(0, k).reduce((w, o) => w + wide(o, measure), 0)
  const x = rect.x + rect.width - side + before
  const [low, high] = [origin[1] + level.height + 6 + k * LANE, origin[1] - 6 - k * LANE]
  return [
    [a.x + a.width / 2, a.y + a.height],
    ...down.slice(1, -1),
    [foot, low],
    [x, low],
    [x, high],
    [top, high],
    ...up.slice(1, -1),
    [b.x + b.width / 2, b.y],
  ]
}

/** Where its name stands: at the top of the stretch at the right. */
export const nameSpot = (way: readonly Point[]): Point => {
  const x = way.reduce((most, p) => Math.max(most, p[0]), -Infinity)
  const top = way.reduce((least, p) => (p[0] === x ? Math.min(least, p[1]) : least), Infinity)
  return [x + AROUND.before, top + AROUND.below]
}

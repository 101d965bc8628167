/** Coordinates for everything that is visible: boxes inside out, each level in layers; lines from border to border. */
import type { Layout, Rect } from './rect.js'
import { besideEachOther } from './turn.js'
import { groupBy, isBackward, type Item, type Line, type Visible } from './visible.js'
import { linkKey, placeLevel, type Link, type Placed, type Point, type Sized } from './level.js'
import { backLinks, backRoom, backWay } from './back.js'
import { aroundOf, labelsOf, plainSetting, sizeOf, type Labels, type Setting } from './sizes.js'

export type { Layout, Rect } from './rect.js'
export { ASIDE, cut, plainSetting, type Setting } from './sizes.js'

const PAD = { side: 16, top: 34, ports: 8, bottom: 18, page: 24, columns: 100 }

/** `flip`: the backward pass stands beside the forward one, and is turned upside down at the end: gradients flow up. */
type Tables = {
  readonly setting: Setting
  readonly labels: ReadonlyMap<string, Labels>
  readonly sizes: Map<string, Sized>
  readonly flip: boolean
  readonly levels: Map<string, Placed>
  readonly links: ReadonlyMap<string, readonly Link[]>
  /** Lines that lead states back, by the body in which they do. */
  readonly backs: ReadonlyMap<string, readonly Line[]>
}

/** The chain of boxes above an item, from the page down to itself. */
const chainOf = (v: Visible, id: string): readonly string[] => {
  const out: string[] = []
  for (let at: string | undefined = id; at !== undefined && at !== ''; at = v.at.get(at)?.parent) out.push(at)
  return out.reverse()
}

type Meeting = Link & { readonly box: string }

/** Where lines from one source enter a box: a point at its top. */
const portOf = (line: Line): string => `>${line.from}`

/** The boxes that a line enters below the one in which its ends meet, each with the item in it that holds its target. */
const entriesOf = (v: Visible, line: Line): readonly Meeting[] => {
  const [a, b] = [chainOf(v, line.from), chainOf(v, line.to)]
  let n = 0
  while (n < a.length - 1 && n < b.length - 1 && a[n] === b[n]) n++
  return b.slice(n, -1).map((box, k) => ({ box, from: portOf(line), to: b[n + k + 1], main: line.flow }))
}

/** The box in which both ends of a line meet, and the items of that box that hold them. */
const meeting = (v: Visible, line: Line): Meeting => {
  const [a, b] = [chainOf(v, line.from), chainOf(v, line.to)]
  let n = 0
  while (n < a.length - 1 && n < b.length - 1 && a[n] === b[n]) n++
  return {
    box: n === 0 ? '' : a[n - 1],
    from: a[n],
    to: b[n],
    main: line.flow && line.source.op !== 'const' && line.source.op !== 'input',
  }
}

const isTurned = (t: Tables, i: Item): boolean => t.flip && isBackward(i)

/** Room around the inside of a box: above for its name, or for the lines that come in beside it; and for lines that lead states back. */
const roomOf = (t: Tables, i: Item, inner: Placed | undefined) => {
  const backs = backRoom(t.backs.get(i.id) ?? [], t.setting.measure)
  const [top, bottom] = isTurned(t, i) ? [PAD.bottom, PAD.top] : [PAD.top, PAD.bottom]
  if (backs.lanes > 0) return { top: top + backs.lanes, bottom: bottom + backs.lanes, side: backs.side }
  return { top: inner?.ports === true ? PAD.ports : top, bottom, side: 0 }
}

const outerOf = (t: Tables, i: Item, inner: Placed): Pick<Sized, 'width' | 'height'> => {
  const { top, bottom, side } = roomOf(t, i, inner)
  return {
    width: Math.max(inner.width + 2 * PAD.side + side, sizeOf(t.setting, i).width),
    height: inner.height + top + bottom,
  }
}

const portItem = (id: string): Sized => {
  const none = { id, width: 10, height: 1, pad: 0, below: 0 }
  return id.startsWith('>') ? { ...none, order: -1, port: true } : { ...none, order: Infinity, foot: true }
}

const insides = (t: Tables, i: Item): Placed => {
  const links = t.links.get(i.id) ?? []
  const ports = [
    ...new Set([
      ...links.map((l) => l.from).filter((f) => f.startsWith('>')),
      ...links.map((l) => l.to).filter((f) => f.startsWith('<')),
    ]),
  ].map(portItem)
  const inner = placeLevel([...ports, ...i.children.map((c) => measure(t, c))], links)
  t.levels.set(i.id, inner)
  return inner
}

const measure = (t: Tables, i: Item): Sized => {
  const size = i.open ? outerOf(t, i, insides(t, i)) : sizeOf(t.setting, i)
  const { reach, rows } = t.labels.get(i.id) ?? { reach: 0, rows: 0 }
  const sized: Sized = { id: i.id, ...size, ...aroundOf(size.width, reach, rows), order: i.order }
  t.sizes.set(i.id, sized)
  return sized
}

const absolute = (t: Tables, rects: Map<string, Rect>, items: readonly Item[], box: string, origin: Point): void => {
  const level = t.levels.get(box)
  for (const i of items) {
    const [x, y] = level?.corners.get(i.id) ?? [0, 0]
    const size = t.sizes.get(i.id) ?? { width: 0, height: 0 }
    rects.set(i.id, { x: origin[0] + x, y: origin[1] + y, width: size.width, height: size.height })
    if (i.open) absolute(t, rects, i.children, i.id, insideOf(t, i, rects.get(i.id)))
  }
}

/** Where the inside of a box begins; narrower contents stand in its middle. */
const insideOf = (t: Tables, i: Item | undefined, r: Rect | undefined): Point => {
  if (r === undefined || i === undefined) return [0, 0]
  const inner = t.levels.get(i.id)
  const { top, side } = roomOf(t, i, inner)
  return [r.x + (r.width - side - (inner?.width ?? 0)) / 2, r.y + top]
}

/** Ports: where on an item's border each of its lines ends, spread in the order of the other ends. */
const portsOf = (
  lines: readonly Line[],
  end: 'from' | 'to',
  rects: ReadonlyMap<string, Rect>,
): ReadonlyMap<string, number> => {
  const other = end === 'from' ? 'to' : 'from'
  const ports = new Map<string, number>()
  for (const [id, group] of groupBy(lines, (l) => l[end])) {
    const r = rects.get(id)
    if (r === undefined) continue
    const sorted =
      end === 'to'
        ? [...group].sort((a, b) => centre(rects.get(a[other])) - centre(rects.get(b[other])) || a.slot - b.slot)
        : group
    const step = end === 'from' ? 0 : Math.min(16, (r.width - 16) / Math.max(1, sorted.length))
    sorted.forEach((l, k) => ports.set(l.id, r.x + r.width / 2 + (k - (sorted.length - 1) / 2) * step))
  }
  return ports
}

const centre = (r: Rect | undefined): number => (r === undefined ? 0 : r.x + r.width / 2)

/** How a line runs: the levels that it crosses, and where it leaves its source and meets its target. */
type Course = { readonly legs: readonly Meeting[]; readonly xs: readonly [number, number] }

/** The way of a line: from the bottom of its source by way of its level to the top of its target. */
const wayOf = (
  v: Visible,
  t: Tables,
  rects: ReadonlyMap<string, Rect>,
  line: Line,
  { legs, xs }: Course,
): readonly Point[] => {
  const [a, b] = [rects.get(line.from), rects.get(line.to)]
  if (a === undefined || b === undefined) return []
  const middle = legs.flatMap((m, k) => {
    const level = t.levels.get(m.box)
    const [x0, y0] = m.box === '' ? ([PAD.page, PAD.page] as const) : insideOf(t, v.at.get(m.box), rects.get(m.box))
    return (level?.ways.get(linkKey(m)) ?? []).slice(k === 0 ? 1 : 0, -1).map(([x, y]): Point => [x + x0, y + y0])
  })
  const up = a.y + a.height > b.y
  return up && a.y > b.y + b.height
    ? [[xs[0], a.y], ...middle, [xs[1], b.y + b.height]]
    : [[xs[0], a.y + a.height], ...middle, [xs[1], b.y]]
}

/** Both columns of a page as one level: the second to the right of the first. */
const beside = (a: Placed, b: Placed): Placed => {
  const x = a.width + PAD.columns
  const moved = ([px, py]: Point): Point => [px + x, py]
  return {
    ports: false,
    width: x + b.width,
    height: Math.max(a.height, b.height),
    corners: new Map([...a.corners, ...[...b.corners].map(([id, p]): [string, Point] => [id, moved(p)])]),
    ways: new Map([...a.ways, ...[...b.ways].map(([id, ps]): [string, readonly Point[]] => [id, ps.map(moved)])]),
  }
}

/** The items of the page: in one column, or where both passes are shown in two. */
const pageOf = (t: Tables, v: Visible): { readonly page: Placed; readonly tall: number } => {
  const sized = (items: readonly Item[]): readonly Sized[] => items.map((i) => measure(t, i))
  const links = t.links.get('') ?? []
  if (!t.flip) {
    const page = placeLevel(sized(v.items), links)
    return { page, tall: page.height }
  }
  const column = (back: boolean): Placed => {
    const own = v.items.filter((i) => isBackward(i) === back)
    const ids = new Set(own.map((i) => i.id))
    return placeLevel(
      sized(own),
      links.filter((l) => ids.has(l.from) && ids.has(l.to)),
    )
  }
  const [front, back] = [column(false), column(true)]
  return { page: beside(front, back), tall: back.height }
}

/** Where lines come in at the top of each open box: its name gives way to them. */
const gatesOf = (v: Visible, t: Tables, rects: ReadonlyMap<string, Rect>): ReadonlyMap<string, readonly number[]> =>
  new Map(
    [...t.levels].flatMap(([id, level]): readonly [string, readonly number[]][] => {
      const box = v.at.get(id)
      if (box === undefined || !level.ports || t.backs.has(id)) return []
      const [x0] = insideOf(t, box, rects.get(id))
      return [[id, [...level.corners].filter(([port]) => port.startsWith('>')).map(([, [x]]) => x0 + x + 5)]]
    }),
  )

/** The item in a box that holds another, however deep. */
const childOf = (v: Visible, box: string, id: string): string => {
  const chain = chainOf(v, id)
  return chain[chain.indexOf(box) + 1] ?? id
}

/** Ways of the lines that lead states back. */
const backWays = (v: Visible, t: Tables, rects: ReadonlyMap<string, Rect>): readonly [string, readonly Point[]][] =>
  [...t.backs].flatMap(([id, lines]) => {
    const [box, rect, level] = [v.at.get(id), rects.get(id), t.levels.get(id)]
    if (box === undefined || rect === undefined || level === undefined) return []
    const body = { rect, origin: insideOf(t, box, rect), level, lines }
    return lines.map((l, k): [string, readonly Point[]] => {
      const from = childOf(v, id, l.from)
      const [a, b] = [rects.get(from), rects.get(l.to)]
      const ends = a === undefined || b === undefined ? null : ([a, b] as const)
      return [l.id, ends === null ? [] : backWay(body, k, ends, from, t.setting.measure)]
    })
  })

/** Lays a visible scene out. */
export const layoutOf = (v: Visible, setting: Setting = plainSetting): Layout => {
  const flip = v.items.some(isBackward) && !v.items.every((i) => isBackward(i))
  const isAcross = (l: Line): boolean => flip && isBackward(v.at.get(l.from)) !== isBackward(v.at.get(l.to))
  const inside = v.lines.filter((l) => !isAcross(l) && l.back === undefined)
  const backs = groupBy(
    v.lines.filter((l) => l.back !== undefined),
    (l) => l.back?.box ?? '',
  )
  const turns = [...backs].flatMap(([box, lines]) =>
    lines.flatMap((l) => backLinks(l, childOf(v, box, l.from)).map((link): Meeting => ({ ...link, box }))),
  )
  const meetings = inside.map((l) => meeting(v, l))
  const entries = inside.map((l) => entriesOf(v, l))
  const labels = labelsOf(v, setting)
  const t: Tables = {
    setting,
    labels,
    flip,
    sizes: new Map(),
    levels: new Map(),
    links: groupBy([...meetings, ...entries.flat(), ...turns], (m) => m.box),
    backs,
  }
  const { page, tall } = pageOf(t, v)
  t.levels.set('', page)
  const rects = new Map<string, Rect>()
  absolute(t, rects, v.items, '', [PAD.page, PAD.page])
  const [starts, ends] = [portsOf(inside, 'from', rects), portsOf(inside, 'to', rects)]
  const ways = new Map<string, readonly Point[]>([
    ...inside.map((l, i): [string, readonly Point[]] => [
      l.id,
      wayOf(v, t, rects, l, {
        legs: [meetings[i], ...entries[i]],
        xs: [starts.get(l.id) ?? 0, ends.get(l.id) ?? 0],
      }),
    ]),
    ...backWays(v, t, rects),
  ])
  const layout: Layout = {
    width: page.width + 2 * PAD.page,
    height: page.height + 2 * PAD.page,
    rects,
    ways,
    across: new Set(),
    gates: flip ? new Map() : gatesOf(v, t, rects),
    reach: new Map([...labels].map(([id, l]) => [id, l.reach])),
  }
  return flip
    ? besideEachOther(
        v,
        layout,
        tall + 2 * PAD.page,
        v.lines.filter((l) => isAcross(l) && l.back === undefined),
      )
    : layout
}

/** Coordinates for everything that is visible: boxes inside out, each level in layers; lines from border to border. */
import type { Layout, Rect } from './rect.js'
import { besideEachOther } from './turn.js'
import { groupBy, isBackward, type Item, type Line, type Visible } from './visible.js'
import { linkKey, placeLevel, type Link, type Placed, type Point, type Sized } from './level.js'

export type { Layout, Rect } from './rect.js'

const PAD = { side: 16, top: 34, ports: 6, bottom: 18, page: 24, label: 90, columns: 120 }
const CHARACTER = 7.2

/** A piece of the second line of a box. */
export type Piece = { readonly text: string; readonly tone: 'good' | 'lost' | 'doubt' | 'soft' }

const shapeText = (shape: readonly number[]): string => (shape.length === 0 ? 'scalar' : shape.join('×'))

/** How the products in a closed box run; which losses in it no line that leaves it shows; else the shape of what leaves it. */
export const piecesOf = ({ kind, open, box, hidden, integer, leaving }: Item): readonly Piece[] => {
  if (kind !== 'box' || open) return []
  const shown = (loss: string, carry: string): number =>
    leaving.filter((n) => n.loss === loss && n.carry === carry).length
  const [costly, claimed] = [hidden.costly - shown('costly', 'stripped'), hidden.claimed - shown('free', 'claimed')]
  const free = hidden.stripped - hidden.costly - shown('free', 'stripped')
  const losses: readonly Piece[] = [
    ...(costly > 0 ? [{ text: `${costly} stripped`, tone: 'lost' as const }] : []),
    ...(claimed > 0 ? [{ text: `${claimed} claimed`, tone: 'doubt' as const }] : []),
    ...(free > 0 ? [{ text: `${free} stripped, no cost`, tone: 'soft' as const }] : []),
  ]
  const calm =
    box?.kind === 'phase'
      ? 'collect | learned'
      : box?.kind === 'branch'
        ? 'branch'
        : leaving.length === 1
          ? shapeText(leaving[0].shape)
          : ''
  return [
    ...(integer === undefined
      ? []
      : [{ text: integer ? 'int' : 'float', tone: integer ? ('good' as const) : ('lost' as const) }]),
    ...(losses.length > 0 ? losses : calm === '' ? [] : [{ text: calm, tone: 'soft' as const }]),
  ]
}

/** The lines of text of an item: its name, and what stands under it. */
export const textOf = (i: Item): readonly [title: string, sub: string] => {
  if (i.kind === 'result') return [i.label, 'result']
  if (i.kind === 'box')
    return [
      i.label,
      piecesOf(i)
        .map((p) => p.text)
        .join(' · '),
    ]
  const shape = shapeText(i.node?.shape ?? [])
  return [i.values.find((v) => v.role === 'input')?.name ?? i.label, i.node?.op === 'const' ? '' : shape]
}

const SHOWN = 34
/** A name cut to what fits; the whole of it stands in the panel. */
export const cut = (text: string): string => (text.length <= SHOWN ? text : `${text.slice(0, SHOWN - 1)}…`)

const sizeOf = (i: Item): Pick<Sized, 'width' | 'height'> => {
  const [title, sub] = textOf(i)
  const width = Math.max(cut(title).length * CHARACTER + (i.kind === 'box' ? 46 : 26), sub.length * 6 + 22, 44)
  return { width: Math.ceil(width), height: sub === '' && i.kind !== 'box' ? 26 : 38 }
}

/** `flip`: the backward pass stands beside the forward one, and is turned upside down at the end: gradients flow up. */
type Tables = {
  readonly flip: boolean
  readonly levels: Map<string, Placed>
  readonly links: ReadonlyMap<string, readonly Link[]>
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

/** Room above the inside of a box: for its name, or for the lines that come in beside it. */
const topOf = (inner: Placed | undefined, turned: boolean): number =>
  inner?.ports === true ? PAD.ports : turned ? PAD.bottom : PAD.top

const isTurned = (t: Tables, i: Item): boolean => t.flip && isBackward(i)

const outerOf = (t: Tables, i: Item, inner: Placed): Pick<Sized, 'width' | 'height'> => ({
  width: Math.max(inner.width + 2 * PAD.side, sizeOf(i).width),
  height: inner.height + topOf(inner, isTurned(t, i)) + (isTurned(t, i) ? PAD.top : PAD.bottom),
})

const measure = (t: Tables, i: Item): Sized => {
  if (!i.open) return { id: i.id, ...sizeOf(i), order: i.order }
  const links = t.links.get(i.id) ?? []
  const ports = [...new Set(links.map((l) => l.from).filter((f) => f.startsWith('>')))].map((id): Sized => ({
    id,
    width: 10,
    height: 1,
    order: -1,
    port: true,
  }))
  const inner = placeLevel([...ports, ...i.children.map((c) => measure(t, c))], links)
  t.levels.set(i.id, inner)
  return { id: i.id, ...outerOf(t, i, inner), order: i.order }
}

const absolute = (
  t: Tables,
  sizes: Map<string, Sized>,
  rects: Map<string, Rect>,
  items: readonly Item[],
  box: string,
  origin: Point,
): void => {
  const level = t.levels.get(box)
  for (const i of items) {
    const [x, y] = level?.corners.get(i.id) ?? [0, 0]
    const size = sizes.get(i.id) ?? { width: 0, height: 0 }
    rects.set(i.id, { x: origin[0] + x, y: origin[1] + y, width: size.width, height: size.height })
    if (i.open)
      absolute(t, sizes, rects, i.children, i.id, insideOf(rects.get(i.id), t.levels.get(i.id), isTurned(t, i)))
  }
}

/** Where the inside of a box begins; narrower contents stand in its middle. */
const insideOf = (r: Rect | undefined, inner: Placed | undefined, turned: boolean): Point =>
  r === undefined ? [0, 0] : [r.x + (r.width - (inner?.width ?? 0)) / 2, r.y + topOf(inner, turned)]

const sizesOf = (t: Tables, items: readonly Item[], out: Map<string, Sized>): void => {
  for (const i of items) {
    const inner = t.levels.get(i.id)
    const own = sizeOf(i)
    out.set(
      i.id,
      i.open && inner !== undefined ? { id: i.id, order: 0, ...outerOf(t, i, inner) } : { id: i.id, order: 0, ...own },
    )
    sizesOf(t, i.children, out)
  }
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

/** The way of a line: from the bottom of its source by way of its level to the top of its target. */
const wayOf = (
  v: Visible,
  t: Tables,
  legs: readonly Meeting[],
  rects: ReadonlyMap<string, Rect>,
  line: Line,
  xs: readonly [number, number],
): readonly Point[] => {
  const [a, b] = [rects.get(line.from), rects.get(line.to)]
  if (a === undefined || b === undefined) return []
  const middle = legs.flatMap((m, k) => {
    const level = t.levels.get(m.box)
    const [x0, y0] =
      m.box === ''
        ? ([PAD.label, PAD.page] as const)
        : insideOf(rects.get(m.box), level, t.flip && isBackward(v.at.get(m.box)))
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

/** Lays a visible scene out. */
export const layoutOf = (v: Visible): Layout => {
  const flip = v.items.some(isBackward) && !v.items.every((i) => isBackward(i))
  const isAcross = (l: Line): boolean => flip && isBackward(v.at.get(l.from)) !== isBackward(v.at.get(l.to))
  const inside = v.lines.filter((l) => !isAcross(l))
  const meetings = inside.map((l) => meeting(v, l))
  const entries = inside.map((l) => entriesOf(v, l))
  const t: Tables = { flip, levels: new Map(), links: groupBy([...meetings, ...entries.flat()], (m) => m.box) }
  const { page, tall } = pageOf(t, v)
  t.levels.set('', page)
  const sizes = new Map<string, Sized>()
  sizesOf(t, v.items, sizes)
  const rects = new Map<string, Rect>()
  absolute(t, sizes, rects, v.items, '', [PAD.label, PAD.page])
  const [starts, ends] = [portsOf(inside, 'from', rects), portsOf(inside, 'to', rects)]
  const ways = new Map(
    inside.map((l, i) => [
      l.id,
      wayOf(v, t, [meetings[i], ...entries[i]], rects, l, [starts.get(l.id) ?? 0, ends.get(l.id) ?? 0]),
    ]),
  )
  const layout: Layout = {
    width: page.width + 2 * PAD.label,
    height: page.height + 2 * PAD.page,
    rects,
    ways,
    across: new Set(),
  }
  return flip ? besideEachOther(v, layout, tall + 2 * PAD.page, v.lines.filter(isAcross)) : layout
}

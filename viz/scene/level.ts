/** Places the items of one box in layers, by d3-dag: exact methods where there are few, heuristics where there are many. */
import {
  coordGreedy,
  coordSimplex,
  decrossDfs,
  decrossTwoLayer,
  graph,
  layeringLongestPath,
  layeringSimplex,
  sugiyama,
  twolayerAgg,
  type GraphNode,
} from 'd3-dag'

/** A point. */
export type Point = readonly [x: number, y: number]
/** A rectangle to place, with free room at both sides and below. A port stands above all others. */
export type Sized = {
  readonly id: string
  readonly width: number
  readonly height: number
  readonly pad: number
  readonly below: number
  readonly order: number
  readonly port?: boolean
  /** It stands below all others. */
  readonly foot?: boolean
}
/** A connection between two of them; `main` where values flow that were computed. */
export type Link = { readonly from: string; readonly to: string; readonly main?: boolean }
/** Where everything is: corners of items, and the way of each connection, by `linkKey`; `ports`: do lines come in at the top? */
export type Placed = {
  readonly ports: boolean
  readonly width: number
  readonly height: number
  readonly corners: ReadonlyMap<string, Point>
  readonly ways: ReadonlyMap<string, readonly Point[]>
}

/** Names a connection. */
export const linkKey = (l: Pick<Link, 'from' | 'to'>): string => JSON.stringify([l.from, l.to])

const GAP = { x: 24, y: 30 }
/** Above this many items a level is placed by heuristics, and above `HUGE` without untangling. */
const MANY = 70
const HUGE = 1500

/** Among many items, how far apart in the order of the trace two may be for their connection to have a way of its own. */
const FAR = { main: 250, other: 10 }

type G = ReturnType<typeof graph<Sized, Link>>

/** Ports stand above all others, feet below. */
const rankOf = ({ port, foot }: Sized): number | undefined => {
  if (port === true) return 0
  return foot === true ? 1 : undefined
}

const operatorsFor = (n: number) => {
  const base = sugiyama()
    .nodeSize(({ data }: GraphNode<Sized, Link>) => [data.width + 2 * data.pad, data.height + data.below])
    .gap([GAP.x, GAP.y])
  if (n <= MANY)
    return (g: G) =>
      base
        .layering(layeringSimplex().rank(({ data }: GraphNode<Sized, Link>) => rankOf(data)))
        .decross(decrossTwoLayer().passes(24))
        .coord(coordSimplex())(g)
  return n <= HUGE
    ? (g: G) =>
        base
          .layering(layeringLongestPath().topDown(false))
          .decross(decrossTwoLayer().order(twolayerAgg()).passes(6))
          .coord(coordGreedy())(g)
    : (g: G) => base.layering(layeringLongestPath().topDown(false)).decross(decrossDfs()).coord(coordGreedy())(g)
}

/**
 * Loops would have no layers: a connection against the order of the trace counts as its reverse. Among many items a
 * constant that hundreds use would cost a way through every layer: only its nearest users pull on it.
 */
const oriented = (items: readonly Sized[], links: readonly Link[]): readonly (Link & { readonly back: boolean })[] => {
  const rank = new Map([...items].sort((a, b) => a.order - b.order).map((x, i) => [x.id, i]))
  const seen = new Set<string>()
  const used = new Set<string>()
  const far = (l: Link): boolean =>
    items.length > MANY &&
    Math.abs((rank.get(l.to) ?? 0) - (rank.get(l.from) ?? 0)) > (l.main === true ? FAR.main : FAR.other)
  const near = [...links]
    .sort((a, b) => (rank.get(a.to) ?? 0) - (rank.get(b.to) ?? 0))
    .filter((l) => {
      const first = !used.has(l.from)
      used.add(l.from)
      return first || !far(l)
    })
  return near.flatMap((l) => {
    const back = (rank.get(l.from) ?? 0) > (rank.get(l.to) ?? 0)
    const one = back ? { from: l.to, to: l.from, back } : { ...l, back }
    const key = JSON.stringify([one.from, one.to])
    if (l.from === l.to || seen.has(key)) return []
    seen.add(key)
    return [one]
  })
}

/** Holds whatever nothing leads to below the first port. */
const belowPorts = (items: readonly Sized[], links: readonly Link[]): readonly Link[] => {
  const port = items.find((x) => x.port)
  const led = new Set(links.map((l) => l.to))
  return port === undefined
    ? []
    : items.filter((x) => x.port !== true && !led.has(x.id)).map((x) => ({ from: port.id, to: x.id }))
}

/** Holds whatever leads to nothing above the first foot. */
const aboveFeet = (items: readonly Sized[], links: readonly Link[]): readonly Link[] => {
  const foot = items.find((x) => x.foot)
  const leads = new Set(links.map((l) => l.from))
  return foot === undefined
    ? []
    : items.filter((x) => x.foot !== true && !leads.has(x.id)).map((x) => ({ from: x.id, to: foot.id }))
}

/** Places the items of a level, top to bottom. Connections between unknown items are not allowed. */
export const placeLevel = (items: readonly Sized[], links: readonly Link[]): Placed => {
  if (items.length === 0) return { ports: false, width: 0, height: 0, corners: new Map(), ways: new Map() }
  const g = graph<Sized, Link>()
  const nodes = new Map(items.map((x) => [x.id, g.node(x)]))
  for (const l of oriented(items, [...links, ...belowPorts(items, links), ...aboveFeet(items, links)])) {
    const [a, b] = [nodes.get(l.from), nodes.get(l.to)]
    if (a !== undefined && b !== undefined) g.link(a, b, { from: l.from, to: l.to })
  }
  const { width, height } = operatorsFor(items.length)(g)
  const corners = new Map(
    [...g.nodes()].map((n): [string, Point] => [
      n.data.id,
      [n.x - n.data.width / 2, n.y - (n.data.height + n.data.below) / 2],
    ]),
  )
  const ways = new Map<string, readonly Point[]>()
  for (const l of g.links()) {
    const points = l.points.map(([x, y]): Point => [x, y])
    ways.set(linkKey(l.data), points)
    ways.set(linkKey({ from: l.data.to, to: l.data.from }), [...points].reverse())
  }
  return { ports: items.some((x) => x.port), width, height, corners, ways }
}

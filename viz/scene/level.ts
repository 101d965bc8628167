/** Places the items of one box in layers, by d3-dag: exact methods where there are few, heuristics where there are many. */
import { coordGreedy, coordSimplex, decrossDfs, decrossTwoLayer, graph, layeringLongestPath, layeringSimplex, sugiyama, twolayerAgg, type GraphNode } from 'd3-dag'

/** A point. */
export type Point = readonly [x: number, y: number]
/** A rectangle to place. */
export type Sized = { readonly id: string; readonly width: number; readonly height: number; readonly order: number }
/** A connection between two of them. */
export type Link = { readonly from: string; readonly to: string }
/** Where everything is: corners of items, and the way of each connection, by `linkKey`. */
export type Placed = { readonly width: number; readonly height: number; readonly corners: ReadonlyMap<string, Point>; readonly ways: ReadonlyMap<string, readonly Point[]> }

/** Names a connection. */
export const linkKey = (l: Link): string => JSON.stringify([l.from, l.to])

const GAP = { x: 26, y: 34 }
/** Above this many items a level is placed by heuristics, and above `HUGE` without untangling. */
const MANY = 70
const HUGE = 1500

type G = ReturnType<typeof graph<Sized, Link>>

const operatorsFor = (n: number) => {
  const base = sugiyama().nodeSize(({ data }: GraphNode<Sized, Link>) => [data.width, data.height]).gap([GAP.x, GAP.y])
  return n <= MANY
    ? (g: G) => base.layering(layeringSimplex()).decross(decrossTwoLayer().passes(24)).coord(coordSimplex())(g)
    : n <= HUGE
      ? (g: G) => base.layering(layeringLongestPath().topDown(false)).decross(decrossTwoLayer().order(twolayerAgg()).passes(6)).coord(coordGreedy())(g)
      : (g: G) => base.layering(layeringLongestPath().topDown(false)).decross(decrossDfs()).coord(coordGreedy())(g)
}

/** Loops would have no layers: a connection against the order of the trace counts as its reverse. */
const oriented = (items: readonly Sized[], links: readonly Link[]): readonly (Link & { readonly back: boolean })[] => {
  const rank = new Map([...items].sort((a, b) => a.order - b.order).map((x, i) => [x.id, i]))
  const seen = new Set<string>()
  return links.flatMap((l) => {
    const back = (rank.get(l.from) ?? 0) > (rank.get(l.to) ?? 0)
    const one = back ? { from: l.to, to: l.from, back } : { ...l, back }
    const key = JSON.stringify([one.from, one.to])
    if (l.from === l.to || seen.has(key)) return []
    seen.add(key)
    return [one]
  })
}

/** Places the items of a level, top to bottom. Connections between unknown items are not allowed. */
export const placeLevel = (items: readonly Sized[], links: readonly Link[]): Placed => {
  if (items.length === 0) return { width: 0, height: 0, corners: new Map(), ways: new Map() }
  const g = graph<Sized, Link>()
  const nodes = new Map(items.map((x) => [x.id, g.node(x)]))
  for (const l of oriented(items, links)) {
    const [a, b] = [nodes.get(l.from), nodes.get(l.to)]
    if (a !== undefined && b !== undefined) g.link(a, b, { from: l.from, to: l.to })
  }
  const { width, height } = operatorsFor(items.length)(g)
  const corners = new Map([...g.nodes()].map((n): [string, Point] => [n.data.id, [n.x - n.data.width / 2, n.y - n.data.height / 2]]))
  const ways = new Map<string, readonly Point[]>()
  for (const l of g.links()) {
    const points = l.points.map(([x, y]): Point => [x, y])
    ways.set(linkKey(l.data), points)
    ways.set(linkKey({ from: l.data.to, to: l.data.from }), [...points].reverse())
  }
  return { width, height, corners, ways }
}

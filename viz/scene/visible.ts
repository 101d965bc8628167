/** What is drawn of a scene when some of its boxes are open: a tree of items, and edges between the innermost ones shown. */
import type { Index } from './reach.js'
import { leavingOf } from './leaving.js'
import { withSteps } from './loops.js'
import type { Meta, Scene, SceneBox, SceneEdge, SceneNode, SceneValue } from './scene.js'

/** A node, a closed or open box, or a result, as it is drawn. */
export type Item = {
  readonly id: string
  readonly kind: 'node' | 'box' | 'result'
  readonly parent: string
  readonly label: string
  readonly open: boolean
  readonly children: readonly Item[]
  readonly node?: SceneNode
  readonly box?: SceneBox
  /** Names under which a program knows this value. */
  readonly values: readonly SceneValue[]
  /** Where losses and claims begin inside a closed box, and how many of those cost something. */
  readonly hidden: { readonly stripped: number; readonly costly: number; readonly claimed: number }
  /** Of a closed box with products inside: do all of them run on integers? */
  readonly integer?: boolean
  /** Values that leave a closed box. */
  readonly leaving: readonly SceneNode[]
  /** Where it stands in the order of the trace. */
  readonly order: number
}

/** A line between two items: one operand, or several that look the same between closed boxes. */
export type Line = {
  readonly id: string
  readonly from: string
  readonly to: string
  readonly slot: number
  /** The value that flows. */
  readonly source: SceneNode
  readonly flow: boolean
  /** Leads to the name of a result, not to a node. */
  readonly tail: boolean
  /** Leads a state of a loop to the next step: its name, and the box of the body. */
  readonly back?: { readonly name: string; readonly box: string }
}

/** A scene as it is drawn. */
export type Visible = {
  readonly items: readonly Item[]
  readonly lines: readonly Line[]
  readonly at: ReadonlyMap<string, Item>
}

/** Does it belong to the backward pass? */
export const isBackward = (i: Item | undefined): boolean => (i?.node ?? i?.box)?.side === 'backward'

/** The metadata of a line. */
export const metaOf = (line: Line): Meta => line.source

type Tables = {
  readonly boxesIn: ReadonlyMap<string, readonly SceneBox[]>
  readonly nodesIn: ReadonlyMap<string, readonly SceneNode[]>
  readonly valuesOf: ReadonlyMap<string, readonly SceneValue[]>
  readonly nodeOf: ReadonlyMap<string, SceneNode>
  readonly leaving: ReadonlyMap<string, ReadonlySet<SceneNode>>
}

const NOTHING = { stripped: 0, costly: 0, claimed: 0 }

/** Groups by a key. */
export const groupBy = <A>(items: readonly A[], key: (a: A) => string): ReadonlyMap<string, readonly A[]> => {
  const out = new Map<string, A[]>()
  for (const a of items) {
    const known = out.get(key(a))
    if (known === undefined) out.set(key(a), [a])
    else known.push(a)
  }
  return out
}

const tablesOf = (scene: Scene): Tables => {
  const phases = new Set(scene.boxes.filter((b) => b.kind === 'phase').map((b) => b.id))
  const nodeOf = new Map(scene.nodes.map((n) => [n.id, n]))
  return {
    boxesIn: groupBy(scene.boxes, (b) => b.parent),
    nodesIn: groupBy(
      scene.nodes.filter((n) => !phases.has(n.id)),
      (n) => n.box,
    ),
    valuesOf: groupBy(scene.values, (v) => v.node),
    nodeOf,
    leaving: leavingOf(scene, nodeOf),
  }
}

const numberOf = (id: string): number => Number(id.split('.').at(-1))
const MOVABLE: ReadonlySet<string> = new Set(['input', 'const'])

/** All nodes inside a box, however deep, in no order. */
const insideOf = (t: Tables, box: string): readonly SceneNode[] => [
  ...(t.nodesIn.get(box) ?? []),
  ...(t.boxesIn.get(box) ?? []).flatMap((b) => insideOf(t, b.id)),
]

const orderOf = (inside: readonly SceneNode[], own: SceneNode | undefined): number => {
  if (own !== undefined) return numberOf(own.id)
  let least = Infinity
  for (const n of inside) if (!MOVABLE.has(n.op) && n.flow) least = Math.min(least, numberOf(n.id))
  if (least === Infinity) for (const n of inside) if (!MOVABLE.has(n.op)) least = Math.min(least, numberOf(n.id))
  return least === Infinity ? 0 : least
}

const nodeItem = (t: Tables, n: SceneNode): Item => ({
  id: n.id,
  kind: 'node',
  parent: n.box,
  label: n.label,
  open: false,
  children: [],
  node: n,
  values: t.valuesOf.get(n.id) ?? [],
  hidden: NOTHING,
  leaving: [],
  order: numberOf(n.id),
})

const boxItem = (t: Tables, box: SceneBox, open: ReadonlySet<string>): Item => {
  const inside = insideOf(t, box.id)
  const trunk = box.kind === 'layer' ? inside.filter((n) => !n.id.includes('.')) : inside
  const node = t.nodeOf.get(box.id)
  const begun = inside.filter((n) => n.loss !== undefined && n.loss !== 'behind')
  const count = (carry: string): number => begun.reduce((k, n) => k + (n.carry === carry ? 1 : 0), 0)
  const isOpen = open.has(box.id)
  const products = inside.filter((n) => n.integer !== undefined && n.flow)
  return {
    id: box.id,
    kind: 'box',
    parent: box.parent,
    label: box.label,
    open: isOpen,
    children: isOpen ? itemsIn(t, box.id, open) : [],
    box,
    ...(node === undefined ? {} : { node }),
    values: t.valuesOf.get(box.id) ?? [],
    hidden: isOpen
      ? NOTHING
      : {
          stripped: count('stripped'),
          costly: begun.filter((n) => n.loss === 'costly').length,
          claimed: count('claimed'),
        },
    ...(isOpen || products.length === 0 ? {} : { integer: products.every((n) => n.integer) }),
    leaving: isOpen ? [] : [...(t.leaving.get(box.id) ?? [])],
    order: orderOf(trunk, node),
  }
}

const itemsIn = (t: Tables, box: string, open: ReadonlySet<string>): readonly Item[] => [
  ...(t.nodesIn.get(box) ?? []).map((n) => nodeItem(t, n)),
  ...(t.boxesIn.get(box) ?? []).map((b) => boxItem(t, b, open)),
]

const resultItem = (value: SceneValue, i: number): Item => ({
  id: `=${i}`,
  kind: 'result',
  parent: '',
  label: value.name,
  open: false,
  children: [],
  values: [value],
  hidden: NOTHING,
  leaving: [],
  order: Infinity,
})

/** The innermost drawn box or node for every node of the scene. */
const shownFor = (scene: Scene, open: ReadonlySet<string>): ((id: string, box: string) => string) => {
  const parent = new Map(scene.boxes.map((b) => [b.id, b.parent]))
  const shutAbove = new Map<string, string | null>([['', null]])
  const shut = (box: string): string | null => {
    const known = shutAbove.get(box)
    if (known !== undefined) return known
    const found = shut(parent.get(box) ?? '') ?? (open.has(box) ? null : box)
    shutAbove.set(box, found)
    return found
  }
  return (id, box) => shut(box) ?? id
}

/** Between closed boxes values hide what only carries scales, and equal lines are one. */
const merged = (lines: readonly Line[], closed: ReadonlySet<string>): readonly Line[] => {
  const pairs = groupBy(lines, (l) => JSON.stringify([l.from, l.to]))
  return [...pairs.values()].flatMap((group) => {
    if (!closed.has(group[0].from) && !closed.has(group[0].to)) return group
    const shown = group.some((l) => l.flow) ? group.filter((l) => l.flow) : group.slice(0, 1)
    return [...new Map(shown.map((l) => [l.source.id, l])).values()]
  })
}

/** A scene without the nodes that only compute scales, zero points and counters, and without boxes that hold nothing else. */
const valuesOnly = (scene: Scene): Scene => {
  const nodes = scene.nodes.filter((n) => n.flow)
  const parent = new Map(scene.boxes.map((b) => [b.id, b.parent]))
  const kept = new Set(nodes.map((n) => n.id))
  for (const n of nodes)
    for (let at: string | undefined = n.box; at !== undefined && at !== '' && !kept.has(at); at = parent.get(at))
      kept.add(at)
  return { ...scene, nodes, boxes: scene.boxes.filter((b) => kept.has(b.id)), edges: scene.edges.filter((e) => e.flow) }
}

/**
 * The items and lines of a scene with some boxes open; without `details` only those of values.
 * Linear in the scene, but for the depth of boxes.
 */
export const visibleOf = (whole: Scene, open: ReadonlySet<string>, details: boolean): Visible => {
  const drawn = withSteps(whole)
  const scene = details ? drawn : valuesOnly(drawn)
  const t = tablesOf(scene)
  const results = scene.values.filter((v) => v.role === 'result')
  const items = [...itemsIn(t, '', open), ...results.map(resultItem)]
  const at = new Map<string, Item>()
  const enter = (i: Item): void => {
    at.set(i.id, i)
    i.children.forEach(enter)
  }
  items.forEach(enter)
  const shown = shownFor(scene, open)
  const place = (id: string): string => shown(id, t.nodeOf.get(id)?.box ?? '')
  const closed = new Set(
    [...at.values()].filter((i) => i.kind === 'box' && i.box?.kind !== 'phase' && !i.open).map((i) => i.id),
  )
  return {
    items,
    at,
    lines: [
      ...merged(linesOf(scene.edges, t, place), closed),
      ...results.flatMap((v, i) => tailOf(v, i, t, place)),
      ...scene.boxes.flatMap((b) => (at.get(b.id)?.open === true ? backsOf(b, t, place) : [])),
    ],
  }
}

const linesOf = (edges: readonly SceneEdge[], t: Tables, place: (id: string) => string): readonly Line[] =>
  edges.flatMap((e) => {
    const source = t.nodeOf.get(e.from)
    const [from, to] = [place(e.from), place(e.to)]
    return source === undefined || from === to
      ? []
      : [{ id: `${e.to}:${e.slot}`, from, to, slot: e.slot, source, flow: e.flow, tail: false }]
  })

const tailOf = (value: SceneValue, i: number, t: Tables, place: (id: string) => string): readonly Line[] => {
  const source = t.nodeOf.get(value.node)
  return source === undefined
    ? []
    : [{ id: `=${i}`, from: place(value.node), to: `=${i}`, slot: 0, source, flow: true, tail: true }]
}

/** Lines of the states of a body to its next step. */
const backsOf = (box: SceneBox, t: Tables, place: (id: string) => string): readonly Line[] =>
  (box.states ?? []).flatMap(({ name, from, to }) => {
    const [source, begun] = [t.nodeOf.get(from), t.nodeOf.get(to)]
    return source === undefined || begun === undefined || place(from) === to
      ? []
      : [
          {
            id: `~${to}`,
            from: place(from),
            to,
            slot: 0,
            source,
            flow: source.flow && begun.flow,
            tail: false,
            back: { name, box: box.id },
          },
        ]
  })

/** Lines that tell what flows: of each value the first. */
export const labelled = (v: Visible): ReadonlySet<string> => {
  const seen = new Set<string>()
  return new Set(
    v.lines.flatMap((l) => {
      if (!l.flow || l.back !== undefined || seen.has(l.source.id)) return []
      seen.add(l.source.id)
      return [l.id]
    }),
  )
}

/** The lines that leave a box: from a node inside it to something outside, or to the name of a result. */
export const leavingLines = (index: Index, v: Visible, box: Item): readonly Line[] => {
  const inside = (id: string): boolean => `${index.node.get(id)?.box ?? id}.`.startsWith(`${box.id}.`) || id === box.id
  return v.lines.filter((l) => inside(l.source.id) && (l.tail || !inside(l.to)))
}

/** Which nodes of two programs are the same: aligned by layer path, then by the sequence of ops within a path; and what differs between partners. */
import type { Carried, NodeId } from '../data/quant.js'
import { gridOf, isFloatGrid, nodesOfGrid, showKind } from '../data/quant.js'
import { showShape } from '../data/shape.js'
import type { Graph, Node } from './graph.js'
import type { Attr } from './op.js'
import { branchName, showAttrs, showCarried } from './print.js'
import { demandProgram, type Program } from './program.js'

/** One step of an alignment: a pair of indices, or an index of one side alone (-1 for the other). */
type Step = readonly [a: number, b: number]

/** Above this many comparisons an alignment is found greedily instead of exactly. */
const MOST_CELLS = 4_000_000

/** Longest common subsequence of two lists of keys. */
const exactSteps = (a: readonly string[], b: readonly string[]): readonly Step[] => {
  const w = b.length + 1
  const best = new Uint32Array((a.length + 1) * w)
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      best[i * w + j] =
        a[i] === b[j] ? best[(i + 1) * w + j + 1] + 1 : Math.max(best[(i + 1) * w + j], best[i * w + j + 1])
  const out: Step[] = []
  let [i, j] = [0, 0]
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) out.push([i++, j++])
    else if (j >= b.length || (i < a.length && best[(i + 1) * w + j] >= best[i * w + j + 1])) out.push([i++, -1])
    else out.push([-1, j++])
  }
  return out
}

/** In linear time: each key of `a` takes the next equal key of `b` that is not far away. */
const greedySteps = (a: readonly string[], b: readonly string[]): readonly Step[] => {
  const REACH = 64
  const out: Step[] = []
  let j = 0
  a.forEach((key, i) => {
    const at = b.slice(j, j + REACH).indexOf(key)
    if (at < 0) return void out.push([i, -1])
    for (const end = j + at; j < end; j++) out.push([-1, j])
    out.push([i, j++])
  })
  for (; j < b.length; j++) out.push([-1, j])
  return out
}

/** Aligns two lists of keys: what is equal at the ends first, then the middle. */
const align = (a: readonly string[], b: readonly string[]): readonly Step[] => {
  const shorter = Math.min(a.length, b.length)
  let head = 0
  while (head < shorter && a[head] === b[head]) head++
  let tail = 0
  while (tail < shorter - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++
  const [midA, midB] = [a.slice(head, a.length - tail), b.slice(head, b.length - tail)]
  const middle = (midA.length + 1) * (midB.length + 1) <= MOST_CELLS ? exactSteps(midA, midB) : greedySteps(midA, midB)
  return [
    ...Array.from({ length: head }, (_, i): Step => [i, i]),
    ...middle.map(([i, j]): Step => [i < 0 ? -1 : i + head, j < 0 ? -1 : j + head]),
    ...Array.from({ length: tail }, (_, i): Step => [a.length - tail + i, b.length - tail + i]),
  ]
}

/** Nodes by layer path, paths in order of their first node. */
const byPath = (graph: Graph): ReadonlyMap<string, readonly Node[]> => {
  const out = new Map<string, Node[]>()
  for (const node of graph.nodes) {
    const group = out.get(node.path)
    if (group === undefined) out.set(node.path, [node])
    else group.push(node)
  }
  return out
}

/** Which nodes are the same: an input by its kind and name, others by their op. */
const keyOf = (n: Node): string =>
  n.attrs.kind !== undefined && n.attrs.name !== undefined
    ? `${n.op.name} ${String(n.attrs.kind)} ${String(n.attrs.name)}`
    : n.op.name

const same = (a: unknown, b: unknown): boolean =>
  Object.is(a, b) || (Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((x, i) => same(x, b[i])))

const attrChanges = (a: Node, b: Node): readonly string[] =>
  [...new Set([...Object.keys(a.attrs), ...Object.keys(b.attrs)])]
    .filter((k) => !same(a.attrs[k], b.attrs[k]))
    .map((k) => `${k} ${showOne(a.attrs[k])} → ${showOne(b.attrs[k])}`)

const showOne = (a: Attr | undefined): string => {
  if (a === undefined) return 'absent'
  return typeof a === 'boolean' ? String(a) : showAttrs({ '': a }).slice(1)
}

/** Metadata as text that doesn't depend on ids, with the ids that it names. */
const metadataOf = (c: Carried): { readonly text: string; readonly ids: readonly NodeId[] } => {
  const q = gridOf(c)
  if (q === null) return { text: showCarried(c) || 'float', ids: [] }
  const why = c.tag === 'claimed' ? `: ${c.why}` : ''
  return {
    text: `${c.tag} ${showKind(q)}${isFloatGrid(q) ? '' : ` [${q.lo}, ${q.hi}] zero point ${q.zero}`}${q.training ? ' training' : ''}${why}`,
    ids: nodesOfGrid(q),
  }
}

/** Nodes of `a` by id, each with its partner in `b`. */
export type Partners = ReadonlyMap<NodeId, NodeId>

/** Ids as they are printed. */
export const showIds = (list: readonly NodeId[]): string => list.map((i) => `%${i}`).join(' ')
/** Do two lists of nodes name others than each other's partners? */
export const elsewhere = (a: readonly NodeId[], b: readonly NodeId[], partners: Partners): boolean =>
  a.length !== b.length || a.some((id, i) => partners.get(id) !== b[i])

const metadataChanges = (a: Carried, b: Carried, partners: Partners): readonly string[] => {
  const [x, y] = [metadataOf(a), metadataOf(b)]
  if (x.text !== y.text) return [`${x.text} → ${y.text}`]
  const moved = ['scale', 'zeroPoint', 'bitWidth'].filter(
    (_, i) => x.ids.length > 0 && partners.get(x.ids[i]) !== y.ids[i],
  )
  return moved.length > 0 ? [`another ${moved.join(', ')}: ${showCarried(a)} → ${showCarried(b)}`] : []
}

/** What differs between the two nodes of a pair. */
export type Change = { readonly kind: 'attribute' | 'shape' | 'operands' | 'metadata'; readonly text: string }

const changed = (kind: Change['kind'], texts: readonly string[]): readonly Change[] =>
  texts.map((text) => ({ kind, text }))

/** What differs between a node and its partner. */
export const nodeChanges = (a: Node, b: Node, partners: Partners): readonly Change[] => [
  ...changed('attribute', attrChanges(a, b)),
  ...changed('shape', same(a.shape, b.shape) ? [] : [`shape ${showShape(a.shape)} → ${showShape(b.shape)}`]),
  ...changed(
    'operands',
    elsewhere(a.inputs, b.inputs, partners) ? [`operands ${showIds(a.inputs)} → ${showIds(b.inputs)}`] : [],
  ),
  ...changed('metadata', metadataChanges(a.carried, b.carried, partners)),
]

/** The nodes of one layer path in both graphs, with the steps that align them. */
export type Group = {
  readonly path: string
  readonly a: readonly Node[]
  readonly b: readonly Node[]
  readonly steps: readonly Step[]
}
/** Two graphs aligned: by layer path, then by the sequence of ops within a path. */
export type Alignment = { readonly groups: readonly Group[]; readonly partners: Partners }

/** Aligns two graphs. Linear in the nodes, but for the middle of each path (see `align`). */
export const alignGraphs = (a: Graph, b: Graph): Alignment => {
  const [inA, inB] = [byPath(a), byPath(b)]
  const groups = [...new Set([...inA.keys(), ...inB.keys()])].map((path): Group => {
    const [x, y] = [inA.get(path) ?? [], inB.get(path) ?? []]
    return { path, a: x, b: y, steps: align(x.map(keyOf), y.map(keyOf)) }
  })
  const partners = new Map<NodeId, NodeId>()
  for (const g of groups) for (const [i, j] of g.steps) if (i >= 0 && j >= 0) partners.set(g.a[i].id, g.b[j].id)
  return { groups, partners }
}

/** A node of two aligned programs; null on the side where it has no partner. Nodes of a phase's branches are named `15.collect.3`. */
export type AlignedNode = {
  readonly path: string
  readonly a: string | null
  readonly b: string | null
  readonly changes: readonly Change[]
}

const alignedIn = (a: Graph, b: Graph, prefixA: string, prefixB: string): readonly AlignedNode[] => {
  const { groups, partners } = alignGraphs(a, b)
  return groups.flatMap(({ path, a: x, b: y, steps }) =>
    steps.flatMap(([i, j]): readonly AlignedNode[] => {
      if (j < 0) return alone(x[i], path, prefixA, 'a')
      if (i < 0) return alone(y[j], path, prefixB, 'b')
      const [m, n] = [x[i], y[j]]
      const [inM, inN] = [m.branches, n.branches]
      const inner =
        inM === undefined || inN === undefined
          ? []
          : inM.flatMap((graph, k) =>
              inN[k] === undefined
                ? []
                : alignedIn(
                    graph,
                    inN[k],
                    `${prefixA}${m.id}.${branchName(m, k)}.`,
                    `${prefixB}${n.id}.${branchName(n, k)}.`,
                  ),
            )
      return [{ path, a: `${prefixA}${m.id}`, b: `${prefixB}${n.id}`, changes: nodeChanges(m, n, partners) }, ...inner]
    }),
  )
}

const alone = (n: Node, path: string, prefix: string, side: 'a' | 'b'): readonly AlignedNode[] => {
  const id = `${prefix}${n.id}`
  const inner = (n.branches ?? []).flatMap((g, k) =>
    g.nodes.flatMap((m) => alone(m, path, `${id}.${branchName(n, k)}.`, side)),
  )
  return [{ path, a: side === 'a' ? id : null, b: side === 'b' ? id : null, changes: [] }, ...inner]
}

/** Every node of two programs, each with its partner in the other and what differs: `diffPrograms` as data. */
export const alignPrograms = (a: Program, b: Program): readonly AlignedNode[] => {
  demandProgram('alignPrograms', a)
  demandProgram('alignPrograms', b)
  return alignedIn(a.graph, b.graph, '', '')
}

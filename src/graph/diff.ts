/** Two programs side by side: why are these two nets different? Aligned by layer path, then by the sequence of ops within a path. */
import type { Carried, NodeId } from '../data/quant.js'
import { quantOf } from '../data/quant.js'
import { showShape } from '../data/shape.js'
import type { Graph, Node } from './graph.js'
import type { Attr } from './op.js'
import { BRANCH_NAMES, showAttrs, showCarried, showNode } from './print.js'
import type { Program, ProgramInput, ProgramOutput } from './program.js'

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
      best[i * w + j] = a[i] === b[j] ? best[(i + 1) * w + j + 1] + 1 : Math.max(best[(i + 1) * w + j], best[i * w + j + 1])
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
const keyOf = (n: Node): string => (n.attrs.kind !== undefined && n.attrs.name !== undefined ? `${n.op.name} ${String(n.attrs.kind)} ${String(n.attrs.name)}` : n.op.name)

const same = (a: unknown, b: unknown): boolean =>
  Object.is(a, b) || (Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((x, i) => same(x, b[i])))

const attrChanges = (a: Node, b: Node): readonly string[] =>
  [...new Set([...Object.keys(a.attrs), ...Object.keys(b.attrs)])].filter((k) => !same(a.attrs[k], b.attrs[k])).map((k) => `${k} ${showOne(a.attrs[k])} → ${showOne(b.attrs[k])}`)

const showOne = (a: Attr | undefined): string => (a === undefined ? 'absent' : typeof a === 'boolean' ? String(a) : showAttrs({ '': a }).slice(1))

/** Metadata as text that doesn't depend on ids, with the ids that it names. */
const metadataOf = (c: Carried): { readonly text: string; readonly ids: readonly NodeId[] } => {
  const q = quantOf(c)
  if (q === null) return { text: showCarried(c) || 'float', ids: [] }
  const why = c.tag === 'claimed' ? `: ${c.why}` : ''
  return { text: `${c.tag} ${q.bits}${q.signed ? 's' : 'u'} [${q.lo}, ${q.hi}] zero point ${q.zero}${q.training ? ' training' : ''}${why}`, ids: [q.scale, q.zeroPoint, q.bitWidth] }
}

/** Nodes of `a` by id, each with its partner in `b`. */
type Partners = ReadonlyMap<NodeId, NodeId>

const ids = (list: readonly NodeId[]): string => list.map((i) => `%${i}`).join(' ')
const elsewhere = (a: readonly NodeId[], b: readonly NodeId[], partners: Partners): boolean => a.length !== b.length || a.some((id, i) => partners.get(id) !== b[i])

const metadataChanges = (a: Carried, b: Carried, partners: Partners): readonly string[] => {
  const [x, y] = [metadataOf(a), metadataOf(b)]
  if (x.text !== y.text) return [`${x.text} → ${y.text}`]
  const moved = ['scale', 'zeroPoint', 'bitWidth'].filter((_, i) => x.ids.length > 0 && partners.get(x.ids[i]) !== y.ids[i])
  return moved.length > 0 ? [`another ${moved.join(', ')}: ${showCarried(a)} → ${showCarried(b)}`] : []
}

const nodeChanges = (a: Node, b: Node, partners: Partners): readonly string[] => [
  ...attrChanges(a, b),
  ...(same(a.shape, b.shape) ? [] : [`shape ${showShape(a.shape)} → ${showShape(b.shape)}`]),
  ...(elsewhere(a.inputs, b.inputs, partners) ? [`operands ${ids(a.inputs)} → ${ids(b.inputs)}`] : []),
  ...metadataChanges(a.carried, b.carried, partners),
]

const whole = (node: Node): string => `${showNode(node)}${node.carried.tag === 'float' ? '' : `   # ${showCarried(node.carried)}`}`

type Group = { readonly path: string; readonly a: readonly Node[]; readonly b: readonly Node[]; readonly steps: readonly Step[] }

/** Lines about one pair of nodes; recursion follows the nesting of phases. */
const pairLines = (a: Node, b: Node, partners: Partners): readonly string[] => {
  const changes = nodeChanges(a, b, partners)
  const inner = [0, 1].flatMap((i) => {
    const lines = a.branches === undefined || b.branches === undefined ? [] : graphLines(a.branches[i], b.branches[i])
    return lines.length === 0 ? [] : [`    ${BRANCH_NAMES[i]} of %${a.id}`, ...lines.map((l) => `    ${l}`)]
  })
  return [...(changes.length === 0 ? [] : [`  ~ %${a.id} → %${b.id} ${b.op.name}: ${changes.join('; ')}`]), ...inner]
}

const graphLines = (a: Graph, b: Graph): readonly string[] => {
  const [inA, inB] = [byPath(a), byPath(b)]
  const groups = [...new Set([...inA.keys(), ...inB.keys()])].map((path): Group => {
    const [x, y] = [inA.get(path) ?? [], inB.get(path) ?? []]
    return { path, a: x, b: y, steps: align(x.map(keyOf), y.map(keyOf)) }
  })
  const partners = new Map<NodeId, NodeId>()
  for (const g of groups) for (const [i, j] of g.steps) if (i >= 0 && j >= 0) partners.set(g.a[i].id, g.b[j].id)
  const lines = groups.flatMap((g) => {
    const own = g.steps.flatMap(([i, j]) => (j < 0 ? [`  - ${whole(g.a[i])}`] : i < 0 ? [`  + ${whole(g.b[j])}`] : pairLines(g.a[i], g.b[j], partners)))
    return own.length === 0 ? [] : [g.path === '' ? '(top level)' : g.path, ...own]
  })
  return elsewhere(a.outputs, b.outputs, partners) ? [...lines, `  ~ outputs ${ids(a.outputs)} → ${ids(b.outputs)}`] : lines
}

const showInput = (i: ProgramInput): string => `${i.kind} input ${i.path || '(unnamed)'}${i.part === 'tensor' ? '' : `.${i.part}`}`
const inputDetail = (i: ProgramInput): string => `${showShape(i.shape)}${i.learned ? ' learned' : ''}${i.quant === undefined ? '' : ` ${i.quant.bits}${i.quant.signed ? 's' : 'u'}${i.quant.training ? ' training' : ''}`}`
const showOutput = (o: ProgramOutput): string => `${o.kind} ${o.path || '(unnamed)'}`
const outputDetail = (o: ProgramOutput): string => (o.quant === undefined ? 'plain' : `quant ${o.quant.bits}${o.quant.signed ? 's' : 'u'}${o.quant.training ? ' training' : ''}`)

/** Inputs or outputs by name: those of one side alone, and those whose detail differs. */
const listLines = <A>(a: readonly A[], b: readonly A[], name: (x: A) => string, detail: (x: A) => string): readonly string[] => {
  const [inA, inB] = [new Map(a.map((x) => [name(x), detail(x)])), new Map(b.map((x) => [name(x), detail(x)]))]
  return [
    ...[...inA].flatMap(([k, d]) => (!inB.has(k) ? [`- ${k} ${d}`] : inB.get(k) === d ? [] : [`~ ${k}: ${d} → ${inB.get(k) ?? ''}`])),
    ...[...inB].flatMap(([k, d]) => (inA.has(k) ? [] : [`+ ${k} ${d}`])),
  ]
}

/**
 * What differs between two programs, as lines: `-` stands in `a` alone, `+` in `b` alone, `~` in both with changed
 * attributes, shapes, operands or metadata. The empty string where nothing differs.
 */
export const diffPrograms = (a: Program, b: Program): string => [
  ...(a.mode === b.mode ? [] : [`~ mode ${a.mode} → ${b.mode}`]),
  ...(a.strict === b.strict ? [] : [`~ strict ${a.strict} → ${b.strict}`]),
  ...listLines(a.inputs, b.inputs, showInput, inputDetail),
  ...listLines(a.outputs, b.outputs, showOutput, outputDetail),
  ...graphLines(a.graph, b.graph),
].join('\n')

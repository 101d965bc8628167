/**
 * Programs as text, in the manner of JAX's `make_jaxpr`, with a column for metadata; and scales as formulas.
 * Linear in the number of nodes; recursion follows the nesting of phases only.
 */
import type { Carried, NodeId } from '../data/quant.js'
import { gridOf, isFloatGrid, showKind } from '../data/quant.js'
import { demandArguments, required, whole } from '../data/fields.js'
import { showShape } from '../data/shape.js'
import type { Graph, Node } from './graph.js'
import type { Attr, Attrs } from './op.js'
import { demandProgram, graphField, type Program, type ProgramInput, type ProgramOutput } from './program.js'
import { constantOf, constOp, getOp, inputOp, phaseOp, scanOp } from './structural.js'

/** A line of text and what stands in its metadata column. */
type Line = { readonly text: string; readonly note: string }

/** Names of a phase's two branches, in order. */
export const BRANCH_NAMES = ['collect', 'learned'] as const

/** The name of a sub-graph of a node: a branch of a phase, or the body of a scan. */
export const branchName = (node: Node, i: number): string => (node.op === scanOp ? 'body' : BRANCH_NAMES[i])

const WIDEST_COLUMN = 76

const line = (text: string, note = ''): Line => ({ text, note })

const showAttr = (a: Attr): string => {
  if (Array.isArray(a)) return `[${a.map((x: Attr) => showAttr(x)).join(',')}]`
  if (typeof a === 'string') return /^[\w.~-]+$/.test(a) ? a : JSON.stringify(a)
  return Object.is(a, -0) ? '-0' : String(a)
}

/** Attributes as text: `bits=8 signed !narrow`; a flag stands alone, with `!` where it is false. */
export const showAttrs = (attrs: Attrs): string =>
  Object.entries(attrs)
    .map(([k, v]) => {
      if (v === true) return k
      return v === false ? `!${k}` : `${k}=${showAttr(v)}`
    })
    .join(' ')

/** What a value carries as text: `carries 8s scale %11`; the empty string for `float`. */
export const showCarried = (c: Carried): string => {
  const q = gridOf(c)
  const grid =
    q === null
      ? ''
      : ` ${showKind(q)} scale %${q.scale}${isFloatGrid(q) || q.zero === 'zero' ? '' : ` zeroPoint %${q.zeroPoint} (${q.zero})`}`
  const why = c.tag === 'claimed' || c.tag === 'stripped' ? `: ${c.why}` : ''
  return c.tag === 'float' ? '' : `${c.tag}${grid}${why}`
}

const typed = (node: Node): string => `%${node.id}:f32${showShape(node.shape)}`

/** A node without its metadata: `%20:f32[4] = quantize[bits=8 signed] %3 %11 %18`. */
export const showNode = (node: Node): string => {
  const attrs = showAttrs(node.attrs)
  return `${typed(node)} = ${node.op.name}${attrs === '' ? '' : `[${attrs}]`}${node.inputs.map((i) => ` %${i}`).join('')}`
}

const noteOf = (node: Node): string =>
  [showCarried(node.carried), node.path === '' ? '' : `@${node.path}`, node.location ?? '']
    .filter((t) => t !== '')
    .join('  ')

/** The nodes that compute, and phases as boxes; inputs stand in the header. */
const bodyLines = (graph: Graph, indent: string): readonly Line[] => {
  const out: Line[] = []
  for (const node of graph.nodes) {
    if (node.op === inputOp) continue
    out.push(line(`${indent}${showNode(node)}`, noteOf(node)))
    if (node.branches !== undefined) for (const l of branchLines(node, node.branches, indent)) out.push(l)
  }
  return out
}

const branchLines = (node: Node, branches: readonly Graph[], indent: string): readonly Line[] => [
  ...branches.flatMap((graph, i) => [
    line(
      `${indent}  ${i === 0 ? '┌' : '├'} ${branchName(node, i)}(${graph.inputs.map((id) => typed(graph.nodes[id])).join(', ')})`,
    ),
    ...bodyLines(graph, `${indent}  │   `),
    line(`${indent}  │   return ${graph.outputs.map((id) => `%${id}`).join(' ')}`),
  ]),
  line(`${indent}  └`),
]

const named = (path: string): string => (path === '' ? '(unnamed)' : path)

const inputLine = (graph: Graph, i: ProgramInput): Line =>
  line(
    `    ${typed(graph.nodes[i.node])} ${i.kind} ${named(i.path)}${i.part === 'tensor' ? '' : `.${i.part}`}${i.learned ? ' learned' : ''}`,
    showCarried(graph.nodes[i.node].carried),
  )

const outputLine = (graph: Graph, o: ProgramOutput): Line => {
  const q = o.quant
  const parts =
    q === undefined
      ? ''
      : `quant ${showKind(q)} scale %${q.scale} zeroPoint %${q.zeroPoint} bitWidth %${q.bitWidth}${q.training ? ' training' : ''}`
  return line(`    ${typed(graph.nodes[o.node])} ${o.kind} ${named(o.path)}`, parts)
}

/** Puts the metadata column beside the text. */
const aligned = (lines: readonly Line[]): string => {
  let width = 0
  for (const l of lines) if (l.note !== '' && l.text.length <= WIDEST_COLUMN) width = Math.max(width, l.text.length)
  return lines.map((l) => (l.note === '' ? l.text : `${l.text.padEnd(width)}   # ${l.note}`)).join('\n')
}

/** A program as text: its inputs, each node with what it carries and its layer, and its outputs. */
export const printProgram = (program: Program): string => {
  demandProgram('printProgram', program)
  const { graph, inputs, outputs } = program
  return aligned([
    line(`program ${program.mode}${program.strict ? ' strict' : ''} {`),
    line('  inputs'),
    ...inputs.map((i) => inputLine(graph, i)),
    line('  let'),
    ...bodyLines(graph, '    '),
    line('  return'),
    ...outputs.map((o) => outputLine(graph, o)),
    line('}'),
  ])
}

/** A formula and how tightly its outermost operation binds. */
type Formula = { readonly text: string; readonly binds: number }

const ATOM = 3
const MAX_EXPANDED = 256
const MAX_LENGTH = 400

/** Prefixes for the names of scales, zero points and bit widths; `%` for all others. */
const roles = (graph: Graph): ReadonlyMap<NodeId, string> => {
  const out = new Map<NodeId, string>()
  for (const { carried } of graph.nodes) {
    const q = gridOf(carried)
    if (q !== null)
      out
        .set(q.scale, 's')
        .set(q.zeroPoint, out.get(q.zeroPoint) ?? 'z')
        .set(q.bitWidth, out.get(q.bitWidth) ?? 'b')
  }
  return out
}

/** The node behind ops that only change the layout: a formula looks through them. */
const behindLayout = (graph: Graph, id: NodeId): NodeId => {
  let at = id
  while (graph.nodes[at].op.layout !== undefined) at = graph.nodes[at].inputs[0]
  return at
}

const isLeaf = (node: Node): boolean => node.inputs.length === 0 || node.op === phaseOp || node.op === getOp

/** Which nodes to expand: those nearer to the root than `depth`, breadth first. Layout costs no depth; phases stay closed. */
const expanded = (graph: Graph, root: NodeId, depth: number): readonly NodeId[] => {
  const found = new Set<NodeId>()
  let front: readonly NodeId[] = [root]
  for (let d = 0; d < depth && front.length > 0; d++) {
    const next: NodeId[] = []
    for (const id of front) {
      if (found.has(id) || found.size >= MAX_EXPANDED || isLeaf(graph.nodes[id])) continue
      found.add(id)
      for (const i of graph.nodes[id].inputs) next.push(behindLayout(graph, i))
    }
    front = next
  }
  return [...found].sort((a, b) => a - b)
}

const combine = (node: Node, args: readonly Formula[]): Formula => {
  const { infix } = node.op
  if (infix === undefined || args.length !== 2)
    return { text: `${node.op.name}(${args.map((a) => a.text).join(', ')})`, binds: ATOM }
  const { sign, binds, left } = infix
  const exact = left === true ? 1 : 0
  const [a, b] = args.map((x, i) => (x.binds < binds + i * exact ? `(${x.text})` : x.text))
  return { text: `${a}${sign}${b}`, binds }
}

const FORMULA = { graph: required(graphField), nodeId: required(whole), depth: required(whole) }

/**
 * A node, usually a scale, as a formula: `s2·s7`. Nodes `depth` steps away stand by name: `s`, `z` and `b` for scales,
 * zero points and bit widths, `%` for others. Very long parts stand by name too.
 */
export const formula = (graph: Graph, nodeId: NodeId, depth: number): string => {
  demandArguments('formula', { graph, nodeId, depth }, FORMULA)
  if (graph.nodes[nodeId] === undefined) return `%${nodeId}`
  const role = roles(graph)
  const name = (id: NodeId): Formula => {
    const node = graph.nodes[id]
    return { text: node.op === constOp ? showAttr(constantOf(node.attrs)) : `${role.get(id) ?? '%'}${id}`, binds: ATOM }
  }
  const texts = new Map<NodeId, Formula>()
  const root = depth > 0 ? behindLayout(graph, nodeId) : nodeId
  for (const id of expanded(graph, root, depth)) {
    const node = graph.nodes[id]
    const args = node.inputs.map((i) => behindLayout(graph, i)).map((i) => texts.get(i) ?? name(i))
    const made = args.reduce((n, a) => n + a.text.length, 0) > MAX_LENGTH ? name(id) : combine(node, args)
    texts.set(id, made)
  }
  return (texts.get(root) ?? name(root)).text
}

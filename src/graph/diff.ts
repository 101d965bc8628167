/** Two programs side by side, as text: why are these two nets different? */
import { showShape } from '../data/shape.js'
import { alignGraphs, elsewhere, nodeChanges, showIds, type Partners } from './align.js'
import type { Graph, Node } from './graph.js'
import { branchName, showCarried, showNode } from './print.js'
import { demandProgram, type Program, type ProgramInput, type ProgramOutput } from './program.js'

const whole = (node: Node): string =>
  `${showNode(node)}${node.carried.tag === 'float' ? '' : `   # ${showCarried(node.carried)}`}`

/** Lines about one pair of nodes; recursion follows the nesting of phases. */
const pairLines = (a: Node, b: Node, partners: Partners): readonly string[] => {
  const changes = nodeChanges(a, b, partners)
  const inner = (a.branches ?? []).flatMap((graph, i) => {
    const other = b.branches?.[i]
    const lines = other === undefined ? [] : graphLines(graph, other)
    return lines.length === 0 ? [] : [`    ${branchName(a, i)} of %${a.id}`, ...lines.map((l) => `    ${l}`)]
  })
  return [
    ...(changes.length === 0 ? [] : [`  ~ %${a.id} → %${b.id} ${b.op.name}: ${changes.map((c) => c.text).join('; ')}`]),
    ...inner,
  ]
}

const graphLines = (a: Graph, b: Graph): readonly string[] => {
  const { groups, partners } = alignGraphs(a, b)
  const lines = groups.flatMap((g) => {
    const own = g.steps.flatMap(([i, j]) => {
      if (j < 0) return [`  - ${whole(g.a[i])}`]
      return i < 0 ? [`  + ${whole(g.b[j])}`] : pairLines(g.a[i], g.b[j], partners)
    })
    return own.length === 0 ? [] : [g.path === '' ? '(top level)' : g.path, ...own]
  })
  return elsewhere(a.outputs, b.outputs, partners)
    ? [...lines, `  ~ outputs ${showIds(a.outputs)} → ${showIds(b.outputs)}`]
    : lines
}

const showInput = (i: ProgramInput): string =>
  `${i.kind} input ${i.path || '(unnamed)'}${i.part === 'tensor' ? '' : `.${i.part}`}`
const inputDetail = (i: ProgramInput): string =>
  `${showShape(i.shape)}${i.learned ? ' learned' : ''}${i.quant === undefined ? '' : ` ${i.quant.bits}${i.quant.signed ? 's' : 'u'}${i.quant.training ? ' training' : ''}`}`
const showOutput = (o: ProgramOutput): string => `${o.kind} ${o.path || '(unnamed)'}`
const outputDetail = (o: ProgramOutput): string =>
  o.quant === undefined
    ? 'plain'
    : `quant ${o.quant.bits}${o.quant.signed ? 's' : 'u'}${o.quant.training ? ' training' : ''}`

/** Inputs or outputs by name: those of one side alone, and those whose detail differs. */
const listLines = <A>(
  a: readonly A[],
  b: readonly A[],
  name: (x: A) => string,
  detail: (x: A) => string,
): readonly string[] => {
  const [inA, inB] = [new Map(a.map((x) => [name(x), detail(x)])), new Map(b.map((x) => [name(x), detail(x)]))]
  return [
    ...[...inA].flatMap(([k, d]) => {
      if (!inB.has(k)) return [`- ${k} ${d}`]
      return inB.get(k) === d ? [] : [`~ ${k}: ${d} → ${inB.get(k) ?? ''}`]
    }),
    ...[...inB].flatMap(([k, d]) => (inA.has(k) ? [] : [`+ ${k} ${d}`])),
  ]
}

/**
 * What differs between two programs, as lines: `-` stands in `a` alone, `+` in `b` alone, `~` in both with changed
 * attributes, shapes, operands or metadata. The empty string where nothing differs.
 */
export const diffPrograms = (a: Program, b: Program): string => {
  demandProgram('diffPrograms', a)
  demandProgram('diffPrograms', b)
  return [
    ...(a.mode === b.mode ? [] : [`~ mode ${a.mode} → ${b.mode}`]),
    ...(a.strict === b.strict ? [] : [`~ strict ${a.strict} → ${b.strict}`]),
    ...listLines(a.inputs, b.inputs, showInput, inputDetail),
    ...listLines(a.outputs, b.outputs, showOutput, outputDetail),
    ...graphLines(a.graph, b.graph),
  ].join('\n')
}

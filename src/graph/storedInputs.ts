/** Whether the inputs of a stored program fit what its nodes claim: a run checks a quant input against its declaration, so nothing else may claim to be one. */
import type { Declaration } from '../data/declaration.js'
import { HALF_ULP, intMax, intMin, quantOf, type Quant } from '../data/quant.js'
import type { Graph } from './graph.js'
import type { ProgramInput } from './program.js'

/** Is the metadata of a quant input what was declared? */
const isAsDeclared = (q: Quant, declared: Declaration): boolean =>
  q.bits === declared.bits && q.signed === declared.signed && q.zero === declared.zero
/** Does it claim no more than the bits prove? A run checks no more than that. */
const isProven = (q: Quant): boolean => {
  const [lo, hi] = [intMin(q.bits, q.signed), intMax(q.bits, q.signed)]
  return q.lo <= lo && q.hi >= hi && q.slack >= HALF_ULP * Math.max(Math.abs(lo), hi)
}

/** The scale and the zero point that follow a value of data, or null where others stand there. */
const partsBehind = (
  inputs: readonly ProgramInput[],
  index: number,
): { readonly scale: ProgramInput; readonly zeroPoint: ProgramInput } | null => {
  const { kind, path } = inputs[index]
  const [scale, zeroPoint] = [inputs[index + 1], inputs[index + 2]]
  const follows = (i: ProgramInput | undefined, wanted: ProgramInput['part']): boolean =>
    i !== undefined && i.kind === kind && i.path === path && i.part === wanted
  return kind === 'data' && follows(scale, 'scale') && follows(zeroPoint, 'zeroPoint') ? { scale, zeroPoint } : null
}

/** What is wrong with input number `index` of a program, or null. */
export const storedInputProblem = (graph: Graph, inputs: readonly ProgramInput[], index: number): string | null => {
  const { part, quant, node } = inputs[index]
  const carried = graph.nodes[node]?.carried ?? { tag: 'float' }
  if (part !== 'value')
    return quant === undefined && carried.tag === 'float' ? null : 'only the value of a quant input has metadata'
  const q = quantOf(carried)
  const parts = partsBehind(inputs, index)
  if (parts === null) return 'a quant input is a value of data, followed by its scale and its zero point'
  if (quant === undefined || q === null || q.scale !== parts.scale.node || q.zeroPoint !== parts.zeroPoint.node)
    return 'a quant input is declared, and its node carries its own scale and zero point'
  if (!isAsDeclared(q, quant)) return 'what its node carries is not what was declared'
  return (quant.valid || carried.tag !== 'carries') && isProven(q) ? null : 'its node claims more than was declared'
}

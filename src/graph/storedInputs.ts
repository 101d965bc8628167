/** Whether the inputs of a stored program fit what its nodes claim: a run checks a quant input against its declaration, so nothing else may claim to be one. */
import { HALF_ULP, intMax, intMin, quantOf } from '../data/quant.js'
import type { Graph } from './graph.js'
import type { ProgramInput } from './program.js'

/** What is wrong with input number `index` of a program, or null. */
export const storedInputProblem = (graph: Graph, inputs: readonly ProgramInput[], index: number): string | null => {
  const { kind, path, part, quant, node } = inputs[index]
  const carried = graph.nodes[node]?.carried ?? { tag: 'float' }
  if (part !== 'value')
    return quant === undefined && carried.tag === 'float' ? null : 'only the value of a quant input has metadata'
  const q = quantOf(carried)
  const [scale, zeroPoint] = [inputs[index + 1], inputs[index + 2]]
  const follows = (i: ProgramInput | undefined, wanted: ProgramInput['part']): boolean =>
    i !== undefined && i.kind === kind && i.path === path && i.part === wanted
  if (kind !== 'data' || !follows(scale, 'scale') || !follows(zeroPoint, 'zeroPoint'))
    return 'a quant input is a value of data, followed by its scale and its zero point'
  if (quant === undefined || q === null || q.scale !== scale.node || q.zeroPoint !== zeroPoint.node)
    return 'a quant input is declared, and its node carries its own scale and zero point'
  if (q.bits !== quant.bits || q.signed !== quant.signed || q.zero !== quant.zero)
    return 'what its node carries is not what was declared'
  const [lo, hi] = [intMin(q.bits, q.signed), intMax(q.bits, q.signed)]
  const proves = q.lo <= lo && q.hi >= hi && q.slack >= HALF_ULP * Math.max(Math.abs(lo), hi)
  return (quant.valid || carried.tag !== 'carries') && proves ? null : 'its node claims more than was declared'
}

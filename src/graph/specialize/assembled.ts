/** The specialized program around its graph: what it takes and returns. */
import { quantOf } from '../../data/quant.js'
import { mapTree } from '../../data/tree.js'
import type { Value } from '../op.js'
import type { Program, ProgramInput, ProgramOutput } from '../program.js'
import { nodeOf, operandOf, type Seen, type Walk } from './seen.js'

const isIndex = (x: unknown): x is number => typeof x === 'number'

/** What the program takes and returns, once its graph is built: data first, then constants in the order in which they were met. */
export const assembled = (
  w: Walk,
  program: Program,
  data: ReadonlyMap<ProgramInput, Value>,
  outs: readonly Seen[],
): Program => {
  const given = program.inputs.filter((i) => i.kind === 'data' && data.has(i))
  const results = program.outputs.filter((o) => o.kind === 'result')
  const nodes = outs.map((s, k) => (k < results.length ? operandOf(w, s) : nodeOf(w, s)))
  const partsFixed = new Set(
    program.inputs.filter((i) => i.part === 'scale' && i.kind === 'data' && !data.has(i)).map((i) => i.path),
  )
  let next = results.length
  const outputs = results.map((o, k): ProgramOutput => {
    if (o.quant === undefined) return { ...o, node: nodes[k].id }
    // Where equal scales were found to have made it, the zero point is a single 0 now.
    const [before, after] = [quantOf(program.graph.nodes[o.node].carried), quantOf(nodes[k].carried)]
    if (before?.zero === 'equalScales' && after?.zero === 'zero') nodes[next + 1] = w.b.value(after.zeroPoint)
    const [scale, zeroPoint, bitWidth] = [nodes[next++].id, nodes[next++].id, nodes[next++].id]
    return { ...o, node: nodes[k].id, quant: { ...o.quant, scale, zeroPoint, bitWidth } }
  })
  const inputs = [
    ...given.map((i): ProgramInput => {
      const { quant, ...plain } = i
      const node = data.get(i)?.id ?? i.node
      return partsFixed.has(i.path) || quant === undefined
        ? { ...plain, part: partsFixed.has(i.path) ? 'tensor' : i.part, node }
        : { ...i, node }
    }),
    ...[...w.keys].map(([node, key]): ProgramInput => ({
      kind: 'param',
      path: key,
      node,
      shape: w.constants[key].shape,
      learned: false,
      part: 'tensor',
    })),
  ]
  return {
    version: 1,
    mode: program.mode,
    strict: program.strict,
    graph: w.b.finish(nodes),
    inputs,
    outputs,
    structure: {
      data: mapTree(isIndex, program.structure.data, (i) => given.indexOf(program.inputs[i])),
      params: Object.fromEntries([...w.keys.values()].map((key, k) => [key, given.length + k])),
      state: {},
      results: mapTree(isIndex, program.structure.results, (i) => results.indexOf(program.outputs[i])),
      nextState: {},
      grads: null,
    },
  }
}

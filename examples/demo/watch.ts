/** Watches every quantizer of a program: the same program, with each quantized value as a result. */
import { summaryOf, type LiveQuantizer } from '../../viz/index.js'
import { isQuantTensor, type Node, type Output, type Program, type ProgramOutput } from '../../src/index.js'

/** One quantizer: its node, and the phase in which its statistics are collected, if they are. */
export type Watched = {
  readonly node: number
  readonly path: string
  readonly phase: { readonly node: number; readonly counter: string; readonly limit: number } | null
}
/** What a watching program gives, by the node of each quantizer. */
export type Seen = { readonly [node: string]: Output }

/** The phase from which a scale comes. */
const phaseOf = (program: Program, scale: Node): Watched['phase'] => {
  const phase = program.graph.nodes[scale.inputs[0] ?? scale.id]
  const counter = program.inputs.find((i) => i.node === phase.inputs[0])
  return phase.op.name !== 'phase' || counter === undefined
    ? null
    : { node: phase.id, counter: counter.path, limit: Number(phase.attrs.limit) }
}

const quantizersIn = (program: Program): readonly Node[] => program.graph.nodes.filter((n) => n.op.name === 'quantize')

/** The quantizers of a program, in the order of the trace. */
export const watchedIn = (program: Program): readonly Watched[] =>
  quantizersIn(program).map((n) => ({
    node: n.id,
    path: n.path,
    phase: phaseOf(program, program.graph.nodes[n.inputs[1]]),
  }))

/** The program with each quantized value as its only results: what nothing watches is not computed, and no state moves on. */
export const watching = <P, S, I>(program: Program<P, S, I>): Program<P, S, I, Seen> => {
  const outputs = quantizersIn(program).flatMap((n): readonly ProgramOutput[] => {
    const { carried } = n
    if (!('quant' in carried)) return []
    const { scale, zeroPoint, bitWidth, bits, signed, training } = carried.quant
    return [
      { kind: 'result', path: String(n.id), node: n.id, quant: { scale, zeroPoint, bitWidth, bits, signed, training } },
    ]
  })
  const nodes = outputs.flatMap((o) =>
    o.quant === undefined ? [] : [o.node, o.quant.scale, o.quant.zeroPoint, o.quant.bitWidth],
  )
  const { version, mode, strict, graph, inputs, structure } = program
  return {
    version,
    mode,
    strict,
    graph: { ...graph, outputs: [...new Set(nodes)] },
    inputs,
    outputs,
    structure: {
      ...structure,
      results: Object.fromEntries(outputs.map((o, i) => [o.path, i])),
      nextState: {},
      grads: null,
    },
  }
}

const isRecord = (x: unknown): x is { readonly [key: string]: unknown } => typeof x === 'object' && x !== null

/** The number that stands at a path of the state. */
const counterAt = (state: unknown, path: string): number => {
  const leaf = path.split('.').reduce<unknown>((t, key) => (isRecord(t) ? t[key] : undefined), state)
  return isRecord(leaf) && leaf.data instanceof Float32Array ? leaf.data[0] : NaN
}

/** What the page is told of the quantizers after a run of the watching program. */
export const describe = (watched: readonly Watched[], seen: Seen, state: unknown): readonly LiveQuantizer[] =>
  watched.flatMap(({ node, path, phase }) => {
    const x = seen[String(node)]
    return x === undefined || !isQuantTensor(x)
      ? []
      : [
          {
            node: String(node),
            path,
            numbers: summaryOf(x),
            phase:
              phase === null
                ? null
                : {
                    node: String(phase.node),
                    collected: Math.min(phase.limit, counterAt(state, phase.counter)),
                    limit: phase.limit,
                  },
          },
        ]
  })

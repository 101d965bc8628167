/** What a checkpoint alone says of a program: every value that no input of data reaches. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors } from '../src/data/error.js'
import { argumentProblems, record, required } from '../src/data/fields.js'
import { sameShape, showShape, sizeOf } from '../src/data/shape.js'
import { isTensor, type Tensor } from '../src/data/tensor.js'
import { at, mapTree } from '../src/data/tree.js'
import { tooLarge } from '../src/evaluator/memory.js'
import { programProblems, type Program, type ProgramInput } from '../src/graph/program.js'
import { run } from '../src/nn/program/program.js'

/** Parameters and state, as `parseTensors` gives those of a checkpoint. */
export type Stored = { readonly params: unknown; readonly state: unknown }

const STORED = { ...record, says: 'parameters and state, { params, state }', like: 'orThrow(parseTensors(bytes))' }

const isIndex = (x: unknown): x is number => typeof x === 'number'

const misfit = (i: ProgramInput, message: string, fix: string): QuantError => ({
  tag: 'InputError',
  input: i.path,
  path: i.path,
  message,
  fix,
})

/** What of a checkpoint does not fit the program's parameters and state; nothing if all fits. */
export const storedProblems = (program: Program, stored: Stored): QuantErrors =>
  program.inputs.flatMap((i) => {
    if (i.kind === 'data') return []
    if (i.kind === 'slot' || i.kind === 'hyper')
      return [
        misfit(
          i,
          `the program takes the ${i.kind} ${i.path} of an optimizer`,
          'give the program of a forward pass, best one traced in eval',
        ),
      ]
    const t = at(i.kind === 'param' ? stored.params : stored.state, i.path)
    if (!isTensor(t))
      return [
        misfit(
          i,
          `the checkpoint has no ${i.kind} ${i.path}`,
          'give the checkpoint of the network that this program was traced from',
        ),
      ]
    return sameShape(t.shape, i.shape)
      ? []
      : [
          misfit(
            i,
            `${i.kind} ${i.path} has shape ${showShape(t.shape)}, but the program has ${showShape(i.shape)}`,
            'give the checkpoint of the network that this program was traced from',
          ),
        ]
  })

/** For each node: does a value of data reach it? */
const dependsOnData = (program: Program): readonly boolean[] => {
  const given = new Set(program.inputs.filter((i) => i.kind === 'data').map((i) => i.node))
  const out: boolean[] = []
  for (const n of program.graph.nodes) out.push(given.has(n.id) || n.inputs.some((i) => out[i]))
  return out
}

/** Which nodes a run computes: what feeds an output, and checks with all that feeds them. */
const computed = ({ graph }: Program): readonly boolean[] => {
  const live = new Array<boolean>(graph.nodes.length).fill(false)
  for (const id of graph.outputs) live[id] = true
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const { op, inputs } = graph.nodes[i]
    if (!live[i] && op.guards !== true) continue
    live[i] = true
    for (const id of inputs) live[id] = true
  }
  return live
}

/** The part of a program that no input of data reaches, with every value of it as a result; checks of the rest are asleep. Its own outputs may be large, and need not be computed. */
const withoutData = (program: Program, given: readonly boolean[]): Program => {
  const live = computed(program)
  const known = program.graph.nodes.filter((n) => live[n.id] && !given[n.id]).map((n) => n.id)
  const nodes = program.graph.nodes.map((n) =>
    given[n.id] && n.op.guards === true ? { ...n, op: { ...n.op, guards: false } } : n,
  )
  return {
    ...program,
    graph: { ...program.graph, nodes, outputs: known },
    outputs: known.map((node) => ({ kind: 'result', path: `v${node}`, node })),
    structure: {
      ...program.structure,
      results: Object.fromEntries(known.map((node, i) => [`v${node}`, i] as const)),
      nextState: {},
      grads: null,
    },
  }
}

/** Zeros of every declared shape: what is computed from them is thrown away. */
const nothing = (program: Program): unknown =>
  mapTree(isIndex, program.structure.data, (index) => {
    const { shape, part, quant, path } = program.inputs[index]
    const value: Tensor = { shape, data: new Float32Array(sizeOf(shape)) }
    if (part === 'tensor' || quant === undefined) return value
    const of = (wanted: ProgramInput['part'], x: number): Tensor => {
      const s = program.inputs.find((i) => i.kind === 'data' && i.path === path && i.part === wanted)?.shape ?? []
      return { shape: s, data: new Float32Array(sizeOf(s)).fill(x) }
    }
    return {
      kind: 'quant',
      value,
      scale: of('scale', 1),
      zeroPoint: of('zeroPoint', 0),
      bitWidth: { shape: [], data: Float32Array.of(quant.bits) },
      signed: quant.signed,
      training: quant.training,
    }
  })

/**
 * Values of a program that parameters and state alone decide: weights, quantized weights, and of a program traced in eval
 * the scale and zero point of every quantizer. They fill a page as a run would: `toHtml(program, { values })`.
 * Errors: an InputError for each parameter or leaf of state that is missing or has another shape.
 * @example pipe(parseTensors(bytes), E.chain((tree) => knownValues(program, tree as Stored)))
 */
export const knownValues = (program: Program, stored: Stored): E.Either<QuantErrors, ReadonlyMap<number, Tensor>> => {
  const wrong = [
    ...programProblems('knownValues', program),
    ...argumentProblems('knownValues', { stored }, { stored: required(STORED) }),
  ]
  if (wrong.length > 0) return E.left(wrong)
  const errors = storedProblems(program, stored)
  if (errors.length > 0) return E.left(errors)
  const large = tooLarge(program, 'reference')
  if (large !== null) return E.left(large)
  const given = dependsOnData(program)
  const values = new Map<number, Tensor>()
  for (const i of program.inputs) {
    const t = i.kind === 'data' ? undefined : at(i.kind === 'param' ? stored.params : stored.state, i.path)
    if (isTensor(t)) values.set(i.node, t)
  }
  const ran = run(
    withoutData(program, given),
    { params: stored.params, state: stored.state, inputs: nothing(program) },
    {
      observe: (node, v) => {
        values.set(node.id, { shape: v.shape, data: v.data.slice() })
      },
    },
  )
  return E.map(() => values)(ran)
}

/** Traces a function of values into a program. Knows trees of values; knows nothing of layers. */
import * as E from 'fp-ts/lib/Either.js'
import { isFailure, type QuantError, type QuantErrors } from '../data/error.js'
import { gridOf, isFloatGrid, nodesOfGrid, type Grid } from '../data/quant.js'
import type { Tree } from '../data/tree.js'
import { leaves, mapTree } from '../data/tree.js'
import { liesIn, partProblems, type Where } from '../data/where.js'
import type { Builder } from './builder.js'
import { isInvalid, newBuilder } from './builder.js'
import { entriesOf, type Entries } from './entries.js'
import { frozen } from './frozen.js'
import { inputProblems } from './inputDecl.js'
import type { OpTable, Value } from './op.js'
import type { Program, ProgramLayer, ProgramOutput, QuantParts } from './program.js'
import { isValue } from './value.js'

export { booleanInput, integerInput, isDecl, quantInput, tensorInput } from './inputDecl.js'
export type { InputDecl, LeafDecl, QuantInput, TensorInput } from './inputDecl.js'
export { isValue } from './value.js'

/** What is traced, and how. */
export type TraceSpec = {
  readonly table: OpTable
  readonly mode: 'train' | 'eval'
  readonly strict: boolean
  readonly locations: boolean
  readonly inputs: unknown
  readonly params: unknown
  readonly state: unknown
  /** What is traced as in `eval`, whatever the mode; each name must be one of the network's. */
  readonly freeze?: Where
  readonly layers?: readonly ProgramLayer[]
  readonly body: (
    params: Tree<Value>,
    state: Tree<Value>,
    inputs: Tree<Value>,
    builder: Builder,
  ) => { readonly results: unknown; readonly nextState: unknown }
}

const kindOfGrid = (q: Grid): Pick<QuantParts, 'format' | 'learned' | 'group'> => ({
  ...(isFloatGrid(q) ? { format: q.format } : {}),
  ...(!isFloatGrid(q) && q.learned === true ? { learned: true } : {}),
  ...(q.group === undefined ? {} : { group: q.group }),
})

const partsOf = (v: Value): QuantParts | null => {
  const q = gridOf(v.carried)
  if (q === null) return null
  const { scale, zeroPoint, bitWidth, bits, signed, training } = q
  return { scale, zeroPoint, bitWidth, bits, signed, training, ...kindOfGrid(q) }
}

/** What the body returns; what it throws of this library's own errors joins those of the trace. */
const bodyOf = (
  spec: TraceSpec,
  b: Builder,
  ...args: readonly [params: Tree<Value>, state: Tree<Value>, inputs: Tree<Value>]
): ReturnType<TraceSpec['body']> => {
  try {
    return spec.body(...args, b)
  } catch (e) {
    if (!isFailure(e)) throw e
    b.errors.push(...e.errors)
    return { results: {}, nextState: {} }
  }
}

/** What is wrong with what a body returned; null where nothing is. */
const returnProblem = (
  b: Builder,
  results: number,
  found: readonly Value[],
  { inputs }: Entries,
): QuantError | null => {
  if (results === 0)
    return {
      tag: 'InputError',
      input: 'result',
      path: '',
      message: `the traced function returned no value${inputs.some((i) => i.kind === 'data') ? '' : ', and no input was declared'}`,
      fix: "declare each input with tensorInput(shape) or quantInput(…), and return values made from them by quantrace's functions",
    }
  if (found.some(isInvalid))
    return {
      tag: 'Internal',
      path: '',
      message: 'an invalid value was returned without an error',
      fix: 'report this as a bug of quantrace',
    }
  if (found.some((v) => v.kit !== b))
    return {
      tag: 'InputError',
      input: 'result',
      path: '',
      message: 'the traced function returned a value of another trace',
      fix: "return only values made from this call's arguments",
    }
  return null
}

/** The program of a body that was traced without an error. */
const programOf = (
  spec: TraceSpec,
  b: Builder,
  { inputs, params, state, data }: Entries,
  { results, nextState, found }: ReturnType<TraceSpec['body']> & { readonly found: readonly Value[] },
): Program => {
  const outputs: ProgramOutput[] = []
  const output =
    (kind: ProgramOutput['kind']) =>
    (v: Value, path: string): number => {
      const quant = kind === 'result' ? partsOf(v) : null
      return outputs.push({ kind, path, node: v.id, ...(quant === null ? {} : { quant }) }) - 1
    }
  const [resultTree, nextTree] = [
    mapTree(isValue, results, output('result')),
    mapTree(isValue, nextState, output('state')),
  ]
  const structure = {
    data: data.indices,
    params: params.indices,
    state: state.indices,
    results: resultTree,
    nextState: nextTree,
    grads: null,
  }
  const parts = outputs.flatMap(({ quant: q }) => (q === undefined ? [] : nodesOfGrid(q)))
  const graph = b.finish([...found, ...parts.map(b.value)])
  const layers = spec.layers === undefined || spec.layers.length === 0 ? {} : { layers: spec.layers }
  const { mode, strict } = spec
  return frozen<Program>({ version: 1, mode, strict, graph, inputs, outputs, structure, ...layers })
}

/** Runs the body over fresh inputs and returns the program, or every error that was found. */
export const traceProgram = (spec: TraceSpec): E.Either<QuantErrors, Program> => {
  const wrong = inputProblems(spec.inputs, '', 0)
  if (wrong.length > 0) return E.left(wrong)
  const { freeze: still } = spec
  const b = newBuilder(still === undefined ? spec : { ...spec, frozen: liesIn(still) })
  const entries = entriesOf(b, spec)
  const returned = bodyOf(spec, b, entries.params.values, entries.state.values, entries.data.values)
  if (b.errors.length > 0) return E.left(frozen([...b.errors]))
  const results = leaves(isValue, returned.results)
  const found = [...results, ...leaves(isValue, returned.nextState)].map((l) => l.leaf)
  const problem = returnProblem(b, results.length, found, entries)
  if (problem !== null) return E.left(frozen([problem]))
  const program = programOf(spec, b, entries, { ...returned, found })
  const unknown =
    still === undefined ? [] : partProblems('trace', still, [...program.graph.nodes, ...(spec.layers ?? [])])
  return unknown.length > 0 ? E.left(unknown) : E.right(program)
}

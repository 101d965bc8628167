/**
 * A program for one network: parameters and state are given, so phases are decided, checks that they decide are gone, and all that they fix is
 * folded into constants. Metadata is kept. Whatever leaves quantrace (ONNX, integer programs, C) reads this; it knows nothing of them.
 */
import * as E from 'fp-ts/lib/Either.js'
import type { NodeId } from '../data/quant.js'
import { nodesOfGrid } from '../data/quant.js'
import type { QuantError, QuantErrors } from '../data/error.js'
import { strangers } from '../data/strangers.js'
import { isTensor, type Tensor } from '../data/tensor.js'
import { newBuilder } from './builder.js'
import type { Graph, Node } from './graph.js'
import type { OpTable, Value } from './op.js'
import type { Program, ProgramInput } from './program.js'
import { sizeProblem } from './sizes.js'
import { assembled } from './specialize/assembled.js'
import { fitting, leafOf, type Fixed } from './specialize/given.js'
import type { Seen, Walk } from './specialize/seen.js'
import { walk } from './specialize/walk.js'

export type { Fixed } from './specialize/given.js'

/** How far to go. */
export type SpecializeOptions = {
  /**
   * Nodes that stay although their operands are fixed: an exporter keeps the quantizers of weights, for instance. A folded weight is a plain
   * constant, since whoever runs the program may give another one: products stay on integers where quantizers are kept.
   */
  readonly keep?: (node: Node) => boolean
  /** Write loops out, step by step (default false: a loop stays one node): for formats that have none. */
  readonly unroll?: boolean
  /** Scale and zero point of quant tensors that are inputs, by path: fixed too, so that a plain tensor is left, the value. */
  readonly quantInputs?: { readonly [path: string]: { readonly scale: Tensor; readonly zeroPoint: Tensor } }
}

/**
 * An ordinary program without state. Its parameters are the folded constants, by keys of their own (`c0`, `c1`, …), so that it runs, prints and
 * is drawn like any other: `run(program, { params: constants, state: {}, inputs })`.
 */
export type Specialized<I = unknown, O = unknown> = {
  readonly program: Program<{ readonly [key: string]: Tensor }, { readonly [key: string]: never }, I, O>
  readonly constants: { readonly [key: string]: Tensor }
  /** The constant behind a node of the program: a parameter's tensor, or the one number of a `const` node. */
  readonly valueOf: (node: NodeId) => Tensor | undefined
}

const NOTHING: Tensor = { shape: [], data: new Float32Array(1) }

const tooLargeToFold = (problem: string): QuantError => ({
  tag: 'ShapeError',
  op: 'specialize',
  path: '',
  message: `this program can't be specialized: ${problem}`,
  fix: 'use smaller shapes or a smaller batch',
})

type Quants = SpecializeOptions['quantInputs']

const quantFor = (given: Quants, path: string) =>
  given !== undefined && Object.hasOwn(given, path) ? given[path] : undefined

const unknownQuants = ({ inputs }: Program, given: Quants): readonly QuantError[] => {
  const known = [...new Set(inputs.flatMap((i) => (i.kind === 'data' && i.part !== 'tensor' ? [i.path] : [])))]
  return strangers('specialize', 'quantInputs', given, { known, what: 'input that was declared as a quant tensor' })
}

/** The graph with the results and their metadata as its outputs. */
const resultsOnly = (program: Program): Graph => {
  const results = program.outputs.filter((o) => o.kind === 'result')
  const parts = results.flatMap(({ quant: q }) => (q === undefined ? [] : nodesOfGrid(q)))
  return { ...program.graph, outputs: [...results.map((o) => o.node), ...parts] }
}

/**
 * The program of one network: `(program, params, state) → program` with every phase decided by its counter, everything that depends on parameters and
 * state alone computed, by the ops' own rules, and checks among it made now. What remains are the operations on data.
 * Next state and gradients are left out: this is what the network computes, not how it learns. Errors: an InputError for each leaf that is missing or
 * has another shape; CheckFailed where the numbers fail a check; StateError if a phase depends on data.
 *
 * @example
 * const { program, constants } = orThrow(specializeProgram(program, { params, state }, ops))
 */
export const specializeProgram = <P, S, I, O>(
  program: Program<P, S, I, O>,
  fixed: Fixed,
  table: OpTable,
  options: SpecializeOptions = {},
): E.Either<QuantErrors, Specialized<I, O>> => {
  const large = sizeProblem(program, Infinity)
  if (large !== null) return E.left([tooLargeToFold(large)])
  const unknown = unknownQuants(program, options.quantInputs)
  if (unknown.length > 0) return E.left(unknown)
  const b = newBuilder({ table, mode: program.mode, strict: program.strict, metadata: false })
  const keep = options.keep ?? (() => false)
  const unroll = options.unroll === true
  const w: Walk = { b, keep, unroll, table, constants: {}, tensors: new Map(), keys: new Map(), errors: [] }
  const data = new Map<ProgramInput, Value>()
  const given = program.inputs.map((i): Seen => {
    const quant = quantFor(options.quantInputs, i.path)
    const part = i.part === 'scale' || i.part === 'zeroPoint' ? quant?.[i.part] : undefined
    if (i.kind === 'data' && part === undefined) {
      const node = b.input('data', i.path, i.shape, undefined, i.dtype)
      data.set(i, node)
      return { fixed: null, node }
    }
    const t = part === undefined ? leafOf(i, fixed) : fitting(i, part)
    if (!isTensor(t)) w.errors.push(t)
    const above = i.path.split('.').slice(0, -1).join('.')
    return { fixed: { tensor: isTensor(t) ? t : NOTHING, path: above }, node: null, kept: null }
  })
  if (w.errors.length > 0) return E.left(w.errors)
  const byNode = new Map(program.inputs.map((i, k) => [i.node, given[k]] as const))
  const outs = walk(
    w,
    resultsOnly(program),
    program.graph.inputs.map((id) => byNode.get(id) ?? given[0]),
  )
  if (w.errors.length > 0) return E.left(w.errors)
  const made = assembled(w, program, data, outs)
  return E.right({
    program: made as Specialized<I, O>['program'],
    constants: w.constants,
    valueOf: (id) => w.tensors.get(id),
  })
}

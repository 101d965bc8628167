/** What an ONNX model can't say of a program: read off the rules that write it, and off the metadata of the trace. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import { argumentProblems, demandArguments, list, oneOf, required, shaped, text } from '../../data/fields.js'
import { COUNT, BEYOND_COUNTING } from '../../data/marks.js'
import { gridOf, quantOf, type Carried, type NodeId } from '../../data/quant.js'
import { full, type Tensor } from '../../data/tensor.js'
import { mapTree } from '../../data/tree.js'
import type { Graph, Node } from '../../graph/graph.js'
import { programProblems, type Program, type ProgramInput } from '../../graph/program.js'
import type { Fixed } from '../../graph/specialize.js'
import { lossesOf, type Loss } from '../../graph/view.js'
import { attempted, type Attempt } from './export.js'
import type { ExportOptions } from './options.js'
import { isExportError, type ExportError, type OnnxFormat } from './rule.js'

/** One place where a format can't say what a program says. */
export type ReportEntry = {
  /**
   * `blocking`: `exportOnnx` refuses. `warning`: the numbers are right, but the model multiplies floats there, or integers that are read from it
   * may be wrong. `note`: said by other operators, or a grid that nobody else is told of.
   */
  readonly severity: 'blocking' | 'warning' | 'note'
  /** Layer path; empty at the top level. */
  readonly path: string
  /** The primitive. */
  readonly op: string
  /** The node of the program, where it is one of its own nodes (not one of a specialized program). */
  readonly node: NodeId | null
  /** What the program says there that the format can't. */
  readonly what: string
  /** What happens instead. */
  readonly instead: string
  readonly fix: string
}

/** All such places: the blocking ones, warnings, notes, each in the order of the program. */
export type ExportReport = { readonly target: OnnxFormat; readonly entries: readonly ReportEntry[] }

const blocked = (error: ExportError): ReportEntry => ({
  severity: 'blocking',
  path: error.path,
  op: error.op,
  node: null,
  what: error.message,
  instead: 'exportOnnx refuses: nothing is written',
  fix: error.fix,
})

/**
 * Which values a reader of the model finds on a grid: those of a quantizer, and what only lays them out or picks among them. Whether a layer
 * gives them on with metadata or without (`returnQuantTensor`) is the same model.
 */
const onGrids = ({ nodes }: Graph): readonly boolean[] => {
  const on: boolean[] = []
  for (const { op, inputs, carried } of nodes)
    on.push(
      op.births === true ||
        gridOfInput(carried, inputs) ||
        (inputs.length > 0 &&
          op.product === undefined &&
          (op.layout !== undefined || isPool(op) || gridOf(carried) !== null) &&
          inputs.slice(0, op.flow ?? inputs.length).every((i) => on[i])),
    )
  return on
}

/** A pool, or what repeats elements: runtimes move them behind the quantizer's integers. */
const isPool = (op: Node['op']): boolean => op.homogeneous === true && op.elementwise !== true

/** Is it an input that is declared to lie on a grid? */
const gridOfInput = (carried: Carried, inputs: readonly NodeId[]): boolean =>
  inputs.length === 0 && gridOf(carried) !== null

/**
 * Values that come to a product as floats, or through floats, before another quantizer moves them to a grid: there a runtime can only multiply floats.
 * What is computed in floats between two quantizers, or on the way to a result, multiplies nothing.
 */
const multipliedAsFloats = (graph: Graph): Uint8Array => {
  const on = onGrids(graph)
  const found = new Uint8Array(graph.nodes.length)
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const { op, inputs } = graph.nodes[i]
    if (op.product !== undefined && inputs.some((id) => !on[id])) found[i] = 1
    for (const id of inputs)
      if (op.births !== true && (op.product === undefined ? found[i] === 1 : !on[id])) found[id] = 1
  }
  return found
}

const lost = (loss: Loss): ReportEntry => ({
  severity: 'warning',
  path: loss.path,
  op: loss.op,
  node: loss.within.length === 0 ? loss.node : null,
  what: `metadata is lost: ${loss.why}`,
  instead: 'floats come to a product here, before the next quantizer, and no runtime can multiply them as integers',
  fix: 'let the layer return its quant tensor (returnQuantTensor: true), or quantize again behind it with a QuantIdentity',
})

const doubted = (loss: Loss): ReportEntry => ({
  severity: 'warning',
  path: loss.path,
  op: loss.op,
  node: loss.within.length === 0 ? loss.node : null,
  what: `metadata is claimed, but the value may be off its grid: ${loss.why}`,
  instead: 'the model has the value as it is, in floats; integers that a runtime reads from it may differ',
  fix: 'quantize again behind it with a QuantIdentity, or give the operands one scale',
})

/** Losses that matter to who reads the model: what no product is given as floats is missed by nobody, nor is a claim whose integers are right. */
const lossEntries = (program: Program): readonly ReportEntry[] => {
  const multiplied = multipliedAsFloats(program.graph)
  return lossesOf(program).flatMap((loss) => {
    const carried = loss.within.length === 0 ? program.graph.nodes[loss.node].carried : null
    if (loss.tag === 'claimed') return carried?.tag === 'claimed' && carried.exact === true ? [] : [doubted(loss)]
    return loss.within.length > 0 || multiplied[loss.node] === 1 ? [lost(loss)] : []
  })
}

const isBirth = (graph: Graph, node: Node): boolean =>
  node.op.births === true || (node.op.layout === 'view' && isBirth(graph, graph.nodes[node.inputs[0]]))

/** Results that are quant tensors, and stand behind no quantizer of their own: a reader of the model does not know their grid. */
const resultEntries = ({ graph, outputs }: Program): readonly ReportEntry[] =>
  outputs.flatMap((o) => {
    const node = graph.nodes[o.node]
    const q = o.kind === 'result' ? quantOf(node.carried) : null
    return q === null || isBirth(graph, node)
      ? []
      : [
          {
            severity: 'note',
            path: node.path,
            op: node.op.name,
            node: node.id,
            what: `the result ${o.path === '' ? '' : `${o.path} `}is a quant tensor of ${q.bits} bits, whose scale is computed, not stored`,
            instead: 'the model gives its value alone, in floats',
            fix: 'give the last layer an outputQuant, or put a QuantIdentity behind it',
          },
        ]
  })

/** Numbers for a program whose own are not at hand: all collections and delays have ended, zero points are 0, and everything else is 1. */
const standIn = (program: Program): Fixed => {
  const tensorOf = (i: ProgramInput): Tensor => {
    if (i.means === COUNT) return full(i.shape, /\bdelay\.remaining$/.test(i.path) ? 0 : BEYOND_COUNTING)
    return full(i.shape, i.path.includes('zeroPoint') ? 0 : 1)
  }
  const isIndex = (x: unknown): x is number => typeof x === 'number'
  const filled = (tree: unknown): unknown => mapTree(isIndex, tree, (k) => tensorOf(program.inputs[k]))
  return { params: filled(program.structure.params), state: filled(program.structure.state) }
}

const reported = (
  program: Program,
  target: OnnxFormat,
  attempt: Attempt | null,
  errors: readonly ExportError[],
): ExportReport => {
  const remarks = (attempt?.session.remarks ?? []).map((r): ReportEntry => ({ severity: 'note', node: null, ...r }))
  return { target, entries: [...errors.map(blocked), ...lossEntries(program), ...remarks, ...resultEntries(program)] }
}

/**
 * Every place where a format can't say what a program says, with the layer, what happens instead, and the fix: which style exports better?
 * It asks the rules that `exportOnnx` writes by: with the same numbers and options a report has a blocking entry exactly where `exportOnnx`
 * refuses, and without any entry the model is the program, grids and all. `fixed`: parameters and state; without them it is judged as a network
 * whose collections and delays have ended, whose scales are 1 and whose zero points are 0. Left: what was given is no program, or misfits it.
 * @example orThrow(exportReport(program, 'qcdq', { params, state })).entries.map((e) => `${e.severity} ${e.path}: ${e.what}`)
 */
export const exportReport = (
  program: Program,
  target: OnnxFormat,
  fixed?: Fixed,
  options: Omit<ExportOptions, 'format'> = {},
): E.Either<QuantErrors, ExportReport> => {
  const wrong = [
    ...programProblems('exportReport', program),
    ...argumentProblems('exportReport', { target }, { target: required(oneOf('qcdq', 'qonnx')) }),
  ]
  if (wrong.length > 0) return E.left(wrong)
  const tried = attempted('exportReport', program, fixed ?? standIn(program), { ...options, format: target })
  if (E.isRight(tried)) return E.right(reported(program, target, tried.right, tried.right.session.errors))
  return tried.left.every(isExportError) ? E.right(reported(program, target, null, tried.left)) : tried
}

const REPORT = {
  report: required({
    ...shaped('what exportReport gave, unwrapped', { target: required(text), entries: required(list) }),
    like: 'orThrow(exportReport(…))',
  }),
}

/** A report for people: a paragraph for each place, or that the model says everything. */
export const showExportReport = (report: ExportReport): string => {
  demandArguments('showExportReport', { report }, REPORT)
  return report.entries.length === 0
    ? `${report.target} says all that the program says`
    : report.entries
        .map(
          (e) =>
            `${e.severity}${e.path === '' ? '' : ` in ${e.path}`}: ${e.what}\n  instead: ${e.instead}\n  fix: ${e.fix}`,
        )
        .join('\n')
}

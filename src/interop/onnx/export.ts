/** Programs as ONNX models: QCDQ, which any runtime reads, and QONNX, which says any bit width and rounding. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors } from '../../data/error.js'
import { argumentProblems, fieldProblems, record, required } from '../../data/fields.js'
import { strangers } from '../../data/strangers.js'
import { programProblems, type Program } from '../../graph/program.js'
import { specializeProgram, type Fixed } from '../../graph/specialize.js'
import { ops } from '../../ops/index.js'
import { rowsOf } from './batch.js'
import { hashOf, modelOf, nameOf } from './model.js'
import { FIELDS, optionProblems, type ExportOptions } from './options.js'
import { sessionOf, writeAll, type Session } from './session.js'

/** What a program must be to be exported. */
const modeProblems = (program: Program): readonly QuantError[] =>
  program.mode === 'eval'
    ? []
    : [
        {
          tag: 'ExportError',
          op: 'trace',
          path: '',
          message: 'this program was traced in train; a model that is deployed computes as in eval',
          fix: "trace the network anew: trace(net, inputs, { mode: 'eval' })",
        },
      ]

/** Names of inputs and outputs in the model, which must differ: both may have the empty path. */
const nameProblems = (asker: string, { inputs, outputs }: Program, options: ExportOptions): readonly QuantError[] => {
  const paths = [...inputs.flatMap((i) => (i.kind === 'data' ? [i.path] : [])), ...outputs.map((o) => o.path)]
  const known = [...new Set(paths)]
  const unknown = strangers(asker, 'names', options.names, { known, what: 'input or output of this program' })
  const names = [
    ...inputs.flatMap((i) => (i.kind === 'data' ? [nameOf(options, i.path, 'input')] : [])),
    ...outputs.map((o) => nameOf(options, o.path, 'output')),
  ]
  const twice = new Set(names.filter((name, i) => names.indexOf(name) < i))
  return [
    ...unknown,
    ...[...twice].map((name) => ({
      tag: 'ConfigError' as const,
      option: 'names',
      path: '',
      message: `${asker} would call two inputs or outputs of the model ${JSON.stringify(name)}`,
      fix: 'give them other names, by their paths: names: { x: … }',
    })),
  ]
}

/** A program whose nodes are written, as far as they can be, with the errors of the others. */
export type Attempt = { readonly session: Session; readonly made: Program }

/** Writes all nodes of a program. Left: what was given is wrong, or no op of it alone is to blame. */
export const attempted = (
  asker: string,
  program: Program,
  fixed: Fixed,
  options: ExportOptions,
): E.Either<QuantErrors, Attempt> => {
  const wrong = [
    ...programProblems(asker, program),
    ...argumentProblems(asker, { fixed }, { fixed: required(record) }),
    ...fieldProblems(asker, options, FIELDS),
  ]
  const problems = wrong.length > 0 ? wrong : [...modeProblems(program), ...optionProblems(asker, options)]
  if (problems.length > 0) return E.left(problems)
  const special = specializeProgram(program, fixed, ops, {
    unroll: true,
    keep: (node) => node.op.births === true,
    ...(options.quantInputs === undefined ? {} : { quantInputs: options.quantInputs }),
  })
  if (E.isLeft(special)) return special
  const made = special.right.program
  const shared = nameProblems(asker, made, options)
  if (shared.length > 0) return E.left(shared)
  const rows = options.openBatch === false ? null : rowsOf(made.graph, made)
  const session = sessionOf(special.right, options, rows)
  for (const i of made.inputs) if (i.kind === 'data') session.names.set(i.node, nameOf(options, i.path, 'input'))
  writeAll(session, made.graph, options.rules)
  return E.right({ session, made })
}

/**
 * An ONNX model of a program traced in eval, with its parameters and state. Quantizers become QuantizeLinear → Clip → DequantizeLinear (Brevitas'
 * `export_onnx_qcdq`) or the operators of QONNX (`export_qonnx`); weights are stored as integers in QCDQ, a quantized bias too. Errors: an ExportError
 * for each op that the format can't say, with layer, reason and fix, all at once; nothing is written wrong in silence.
 * @example
 * ```ts
 * import { chain, init, orThrow, QuantIdentity, QuantLinear, tensorInput, trace } from 'quantrace'
 * import { exportOnnx } from 'quantrace/onnx'
 *
 * const net = chain({
 *   input: QuantIdentity({ returnQuantTensor: true }),
 *   fc: QuantLinear({ inFeatures: 2, outFeatures: 1 }),
 * })
 * const program = orThrow(trace(net, tensorInput([1, 2]), { mode: 'eval' }))
 * const bytes = orThrow(exportOnnx(program, orThrow(init(net, 0)))) // QCDQ; { format: 'qonnx' } for QONNX
 * console.log(bytes.length > 0)
 * ```
 * ```text
 * true
 * ```
 */
export const exportOnnx = <P, S, I, O>(
  program: Program<P, S, I, O>,
  fixed: { readonly params: P; readonly state: S },
  options: ExportOptions = {},
): E.Either<QuantErrors, Uint8Array> => {
  const written = attempted('exportOnnx', program as Program, fixed, options)
  if (E.isLeft(written)) return written
  const { session, made } = written.right
  return session.errors.length > 0
    ? E.left(session.errors)
    : E.right(modelOf(session, made, options, hashOf(program as Program)))
}

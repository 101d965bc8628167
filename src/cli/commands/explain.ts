/** `quantrace explain`: the program, its quantizers, where metadata is claimed or lost and why, what a run warns of. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantWarning } from '../../data/error.js'
import { quantOf, type Carried } from '../../data/quant.js'
import { showShape, sizeOf, type Shape } from '../../data/shape.js'
import { printProgram } from '../../graph/print.js'
import type { Program, ProgramInput, ProgramOutput } from '../../graph/program.js'
import { lossesOf, type Loss } from '../../graph/view.js'
import { exportReport, showExportReport, type ExportReport, type OnnxFormat } from '../../interop/onnx/index.js'
import { compile } from '../../nn/program/program.js'
import { columns } from '../arguments.js'
import { command, misused, orRefused, type Outcome, type Result } from '../command.js'
import { blankInputs } from '../numbers.js'
import { readSubject } from '../sources/index.js'
import { SUBJECT, type Subject } from '../subject.js'

const OPTIONS = {
  brief: { type: 'boolean', says: 'Leave out the nodes.' },
  for: { type: 'string', value: 'FORMAT', says: 'Also what qcdq or qonnx can not say of it, and the fix.' },
  ...SUBJECT,
} as const

type Leaves = { readonly leaves: number; readonly numbers: number }
type Quantizer = {
  readonly path: string
  readonly bits: number
  readonly signed: boolean
  readonly scales: number
  readonly zeroPoint: string
  readonly carries: string
}

/** What is told, as data. */
type Facts = {
  readonly name: string
  readonly mode: Program['mode']
  readonly nodes: number
  readonly inputs: readonly { readonly name: string; readonly shape: Shape; readonly metadata: string }[]
  readonly params: Leaves
  readonly state: Leaves
  readonly results: readonly { readonly name: string; readonly shape: Shape; readonly metadata: string }[]
  readonly quantizers: readonly Quantizer[]
  readonly losses: readonly Loss[]
  readonly warnings: readonly QuantWarning[]
}

const leavesOf = (program: Program, kind: ProgramInput['kind']): Leaves => {
  const all = program.inputs.filter((i) => i.kind === kind)
  return { leaves: all.length, numbers: all.reduce((n, i) => n + sizeOf(i.shape), 0) }
}

const width = (bits: number, signed: boolean): string => `${signed ? 'int' : 'uint'}${bits}`

const metadataOf = (c: Carried): string => {
  const q = quantOf(c)
  return q === null ? c.tag : `${c.tag} ${width(q.bits, q.signed)}`
}

const nameOf = (path: string, otherwise: string): string => (path === '' ? otherwise : path)

/** Every quantizer: the nodes that put a value on a grid. */
const quantizersOf = ({ graph }: Program): readonly Quantizer[] =>
  graph.nodes.flatMap((n) => {
    const q = n.op.births === true ? quantOf(n.carried) : null
    if (q === null) return []
    return [
      {
        path: n.path,
        bits: q.bits,
        signed: q.signed,
        scales: sizeOf(graph.nodes[q.scale].shape),
        zeroPoint: q.zero,
        carries: n.carried.tag,
      },
    ]
  })

const portOf = (program: Program, p: ProgramInput | ProgramOutput, otherwise: string) => ({
  name: nameOf(p.path, otherwise),
  shape: program.graph.nodes[p.node].shape,
  metadata: metadataOf(program.graph.nodes[p.node].carried),
})

/** What a run warns of: only phases do. Inputs are zeros, and a program that fails on them warns of nothing. */
const warningsOf = ({ program, numbers, note }: Subject): readonly QuantWarning[] => {
  const mayWarn = program.graph.nodes.some((n) => n.attrs['warnSteps'] !== undefined)
  if (!mayWarn || numbers === null || note !== null) return []
  const plan = compile(program)
  if (E.isLeft(plan)) return []
  const ran = plan.right.run({ ...numbers, inputs: blankInputs(program) })
  plan.right.dispose()
  return E.isLeft(ran) ? [] : ran.right.warnings
}

const isFormat = (x: string): x is OnnxFormat => x === 'qcdq' || x === 'qonnx'

/** What a format can't say of the program, where that was asked. */
const reportFor = ({ program, numbers, note }: Subject, format: string | undefined): Result<ExportReport | null> => {
  if (format === undefined) return E.right(null)
  if (!isFormat(format))
    return misused('--for', `there is no report for ${JSON.stringify(format)}`, 'give --for qcdq or --for qonnx')
  // Numbers of a fresh network say nothing of the trained one.
  return orRefused(exportReport(program, format, numbers === null || note !== null ? undefined : numbers))
}

const factsOf = (s: Subject): Facts => {
  const { program } = s
  return {
    name: s.name,
    mode: program.mode,
    nodes: program.graph.nodes.length,
    inputs: program.inputs.flatMap((i) =>
      i.kind === 'data' && i.part !== 'scale' && i.part !== 'zeroPoint' ? [portOf(program, i, 'input')] : [],
    ),
    params: leavesOf(program, 'param'),
    state: leavesOf(program, 'state'),
    results: program.outputs.flatMap((o) => (o.kind === 'result' ? [portOf(program, o, 'output')] : [])),
    quantizers: quantizersOf(program),
    losses: lossesOf(program),
    warnings: warningsOf(s),
  }
}

const section = (title: string, lines: string): readonly string[] => [`${title}\n${lines}`]

const indented = (text: string): string => text.replace(/^/gm, '  ')

const counted = ({ leaves, numbers }: Leaves): string => `${leaves} leaves, ${numbers.toLocaleString('en')} numbers`

const textOf = (f: Facts): string => {
  const ports = (all: Facts['inputs']): string =>
    columns(all.map((p) => [`${p.name} ${showShape(p.shape)}`, p.metadata]))
  const scales = (q: Quantizer): string => (q.scales === 1 ? 'one scale' : `${q.scales} scales`)
  return [
    `${f.name}: traced in ${f.mode}, ${f.nodes} nodes; parameters: ${counted(f.params)}; state: ${counted(f.state)}`,
    ...section('inputs', ports(f.inputs)),
    ...section('results', ports(f.results)),
    ...(f.quantizers.length === 0
      ? ['no quantizers: this program is float']
      : section(
          'quantizers',
          columns(
            f.quantizers.map((q) => [
              nameOf(q.path, '(outermost)'),
              `${width(q.bits, q.signed)}, ${scales(q)}, zero point: ${q.zeroPoint}${q.carries === 'carries' ? '' : `, ${q.carries}`}`,
            ]),
          ),
        )),
    ...(f.losses.length === 0
      ? ['metadata: nothing is claimed, nothing is lost']
      : section(
          'metadata claimed or lost',
          columns(f.losses.map((l) => [`${l.tag} at ${nameOf(l.path, '(outermost)')}, ${l.op}`, l.why])),
        )),
    ...(f.warnings.length === 0
      ? []
      : section('warnings', f.warnings.map((w) => `  ${w.tag} in ${w.path}: ${w.message}`).join('\n'))),
  ].join('\n\n')
}

export const explain = command({
  says: 'Print a program, its quantizers, and where metadata is claimed or lost, and why.',
  files: { shown: 'PROGRAM', least: 1, most: 1 },
  options: OPTIONS,
  run: async ({ given, files, io }) =>
    E.chain((s: Subject): Result<Outcome> => {
      const facts = factsOf(s)
      const told = given.brief ? textOf(facts) : `${printProgram(s.program)}\n\n${textOf(facts)}`
      return E.map((report: ExportReport | null): Outcome =>
        report === null
          ? { text: told, json: facts }
          : { text: `${told}\n\n${given.for}\n${indented(showExportReport(report))}`, json: { ...facts, report } },
      )(reportFor(s, given.for))
    })(await readSubject(files[0], given, io)),
})

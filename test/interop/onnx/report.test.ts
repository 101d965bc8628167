/** The report of what ONNX can't say agrees with the export, over recorded programs and random networks. */
import * as E from 'fp-ts/lib/Either.js'
import fc from 'fast-check'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as q from '../../../src/index.js'
import {
  exportOnnx,
  exportReport,
  importOnnx,
  showExportReport,
  type ExportOptions,
  type ExportReport,
  type OnnxFormat,
} from '../../../src/interop/onnx/index.js'
import { evalProgram, finalOf, isProgramCase } from '../../conformance/final.js'
import { isRng, readCase } from '../../conformance/format.js'
import { errorsOf, get, same, says } from '../../nn/support.js'
import { suite } from '../../support/suite.js'
import { trained, type Net } from './nets.js'

const test = suite('onnx: what a format can’t say')
const CASES = fileURLToPath(new URL('../../conformance/cases', import.meta.url))
const FORMATS: readonly OnnxFormat[] = ['qcdq', 'qonnx']

type Fixed = { readonly params: unknown; readonly state: unknown }
type Given = {
  readonly program: q.Program
  readonly fixed: Fixed
  readonly quantInputs?: ExportOptions['quantInputs']
}

/** The law for one program: blocking where the export refuses; and where there is no entry, nothing is stripped or in doubt on the way. */
const agrees = ({ program, fixed, quantInputs }: Given, format: OnnxFormat): ExportReport => {
  const options = quantInputs === undefined ? {} : { quantInputs }
  const report = get(exportReport(program, format, fixed, options))
  const written = exportOnnx(program, fixed as never, { format, ...options })
  same(
    report.entries.some((e) => e.severity === 'blocking'),
    E.isLeft(written),
  )
  if (E.isLeft(written))
    same(
      report.entries.filter((e) => e.severity === 'blocking').map((e) => [e.path, e.what, e.fix]),
      written.left.map((e) => [e.path, e.message, e.fix]),
    )
  for (const e of report.entries) {
    same(
      [e.what, e.instead, e.fix].every((t) => t.length > 0),
      true,
    )
    // Where it names a node of the program it is that one.
    const node = e.node === null ? null : program.graph.nodes[e.node]
    if (node !== null) same([node.op.name, node.path], [e.op, e.path])
  }
  const order = ['blocking', 'warning', 'note']
  const severities = report.entries.map((e) => order.indexOf(e.severity))
  same(
    severities.toSorted((a, b) => a - b),
    severities,
  )
  if (E.isLeft(written))
    same(
      report.entries.filter((e) => e.severity === 'blocking').map((e) => e.op),
      written.left.map((e) => (e.tag === 'ExportError' ? e.op : e.tag)),
    )
  return report
}

/** Every so many recorded programs; all of them with QUANTRACE_ALL=1. */
const EVERY = process.env.QUANTRACE_ALL === '1' ? 1 : 9
const files = readdirSync(CASES, { recursive: true, encoding: 'utf8' })
  .filter((f) => f.endsWith('.json'))
  .sort()
  .filter((_, i) => i % EVERY === 0)

test(
  'a report has a blocking entry exactly where the export refuses: recorded programs',
  () => {
    const counts = { blocking: 0, none: 0 }
    for (const file of files) {
      const c = readCase(join(CASES, file))
      if (isRng(c) || !isProgramCase(c)) continue
      const { trees, inputs, ...final } = get(finalOf(c))
      const program = get(evalProgram({ ...final, trees, inputs })) as q.Program
      const quantInputs = Object.fromEntries(
        Object.entries(inputs).flatMap(([k, v]) =>
          q.isQuantTensor(v) ? [[k, { scale: v.scale, zeroPoint: v.zeroPoint }] as const] : [],
        ),
      )
      for (const format of FORMATS) {
        const { entries } = agrees({ program, fixed: trees, quantInputs }, format)
        if (entries.length === 0) counts.none++
        if (entries.some((e) => e.severity === 'blocking')) counts.blocking++
      }
    }
    same([counts.none > 20, counts.blocking > 0], [true, true])
  },
  { timeout: 300_000 },
)

const bits = fc.constantFrom(2, 4, 8, 8, 8, 12)
const returnQuantTensor = fc.constantFrom(true, true, true, false)
const layerArb: fc.Arbitrary<Net['net']> = fc.oneof(
  fc
    .record({
      bitWidth: bits,
      returnQuantTensor,
      floatToIntImplType: fc.constantFrom(
        'ROUND' as const,
        'ROUND' as const,
        'FLOOR' as const,
        'CEIL' as const,
        'DPU' as const,
      ),
      actQuant: fc.constantFrom(q.Int8ActPerTensorFloat, q.Int8ActPerTensorFloat, q.ShiftedUint8ActPerTensorFloat),
    })
    .map((o) => q.QuantIdentity(o) as Net['net']),
  fc.record({ bitWidth: bits, returnQuantTensor }).map((o) => q.QuantReLU(o) as Net['net']),
  fc
    .record({ weightBitWidth: bits, bias: fc.boolean() })
    .map((o) => q.QuantLinear({ inFeatures: 4, outFeatures: 4, ...o }) as Net['net']),
  fc.constantFrom(
    q.ReLU() as Net['net'],
    q.BatchNorm1d({ numFeatures: 4 }) as Net['net'],
    q.Softmax({ dim: 1 }) as Net['net'],
  ),
)
const netArb: fc.Arbitrary<Net> = fc.array(layerArb, { minLength: 1, maxLength: 5 }).map((layers) => {
  const net = q.chain(Object.fromEntries(layers.map((l, i) => [`l${i}`, l])) as never) as Net['net']
  return { net, shape: [3, 4], [fc.toStringMethod]: () => q.printConfig(net.config) }
})

/** What results carry. */
const carried = (program: q.Program): readonly unknown[] =>
  program.outputs.flatMap((o) =>
    o.kind === 'result' ? [o.quant === undefined ? null : [o.quant.bits, o.quant.signed]] : [],
  )

test('of random networks, too; where there is no entry the model, read again, is the program: numbers, grids and report', () => {
  const counts = { none: 0, blocking: 0, warning: 0, note: 0 }
  fc.assert(
    fc.property(netArb, fc.constantFrom(...FORMATS), fc.nat(99), (net, format, seed) => {
      const { program, params, state, inputs } = trained(net, 2, seed)
      const { entries } = agrees({ program: program as q.Program, fixed: { params, state } }, format)
      for (const severity of ['blocking', 'warning', 'note'] as const)
        if (entries.some((e) => e.severity === severity)) counts[severity]++
      if (entries.length > 0) return
      counts.none++
      const { layer } = get(
        importOnnx(get(exportOnnx(program, { params, state }, { format })), { inputs: { input: inputs.shape } }),
      )
      const start = get(q.init(layer, 0))
      const again = get(q.trace(layer, q.tensorInput(inputs.shape), { mode: 'eval' }))
      const [ours, theirs] = [
        q.valueOf(get(q.run(program, { params, state, inputs })).outputs as q.Output),
        q.valueOf(get(q.run(again, { ...start, inputs })).outputs as q.Output),
      ]
      const most = ours.data.reduce((m, v) => Math.max(m, Math.abs(v)), 1)
      same(
        ours.data.findIndex((v, i) => Math.abs(v - theirs.data[i]) > 1e-5 * most),
        -1,
      )
      // A model knows the grid of a quantizer whose layer gives the plain value.
      const known = carried(again as q.Program)
      carried(program as q.Program).forEach((c, i) => same([c, c === null ? null : known[i]], [c, c]))
      same(
        get(exportReport(again as q.Program, format, start)).entries.filter((e) => e.severity !== 'note'),
        [],
      )
    }),
    { numRuns: 150, seed: 3 },
  )
  same(
    Object.values(counts).every((n) => n > 5),
    true,
  )
})

const evalOf = (net: Net['net'], shape: readonly number[] = [2, 4]) =>
  get(q.trace(net, q.tensorInput(shape), { mode: 'eval' })) as q.Program
const chained = (layers: { readonly [name: string]: q.AnyLayer }): Net['net'] => q.chain(layers as never) as Net['net']
const quant = { returnQuantTensor: true } as const

test('each kind of place is told with its layer, what happens instead, and the fix', () => {
  const net = chained({
    input: q.QuantIdentity({ bitWidth: 12, ...quant }),
    tanh: q.Tanh(),
    fc: q.QuantLinear({ inFeatures: 4, outFeatures: 4 }),
    act: q.QuantReLU({ floatToIntImplType: 'FLOOR', ...quant }),
    out: q.QuantLinear({ inFeatures: 4, outFeatures: 3, ...quant }),
  })
  const report = get(exportReport(evalOf(net), 'qcdq'))
  same(
    report.entries.map((e) => [e.severity, e.path]),
    [
      ['blocking', 'input.actQuant'],
      ['warning', 'tanh'],
      ['warning', 'fc'],
      ['note', 'act.actQuant'],
      ['note', 'out'],
    ],
  )
  const said = showExportReport(report)
  says(said, /blocking in input\.actQuant: .*12 bits.*\n {2}instead: exportOnnx refuses.*\n {2}fix: give bitWidth: 8/)
  says(said, /warning in tanh: metadata is lost: .*\n {2}instead: floats come to a product/)
  says(said, /note in act\.actQuant: it rounds by FLOOR/)
  says(said, /note in out: the result is a quant tensor of/)
  same(
    get(exportReport(evalOf(net), 'qonnx')).entries.map((e) => e.severity),
    ['warning', 'warning', 'note'],
  )
  const exact = evalOf(chained({ input: q.QuantIdentity(quant), fc: q.QuantLinear({ inFeatures: 4, outFeatures: 3 }) }))
  same(showExportReport(get(exportReport(exact, 'qcdq'))), 'qcdq says all that the program says')
})

test('a delay that is not over is written as a run has it, and told', () => {
  const net = chained({ input: q.QuantIdentity({ quantDelaySteps: 5, bitWidth: 2, ...quant }) })
  const { program, params, state, inputs } = trained({ net, shape: [2, 4] }, 2, 1)
  for (const format of ['qcdq', 'qonnx'] as const) {
    says(
      showExportReport(get(exportReport(program as q.Program, format, { params, state }))),
      /quantizes nothing yet: 3 /,
    )
    const { layer } = get(importOnnx(get(exportOnnx(program, { params, state }, { format }))))
    const again = get(q.trace(layer, q.tensorInput([2, 4]), { mode: 'eval' }))
    const made = get(q.run(again, { ...get(q.init(layer, 0)), inputs })).outputs as q.Output
    same([...q.valueOf(made).data], [...inputs.data])
  }
})

test('a zero point in an accumulator strips it, which no reader of the model misses: its quantizers multiply; a program in train is blocked', () => {
  const net = chained({
    input: q.QuantIdentity({ actQuant: q.ShiftedUint8ActPerTensorFloat, ...quant }),
    fc: q.QuantLinear({ inFeatures: 4, outFeatures: 4 }),
    act: q.QuantReLU(quant),
  })
  same(
    q.lossesOf(evalOf(net)).map((l) => l.path),
    ['fc'],
  )
  same(showExportReport(get(exportReport(evalOf(net), 'qcdq'))), 'qcdq says all that the program says')
  const training = get(q.trace(net, q.tensorInput([2, 4]), { mode: 'train' })) as q.Program
  says(showExportReport(get(exportReport(training, 'qcdq'))), /^blocking: this program was traced in train/)
})

const ofValues = (f: (x: q.Value) => q.Value): Net['net'] => q.functionLayer('f', f) as Net['net']
const entriesOf = (net: Net['net'], format: OnnxFormat = 'qcdq') =>
  get(exportReport(evalOf(net), format)).entries.map((e) => [e.severity, e.what.split(':')[0], e.node === null])

test('results behind a quantizer, also where they are only seen otherwise, are known to readers; computed ones are not', () => {
  const input = q.QuantIdentity(quant)
  same(entriesOf(chained({ input })), [])
  same(entriesOf(chained({ input, flat: q.Flatten() })), [])
  same(
    entriesOf(
      chained({
        input,
        more: q.functionLayer('m', (x: q.Value) => q.reshape(x, [8])),
        flat: q.functionLayer('r', (x: q.Value) => q.reshape(x, [4, 2])),
      }),
    ),
    [],
  )
  const [[severity, what, isNowhere]] = entriesOf(
    chained({ input, out: q.QuantLinear({ inFeatures: 4, outFeatures: 3, ...quant }) }),
  )
  same([severity, isNowhere], ['note', false])
  says(String(what), /^the result is a quant tensor of/)
})

test('metadata that is lost on the way to a result, or to the next quantizer alone, is missed by nobody', () => {
  const warnings = (net: Net['net']): number => entriesOf(net).filter(([severity]) => severity === 'warning').length
  const parts = { input: q.QuantIdentity(quant), soft: q.Softmax({ dim: 1 }), tanh: q.Tanh() }
  same(warnings(chained(parts)), 0)
  same(warnings(chained({ ...parts, again: q.QuantIdentity(quant) })), 0)
  same(warnings(chained({ ...parts, fc: q.Linear({ inFeatures: 4, outFeatures: 2 }) })), 1)
})

test('the report is of the model: whether layers return quant tensors changes neither', () => {
  const parts = (returnQuantTensor: boolean) => ({
    input: q.QuantIdentity({ returnQuantTensor }),
    conv: q.QuantConv2d({ inChannels: 1, outChannels: 2, kernelSize: 3 }),
    bn: q.BatchNorm2d({ numFeatures: 2 }),
    act: q.QuantReLU({ returnQuantTensor }),
    pool: q.MaxPool2d({ kernelSize: 2 }),
    flat: q.Flatten(),
    fc: q.QuantLinear({ inFeatures: 2, outFeatures: 2 }),
  })
  for (const format of FORMATS) {
    const [given, plain] = [true, false].map((r) => {
      const net = chained(parts(r))
      const program = get(q.trace(net, q.tensorInput([1, 1, 4, 4]), { mode: 'eval' })) as q.Program
      return { report: get(exportReport(program, format)), losses: q.lossesOf(program).length }
    })
    same(given.report, { target: format, entries: [] })
    same(plain.report, given.report)
    same(plain.losses > given.losses, true)
  }
})

test('floats that come to a product are told where they were lost; the first layer of a network without an input quantizer too', () => {
  const told = (layers: { readonly [name: string]: q.AnyLayer }): readonly string[] =>
    get(exportReport(evalOf(chained(layers)), 'qcdq'))
      .entries.filter((e) => e.severity === 'warning')
      .map((e) => e.path)
  const fc = q.QuantLinear({ inFeatures: 4, outFeatures: 4 })
  const [input, act] = [q.QuantIdentity(quant), q.QuantReLU(quant)]
  same(told({ fc, act, again: fc, out: act }), ['fc'])
  same(told({ input, fc, again: fc, out: act }), ['fc', 'again'])
  same(told({ input, relu: q.ReLU(), fc, act }), [])
  same(told({ input: q.QuantIdentity({}), tanh: q.Tanh(), fc, act }), ['input', 'fc'])
})

test('metadata that is claimed is in doubt, unless its integers are known to be right', () => {
  const padded = (value: number): Net['net'] =>
    chained({
      input: q.QuantIdentity(quant),
      pad: q.functionLayer('pad', (x: q.Value) =>
        x.kit.emit('pad', [x], {
          pad: [
            [0, 0],
            [1, 0],
          ],
          mode: 'constant',
          value,
        }),
      ),
      flat: q.Flatten(),
    })
  const [first] = entriesOf(padded(0.7))
  same(first, ['warning', 'metadata is claimed, but the value may be off its grid', false])
  same(
    entriesOf(padded(0)).filter(([severity]) => severity === 'warning'),
    [],
  )
  const wide = chained({ input: q.QuantIdentity({ bitWidth: 24, ...quant }), flat: q.Flatten() })
  same(entriesOf(wide, 'qonnx'), [])
})

test('what is lost in a loop is told without a node of the program', () => {
  const looped = ofValues((x) => {
    const grid = (v: q.Value): q.Value =>
      x.kit.emit('quantize', [v, x.kit.constant(0.5), x.kit.constant(0)], {
        bits: 8,
        signed: true,
        narrow: false,
        rounding: 'ROUND',
        clamp: 'mask',
        training: false,
        zero: 'zero',
      })
    const [sum] = q.scan((c: q.Value, row: q.Value) => [q.add(c, q.add(grid(row), row)), c], x.kit.constant(0, [4]), x)
    return sum
  })
  const lost = entriesOf(looped).filter(([severity]) => severity === 'warning')
  same(lost.length > 0, true)
  for (const entry of lost) same(entry, ['warning', 'metadata is lost', true])
})

test('without numbers, collections have ended and zero points are 0', () => {
  const net = chained({
    input: q.QuantIdentity({ actQuant: q.ShiftedUint8ActPerTensorFloat, quantDelaySteps: 5, ...quant }),
    act: q.QuantReLU({ collectStatsSteps: 30, ...quant }),
  })
  same(
    entriesOf(net).filter(([severity]) => severity !== 'warning'),
    [],
  )
  const fresh = get(exportReport(evalOf(net), 'qcdq', get(q.init(net, 0)))).entries
  same(
    fresh.some((e) => /quantizes nothing yet/.test(e.what)),
    true,
  )
})

test('an error that no op is to blame for is none of the report', () => {
  const net = chained({ input: q.QuantIdentity(quant) })
  const training = get(q.trace(net, q.tensorInput([2, 4]), { mode: 'train' })) as q.Program
  const both = errorsOf(exportReport(training, 'qcdq', undefined, { int4: true }))
  same(
    both.map((e) => e.tag),
    ['ExportError', 'ConfigError'],
  )
})

test('what is given wrong is told', () => {
  const program = evalOf(chained({ input: q.QuantIdentity() }))
  const told = (e: E.Either<q.QuantErrors, unknown>): string => q.explainAll(errorsOf(e))
  says(told(exportReport({} as never, 'qcdq')), /takes a program/)
  says(told(exportReport(program, 'onnx' as never)), /target/)
  says(told(exportReport(program, 'qcdq', undefined, { opsets: 17 } as never)), /opset/)
  says(told(exportReport(program, 'qcdq', { params: {}, state: {} })), /state|params/)
})

test.run()

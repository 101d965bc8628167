/** `quantrace quantize`: a float network with samples in, a quantized one out. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import { isQuantTensor, type Output } from '../../data/quantTensor.js'
import { leaves, mapTree } from '../../data/tree.js'
import type { Program } from '../../graph/program.js'
import { tensorInput, type InputDecl } from '../../graph/trace.js'
import type { Layer, TensorTree } from '../../nn/layers/layer.js'
import { compile, trace } from '../../nn/program/program.js'
import { calibrate, quantize, showQuantize, type Quantized, type Rule } from '../../quantize/index.js'
import { batchesOf, type Batches } from '../arrays.js'
import { BACKEND, countOf, openBackend, type Opened } from '../backends.js'
import { command, misused, orRefused, refused, type Call, type Io, type Outcome, type Result } from '../command.js'
import { badFile, readFile } from '../files.js'
import { numbersOf } from '../numbers.js'
import { progress } from '../progress.js'
import { RULES, rulesOf, schemesHelp } from '../rules.js'
import { readSubject } from '../sources/index.js'
import { SUBJECT, type SomeLayer, type Subject } from '../subject.js'
import { chosenTarget, OF_TARGETS, store, TARGETS, targetsHelp } from '../written.js'

const OPTIONS = {
  data: { type: 'string', value: 'FILE', says: 'Samples to calibrate with, .npy or .npz; 64 to 1,000 will do.' },
  ...RULES,
  out: { type: 'string', short: 'o', value: 'FILE', says: 'What to write (default: NAME-SCHEME.onnx); - is stdout.' },
  to: { type: 'string', value: 'TARGET', says: `What is written (default qcdq): ${TARGETS.join(', ')}.` },
  'batch-size': { type: 'string', value: 'N', says: 'Samples that are run at once (default 64).' },
  layers: { type: 'boolean', says: 'Say of each layer what became of it.' },
  ...SUBJECT,
  ...BACKEND,
} as const

type Values = { readonly [key: string]: unknown }
type Made = Quantized<Values, Values>
type Net = Layer<TensorTree, TensorTree, Values, Values>

const isIndex = (x: unknown): x is number => typeof x === 'number'

/** How the inputs of a program were declared. */
const declaredBy = (program: Program): unknown =>
  mapTree(isIndex, program.structure.data, (i): InputDecl => {
    const { shape, dtype } = program.inputs[i]
    return { ...tensorInput(shape), ...(dtype === undefined ? {} : { dtype }) }
  })

/** What a stored program lacks. */
const layerOf = ({ layer }: Subject, path: string): Result<SomeLayer> =>
  layer === null
    ? orRefused(
        badFile(
          path,
          'is a traced program, whose layers are gone',
          'name the ONNX model, or the module that exports the network',
        ),
      )
    : E.right(layer)

const isDecl = (x: unknown): x is InputDecl => typeof x === 'object' && x !== null && 'input' in x && 'shape' in x

/** The program of a network for a batch; null leaves the size as it was declared. */
const programOf = (
  { net, inputs }: Pick<Made, 'net' | 'inputs'>,
  batch: number | null,
): E.Either<QuantErrors, Program> =>
  E.map((p: unknown) => p as Program)(
    trace(
      net,
      mapTree(isDecl, inputs, (d) => (batch === null ? d : { ...d, shape: [batch, ...d.shape.slice(1)] })) as never,
      { mode: 'eval' },
    ),
  )

const isOutput = (x: unknown): x is Output =>
  typeof x === 'object' && x !== null && (('kind' in x && x.kind === 'quant') || ('data' in x && 'shape' in x))

const numbersIn = (x: unknown): readonly Float32Array[] =>
  leaves(isOutput, x).map(({ leaf }) => (isQuantTensor(leaf) ? leaf.value.data : leaf.data))

/** Results of a network over one batch. */
const resultsOf = (
  net: Pick<Made, 'net' | 'inputs' | 'params' | 'state'>,
  batch: unknown,
  size: number,
  { backend }: Opened,
): E.Either<QuantErrors, readonly Float32Array[]> =>
  E.chain((program: Program) => {
    const made = compile(program, backend)
    if (E.isLeft(made)) return made
    try {
      return E.map((ran: { readonly outputs: unknown }) => numbersIn(ran.outputs).map((d) => d.slice()))(
        made.right.run({ params: net.params, state: net.state, inputs: batch }),
      )
    } finally {
      made.right.dispose()
    }
  })(programOf(net, size))

/** Signal over noise in decibels: 10 log₁₀ of the float results' squares over those of what they are off by. */
const decibels = (float: readonly Float32Array[], now: readonly Float32Array[]): number => {
  let [signal, noise] = [0, 0]
  float.forEach((data, k) =>
    data.forEach((x, i) => {
      signal += x * x
      noise += (x - now[k][i]) ** 2
    }),
  )
  return 10 * Math.log10(signal / noise)
}

type Calibrated = { readonly made: Made; readonly samples: number; readonly snr: number }

const calibrated = (made: Made, data: Batches, opened: Opened, io: Io): E.Either<QuantErrors, Calibrated> => {
  const bar = progress(io, 'calibrate')
  const all = Array.from({ length: data.count }, (_, k) => data.part(k) as never)
  try {
    const done = calibrate(made, all, {
      backend: opened.backend,
      onProgress: ({ samples }) => bar.at(samples, data.samples),
    })
    if (E.isLeft(done)) return done
    const size = Math.min(data.batch, data.samples)
    const float = resultsOf({ ...made.float, inputs: made.inputs }, data.part(0), size, opened)
    if (E.isLeft(float)) return float
    return E.map((now: readonly Float32Array[]): Calibrated => ({
      made: done.right,
      samples: data.samples,
      snr: decibels(float.right, now),
    }))(resultsOf(done.right, data.part(0), size, opened))
  } finally {
    bar.end()
  }
}

/** Samples in batches of the size that was asked for, where the network can be traced for it; else in its own. */
const batchesFor = async (made: Made, program: Program, call: Calling): Promise<Result<Batches>> => {
  const { given, io } = call
  if (given.data === undefined)
    return misused('--data', 'quantrace quantize needs samples', 'give --data samples.npz, which numpy.savez wrote')
  const size = countOf('--batch-size', given['batch-size'], 64)
  if (E.isLeft(size)) return size
  const file = await readFile(given.data, io)
  if (E.isLeft(file)) return orRefused(file)
  const open = E.isRight(programOf(made, size.right))
  return orRefused(batchesOf(program, file.right, open ? size.right : undefined))
}

type Calling = Call<typeof OPTIONS>

const summaryOf = ({ made, samples, snr }: Calibrated) => {
  const { layers, products } = made.report
  return {
    layers: layers.filter((l) => Object.keys(l.quantizers).length > 0).length,
    float: layers.filter((l) => Object.keys(l.quantizers).length === 0 && l.left !== null).map((l) => l.path),
    products: { all: products.length, integers: products.filter((p) => p.integers).length },
    samples,
    decibels: Number.isFinite(snr) ? Number(snr.toFixed(2)) : null,
  }
}

const textOf = (done: Calibrated): string => {
  const { layers, products, samples, decibels: db } = summaryOf(done)
  const inFloats = done.made.report.products.filter((p) => !p.integers)
  return [
    `${layers} layers quantized; ${products.integers} of ${products.all} products run on integers`,
    ...inFloats.map((p) => `  in floats: ${p.path} (${p.op}): ${p.why}`),
    `${samples} samples seen; against float: ${db === null ? 'no difference' : `${db} dB`}`,
  ].join('\n')
}

/** The quantized network as what a target writes. */
const subjectOf = (subject: Subject, { made }: Calibrated, scheme: string): E.Either<QuantErrors, Subject> =>
  E.map((program: Program): Subject => ({
    ...subject,
    name: `${subject.name}-${scheme}`,
    program,
    numbers: { params: made.params, state: made.state },
    layer: made.net as unknown as SomeLayer,
    ofBatch: null,
    note: null,
  }))(programOf(made, null))

const made = (subject: Subject, layer: SomeLayer, rules: readonly Rule[]): Result<Made> => {
  const numbers = numbersOf(subject)
  if (E.isLeft(numbers)) return numbers
  const net = layer as unknown as Net
  return orRefused(quantize(net, declaredBy(subject.program) as never, numbers.right as never, rules))
}

const quantized = async (
  subject: Subject,
  layer: SomeLayer,
  call: Calling,
  opened: Opened,
): Promise<Result<Calibrated>> => {
  const rules = await rulesOf(call.given, call.io)
  if (E.isLeft(rules)) return rules
  const net = made(subject, layer, rules.right)
  if (E.isLeft(net)) return net
  const batches = await batchesFor(net.right, subject.program, call)
  return E.isLeft(batches) ? batches : orRefused(calibrated(net.right, batches.right, opened, call.io))
}

const run = async (call: Calling): Promise<Result> => {
  const { given, files, io } = call
  const target = chosenTarget('quantize', given.to ?? 'qcdq', given)
  if (E.isLeft(target)) return target
  if (files[0] === '-' && given.data === '-')
    return misused('--data', 'network and samples can not both come by stdin', 'name a file for one of them')
  const opened = await openBackend(given)
  if (E.isLeft(opened)) return opened
  try {
    const subject = await readSubject(files[0], given, io)
    if (E.isLeft(subject)) return subject
    const layer = layerOf(subject.right, files[0])
    if (E.isLeft(layer)) return layer
    const done = await quantized(subject.right, layer.right, call, opened.right)
    if (E.isLeft(done)) return done
    const now = subjectOf(subject.right, done.right, given.scheme ?? 'int8')
    if (E.isLeft(now)) return refused(now.left)
    const content = target.right.make(now.right, given)
    if (E.isLeft(content)) return content
    const said = [...(given.layers ? [showQuantize(done.right.made.report)] : []), textOf(done.right)]
    return E.map((o: Outcome): Outcome => ({
      ...o,
      text: [...said, o.text].join('\n'),
      json: { ...summaryOf(done.right), report: done.right.made.report, ...Object(o.json) },
    }))(store(content.right, given.out ?? `${now.right.name}${target.right.ending}`))
  } finally {
    opened.right.close()
  }
}

export const quantizeTo = command({
  says: 'Quantize a float network with samples: an ONNX model becomes one of 8 or fewer bits.',
  files: { shown: 'NETWORK --data SAMPLES', least: 1, most: 1 },
  more: `NETWORK is an ONNX model, or a module that exports a network (with --checkpoint, trained). SAMPLES hold its inputs by name, any
number of them along the first axis. No training: scales are learned from the samples.
${schemesHelp}

${targetsHelp(['qcdq', 'qonnx'])}`,
  options: OPTIONS,
  own: OF_TARGETS,
  run,
})

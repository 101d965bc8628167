/** `quantrace quantize`: a float network with samples in, a quantized one out. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import { mapTree } from '../../data/tree.js'
import type { Program } from '../../graph/program.js'
import { tensorInput, type InputDecl } from '../../graph/trace.js'
import type { Layer, TensorTree } from '../../nn/layers/layer.js'
import { trace } from '../../nn/program/program.js'
import {
  calibrate,
  correctBias,
  equalize,
  layerErrors,
  quantize,
  roundWeights,
  showQuantize,
  showSteps,
  type Quantized,
  type Rule,
  type StepErrors,
  type Trained,
} from '../../quantize/index.js'
import { batchesOf, type Batches } from '../arrays.js'
import { knownValues, toHtml } from '../../../viz/index.js'
import { BACKEND, countOf, openBackend, type Opened } from '../backends.js'
import { command, misused, orRefused, refused, type Call, type Outcome, type Result } from '../command.js'
import { badFile, readFile, written } from '../files.js'
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
  equalize: { type: 'boolean', says: 'Even the ranges of channels out before: for activations of few bits.' },
  round: {
    type: 'boolean',
    says: 'Round weights layer by layer towards the float results (GPTQ): for weights of few bits.',
  },
  correct: { type: 'boolean', says: 'Move the mean errors of channels into the biases.' },
  layers: { type: 'boolean', says: 'Say of each layer what became of it, and how far its results are off.' },
  page: { type: 'string', value: 'FILE', says: 'Draw the float and the quantized network side by side, .html.' },
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

/** The quantized network, and the errors behind each step, of at most four batches. */
type Calibrated = {
  readonly made: Made
  readonly samples: number
  readonly steps: readonly StepErrors[]
}

/** Steps behind the calibration, in this order, by the option that asks for each. */
const STEPS: readonly {
  readonly option: 'round' | 'correct'
  readonly does: typeof correctBias<Values, Values>
}[] = [
  { option: 'round', does: roundWeights },
  { option: 'correct', does: correctBias },
]

const improved = (made: Made, data: Batches, call: Calling, { backend }: Opened): E.Either<QuantErrors, Calibrated> => {
  const all = Array.from({ length: data.count }, (_, k) => data.part(k) as never)
  const bar = progress(call.io, 'quantize')
  const steps: StepErrors[] = []
  let now = made
  const noted = (step: string, done: E.Either<QuantErrors, Made>): E.Either<QuantErrors, null> => {
    if (E.isLeft(done)) return done
    now = done.right
    const found = layerErrors(now, made.float, all, { backend, batches: 4 })
    if (E.isLeft(found)) return found
    steps.push({ step, errors: found.right })
    return E.right(null)
  }
  try {
    const onProgress = ({ samples }: { readonly samples: number }): void => bar.at(samples, data.samples)
    let said = noted('calibrate', calibrate(now, all, { backend, onProgress }))
    for (const { option, does } of STEPS) {
      if (E.isLeft(said)) return said
      const tell = ({ batch, total }: { readonly batch: number; readonly total: number | null }): void =>
        bar.at(batch, total ?? batch)
      if (call.given[option]) said = noted(option, does(now, made.float, all, { backend, onProgress: tell }))
    }
    return E.map(() => ({ made: now, samples: data.samples, steps }))(said)
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

/** Signal over noise of the network's results, in decibels; null where nothing is off. */
const decibelsOf = ({ errors }: StepErrors): number | null => {
  const error = errors.find((e) => e.path === '')?.error ?? 0
  return error > 0 ? Number((-10 * Math.log10(error)).toFixed(2)) : null
}

const summaryOf = ({ made, samples, steps }: Calibrated) => {
  const { layers, products } = made.report
  return {
    layers: layers.filter((l) => Object.keys(l.quantizers).length > 0).length,
    float: layers.filter((l) => Object.keys(l.quantizers).length === 0 && l.left !== null).map((l) => l.path),
    products: { all: products.length, integers: products.filter((p) => p.integers).length },
    samples,
    steps: steps.map((s) => ({ ...s, decibels: decibelsOf(s) })),
  }
}

const textOf = (done: Calibrated): string => {
  const { layers, products, samples, steps } = summaryOf(done)
  const near = steps.map(({ step, decibels: db }) => `${step} ${db === null ? 'no difference' : `${db} dB`}`)
  const inFloats = done.made.report.products.filter((p) => !p.integers)
  return [
    `${layers} layers quantized; ${products.integers} of ${products.all} products run on integers`,
    ...inFloats.map((p) => `  in floats: ${p.path} (${p.op}): ${p.why}`),
    `${samples} samples seen; against float: ${near.join(', ')}`,
  ].join('\n')
}

/** A page of both, if one was asked for; what it says of itself. */
const drawn = (
  { made: { float, inputs, ...now } }: Calibrated,
  program: Program,
  name: string,
  page: string | undefined,
): Result<string | null> => {
  if (page === undefined) return E.right(null)
  const before = programOf({ net: float.net, inputs }, null)
  if (E.isLeft(before)) return orRefused(before)
  const values = [knownValues(before.right, float), knownValues(program, now)]
  const [a, b] = values.map((v) => (E.isRight(v) ? { values: v.right } : {}))
  const html = toHtml([before.right, program], {
    title: name,
    sides: [
      { title: 'float', ...a },
      { title: 'quantized', ...b },
    ],
  })
  return E.map((o: Outcome) => o.text)(written(page, html))
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

const made = (subject: Subject, layer: SomeLayer, rules: readonly Rule[], even: boolean): Result<Made> => {
  const numbers = numbersOf(subject)
  if (E.isLeft(numbers)) return numbers
  const [net, inputs] = [layer as unknown as Net, declaredBy(subject.program) as never]
  const trained = numbers.right as { readonly params: TensorTree; readonly state: TensorTree }
  if (!even) return orRefused(quantize(net, inputs, trained, rules))
  return orRefused(
    E.chain((e: Trained<Values, Values>) => quantize(e.net, inputs, e, rules))(equalize(net, inputs, trained)),
  )
}

const quantized = async (
  subject: Subject,
  layer: SomeLayer,
  call: Calling,
  opened: Opened,
): Promise<Result<Calibrated>> => {
  const rules = await rulesOf(call.given, call.io)
  if (E.isLeft(rules)) return rules
  const net = made(subject, layer, rules.right, call.given.equalize)
  if (E.isLeft(net)) return net
  const batches = await batchesFor(net.right, subject.program, call)
  return E.isLeft(batches) ? batches : orRefused(improved(net.right, batches.right, call, opened))
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
    const page = drawn(done.right, now.right.program, now.right.name, given.page)
    if (E.isLeft(page)) return page
    const { made: result, steps } = done.right
    const said = [...(given.layers ? [showQuantize(result.report), showSteps(steps)] : []), textOf(done.right)]
    return E.map((o: Outcome): Outcome => ({
      ...o,
      text: [...said, ...(page.right === null ? [] : [page.right]), o.text].join('\n'),
      json: { ...summaryOf(done.right), report: result.report, ...Object(o.json) },
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

/** `quantrace quantize`: a float network with samples in, a quantized one out. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import { mapTree, type Tree } from '../../data/tree.js'
import type { Program } from '../../graph/program.js'
import { tensorInput, type InputDecl } from '../../graph/trace.js'
import type { Layer } from '../../nn/layers/layer.js'
import { trace } from '../../nn/program/program.js'
import { equalize, quantize, showQuantize, showSteps, type Rule, type Trained } from '../../quantize/index.js'
import { samplesProblems } from '../../quantize/samples.js'
import { cuttingOf, type Cutting } from '../arrays.js'
import { knownValues, toHtml } from '../../../viz/index.js'
import { BACKEND, countOf, openBackend, type Opened } from '../backends.js'
import { command, misused, orRefused, refused, type Call, type Outcome, type Result } from '../command.js'
import { improved, summaryOf, textOf, type Improved, type Made } from '../improved.js'
import { badFile, nameOfFile, readFile, written } from '../files.js'
import { numbersOf } from '../numbers.js'
import { RULES, rulesOf, schemesHelp } from '../rules.js'
import { readSubject } from '../sources/index.js'
import { SUBJECT, type SomeLayer, type Subject } from '../subject.js'
import type { Target } from '../target.js'
import { chosenTarget, OF_TARGETS, storable, store, TARGETS, targetsHelp } from '../written.js'

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

const isIndex = (x: unknown): x is number => typeof x === 'number'

/** How the inputs of a program were declared. */
const declaredBy = (program: Program): Tree<InputDecl> =>
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
      mapTree(isDecl, inputs, (d) => (batch === null ? d : { ...d, shape: [batch, ...d.shape.slice(1)] })),
      { mode: 'eval' },
    ),
  )

/** Samples, looked at before anything is made of the network: of the right shapes, and finite. */
const samplesFor = async (program: Program, call: Calling): Promise<Result<Cutting>> => {
  const { given, io } = call
  const file = await readFile(given.data ?? '', io)
  if (E.isLeft(file)) return orRefused(file)
  const cut = cuttingOf(program, file.right)
  if (E.isLeft(cut)) return orRefused(cut)
  const { samples, part } = cut.right(Number.MAX_SAFE_INTEGER)
  const wrong = samples > 0 ? samplesProblems('quantize', declaredBy(program), part(0)) : []
  return wrong.length > 0 ? refused(wrong) : E.right(cut.right)
}

type Calling = Call<typeof OPTIONS>

/** A page of both, if one was asked for; what it says of itself. */
const drawn = (
  { made: { float, inputs, ...now }, steps }: Improved,
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
      { title: 'quantized', steps, ...b },
    ],
  })
  return E.map((o: Outcome) => o.text)(written(page, html))
}

/** The quantized network as what a target writes. */
const subjectOf = (subject: Subject, { made }: Improved, scheme: string): E.Either<QuantErrors, Subject> =>
  E.map((program: Program): Subject => ({
    ...subject,
    name: `${subject.name}-${scheme}`,
    program,
    numbers: { params: made.params, state: made.state },
    layer: made.net as SomeLayer,
    ofBatch: null,
    note: null,
  }))(programOf(made, null))

const made = (subject: Subject, layer: SomeLayer, rules: readonly Rule[], even: boolean): Result<Made> => {
  const numbers = numbersOf(subject)
  if (E.isLeft(numbers)) return numbers
  const net: Layer<unknown, unknown, unknown, unknown> = layer
  const inputs = declaredBy(subject.program)
  if (!even) return orRefused(quantize(net, inputs, numbers.right, rules))
  return orRefused(
    E.chain((e: Trained<unknown, unknown>) => quantize(e.net, inputs, e, rules))(equalize(net, inputs, numbers.right)),
  )
}

/** What can be known to be wrong, or is ready, before anything is read but rules. */
type Asked = {
  readonly target: Target
  readonly out: string
  readonly size: number
  readonly rules: readonly Rule[]
}

const askedOf = async ({ given, files, io }: Calling): Promise<Result<Asked>> => {
  const target = chosenTarget('quantize', given.to ?? 'qcdq', given)
  if (E.isLeft(target)) return target
  if (given.data === undefined)
    return misused('--data', 'quantrace quantize needs samples', 'give --data samples.npz, which numpy.savez wrote')
  if (files[0] === '-' && given.data === '-')
    return misused('--data', 'network and samples can not both come by stdin', 'name a file for one of them')
  const size = countOf('--batch-size', given['batch-size'], 64)
  if (E.isLeft(size)) return size
  const rules = await rulesOf(given, io)
  if (E.isLeft(rules)) return rules
  const out = given.out ?? `${nameOfFile(files[0])}-${given.scheme ?? 'int8'}${target.right.ending}`
  const [place, page] = [storable(target.right, out), storable({ ending: '.html' }, given.page ?? '-')]
  if (E.isLeft(place)) return place
  if (E.isLeft(page)) return page
  return E.right({ target: target.right, out, size: size.right, rules: rules.right })
}

const quantized = async (
  subject: Subject,
  layer: SomeLayer,
  { rules, size }: Asked,
  call: Calling,
  opened: Opened,
): Promise<Result<Improved>> => {
  const cut = await samplesFor(subject.program, call)
  if (E.isLeft(cut)) return cut
  const net = made(subject, layer, rules, call.given.equalize)
  if (E.isLeft(net)) return net
  // Samples in batches of the size that was asked for, where the network can be traced for it; else in its own.
  const open = E.isRight(programOf(net.right, size))
  return orRefused(improved(net.right, cut.right(open ? size : undefined), call.given, call.io, opened))
}

/** Everything that was made, written and said. */
const told = (done: Improved, subject: Subject, { target, out }: Asked, call: Calling): Result => {
  const { given } = call
  const now = subjectOf(subject, done, given.scheme ?? 'int8')
  if (E.isLeft(now)) return refused(now.left)
  const content = target.make(now.right, given)
  if (E.isLeft(content)) return content
  const page = drawn(done, now.right.program, now.right.name, given.page)
  if (E.isLeft(page)) return page
  const { made: result, steps } = done
  const said = [...(given.layers ? [showQuantize(result.report), showSteps(steps)] : []), textOf(done)]
  return E.map((o: Outcome): Outcome => ({
    ...o,
    text: [...said, ...(page.right === null ? [] : [page.right]), o.text].join('\n'),
    json: { ...summaryOf(done), report: result.report, ...Object(o.json) },
  }))(store(content.right, out))
}

const run = async (call: Calling): Promise<Result> => {
  const { given, files, io } = call
  const asked = await askedOf(call)
  if (E.isLeft(asked)) return asked
  const opened = await openBackend(given)
  if (E.isLeft(opened)) return opened
  try {
    const subject = await readSubject(files[0], given, io)
    if (E.isLeft(subject)) return subject
    const layer = layerOf(subject.right, files[0])
    if (E.isLeft(layer)) return layer
    const done = await quantized(subject.right, layer.right, asked.right, call, opened.right)
    return E.isLeft(done) ? done : told(done.right, subject.right, asked.right, call)
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

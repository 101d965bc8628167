/** `quantrace import`: a model from elsewhere becomes a program, a checkpoint and a page; a state dict a checkpoint. */
import * as E from 'fp-ts/lib/Either.js'
import { tensorsToBytes } from '../../data/binary.js'
import type { Tensor } from '../../data/tensor.js'
import type { QuantErrors } from '../../data/error.js'
import { programToJSON } from '../../graph/json.js'
import { lossesOf } from '../../graph/view.js'
import type { Imported } from '../../interop/onnx/index.js'
import { writeFolder } from '../../node/index.js'
import { knownValues, toHtml } from '../../../viz/index.js'
import type { Stored } from '../../../viz/known.js'
import { loadedFrom } from '../checkpoint.js'
import { command, misused, orRefused, refused, type Call, type Outcome, type Result } from '../command.js'
import { badFile, nameOfFile, ofFile, readFile, written, type File } from '../files.js'
import { readSubject } from '../sources/index.js'
import { importedFrom, subjectOfImported } from '../sources/onnx.js'
import { SUBJECT, wantedOf, type Subject } from '../subject.js'

const OPTIONS = {
  out: {
    type: 'string',
    short: 'o',
    value: 'FOLDER',
    says: 'Where to write (default: a folder named as the model); for a state dict the file.',
  },
  net: { type: 'string', value: 'MODULE', says: 'The network that a state dict is for.' },
  partial: { type: 'boolean', says: 'Take of a state dict what fits, and tell the rest.' },
  'no-page': { type: 'boolean', says: 'Write no page.' },
  input: SUBJECT.input,
  export: SUBJECT.export,
} as const

type Importing = Call<typeof OPTIONS>

/** The page of a model, with all that its numbers decide. */
const pageOf = ({ program, name }: Subject, numbers: Stored): Result<string> =>
  orRefused(
    E.map((values: ReadonlyMap<number, Tensor>) => toHtml(program, { title: name, values }))(
      knownValues(program, numbers),
    ),
  )

const filesOf = (s: Subject, numbers: Stored, page: string | null) => ({
  [`${s.name}.json`]: programToJSON(s.program),
  [`${s.name}.qtrc`]: tensorsToBytes(numbers),
  ...(page === null ? {} : { [`${s.name}.html`]: page }),
})

const facts = (m: Imported, s: Subject) => ({
  producer: m.producer,
  opset: m.opset,
  format: m.format,
  inputs: m.inputs,
  outputs: m.outputs,
  nodes: s.program.graph.nodes.length,
  losses: lossesOf(s.program).length,
})

/** `numbers` of an imported model are those of its file. */
const store = (m: Imported, s: Subject, { given }: Importing): Result<Outcome> => {
  const numbers: Stored = s.numbers ?? { params: {}, state: {} }
  const page = given['no-page'] ? E.right(null) : pageOf(s, numbers)
  if (E.isLeft(page)) return page
  const told = facts(m, s)
  const about = `${m.producer === '' ? 'a model' : m.producer}, opset ${m.opset}, ${m.format ?? 'float'}: ${told.nodes} nodes, metadata claimed or lost at ${told.losses}`
  return orRefused(
    E.map((files: readonly string[]): Outcome => ({ text: [about, ...files].join('\n'), json: { files, ...told } }))(
      writeFolder(given.out ?? s.name, filesOf(s, numbers, page.right)),
    ),
  )
}

const fromOnnx = (file: File, call: Importing): Result<Outcome> => {
  const wanted = wantedOf({ ...call.given, checkpoint: undefined })
  if (E.isLeft(wanted)) return E.left({ status: 2, errors: wanted.left })
  const model = ofFile(file.path)(importedFrom(file, wanted.right.inputs))
  if (E.isLeft(model)) return orRefused(model)
  return E.chain((s: Subject) => store(model.right, s, call))(
    orRefused(ofFile(file.path)(subjectOfImported(file, model.right))),
  )
}

/** A state dict of Brevitas' or torch's, such as the PyTorch twin's, as a checkpoint of the network. */
const fromStateDict = async (file: File, { given, io }: Importing): Promise<Result<Outcome>> => {
  if (given.net === undefined)
    return misused(
      '--net',
      `${file.path} is a state dict, and the network that it is for is not named`,
      'name the module that exports it: --net net.ts',
    )
  const subject = await readSubject(given.net, { ...given, checkpoint: undefined }, { ...io, err: () => undefined })
  if (E.isLeft(subject)) return subject
  const { layer } = subject.right
  if (layer === null)
    return orRefused(
      badFile(given.net, 'exports a program, whose layers are gone', 'name a module that exports the network'),
    )
  const loaded = loadedFrom(file, layer, !given.partial)
  if (E.isLeft(loaded)) return refused(partialIn(loaded.left))
  const { params, state, missing, unexpected } = loaded.right
  const about = [
    ...missing.map(({ key, nearest }) => `not in the file, as init left it: ${key}${nearby(nearest)}`),
    ...unexpected.map(({ key, nearest }) => `not in the network, left out: ${key}${nearby(nearest)}`),
  ]
  return E.map((o: Outcome): Outcome => ({ ...o, text: [...about, o.text].join('\n') }))(
    written(given.out ?? `${nameOfFile(file.path)}.qtrc`, tensorsToBytes({ params, state }), { missing, unexpected }),
  )
}

const nearby = (nearest: string | null): string => (nearest === null ? '' : ` (nearest: ${nearest})`)

/** What the library advises, as it is called here. */
const partialIn = (errors: QuantErrors): QuantErrors =>
  errors.map((e) => ({ ...e, fix: e.fix.replace('{ strict: false }', '--partial') }))

/** Kinds of files that are imported. Another one is a line, and its reader a function as these. */
const READERS: {
  readonly [ending: string]: (file: File, call: Importing) => Result<Outcome> | Promise<Result<Outcome>>
} = {
  '.onnx': fromOnnx,
  '.safetensors': fromStateDict,
}

export const importFrom = command({
  says: 'Make a program, a checkpoint and a page of an ONNX model; or a checkpoint of a state dict.',
  files: { shown: 'MODEL', least: 1, most: 1 },
  more: `MODEL.onnx becomes MODEL/MODEL.json, .qtrc and .html: a program for run, viz and bench with --checkpoint. Sizes that the model
leaves open are 1 unless --input says them. MODEL.safetensors, a state dict of Brevitas' or PyTorch's, becomes MODEL.qtrc.`,
  options: OPTIONS,
  run: async (call) => {
    const [path] = call.files
    const file = await readFile(path, call.io)
    if (E.isLeft(file)) return orRefused(file)
    const ending = path === '-' ? '.onnx' : (Object.keys(READERS).find((e) => path.endsWith(e)) ?? '')
    return Object.hasOwn(READERS, ending)
      ? READERS[ending](file.right, call)
      : orRefused(
          badFile(
            path,
            `is no file that is imported (${Object.keys(READERS).join(', ')})`,
            'name an ONNX model or a state dict; stored programs need no import',
          ),
        )
  },
})

/** What `quantrace viz` does: reads stored programs, makes a page, a picture or a graph file by the ending of the name, writes it whole. */
import * as E from 'fp-ts/lib/Either.js'
import { pipe } from 'fp-ts/lib/function.js'
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import {
  explainAll,
  ops,
  parseProgram,
  parseTensors,
  type Program,
  type QuantErrors,
  type Tensor,
} from '../src/index.js'
import { writeFileWhole } from '../src/node/index.js'
import { knownValues, toGexf, toGraphml, toHtml, toMermaid, toModelExplorer, toSvg, type Stored } from './index.js'

/** How the command is used. */
export const USAGE = `usage: quantrace viz PROGRAM.json -o OUT.html|.svg|.mmd|.graphml|.gexf|.model-explorer.json [--title TEXT] [--all]
       quantrace viz PROGRAM.json --checkpoint CHECKPOINT.qtrc -o OUT.html [--title TEXT]
       quantrace viz PROGRAM.json OTHER.json -o OUT.html [--title TEXT]
PROGRAM.json is what programToJSON gives. With a checkpoint (checkpointToBytes) the page shows what its parameters and state decide: weights, and of a program traced in eval every scale and zero point. Two programs are drawn side by side, with what differs between them. --all draws every node (SVG only; a page does that with #expand=all).`

type Values = ReadonlyMap<number, Tensor>
type Options = { readonly title: string; readonly all: boolean; readonly values?: Values }
type Writer = (program: Program, o: Options) => string

const WRITERS: { readonly [ending: string]: Writer } = {
  '.html': (program, { title, values }) => toHtml(program, { title, ...(values === undefined ? {} : { values }) }),
  '.svg': (program, { title, all }) => toSvg(program, { title, expand: all ? 'all' : 'first' }),
  '.mmd': (program) => toMermaid(program),
  '.graphml': (program, { title }) => toGraphml(program, { title }),
  '.gexf': (program, { title }) => toGexf(program, { title }),
  '.model-explorer.json': (program, { title }) => toModelExplorer(program, { title }),
}

/** What a failed call of Node's own says; anything else is a bug of ours and goes on. */
const messageOf = (e: unknown): string => {
  if (e instanceof Error && 'code' in e && typeof e.code === 'string') return e.message
  throw e
}

const attempt = <A>(body: () => A): E.Either<string, A> => E.tryCatch(body, messageOf)

const writerFor = (out: string): E.Either<string, Writer> => {
  const ending = Object.keys(WRITERS).find((e) => out.endsWith(e))
  return ending === undefined
    ? E.left(`-o must name a file that ends in ${Object.keys(WRITERS).join(', ')}`)
    : E.right(WRITERS[ending])
}

const said = (before: string) => E.mapLeft((errors: QuantErrors) => `${before}: ${explainAll(errors)}`)

/** Files of tensors begin with this. */
const MAGIC = 'QTRC'

const readProgram = (file: string): E.Either<string, Program> => {
  const text = attempt(() => readFileSync(file, 'utf8'))
  if (E.isLeft(text)) return text
  if (text.right.startsWith(MAGIC))
    return E.left(
      `${file} is a checkpoint: parameters and state, but no graph to draw. Name the program that it belongs to (programToJSON writes one): quantrace viz PROGRAM.json --checkpoint ${file} -o OUT.html`,
    )
  return said(`${file} is not a program`)(parseProgram(ops)(text.right))
}

/** What a checkpoint says of a program, by node. */
const readValues = (file: string, program: Program): E.Either<string, Values> => {
  const bytes = attempt(() => readFileSync(file))
  if (E.isLeft(bytes)) return bytes
  const tree = said(`${file} is not a checkpoint`)(parseTensors(bytes.right))
  if (E.isLeft(tree)) return tree
  const { params, state } = tree.right as Partial<Stored>
  if (params === undefined || state === undefined)
    return E.left(`${file} is not a checkpoint: it holds no params and state`)
  return said(`${file} does not fit the program`)(knownValues(program, { params, state }))
}

const parse = (args: readonly string[]) =>
  attempt(() =>
    parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        out: { type: 'string', short: 'o' },
        title: { type: 'string' },
        checkpoint: { type: 'string' },
        all: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }),
  )

/** The name of a file without its folder and ending. */
const titleOf = (file: string): string => basename(file, '.json')

type Wanted = { readonly title?: string; readonly checkpoint?: string; readonly all?: boolean }

const one = (file: string, out: string, wanted: Wanted): E.Either<string, string> => {
  const writer = writerFor(out)
  if (E.isLeft(writer)) return writer
  if (wanted.checkpoint !== undefined && !out.endsWith('.html'))
    return E.left('only a page shows the numbers of a checkpoint: -o must name a file that ends in .html')
  const options = { title: wanted.title ?? titleOf(file), all: wanted.all === true }
  const { checkpoint } = wanted
  return E.chain((program: Program) =>
    checkpoint === undefined
      ? E.right(writer.right(program, options))
      : E.map((values: Values) => writer.right(program, { ...options, values }))(readValues(checkpoint, program)),
  )(readProgram(file))
}

const two = (files: readonly [string, string], out: string, title: string | undefined): E.Either<string, string> => {
  if (!out.endsWith('.html'))
    return E.left('two programs side by side make a page: -o must name a file that ends in .html')
  const [a, b] = [readProgram(files[0]), readProgram(files[1])]
  if (E.isLeft(a)) return a
  return E.map((other: Program) =>
    toHtml([a.right, other], {
      ...(title === undefined ? {} : { title }),
      sides: [{ title: titleOf(files[0]) }, { title: titleOf(files[1]) }],
    }),
  )(b)
}

/** Runs the command. Left: what is wrong, in words; nothing was written. Right: what to tell. */
export const runCommand = (args: readonly string[]): E.Either<string, string> => {
  const parsed = parse(args)
  if (E.isLeft(parsed)) return parsed
  const {
    values,
    positionals: [command, first, second, ...others],
  } = parsed.right
  if (values.help === true) return E.right(USAGE)
  if (command !== 'viz' || first === undefined || others.length > 0)
    return E.left('one command, viz, and one program or two are needed')
  const out = values.out ?? ''
  if (second !== undefined && values.checkpoint !== undefined) return E.left('a checkpoint belongs to one program')
  const text = second === undefined ? one(first, out, values) : two([first, second], out, values.title)
  return E.isLeft(text)
    ? text
    : pipe(
        writeFileWhole(out, text.right),
        E.bimap(explainAll, () => `${out}: ${text.right.length} characters`),
      )
}

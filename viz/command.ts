/** What `quantrace viz` does: reads stored programs, makes a page, a picture or a graph file by the ending of the name, writes it whole. */
import * as E from 'fp-ts/lib/Either.js'
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import { explainAll, ops, parseProgram, type Program } from '../src/index.js'
import { toGexf, toGraphml, toHtml, toMermaid, toModelExplorer, toSvg } from './index.js'

/** How the command is used. */
export const USAGE = `usage: quantrace viz PROGRAM.json -o OUT.html|.svg|.mmd|.graphml|.gexf|.model-explorer.json [--title TEXT] [--all]
       quantrace viz PROGRAM.json OTHER.json -o OUT.html [--title TEXT]
PROGRAM.json is what programToJSON gives. Two programs are drawn side by side, with what differs between them. --all draws every node (SVG only; a page does that with #expand=all).`

type Options = { readonly title: string; readonly all: boolean }
type Writer = (program: Program, o: Options) => string

const WRITERS: { readonly [ending: string]: Writer } = {
  '.html': (program, { title }) => toHtml(program, { title }),
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
  return ending === undefined ? E.left(`-o must name a file that ends in ${Object.keys(WRITERS).join(', ')}`) : E.right(WRITERS[ending])
}

const readProgram = (file: string): E.Either<string, Program> => {
  const text = attempt(() => readFileSync(file, 'utf8'))
  return E.isLeft(text) ? text : E.mapLeft((errors: Parameters<typeof explainAll>[0]) => `${file} is not a program: ${explainAll(errors)}`)(parseProgram(ops)(text.right))
}

/** Writes the whole file or nothing: what stood there stays until the new text is complete. */
const writeWhole = (out: string, text: string): E.Either<string, void> => {
  const partial = `${out}.${process.pid}.partial`
  const written = attempt(() => {
    writeFileSync(partial, text, { flag: 'wx' })
    renameSync(partial, out)
  })
  if (E.isLeft(written)) rmSync(partial, { force: true })
  return written
}

const parse = (args: readonly string[]) => attempt(() => parseArgs({
  args: [...args], allowPositionals: true,
  options: { out: { type: 'string', short: 'o' }, title: { type: 'string' }, all: { type: 'boolean', default: false }, help: { type: 'boolean', short: 'h', default: false } },
}))

/** The name of a file without its folder and ending. */
const titleOf = (file: string): string => basename(file, '.json')

const one = (file: string, out: string, title: string | undefined, all: boolean): E.Either<string, string> => {
  const writer = writerFor(out)
  return E.isLeft(writer) ? writer : E.map((program: Program) => writer.right(program, { title: title ?? titleOf(file), all }))(readProgram(file))
}

const two = (files: readonly [string, string], out: string, title: string | undefined): E.Either<string, string> => {
  if (!out.endsWith('.html')) return E.left('two programs side by side make a page: -o must name a file that ends in .html')
  const [a, b] = [readProgram(files[0]), readProgram(files[1])]
  if (E.isLeft(a)) return a
  return E.map((other: Program) => toHtml([a.right, other], { ...(title === undefined ? {} : { title }), sides: [{ title: titleOf(files[0]) }, { title: titleOf(files[1]) }] }))(b)
}

/** Runs the command. Left: what is wrong, in words; nothing was written. Right: what to tell. */
export const runCommand = (args: readonly string[]): E.Either<string, string> => {
  const parsed = parse(args)
  if (E.isLeft(parsed)) return parsed
  const { values, positionals: [command, first, second, ...others] } = parsed.right
  if (values.help === true) return E.right(USAGE)
  if (command !== 'viz' || first === undefined || others.length > 0) return E.left('one command, viz, and one program or two are needed')
  const out = values.out ?? ''
  const text = second === undefined ? one(first, out, values.title, values.all === true) : two([first, second], out, values.title)
  return E.isLeft(text) ? text : E.map(() => `${out}: ${text.right.length} characters`)(writeWhole(out, text.right))
}

/** `quantrace viz`: a page, a picture or a file for a graph tool, by the ending of its name; two programs side by side. */
import * as E from 'fp-ts/lib/Either.js'
import type { Tensor } from '../../data/tensor.js'
import type { Program } from '../../graph/program.js'
import { knownValues, toGexf, toGraphml, toHtml, toMermaid, toModelExplorer, toSvg } from '../../../viz/index.js'
import { command, misused, orRefused, type Io, type Outcome, type Result } from '../command.js'
import { written } from '../files.js'
import { readSubject } from '../sources/index.js'
import { SUBJECT, type Subject } from '../subject.js'

type Values = ReadonlyMap<number, Tensor>
type Drawing = { readonly title: string; readonly all: boolean; readonly values: Values | null }
type Writer = (program: Program, d: Drawing) => string

const WRITERS: { readonly [format: string]: Writer } = {
  html: (program, { title, values }) => toHtml(program, { title, ...(values === null ? {} : { values }) }),
  svg: (program, { title, all }) => toSvg(program, { title, expand: all ? 'all' : 'first' }),
  mmd: (program) => toMermaid(program),
  graphml: (program, { title }) => toGraphml(program, { title }),
  gexf: (program, { title }) => toGexf(program, { title }),
  'model-explorer.json': (program, { title }) => toModelExplorer(program, { title }),
}
const FORMATS = Object.keys(WRITERS)
const PAGE = 'html'

const OPTIONS = {
  out: {
    type: 'string',
    short: 'o',
    value: 'FILE',
    says: 'What to write, its format by its ending (default: NAME.html); - is stdout.',
  },
  format: { type: 'string', value: 'FORMAT', says: `${FORMATS.join(', ')}, where no ending says it.` },
  title: { type: 'string', says: 'Title of the page (default: the name of the program).' },
  all: { type: 'boolean', says: 'Draw every node (SVG only; a page does that with #expand=all).' },
  ...SUBJECT,
} as const

const formatOf = (out: string | undefined, format: string | undefined): Result<string> => {
  const known = format ?? (out === undefined || out === '-' ? PAGE : FORMATS.find((f) => out.endsWith(`.${f}`)))
  return known !== undefined && Object.hasOwn(WRITERS, known)
    ? E.right(known)
    : misused(
        '--out',
        `${format ?? out} says no format that is written`,
        `let -o end in .${FORMATS.join(', .')}, or give --format`,
      )
}

/** What parameters and state decide of a program: a page shows it. */
const valuesOf = ({ program, numbers, note }: Subject, format: string): Result<Values | null> =>
  // Numbers that nobody trained would only mislead.
  format !== PAGE ||
  numbers === null ||
  note !== null ||
  program.inputs.some((i) => i.kind === 'slot' || i.kind === 'hyper')
    ? E.right(null)
    : orRefused(knownValues(program, numbers))

const drawn = (
  s: Subject,
  format: string,
  o: { readonly title: string | undefined; readonly all: boolean },
): Result<string> =>
  E.map((values: Values | null) => WRITERS[format](s.program, { title: o.title ?? s.name, all: o.all, values }))(
    valuesOf(s, format),
  )

const pair = (a: Subject, b: Subject, title: string | undefined): string =>
  toHtml([a.program, b.program], {
    ...(title === undefined ? {} : { title }),
    sides: [{ title: a.name }, { title: b.name }],
  })

const both = async (
  files: readonly string[],
  given: Parameters<typeof readSubject>[1] & { readonly title: string | undefined },
  io: Io,
): Promise<Result<string>> => {
  const [a, b] = [await readSubject(files[0], given, io), await readSubject(files[1], given, io)]
  if (E.isLeft(a)) return a
  return E.map((other: Subject) => pair(a.right, other, given.title))(b)
}

const draw = async (
  files: readonly string[],
  given: Parameters<typeof both>[1] & { readonly all: boolean; readonly out: string | undefined },
  format: string,
  io: Io,
): Promise<Result<Outcome>> => {
  const of = (path: string) => E.chain((text: string) => written(path, text))
  if (files.length === 2) return of(given.out ?? 'pair.html')(await both(files, given, io))
  const subject = await readSubject(files[0], given, io)
  if (E.isLeft(subject)) return subject
  return of(given.out ?? `${subject.right.name}.${format}`)(drawn(subject.right, format, given))
}

export const viz = command({
  says: 'Draw a program as a page, a picture or a graph file; two programs side by side.',
  files: { shown: 'PROGRAM [OTHER]', least: 1, most: 2 },
  more: `With a checkpoint the page shows what its parameters and state decide: weights, and of a program traced in eval every scale
and zero point. Two programs make a page that aligns them by layer and shows what differs.`,
  options: OPTIONS,
  run: async ({ given, files, io }) => {
    const format = formatOf(given.out, given.format)
    if (E.isLeft(format)) return format
    if (files.length === 2 && format.right !== PAGE)
      return misused('--out', 'two programs side by side make a page', 'let -o end in .html')
    if (files.length === 2 && given.checkpoint !== undefined)
      return misused('--checkpoint', 'a checkpoint belongs to one program', 'draw one, or leave the checkpoint out')
    if (given.checkpoint !== undefined && format.right !== PAGE)
      return misused(
        '--checkpoint',
        'only a page shows the numbers of a checkpoint',
        'let -o end in .html, or leave the checkpoint out',
      )
    return draw(files, given, format.right, io)
  },
})

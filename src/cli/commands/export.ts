/** `quantrace export`: a program in another format, whole or not at all. */
import * as E from 'fp-ts/lib/Either.js'
import { nearestName } from '../../data/fields.js'
import { writeFolder } from '../../node/index.js'
import { columns, optionLines } from '../arguments.js'
import { command, misused, orRefused, type Options, type Outcome, type Result } from '../command.js'
import { written } from '../files.js'
import { readSubject } from '../sources/index.js'
import { SUBJECT } from '../subject.js'
import type { Made, Target, TargetGiven } from '../target.js'
import { targets } from '../targets/index.js'

const NAMES = Object.keys(targets)

/** Options that only some targets have. */
const OF_TARGETS: Options = Object.assign({}, ...Object.values(targets).map((t) => t.options))

const OPTIONS = {
  to: { type: 'string', value: 'TARGET', says: `One of ${NAMES.join(', ')}.` },
  out: {
    type: 'string',
    short: 'o',
    value: 'FILE',
    says: 'What to write (default: the name of the program); - is stdout.',
  },
  ...SUBJECT,
} as const

const targetOf = (to: string | undefined): Result<Target> => {
  if (to !== undefined && Object.hasOwn(targets, to)) return E.right(targets[to])
  const near = to === undefined ? undefined : nearestName(to, NAMES)
  return misused(
    '--to',
    to === undefined ? 'quantrace export needs --to' : `there is no target ${JSON.stringify(to)}`,
    near === undefined ? `give --to ${NAMES.join(', --to ')}` : `did you mean --to ${near}?`,
  )
}

/** Options of other targets that were given. */
const strayOption = (name: string, target: Target, given: TargetGiven): Result<null> => {
  const stray = Object.keys(OF_TARGETS).find(
    (o) => !Object.hasOwn(target.options, o) && given[o] !== undefined && given[o] !== false,
  )
  if (stray === undefined) return E.right(null)
  const others = NAMES.filter((n) => Object.hasOwn(targets[n].options, stray))
  return misused(
    `--${stray}`,
    `--${stray} says nothing to ${name}`,
    `leave it out; it belongs to --to ${others.join(', ')}`,
  )
}

const store = (made: Made, out: string): Result<Outcome> => {
  if (made.is === 'file') return written(out, made.content)
  if (out === '-') return misused('--out', 'a folder does not fit into stdout', 'name a folder: -o out')
  return orRefused(
    E.map((files: readonly string[]): Outcome => ({ text: files.join('\n'), json: { files } }))(
      writeFolder(out, made.files),
    ),
  )
}

export const exportTo = command({
  says: `Write a program as ${NAMES.join(', ')}.`,
  files: { shown: 'PROGRAM --to TARGET', least: 1, most: 1 },
  more: [
    columns(Object.entries(targets).map(([name, t]) => [`--to ${name}`, t.says])),
    ...NAMES.flatMap((name) =>
      Object.keys(targets[name].options).length === 0
        ? []
        : [`with --to ${name}:\n${columns(optionLines(targets[name].options))}`],
    ),
  ].join('\n\n'),
  options: OPTIONS,
  own: OF_TARGETS,
  run: async ({ given, files, io }) => {
    const target = targetOf(given.to)
    if (E.isLeft(target)) return target
    const stray = strayOption(given.to ?? '', target.right, given)
    if (E.isLeft(stray)) return stray
    const subject = await readSubject(files[0], given, io)
    if (E.isLeft(subject)) return subject
    const made = target.right.make(subject.right, given)
    if (E.isLeft(made)) return made
    return store(made.right, given.out ?? `${subject.right.name}${target.right.ending}`)
  },
})

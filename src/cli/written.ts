/** Which target a command writes, with what belongs to it; and the writing. */
import * as E from 'fp-ts/lib/Either.js'
import { nearestName } from '../data/fields.js'
import { ensureFolder, ensureWritable, writeFolder } from '../node/index.js'
import { columns, optionLines } from './arguments.js'
import { misused, orRefused, type Options, type Outcome, type Result } from './command.js'
import { written } from './files.js'
import type { Made, Target, TargetGiven } from './target.js'
import { targets } from './targets/index.js'

/** Names of the targets. */
export const TARGETS: readonly string[] = Object.keys(targets)

/** Options that only some targets have. */
export const OF_TARGETS: Options = Object.assign({}, ...Object.values(targets).map((t) => t.options))

/** The targets and their options, for the help of a command. */
export const targetsHelp = (names: readonly string[] = TARGETS): string =>
  [
    columns(names.map((name) => [`--to ${name}`, targets[name].says])),
    ...names.flatMap((name) =>
      Object.keys(targets[name].options).length === 0
        ? []
        : [`with --to ${name}:\n${columns(optionLines(targets[name].options))}`],
    ),
  ].join('\n\n')

const targetOf = (asker: string, to: string | undefined): Result<Target> => {
  if (to !== undefined && Object.hasOwn(targets, to)) return E.right(targets[to])
  const near = to === undefined ? undefined : nearestName(to, TARGETS)
  return misused(
    '--to',
    to === undefined ? `quantrace ${asker} needs --to` : `there is no target ${JSON.stringify(to)}`,
    near === undefined ? `give --to ${TARGETS.join(', --to ')}` : `did you mean --to ${near}?`,
  )
}

/** The target of a name; options of other targets that were given are told. */
export const chosenTarget = (asker: string, to: string | undefined, given: TargetGiven): Result<Target> => {
  const target = targetOf(asker, to)
  if (E.isLeft(target)) return target
  const { options } = target.right
  const stray = Object.keys(OF_TARGETS).find(
    (o) => !Object.hasOwn(options, o) && given[o] !== undefined && given[o] !== false,
  )
  if (stray === undefined) {
    const wrong = target.right.check?.(given) ?? target
    return E.isLeft(wrong) ? wrong : target
  }
  const others = TARGETS.filter((n) => Object.hasOwn(targets[n].options, stray))
  return misused(
    `--${stray}`,
    `--${stray} says nothing to ${to}`,
    `leave it out; it belongs to --to ${others.join(', ')}`,
  )
}

/** Whether what a target will make can be written there: asked before any long work. */
export const storable = ({ ending }: Pick<Target, 'ending'>, out: string): Result<unknown> => {
  if (ending.includes('.')) return out === '-' ? E.right(null) : orRefused(ensureWritable(out))
  return out === '-' ? noStdout() : orRefused(ensureFolder(out))
}

const noStdout = (): Result<never> => misused('--out', 'a folder does not fit into stdout', 'name a folder: -o out')

/** Writes what a target made. */
export const store = (made: Made, out: string): Result<Outcome> => {
  if (made.is === 'file') return written(out, made.content)
  if (out === '-') return noStdout()
  return orRefused(
    E.map((files: readonly string[]): Outcome => ({ text: files.join('\n'), json: { files } }))(
      writeFolder(out, made.files),
    ),
  )
}

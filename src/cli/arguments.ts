/** Arguments read by node:util, with the nearest names for what is misspelt; and the help that is made of the same values. */
import * as E from 'fp-ts/lib/Either.js'
import { parseArgs } from 'node:util'
import { nearestName } from '../data/fields.js'
import { misused, type Command, type Option, type Options, type Result } from './command.js'

/** Options of every sub-command. */
const COMMON = {
  json: { type: 'boolean', says: 'Say the result as JSON; errors too, as { "errors": … }.' },
  help: { type: 'boolean', short: 'h', says: 'Show this.' },
} as const satisfies Options

/** How a sub-command was called. */
export type Read = {
  readonly given: { readonly [option: string]: string | boolean | readonly string[] | undefined }
  readonly files: readonly string[]
  readonly json: boolean
  readonly help: boolean
}

const codeOf = (e: unknown): string => (e instanceof Error && 'code' in e ? String(e.code) : '')

const misspelt = (name: string, message: string, options: Options): Result<never> => {
  const [asked] = /--?[^\s'=]+/.exec(message) ?? ['']
  if (!message.startsWith('Unknown option'))
    return misused(asked, message.split('. ')[0], `see quantrace ${name} --help`)
  const near = nearestName(asked.replace(/^-+/, ''), Object.keys(options))
  return misused(
    asked,
    `quantrace ${name} has no option ${asked}`,
    near === undefined ? `see quantrace ${name} --help` : `did you mean --${near}?`,
  )
}

const asked = (o: Option) => ({
  type: o.type,
  ...(o.short === undefined ? {} : { short: o.short }),
  ...(o.multiple === undefined ? {} : { multiple: true }),
})

/** What stands behind the name of a sub-command. */
export const readArguments = (name: string, command: Command, args: readonly string[]): Result<Read> => {
  const options: Options = { ...command.options, ...command.own, ...COMMON }
  try {
    const { values, positionals: files } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: Object.fromEntries(Object.entries(options).map(([key, o]) => [key, asked(o)])),
    })
    const given = Object.fromEntries(
      Object.entries(options).map(([key, o]) => {
        const absent = o.type === 'boolean' ? false : undefined
        return [key, values[key] ?? (o.multiple === true ? [] : absent)]
      }),
    )
    const read: Read = {
      given: given as Read['given'],
      files,
      json: values['json'] === true,
      help: values['help'] === true,
    }
    if (read.help) return E.right(read)
    const { least, most, shown } = command.files
    if (files.length < least) return misused('', `quantrace ${name} needs ${shown}`, `see quantrace ${name} --help`)
    return files.length > most
      ? misused(
          '',
          `quantrace ${name} takes ${shown}, and was given ${files.length} names: ${files.join(' ')}`,
          'leave out what is too many; a name with spaces stands in quotes',
        )
      : E.right(read)
  } catch (e) {
    if (!codeOf(e).startsWith('ERR_PARSE_ARGS') || !(e instanceof Error)) throw e
    return misspelt(name, e.message, options)
  }
}

/** Two columns. */
export const columns = (rows: readonly (readonly [string, string])[], indent = '  '): string => {
  const width = Math.max(...rows.map(([left]) => left.length))
  return rows.map(([left, right]) => `${indent}${left.padEnd(width)}  ${right}`.trimEnd()).join('\n')
}

const shown = (name: string, o: Option): string =>
  `${o.short === undefined ? '' : `-${o.short}, `}--${name}${o.type === 'string' ? ` ${o.value ?? 'TEXT'}` : ''}`

/** Options as lines of a help. */
export const optionLines = (options: Options): readonly (readonly [string, string])[] =>
  Object.entries(options).map(([name, o]) => [shown(name, o), o.says] as const)

/** How a sub-command is called, in a line. */
export const usageOf = (name: string, { files }: Command): string => `usage: quantrace ${name} ${files.shown} [OPTIONS]`

/** The help of a sub-command. */
export const helpOf = (name: string, c: Command): string =>
  [
    usageOf(name, c),
    c.says,
    ...(c.more === undefined ? [] : [c.more]),
    columns(optionLines({ ...c.options, ...COMMON })),
  ].join('\n\n')

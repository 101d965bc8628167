/** The command line: finds the sub-command, reads its arguments, says what came of it. */
import * as E from 'fp-ts/lib/Either.js'
import { explainAll, isFailure } from '../data/error.js'
import { nearestName } from '../data/fields.js'
import { columns, helpOf, readArguments, usageOf, type Read } from './arguments.js'
import { misused, refused, type Command, type Io, type Refusal, type Result } from './command.js'
import { commands } from './commands/index.js'
import { version } from './version.js'

const HELP = `usage: quantrace COMMAND …

${columns(Object.entries(commands).map(([name, c]) => [name, c.says]))}

PROGRAM is a stored program (programToJSON), an ONNX model, a module (.js, .ts) that exports a program or
a network, or - for stdin. quantrace COMMAND --help tells the rest; --version says which this is.
Exit status: 0, or 1 where a file or what is in it is wrong, or 2 where the call is.`

const unknown = (name: string): Result<never> => {
  const near = nearestName(name, Object.keys(commands))
  return misused(
    name,
    name === '' ? 'quantrace needs a command' : `quantrace has no command ${JSON.stringify(name)}`,
    near === undefined ? `name one of ${Object.keys(commands).join(', ')}` : `did you mean quantrace ${near}?`,
  )
}

/** Errors of ours that are thrown: a user's module may throw them too. */
const carriedOut = async (command: Command, { given, files }: Read, io: Io): Promise<Result> => {
  try {
    return await command.run({ given: given as never, files, io })
  } catch (e) {
    if (!isFailure(e)) throw e
    return refused(e.errors)
  }
}

const sayErrors = async ({ status, errors }: Refusal, usage: string, json: boolean, io: Io): Promise<number> => {
  if (json) await io.out(`${JSON.stringify({ errors }, null, 2)}\n`)
  else io.err(`${explainAll(errors)}\n${status === 2 ? `${usage}\n` : ''}`)
  return status
}

const runCommand = async (name: string, command: Command, args: readonly string[], io: Io): Promise<number> => {
  const read = readArguments(name, command, args)
  const json = E.isRight(read) ? read.right.json : args.includes('--json')
  if (E.isLeft(read)) return sayErrors(read.left, usageOf(name, command), json, io)
  if (read.right.help) {
    await io.out(`${helpOf(name, command)}\n`)
    return 0
  }
  const done = await carriedOut(command, read.right, io)
  if (E.isLeft(done)) return sayErrors(done.left, usageOf(name, command), json, io)
  const { bytes, text } = done.right
  const said = json ? JSON.stringify(done.right.json, null, 2) : text
  await io.out(bytes ?? `${said}\n`)
  return 0
}

/** Runs the command line `quantrace …args` and gives its exit status. Rejects only where there is a bug of ours. */
export const runCli = async (args: readonly string[], io: Io): Promise<number> => {
  const [first = '', ...rest] = args
  const asksHelp = ['--help', '-h', 'help'].includes(first)
  if (first === '--version' || (asksHelp && rest.length === 0)) {
    await io.out(`${asksHelp ? HELP : version()}\n`)
    return 0
  }
  // `quantrace help viz` is `quantrace viz --help`.
  const [name, more] = first === 'help' ? [rest[0], ['--help']] : [first, rest]
  if (Object.hasOwn(commands, name)) return runCommand(name, commands[name], more, io)
  const no = unknown(name)
  return E.isLeft(no)
    ? sayErrors(no.left, 'usage: quantrace COMMAND …, see quantrace --help', args.includes('--json'), io)
    : 0
}

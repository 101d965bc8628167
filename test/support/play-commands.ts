/** Calls `quantrace` with each list of arguments of a JSON file, one after the other, each in its own folder, and tells what each printed on stdout and stderr. */
import { readFileSync } from 'node:fs'
import { runCli } from '../../src/cli/cli.js'

/** One call. */
export type Call = { readonly folder: string; readonly args: readonly string[] }

const play = async ({ folder, args }: Call): Promise<string> => {
  let printed = ''
  process.chdir(folder)
  const keep = (content: string | Uint8Array): void => {
    printed += Buffer.from(content).toString('utf8')
  }
  const status = await runCli(args, {
    stdin: async () => new Uint8Array(0),
    out: async (content) => keep(content),
    err: keep,
    terminal: false,
  })
  return status === 0 ? printed : `${printed}(status ${status})\n`
}

const printed: string[] = []
for (const call of JSON.parse(readFileSync(process.argv[2], 'utf8')) as readonly Call[]) printed.push(await play(call))
process.stdout.write(`\nPLAYED ${JSON.stringify(printed)}\n`)

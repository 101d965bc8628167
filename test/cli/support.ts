/** The command line called in this process, with a world that is made up. */
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCli } from '../../src/cli/cli.js'

/** What a command said, and how it ended. */
export type Said = { readonly status: number; readonly out: string; readonly err: string; readonly bytes: Uint8Array }

/** The world of a call. */
export type World = { readonly stdin?: Uint8Array; readonly terminal?: boolean }

/** Calls `quantrace …args`. */
export const quantrace = async (args: readonly string[], world: World = {}): Promise<Said> => {
  const chunks: Buffer[] = []
  let err = ''
  const status = await runCli(args, {
    stdin: async () => world.stdin ?? new Uint8Array(0),
    out: async (content) => void chunks.push(Buffer.from(content)),
    err: (text) => {
      err += text
    },
    terminal: world.terminal === true,
  })
  const bytes = Buffer.concat(chunks)
  return { status, out: bytes.toString('utf8'), err, bytes: new Uint8Array(bytes) }
}

/** A folder for a file of tests. */
export const newFolder = (): { readonly at: (...names: readonly string[]) => string; readonly remove: () => void } => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'quantrace-cli-')))
  return { at: (...names) => join(folder, ...names), remove: () => rmSync(folder, { recursive: true, force: true }) }
}

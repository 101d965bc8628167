/** Imports the modules that it is given, one after the other, each in its own folder, and tells what each printed, how long it took and how it failed. */
import { dirname } from 'node:path'
import { performance } from 'node:perf_hooks'
import { pathToFileURL } from 'node:url'
import { format } from 'node:util'

/** What came of one block. */
export type Played = {
  readonly file: string
  readonly printed: string
  readonly ms: number
  readonly error: string | null
}

const play = async (file: string): Promise<Played> => {
  const lines: string[] = []
  console.log = (...a: readonly unknown[]): void => void lines.push(format(...a))
  process.chdir(dirname(file))
  const start = performance.now()
  const error = await import(pathToFileURL(file).href).then(
    () => null,
    (e: unknown) => (e instanceof Error ? (e.stack ?? e.message) : String(e)),
  )
  return { file, printed: lines.map((l) => `${l}\n`).join(''), ms: performance.now() - start, error }
}

const played: Played[] = []
for (const file of process.argv.slice(2)) played.push(await play(file))
process.stdout.write(`\nPLAYED ${JSON.stringify(played)}\n`)

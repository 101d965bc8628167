/** Child processes and places of this repository, for the scripts beside this file. */
import { spawn } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The repository's root folder. */
export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

/** Where scripts keep what they unpack or install; gone with `node_modules`. */
export const cacheFolder = join(root, 'node_modules', '.cache', 'quantrace')

/** How a child process ended: `code` is null where a signal ended it. */
export type Ended = {
  readonly code: number | null
  readonly signal: string | null
  readonly output: string
  readonly seconds: number
}

/** What a child process may be given. */
export type RunOptions = {
  readonly cwd?: string
  readonly env?: NodeJS.ProcessEnv
  /** Milliseconds after which it is killed. */
  readonly limit?: number
  /** Also pass its output on as it comes. */
  readonly live?: boolean
}

/** Runs a command without stdin to its end; stdout and stderr come back as one text. Never rejects. */
export const run = (command: string, args: readonly string[], options: RunOptions = {}): Promise<Ended> =>
  new Promise((resolve) => {
    const start = Date.now()
    const chunks: Buffer[] = []
    const child = spawn(command, args, {
      cwd: options.cwd ?? root,
      env: options.env ?? process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...(options.limit === undefined ? {} : { timeout: options.limit, killSignal: 'SIGKILL' }),
    })
    const keep =
      (to: NodeJS.WriteStream) =>
      (chunk: Buffer): void => {
        chunks.push(chunk)
        if (options.live === true) to.write(chunk)
      }
    const end = (code: number | null, signal: string | null, extra = ''): void =>
      resolve({
        code,
        signal,
        output: Buffer.concat(chunks).toString('utf8') + extra,
        seconds: (Date.now() - start) / 1000,
      })
    child.stdout.on('data', keep(process.stdout))
    child.stderr.on('data', keep(process.stderr))
    child.on('error', (error) => end(null, null, `${error.message}\n`))
    child.on('close', (code, signal) => end(code, signal))
  })

/** Runs a command and gives its output; throws with that output where it failed. */
export const mustRun = async (command: string, args: readonly string[], options: RunOptions = {}): Promise<string> => {
  const ended = await run(command, args, options)
  if (ended.code !== 0)
    throw new Error(`${command} ${args.join(' ')} ended with ${ended.code ?? ended.signal}:\n${ended.output}`)
  return ended.output
}

/** Child processes for the scripts of this folder: output kept, time-outs that end the whole process group. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The repository's root. */
export const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/[/\\]$/, '')

/** Seconds with one decimal, for logs. */
export const secondsSince = (start: number): string => `${((performance.now() - start) / 1000).toFixed(1)} s`

/** What came of a child process. `code` is null if a signal ended it. */
export type Outcome = { readonly code: number | null; readonly output: string; readonly timedOut: boolean }

export type RunSettings = {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** Milliseconds after which the process and its children are killed. */
  readonly limit?: number
  /** Also print the output as it comes. */
  readonly echo?: boolean
}

const alive = new Set<number>()

const kill = (pid: number): void => {
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, 'SIGKILL')
  } catch {
    // It has ended in the meantime.
  }
}

// Each child leads its own process group, so an interrupt of ours doesn't reach it by itself.
process.on('exit', () => { for (const pid of alive) kill(pid) })
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(1))

/** Runs `command`, without stdin, and gives stdout and stderr as one text. Never throws: a command that can't start has code 127. */
export const run = (command: string, args: readonly string[], settings: RunSettings = {}): Promise<Outcome> =>
  new Promise((resolve) => {
    const { cwd = root, env = {}, limit, echo = false } = settings
    const pieces: Buffer[] = []
    let timedOut = false
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: process.platform !== 'win32',
    })
    const { pid } = child
    if (pid !== undefined) alive.add(pid)
    const take = (piece: Buffer): void => {
      pieces.push(piece)
      if (echo) process.stdout.write(piece)
    }
    child.stdout.on('data', take)
    child.stderr.on('data', take)
    const timer = limit === undefined ? undefined : setTimeout(() => {
      timedOut = true
      if (pid !== undefined) kill(pid)
    }, limit)
    const finish = (code: number | null): void => {
      clearTimeout(timer)
      // Whatever the child left running (a browser, a worker) goes with it.
      if (pid !== undefined) {
        kill(pid)
        alive.delete(pid)
      }
      resolve({ code, output: Buffer.concat(pieces).toString('utf8'), timedOut })
    }
    // 'exit' and not only 'close': a grandchild that keeps the pipe open must not hold us up.
    let status: number | null = null
    child.on('exit', (code) => {
      status = code
      if (pid !== undefined) kill(pid)
    })
    child.on('close', () => finish(status))
    child.on('error', (error) => {
      pieces.push(Buffer.from(`${error.message}\n`))
      finish(127)
    })
  })

/** Calls `work` on every item, at most `width` at a time. Results keep the items' order, and `report` sees them in that order, as early as it can. */
export const inOrder = async <A, B>(
  items: readonly A[],
  width: number,
  work: (item: A) => Promise<B>,
  report: (item: A, result: B) => void,
): Promise<readonly B[]> => {
  const results = new Map<number, B>()
  let next = 0
  let reported = 0
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const index = next
      next += 1
      results.set(index, await work(items[index]))
      for (let result = results.get(reported); results.has(reported) && result !== undefined; result = results.get(reported)) {
        report(items[reported], result)
        reported += 1
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker))
  return items.flatMap((_, index) => {
    const result = results.get(index)
    return result === undefined ? [] : [result]
  })
}

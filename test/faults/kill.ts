/** Kills a training again and again, at random moments, with a signal that nothing can catch, and compares its end with one that was never stopped. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { train } from '../../examples/resume.js'
import { root } from '../support/process.js'
import { random } from '../hostile/mutate.js'

/** What came of it. */
export type Killed = {
  readonly kills: number
  readonly starts: readonly number[]
  readonly digest: string
  readonly expected: string
}

type Ended = { readonly output: string; readonly killed: boolean }

/** Runs the example; kills it `wait` milliseconds after its first checkpoint, if it is still there. */
const runOnce = (file: string, steps: number, wait: number | null): Promise<Ended> =>
  new Promise((done, failed) => {
    const child = spawn(process.execPath, ['--import', 'tsx', 'examples/resume.ts', file, String(steps)], { cwd: root })
    let output = ''
    let armed = false
    const heard = (data: Buffer): void => {
      output += data.toString()
      if (armed || wait === null || !output.includes('starts at')) return
      armed = true
      setTimeout(() => child.kill('SIGKILL'), wait)
    }
    child.stdout.on('data', heard)
    child.stderr.on('data', heard)
    child.on('error', failed)
    child.on('close', (_code, signal) => done({ output, killed: signal === 'SIGKILL' }))
  })

/** Kills it so many times, then lets it end. */
export const killing = async (kills: number, steps: number, seed: number, longest: number): Promise<Killed> => {
  const folder = mkdtempSync(join(tmpdir(), 'quantrace-kill-'))
  const r = random(seed)
  try {
    const expected = train(join(folder, 'whole.qtrc'), steps, () => undefined)
    const file = join(folder, 'killed.qtrc')
    const starts: number[] = []
    let done = 0
    let last = ''
    const startOf = (output: string): void => {
      const found = /starts at step (\d+)/.exec(output)
      if (found === null) throw new Error(`it did not start: ${output}`)
      starts.push(Number(found[1]))
    }
    while (done < kills) {
      const ended = await runOnce(file, steps, r.int(longest))
      startOf(ended.output)
      if (ended.killed) done++
      else {
        last = ended.output
        if (!last.includes(expected)) break
        // It came to its end before it was killed: from the beginning, for there are kills left.
        rmSync(file)
      }
    }
    const final = await runOnce(file, steps, null)
    startOf(final.output)
    const digest = /digest (\w+)/.exec(final.output)?.[1] ?? final.output
    return { kills: done, starts, digest: done < kills ? last : digest, expected }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Kills a training again and again, at random moments, with a signal that nothing can catch, and compares its end with one that was never stopped. */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { train } from '../../examples/resume.js'
import { cacheFolder, root } from '../support/process.js'
import { random } from '../hostile/mutate.js'

/** What came of it. */
export type Killed = {
  readonly kills: number
  readonly starts: readonly number[]
  readonly digest: string
  readonly expected: string
}

type Ended = { readonly output: string; readonly killed: boolean }

/** The example as one file of JavaScript, as a user's program is: it starts in a fifth of the time that a loader takes which compiles while it runs. */
const compiled = async (folder: string): Promise<string> => {
  const script = join(folder, 'resume.mjs')
  await build({
    entryPoints: [join(root, 'examples', 'resume.ts')],
    outfile: script,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'warning',
  })
  return script
}

/** When it is killed: so many milliseconds after so many checkpoints of this life. */
type Death = { readonly checkpoints: number; readonly ms: number }

/** Runs the example, and kills it. */
const runOnce = (script: string, file: string, steps: number, death: Death | null): Promise<Ended> =>
  new Promise((done, failed) => {
    const child = spawn(process.execPath, [script, file, String(steps)], { cwd: root })
    let output = ''
    let armed = false
    const heard = (data: Buffer): void => {
      output += data.toString()
      if (armed || death === null || !output.includes('starts at')) return
      if ((output.match(/^step /gm)?.length ?? 0) < death.checkpoints) return
      armed = true
      setTimeout(() => child.kill('SIGKILL'), death.ms)
    }
    child.stdout.on('data', heard)
    child.stderr.on('data', heard)
    child.on('error', failed)
    child.on('close', (_code, signal) => done({ output, killed: signal === 'SIGKILL' }))
  })

/** Steps that no life reaches: what is killed was at work. */
const FOREVER = 1_000_000
/** Steps of the last life, which is left alone. */
const LAST = 25

/** A life is of so many checkpoints at most; then comes a while in which steps are taken, and files written. */
const LIFE = { checkpoints: 8, ms: 120 }

/** Kills it so many times, each at a random moment, then lets it end some steps behind the last checkpoint. */
export const killing = async (kills: number, seed: number): Promise<Killed> => {
  const folder = mkdtempSync(join(tmpdir(), 'quantrace-kill-'))
  mkdirSync(cacheFolder, { recursive: true })
  // Below node_modules, so that it finds the packages.
  const code = mkdtempSync(join(cacheFolder, 'kill-'))
  const r = random(seed)
  try {
    const script = await compiled(code)
    const file = join(folder, 'killed.qtrc')
    const starts: number[] = []
    const live = async (steps: number, death: Death | null): Promise<Ended> => {
      const ended = await runOnce(script, file, steps, death)
      const found = /starts at step (\d+)/.exec(ended.output)
      if (found === null) throw new Error(`it did not start: ${ended.output}`)
      starts.push(Number(found[1]))
      return ended
    }
    for (let k = 0; k < kills; k++) {
      const { killed, output } = await live(FOREVER, { checkpoints: r.int(LIFE.checkpoints), ms: r.int(LIFE.ms) })
      if (!killed) throw new Error(`it ended by itself: ${output}`)
    }
    // Asked for no step at all, it only tells where it stands.
    await live(0, null)
    const steps = starts[starts.length - 1] + LAST
    const final = await live(steps, null)
    const expected = train(join(folder, 'whole.qtrc'), steps, () => undefined, Infinity)
    const digest = /digest (\w+)/.exec(final.output)?.[1] ?? final.output
    return { kills, starts, digest, expected }
  } finally {
    for (const f of [folder, code]) rmSync(f, { recursive: true, force: true })
  }
}

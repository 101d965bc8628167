/** What `npm start` may be asked for. */
import { parseArgs } from 'node:util'

/** How the example runs; `threads` 0: one a core. */
export type Options = {
  readonly bits: number
  readonly epochs: number
  readonly seed: number
  readonly resume: boolean
  readonly limit: number
  readonly out: string
  readonly backend: 'reference' | 'wasm'
  readonly threads: number
}

const whole = (name: string, text: string, least: number, most: number): number => {
  const n = Number(text)
  if (Number.isInteger(n) && n >= least && n <= most) return n
  console.error(`--${name} ${text}: give a whole number from ${least} to ${most}`)
  return process.exit(2)
}

const backendNamed = (text: string): 'reference' | 'wasm' => {
  if (text === 'reference' || text === 'wasm') return text
  console.error(`--backend ${text}: give wasm or reference`)
  return process.exit(2)
}

const USAGE =
  'usage: npm start -- [--bits 8] [--epochs 6] [--seed 1] [--limit 8000] [--out out] [--resume] [--backend wasm|reference] [--threads N, 0: one a core]'

/** The options of the command line; ends the process where they are wrong. */
export const readOptions = (): Options => {
  const spec = {
    bits: { type: 'string', default: '8' },
    epochs: { type: 'string', default: '6' },
    seed: { type: 'string', default: '1' },
    limit: { type: 'string', default: '8000' },
    out: { type: 'string', default: 'out' },
    resume: { type: 'boolean', default: false },
    backend: { type: 'string', default: 'wasm' },
    threads: { type: 'string', default: '0' },
    help: { type: 'boolean', default: false },
  } as const
  try {
    const { values: v } = parseArgs({ options: spec })
    if (v.help) {
      console.log(USAGE)
      return process.exit(0)
    }
    return {
      bits: whole('bits', v.bits, 2, 32),
      epochs: whole('epochs', v.epochs, 1, 1000),
      seed: whole('seed', v.seed, 0, 2 ** 31),
      limit: whole('limit', v.limit, 32, 8000),
      out: v.out,
      resume: v.resume,
      backend: backendNamed(v.backend),
      threads: whole('threads', v.threads, 0, 16),
    }
  } catch (e) {
    console.error(`${e instanceof Error ? e.message : String(e)}\n${USAGE}`)
    return process.exit(2)
  }
}

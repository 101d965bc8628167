/** The command line of `npm run bench`: read here, and nowhere else. */
import { parseArgs } from 'node:util'
import { WORKLOADS, type WorkloadName } from './cases.js'

/** What the command line asks for. */
export type Options = {
  readonly only: readonly WorkloadName[]
  /** Numbers of threads, in the order given. */
  readonly threads: readonly number[]
  /** Also Brevitas, `torch.compile` and float PyTorch. */
  readonly brevitas: boolean
  readonly python: string
  /** One round and short samples. */
  readonly quick: boolean
  readonly json: string | null
  /** Add a line to history.jsonl. */
  readonly history: boolean
  /** Only the proof that a step allocates nothing. */
  readonly heap: boolean
  /** Only what models cost on their way out and in. */
  readonly models: boolean
}

/** A command line: to be run, a request for help, or wrong. */
export type CommandLine =
  | { readonly tag: 'run'; readonly options: Options }
  | { readonly tag: 'help' }
  | { readonly tag: 'wrong'; readonly message: string }

export const USAGE = `usage: npm run bench -- [--only W1,W4] [--threads 1,2] [--peer brevitas] [--python PATH] [--quick] [--json FILE] [--history] [--heap] [--models]

  --only       workloads: ${WORKLOADS.join(', ')} (default: all of them)
  --threads    numbers of threads to measure, 1 to 64 (default: 1,2)
  --peer       brevitas: also the real Brevitas, torch.compile and float PyTorch, where that Python has them
  --python     the Python of --peer brevitas (default: python3)
  --quick      one round and short samples: a few minutes; W8 only if --only names it
  --json       write the comparisons to FILE: [{ workload, size, phase, threads, ours_ms, peer, peer_ms, ratio }]
  --history    add a line of ratios to test/bench/history.jsonl; what changed since the last line is shown in any case
  --heap       only show what a thousand steps allocate
  --models     only show what it costs to write and to read ONNX models
  --help       this text`

const SPEC = {
  only: { type: 'string' },
  threads: { type: 'string' },
  peer: { type: 'string' },
  python: { type: 'string' },
  quick: { type: 'boolean' },
  json: { type: 'string' },
  history: { type: 'boolean' },
  heap: { type: 'boolean' },
  models: { type: 'boolean' },
  help: { type: 'boolean' },
} as const

const isWorkload = (name: string): name is WorkloadName => WORKLOADS.some((w) => w === name)

const unique = <A>(list: readonly A[]): readonly A[] => [...new Set(list)]

const workloadsOf = (text: string): readonly WorkloadName[] => {
  const names = text.split(',').map((w) => w.trim())
  const unknown = names.filter((w) => !isWorkload(w))
  if (unknown.length > 0)
    throw new RangeError(
      `--only ${text}: there is no workload ${unknown.map((w) => JSON.stringify(w)).join(', ')}; give some of ${WORKLOADS.join(',')}`,
    )
  return unique(names.filter(isWorkload))
}

const threadsOf = (text: string): readonly number[] =>
  unique(
    text.split(',').map((t) => {
      const n = Number(t)
      if (t.trim() !== '' && Number.isInteger(n) && n >= 1 && n <= 64) return n
      throw new RangeError(`--threads ${text}: ${JSON.stringify(t)} is no whole number from 1 to 64`)
    }),
  )

const filled = (name: string, text: string): string => {
  if (text.trim() === '') throw new RangeError(`--${name} is empty`)
  return text
}

/** Reads the arguments after the script's name. */
export const readCommandLine = (args: readonly string[]): CommandLine => {
  try {
    const { values: v } = parseArgs({ args: [...args], options: SPEC, strict: true, allowPositionals: false })
    if (v.help === true) return { tag: 'help' }
    if (v.peer !== undefined && v.peer !== 'brevitas')
      throw new RangeError(`--peer ${v.peer}: only brevitas can be asked for; the peers from npm are always there`)
    return {
      tag: 'run',
      options: {
        only: v.only === undefined ? WORKLOADS : workloadsOf(v.only),
        threads: v.threads === undefined ? [1, 2] : threadsOf(v.threads),
        brevitas: v.peer === 'brevitas',
        python: filled('python', v.python ?? 'python3'),
        quick: v.quick ?? false,
        json: v.json === undefined ? null : filled('json', v.json),
        history: v.history ?? false,
        heap: v.heap ?? false,
        models: v.models ?? false,
      },
    }
  } catch (e) {
    return { tag: 'wrong', message: e instanceof Error ? e.message : String(e) }
  }
}

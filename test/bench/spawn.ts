/** Runs a job in a child process, watches its time, and goes on behind a case that hangs or kills it. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { root } from '../support/process.js'
import { parseEvent, type Event, type JobSpec } from './events.js'
import { isTorch, type Malloc } from './plan.js'

/** Where and for how long a job runs. */
export type Place = {
  readonly python: string
  /** Our child's script, as `bundleChild` makes it. */ readonly script: string
  readonly malloc?: Malloc
  /** When it must have ended, in milliseconds of `Date.now()`. */ readonly deadline: number
}

/** Preparing a case may take this long: tracing, quantizers on 12.8 M numbers, torch.compile, a whole training. */
const PREPARATION_MS = 240_000
const TRAINING_MS = 900_000
/** Warm-up and samples on top of the longest single call. */
const SAMPLING_MS = 20_000

/** glibc keeps freed blocks up to these sizes; by default it hands big ones back, and every step pays page faults. */
const RAISED = { MALLOC_MMAP_THRESHOLD_: '4294967296', MALLOC_TRIM_THRESHOLD_: '8589934592' } as const

const commandOf = (
  spec: JobSpec,
  place: Place,
): { readonly command: string; readonly args: readonly string[]; readonly env: NodeJS.ProcessEnv } => {
  const here = join(root, 'test', 'bench')
  const text = JSON.stringify(spec)
  // tfjs' gradients stand in modules that import each other without extensions: plain Node doesn't find them, the loader does.
  if (spec.peer === 'tfjs-wasm')
    return { command: process.execPath, args: ['--import', 'tsx', join(here, 'child.ts'), text], env: process.env }
  if (!isTorch(spec.peer)) return { command: process.execPath, args: [place.script, text], env: process.env }
  const threads = String(spec.threads)
  return {
    command: place.python,
    args: [join(here, 'torch_peer.py'), text],
    env: {
      ...process.env,
      OMP_NUM_THREADS: threads,
      MKL_NUM_THREADS: threads,
      ...(place.malloc === 'raised' ? RAISED : {}),
    },
  }
}

/** How one process ended: the events it told, the case it was at, and its last words. */
type Ended = {
  readonly events: readonly Event[]
  readonly at: string | null
  readonly why: string
  readonly slow: boolean
}

const runOnce = (spec: JobSpec, place: Place): Promise<Ended> =>
  new Promise((resolve) => {
    const { command, args, env } = commandOf(spec, place)
    const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
    const kill = (): void => void child.kill('SIGKILL')
    process.once('exit', kill)
    const events: Event[] = []
    let at: string | null = null
    let words = ''
    let killed: string | null = null
    let slow = false
    let timer: NodeJS.Timeout | undefined
    const within = (ms: number, why: string, isSlow: boolean): void => {
      clearTimeout(timer)
      timer = setTimeout(
        () => {
          killed = why
          slow = isSlow
          child.kill('SIGKILL')
        },
        Math.max(0, Math.min(ms, place.deadline - Date.now())),
      )
    }
    const preparing = (id: string): void =>
      within(id.startsWith('W8') ? TRAINING_MS : PREPARATION_MS, 'its preparation took too long', false)
    preparing(spec.ids[0] ?? '')
    createInterface({ input: child.stdout }).on('line', (line) => {
      const e = parseEvent(line)
      if (e === null) return
      events.push(e)
      if (e.tag === 'begin') {
        at = e.id
        preparing(e.id)
      } else if (e.tag === 'ready')
        within(spec.budget.limit * 1000 + SAMPLING_MS, `a single call takes over ${spec.budget.limit} s`, true)
      else if (e.tag !== 'note') at = e.tag === 'times' && e.id !== at ? at : null
    })
    child.stderr.on('data', (chunk: Buffer) => {
      words = (words + chunk.toString('utf8')).slice(-2000)
    })
    child.on('error', (e) => {
      clearTimeout(timer)
      resolve({ events, at: spec.ids[0] ?? '', why: e.message, slow: false })
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      process.off('exit', kill)
      const last = words.trim().split('\n').slice(-3).join(' ')
      const finished = code === 0 && killed === null
      resolve({
        events,
        at: finished ? null : (at ?? spec.ids.find((id) => !events.some((e) => e.id === id)) ?? null),
        why: killed ?? `its process ended with ${signal ?? code}: ${last}`,
        slow,
      })
    })
  })

/** Every event of a job. A case that ends the process is reported as lost, and the cases behind it are run in a new one. */
export const runJob = async (spec: JobSpec, place: Place): Promise<readonly Event[]> => {
  const all: Event[] = []
  let ids = spec.ids
  while (ids.length > 0) {
    const ended = await runOnce({ ...spec, ids }, place)
    all.push(...ended.events)
    if (ended.at === null) return all
    const { at } = ended
    const late = Date.now() >= place.deadline - 100
    all.push({
      tag: ended.slow && !late ? 'slow' : 'failed',
      id: at,
      why: late ? 'the time of the whole benchmark was up' : ended.why,
    })
    if (late) return all
    ids = ids.slice(ids.indexOf(at) + 1)
  }
  return all
}

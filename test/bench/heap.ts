/**
 * The proof that a step allocates nothing: `heap.ts ID` executes a case a thousand times and prints what V8's sampling heap
 * profiler and its own counters saw, as JSON. `heapTable` runs some cases, each in a process of its own.
 */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Session, type HeapProfiler } from 'node:inspector'
import { getHeapStatistics } from 'node:v8'
import { createWasm } from '../../src/index.js'
import { root, run } from '../support/process.js'
import { caseOf } from './cases.js'
import { residentRun, trainingRun } from './ours.js'
import { columns } from './table.js'
import { get, subjectOf } from './subject.js'

const STEPS = 1000
/** So many where one takes longer than this many milliseconds. */
const LONG = { ms: 20, steps: 100 } as const
/** Executions before, so that V8 has compiled all there is to compile. */
const WARM_STEPS = 2000
const WARM_MS = [1500, 6000] as const
/** The profiler takes a sample every so many bytes on average. */
const SAMPLING = 64

/** What a thousand steps left behind. */
export type HeapReport = {
  readonly id: string
  readonly steps: number
  /** Bytes a step that the sampling profiler counts in our code, freed ones included. */
  readonly sampled: number
  /** Growth of V8's used heap and of memory outside it (typed arrays), bytes a step; a collection in between makes it negative. */
  readonly heap: number
  readonly external: number
  /** The functions that allocated most. */
  readonly top: readonly string[]
}

const flatten = (node: HeapProfiler.SamplingHeapProfileNode): readonly HeapProfiler.SamplingHeapProfileNode[] => [
  node,
  ...node.children.flatMap(flatten),
]

/** A function by its name, or where it stands (as compiled: lines are those of tsx's output). */
const placeOf = (f: { readonly functionName: string; readonly url: string; readonly lineNumber: number }): string =>
  `${f.functionName || 'anonymous'} of ${f.url.replace(/^.*\/(src|node_modules)\//, '$1/')}:${f.lineNumber + 1}`

const sample = (session: Session, body: () => void): Promise<HeapProfiler.SamplingHeapProfile> =>
  new Promise((resolve, reject) => {
    const options = {
      samplingInterval: SAMPLING,
      includeObjectsCollectedByMajorGC: true,
      includeObjectsCollectedByMinorGC: true,
    }
    session.post('HeapProfiler.startSampling', options, () => {
      body()
      session.post('HeapProfiler.stopSampling', (error, { profile }) =>
        error === null ? resolve(profile) : reject(error),
      )
    })
  })

const reportOf = async (id: string): Promise<HeapReport> => {
  const backend = get(await createWasm({ threads: 1 }))
  const subject = subjectOf(caseOf(id), backend)
  const { run: step } = subject.tag === 'evaluate' ? residentRun(subject, backend) : trainingRun(subject, backend)
  const began = performance.now()
  const since = (): number => performance.now() - began
  let done = 0
  for (; since() < WARM_MS[0] || (done < WARM_STEPS && since() < WARM_MS[1]); done++) step()
  const count = since() / done > LONG.ms ? LONG.steps : STEPS
  const steps = (): void => {
    for (let i = 0; i < count; i++) step()
  }
  // Counters first: a profiler allocates too.
  const before = [getHeapStatistics().used_heap_size, process.memoryUsage().arrayBuffers]
  steps()
  const after = [getHeapStatistics().used_heap_size, process.memoryUsage().arrayBuffers]
  const session = new Session()
  session.connect()
  const profile = await sample(session, steps)
  const own = flatten(profile.head).filter((n) => n.selfSize > 0 && /\/(src|node_modules)\//.test(n.callFrame.url))
  const top = own
    .toSorted((a, b) => b.selfSize - a.selfSize)
    .slice(0, 3)
    .map((n) => `${placeOf(n.callFrame)} ${(n.selfSize / count).toFixed(1)} B`)
  return {
    id,
    steps: count,
    sampled: own.reduce((s, n) => s + n.selfSize, 0) / count,
    heap: (after[0] - before[0]) / count,
    external: (after[1] - before[1]) / count,
    top,
  }
}

const IDS = [
  'W1/50/learned-fwd-bwd',
  'W3/1.6M/collecting-fwd-bwd',
  'W4/3-32-32x32x32/fwd-bwd',
  'W5/b1/step',
  'W6/b32/eval',
] as const

/** The table over some cases, or what went wrong. */
export const heapTable = async (): Promise<string> => {
  const lines: string[][] = []
  const problems: string[] = []
  for (const id of IDS) {
    const ended = await run(process.execPath, ['--import', 'tsx', join(root, 'test', 'bench', 'heap.ts'), id], {
      limit: 180_000,
    })
    const line = ended.output.split('\n').find((l) => l.startsWith('{"id"'))
    if (line === undefined) {
      problems.push(`${id}: ${ended.output.trim().split('\n').slice(-2).join(' ').slice(0, 300)}`)
      continue
    }
    const r: HeapReport = JSON.parse(line)
    lines.push([
      id.replaceAll('/', ' '),
      String(r.steps),
      r.sampled.toFixed(1),
      r.heap.toFixed(1),
      r.external.toFixed(1),
      r.top.join(', ') || 'nothing',
    ])
  }
  const head = ['what a step allocates, in bytes', 'steps', 'sampled in our code', 'V8 heap', 'typed arrays', 'most by']
  return [columns([head, ...lines], 1), ...problems].join('\n')
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  console.log(JSON.stringify(await reportOf(process.argv[2] ?? IDS[0])))
  process.exit(0)
}

/** `quantrace bench`: what a call of a program costs on this machine, on each backend. */
import * as E from 'fp-ts/lib/Either.js'
import { availableParallelism, cpus } from 'node:os'
import type { QuantErrors } from '../../data/error.js'
import type { Program } from '../../graph/program.js'
import { compile } from '../../nn/program/program.js'
import { reference } from '../../evaluator/reference/reference.js'
import type { Stored } from '../../../viz/known.js'
import { columns } from '../arguments.js'
import { countOf, wasmWith, type Opened } from '../backends.js'
import { command, misused, refused, type Io, type Outcome, type Result } from '../command.js'
import { noiseInputs, numbersOf } from '../numbers.js'
import { progress } from '../progress.js'
import { readSubject } from '../sources/index.js'
import { SUBJECT, type Subject } from '../subject.js'

const OPTIONS = {
  seconds: { type: 'string', value: 'S', says: 'How long each backend is measured (default 1).' },
  threads: { type: 'string', value: 'N', says: 'Most threads of wasm (default: the cores of this machine).' },
  ...SUBJECT,
} as const

/** One line of the table; times in milliseconds. */
type Row = {
  readonly backend: string
  readonly ms: number
  readonly best: number
  readonly calls: number
  readonly prepare: number
}

const WARM_UP = 3
const LEAST_CALLS = 5

const median = (sorted: readonly number[]): number => sorted[Math.floor(sorted.length / 2)]

type Timed = { readonly program: Program; readonly numbers: Stored; readonly inputs: unknown; readonly ms: number }

/** Times calls that copy in and out, as a server's would. */
const timed = (t: Timed, { backend, label }: Opened): E.Either<QuantErrors, Row> => {
  const before = performance.now()
  const plan = compile(t.program, backend)
  if (E.isLeft(plan)) return plan
  const call = () => plan.right.run({ ...t.numbers, inputs: t.inputs })
  try {
    const first = call()
    if (E.isLeft(first)) return first
    const prepare = performance.now() - before
    for (let i = 1; i < WARM_UP && performance.now() - before < t.ms; i++) call()
    const times: number[] = []
    const start = performance.now()
    while (times.length < LEAST_CALLS || performance.now() - start < t.ms) {
      const at = performance.now()
      call()
      times.push(performance.now() - at)
    }
    const sorted = times.toSorted((a, b) => a - b)
    return E.right({ backend: label, ms: median(sorted), best: sorted[0], calls: times.length, prepare })
  } finally {
    plan.right.dispose()
  }
}

/** The backends of this machine: the reference, wasm with one thread and with as many as are wanted. */
const backendsFor = async (threads: number): Promise<Result<readonly Opened[]>> => {
  const out: Opened[] = [{ backend: reference, label: 'reference', close: () => undefined }]
  for (const n of new Set([1, threads])) {
    const made = await wasmWith(n)
    if (E.isLeft(made)) return made
    out.push(made.right)
  }
  return E.right(out)
}

const shortly = (x: number): string => (x >= 100 ? x.toFixed(0) : x.toPrecision(3))

const batchOf = (program: Program): number => program.inputs.find((i) => i.kind === 'data')?.shape[0] ?? 1

const textOf = (s: Subject, rows: readonly Row[]): string => {
  const batch = batchOf(s.program)
  const lines = rows.map(
    (r) =>
      [
        r.backend,
        `${shortly(r.ms)} ms a call (best ${shortly(r.best)}), ${shortly((1000 * batch) / r.ms)} samples/s; first call ${shortly(r.prepare)} ms`,
      ] as const,
  )
  return `${s.name}, batch ${batch}, on ${cpus().length} × ${cpus()[0]?.model.trim() ?? 'an unknown processor'}, Node ${process.versions.node}\n${columns(lines)}`
}

const measured = (s: Subject, numbers: Stored, all: readonly Opened[], seconds: number, io: Io): Result<Outcome> => {
  const bar = progress(io, 'bench')
  const rows: Row[] = []
  const t: Timed = { program: s.program, numbers, inputs: noiseInputs(s.program), ms: seconds * 1000 }
  for (const [k, b] of all.entries()) {
    bar.at(k, all.length)
    const row = timed(t, b)
    if (E.isLeft(row)) {
      bar.end()
      return refused(row.left)
    }
    rows.push(row.right)
  }
  bar.end()
  return E.right({
    text: textOf(s, rows),
    json: { name: s.name, batch: batchOf(s.program), node: process.versions.node, rows },
  })
}

export const bench = command({
  says: 'Time a program on this machine: milliseconds a call, on each backend.',
  files: { shown: 'PROGRAM', least: 1, most: 1 },
  more: `Inputs are noise of the declared shapes. A call copies its inputs in and its results out; ms is the median.`,
  options: OPTIONS,
  run: async ({ given, files: [path], io }) => {
    const threads = countOf('--threads', given.threads, availableParallelism())
    if (E.isLeft(threads)) return threads
    const seconds = Number(given.seconds ?? 1)
    if (!(seconds > 0 && seconds <= 600))
      return misused('--seconds', `--seconds ${given.seconds} is no time`, 'give a number above 0, at most 600')
    const subject = await readSubject(path, given, io)
    if (E.isLeft(subject)) return subject
    const numbers = numbersOf(subject.right)
    if (E.isLeft(numbers)) return numbers
    const all = await backendsFor(threads.right)
    if (E.isLeft(all)) return all
    try {
      return measured(subject.right, numbers.right, all.right, seconds, io)
    } finally {
      for (const b of all.right) b.close()
    }
  },
})

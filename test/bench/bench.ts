/** The whole measurement: groups of workloads, rounds of interleaved processes, one ledger. */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { bundleChild, bundleFolder } from './bundle.js'
import { WORKLOADS, type WorkloadName } from './cases.js'
import type { Event, JobSpec } from './events.js'
import { cellOf, worthwhile, type Entry, type Ledger, type Loss, type Remark } from './ledger.js'
import type { Budget } from './measure.js'
import type { Options } from './options.js'
import { cannot, groupsOf, isTorch, roundOf, ROUNDS, variantsOf, type Group, type Turn } from './plan.js'
import { runJob } from './spawn.js'

const MINUTE = 60_000
/** The whole benchmark's time: below 45 minutes with everything. */
const WHOLE_MS = 43.5 * MINUTE
const FULL: Budget = { warm: 0.3, sample: 0.35, limit: 20 }
const QUICK: Budget = { warm: 0.15, sample: 0.1, limit: 3 }

/** What is being written while the benchmark runs. */
type Book = { readonly entries: Entry[]; readonly losses: Loss[]; readonly remarks: Remark[]; readonly notes: string[] }

/** A measurement and the remarks on how it went. */
export type Measured = { readonly ledger: Ledger; readonly notes: readonly string[]; readonly minutes: number }

const label = (turn: Turn, variant: string): string =>
  turn.malloc === undefined ? variant : `${turn.malloc} malloc, ${variant}`

/** W8 runs once: in the way that was best at W5's batch of 32, where that was measured. */
const onceVariant = (book: Book, turn: Turn, variants: readonly string[]): readonly string[] => {
  const best = cellOf(book.entries, turn.peer, turn.threads, 'W5/b32/step')
  if (best === null) return turn.malloc === 'default' ? [] : variants
  return ['nchw', 'nhwc', 'nchw-plain', 'nhwc-plain'].filter((v) => label(turn, v) === best.variant)
}

/** The variants of a case that are still worth running in this turn. */
const variantsFor = (book: Book, turn: Turn, id: string, quick: boolean): readonly string[] => {
  const all = variantsOf(turn.peer, id, quick)
  if (!isTorch(turn.peer)) return all
  if (id.startsWith('W8')) return onceVariant(book, turn, all)
  const labels = worthwhile(
    book.entries,
    turn.peer,
    turn.threads,
    id,
    all.map((v) => label(turn, v)),
  )
  return all.filter((v) => labels.includes(label(turn, v)))
}

const record = (book: Book, turn: Turn, events: readonly Event[]): void => {
  const { peer, threads } = turn
  for (const e of events) {
    if (e.tag === 'times') book.entries.push({ ...e, variant: label(turn, e.variant), peer, threads })
    else if (e.tag === 'note') book.remarks.push({ peer, threads, id: e.id, note: e.note })
    else if (e.tag === 'accuracy') book.remarks.push({ peer, threads, id: e.id, accuracy: e.accuracy })
    else if (e.tag !== 'begin' && e.tag !== 'ready') book.losses.push({ ...e, peer, threads })
  }
}

const idsFor = (book: Book, group: Group, turn: Turn, quick: boolean): readonly string[] =>
  group.ids.filter(
    (id) =>
      !book.losses.some((l) => l.peer === turn.peer && l.id === id) && variantsFor(book, turn, id, quick).length > 0,
  )

/** Says what the peers of a group can't do, without asking them. */
const noteUnable = (book: Book, group: Group, round: readonly Turn[]): void => {
  for (const turn of round)
    for (const id of group.ids) {
      const why = cannot(turn.peer, id)
      const known = book.losses.some((l) => l.peer === turn.peer && l.threads === turn.threads && l.id === id)
      if (why !== null && !known) book.losses.push({ tag: 'unable', id, why, peer: turn.peer, threads: turn.threads })
    }
}

type Run = {
  readonly options: Options
  readonly budget: Budget
  readonly folder: string
  readonly script: string
  readonly deadline: number
  readonly began: number
}

const takeTurn = async (book: Book, run: Run, group: Group, turn: Turn): Promise<void> => {
  const { quick } = run.options
  const ids = idsFor(book, group, turn, quick)
  if (ids.length === 0) return
  const variants = Object.fromEntries(ids.map((id) => [id, variantsFor(book, turn, id, quick)]))
  const spec: JobSpec = {
    peer: turn.peer,
    threads: turn.threads,
    folder: run.folder,
    budget: run.budget,
    ids,
    variants,
  }
  const began = Date.now()
  record(
    book,
    turn,
    await runJob(spec, {
      python: run.options.python,
      script: run.script,
      deadline: run.deadline,
      ...(turn.malloc === undefined ? {} : { malloc: turn.malloc }),
    }),
  )
  const who = `${turn.peer}, ${turn.threads} ${turn.threads === 1 ? 'thread' : 'threads'}${turn.malloc === undefined ? '' : `, ${turn.malloc} malloc`}`
  console.log(`  ${who.padEnd(40)} ${((Date.now() - began) / 1000).toFixed(0).padStart(4)} s`)
}

const runGroup = async (book: Book, run: Run, group: Group): Promise<void> => {
  const folder = join(run.folder, group.name.replaceAll(/\W+/g, '-'))
  mkdirSync(folder, { recursive: true })
  const turns = roundOf(run.options, group.name)
  noteUnable(book, group, turns)
  let last = 0
  for (let round = 1; round <= group.rounds; round++) {
    const now = Date.now()
    const spent = round > 1 && now + last > run.began + WHOLE_MS * group.until
    if (spent || now > run.deadline) {
      book.notes.push(`${group.name}: ${round - 1} of ${group.rounds} rounds, because the time was up`)
      break
    }
    console.log(`${group.name}, round ${round} of ${group.rounds}`)
    for (const turn of turns) await takeTurn(book, { ...run, folder }, group, turn)
    last = Date.now() - now
  }
  rmSync(folder, { recursive: true, force: true })
}

/** W8 trains for half a minute per peer: not in a quick look, unless it is asked for. */
const workloadsOf = (o: Options): readonly WorkloadName[] =>
  o.quick && o.only.length === WORKLOADS.length ? o.only.filter((w) => w !== 'W8') : o.only

/** Measures all that the options ask for. */
export const measureAll = async (options: Options): Promise<Measured> => {
  const began = Date.now()
  const book: Book = { entries: [], losses: [], remarks: [], notes: [] }
  const folder = bundleFolder()
  const end = (): void => rmSync(folder, { recursive: true, force: true })
  // A stopped benchmark leaves neither files nor processes: 'exit' also ends the child (spawn.ts).
  const stop = (): never => process.exit(130)
  process.once('exit', end).once('SIGINT', stop).once('SIGTERM', stop)
  try {
    const run: Run = {
      options,
      budget: options.quick ? QUICK : FULL,
      folder,
      script: await bundleChild(folder),
      deadline: began + WHOLE_MS,
      began,
    }
    for (const group of groupsOf(workloadsOf(options), options.quick ? 1 : ROUNDS)) await runGroup(book, run, group)
  } finally {
    end()
    process.off('exit', end).off('SIGINT', stop).off('SIGTERM', stop)
  }
  if (options.quick)
    book.notes.push(
      `--quick: one round, short samples; single calls over ${QUICK.limit} s are skipped${options.brevitas ? '; PyTorch with raised malloc thresholds, NCHW, and QuantTensors off, without trying the others' : ''}${workloadsOf(options).length === options.only.length ? '' : '; W8 is left out'}`,
    )
  return { ledger: book, notes: book.notes, minutes: (Date.now() - began) / MINUTE }
}

/**
 * What the benchmark has measured so far: `history.jsonl` beside this file, a line per run that asked for it (`--history`). Lines
 * hold ratios to the peers, which say more than milliseconds do where the machine is another one. Appended to, never rewritten.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { geometricMean, type Row } from './ledger.js'

/** One run: when, of which commit (`+` behind it where the tree had changes), on what, and ratios by `W1/1.6M/learned-fwd t1 tfjs-wasm`. */
export type Entry = {
  readonly date: string
  readonly commit: string
  readonly machine: string
  readonly node: string
  readonly quick: boolean
  readonly rows: Readonly<Record<string, number>>
}

/** Where the lines stand. */
export const HISTORY = fileURLToPath(new URL('history.jsonl', import.meta.url))

const keyOf = (r: Row): string => `${r.workload}/${r.size}/${r.phase} t${r.threads} ${r.peer}`

/** A run as its line holds it; ratios with three digits behind the point. */
export const entryOf = (about: Omit<Entry, 'rows'>, rows: readonly Row[]): Entry => ({
  ...about,
  rows: Object.fromEntries(rows.map((r) => [keyOf(r), Number(r.ratio.toFixed(3))])),
})

const isEntry = (x: unknown): x is Entry =>
  typeof x === 'object' &&
  x !== null &&
  ['date', 'commit', 'machine', 'node'].every((k) => typeof Reflect.get(x, k) === 'string') &&
  'rows' in x &&
  typeof x.rows === 'object' &&
  x.rows !== null &&
  Object.values(x.rows).every((r) => typeof r === 'number')

/** The runs that a text holds, oldest first. A line that is none says so by its number. */
export const entriesOf = (text: string): readonly Entry[] =>
  text.split('\n').flatMap((line, i) => {
    if (line.trim() === '') return []
    const entry: unknown = JSON.parse(line)
    if (!isEntry(entry)) throw new RangeError(`line ${i + 1} of the history is no run of the benchmark`)
    return [entry]
  })

/** The runs so far. */
export const readHistory = (file = HISTORY): readonly Entry[] =>
  existsSync(file) ? entriesOf(readFileSync(file, 'utf8')) : []

/** Adds a run. */
export const append = (entry: Entry, file = HISTORY): void => appendFileSync(file, `${JSON.stringify(entry)}\n`)

/** A row of two runs: how many times the ratio of the older one the newer one's is. */
export type Change = { readonly row: string; readonly before: number; readonly after: number; readonly times: number }

/** Rows that both runs have, by how much they changed, the largest loss first. */
export const changes = (before: Entry, after: Entry): readonly Change[] =>
  Object.entries(after.rows)
    .flatMap(([row, ratio]) => {
      const old = before.rows[row]
      return old === undefined ? [] : [{ row, before: old, after: ratio, times: ratio / old }]
    })
    .sort((a, b) => a.times - b.times)

/** Within this much of one another two runs of the same code lie, mostly. */
const NOISE = 0.05

const changeLine = (c: Change): string =>
  `  ${c.times.toFixed(2)} ×  ${c.row}: ${c.before.toFixed(2)} → ${c.after.toFixed(2)}`

/** The last run against this one, in words; the last of the same kind (quick or not) and machine, if there is one. */
export const against = (history: readonly Entry[], now: Entry): string => {
  const alike = history.filter((e) => e.quick === now.quick)
  const last = alike.findLast((e) => e.machine === now.machine) ?? alike.at(-1)
  if (last === undefined) return 'no run to compare with in test/bench/history.jsonl'
  const all = changes(last, now)
  if (all.length === 0) return `the run of ${last.date} (${last.commit}) has none of these rows`
  const moved = all.filter((c) => Math.abs(c.times - 1) > NOISE)
  const mean = geometricMean(all.map((c) => c.times))
  const other =
    last.machine === now.machine && last.node === now.node
      ? ''
      : ` on another machine (${last.machine}, Node ${last.node})`
  return [
    `against ${last.date} (${last.commit})${other}: ${all.length} rows, geometric mean ${mean.toFixed(3)} ×, ${moved.length} changed by more than ${100 * NOISE} %`,
    ...moved.map(changeLine),
  ].join('\n')
}

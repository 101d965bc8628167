/** `npm run bench`: what our evaluator costs beside its peers. See options.ts for the arguments, README's benchmark notes for the method. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { cpus } from 'node:os'
import { dirname } from 'node:path'
import { pathToFileURL } from 'node:url'
import { measureAll } from './bench.js'
import { verdictsOf } from './goals.js'
import { heapTable } from './heap.js'
import { against, append, entryOf, HISTORY, readHistory, type Entry } from './history.js'
import { rowsOf, type Row } from './ledger.js'
import { modelsTable } from './models.js'
import { ownTable } from './own.js'
import { readCommandLine, USAGE, type Options } from './options.js'
import { goalsTable, mainTable, meansTable, notesOf } from './table.js'

const processor = (): string => `${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}`

const machine = (): string => `${processor()}, Node ${process.versions.node} (V8 ${process.versions.v8})`

const write = (file: string, value: unknown): void => {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`)
}

const git = (...args: readonly string[]): string => {
  try {
    return execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return ''
  }
}

const entryNow = (o: Options, rows: readonly Row[]): Entry =>
  entryOf(
    {
      date: new Date().toISOString().slice(0, 10),
      commit: `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain', '-uno') === '' ? '' : '+'}`,
      machine: processor(),
      node: process.versions.node,
      quick: o.quick,
    },
    rows,
  )

const bench = async (o: Options): Promise<number> => {
  console.log(machine())
  const { ledger, notes, minutes } = await measureAll(o)
  const rows = rowsOf(ledger.entries, o.threads)
  // The file first: a terminal that is gone must not cost the measurement.
  if (o.json !== null) write(o.json, rows)
  console.log(`\n${mainTable(ledger, o.threads)}\n\n${notesOf(ledger, o.threads, notes)}`)
  if (rows.length > 0) console.log(`\ngeometric means of the ratios\n${meansTable(rows)}`)
  const entry = entryNow(o, rows)
  if (rows.length > 0) console.log(`\n${against(readHistory(), entry)}`)
  if (o.history && rows.length > 0) {
    append(entry)
    console.log(`added to ${HISTORY}`)
  }
  console.log(`\n${goalsTable(verdictsOf(ledger, rows, o.threads))}`)
  console.log(`\n${await heapTable()}`)
  console.log(`\n${ownTable()}`)
  console.log(`\n${await modelsTable()}`)
  console.log(`\n${minutes.toFixed(1)} minutes${o.json === null ? '' : `; written: ${o.json}`}`)
  const wrong = ledger.losses.filter((l) => l.tag === 'mismatch' || (l.peer === 'ours' && l.tag !== 'unable'))
  return wrong.length === 0 ? 0 : 1
}

const main = async (): Promise<number> => {
  const line = readCommandLine(process.argv.slice(2))
  if (line.tag === 'help') {
    console.log(USAGE)
    return 0
  }
  if (line.tag === 'wrong') {
    console.error(`${line.message}\n\n${USAGE}`)
    return 2
  }
  if (line.options.heap) {
    console.log(await heapTable())
    return 0
  }
  if (line.options.models) {
    console.log(await modelsTable())
    return 0
  }
  return bench(line.options)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) process.exitCode = await main()

/**
 * `npm test [-- pattern [name]]`: every `test/**` file named `*.test.ts`, each in a process of its own,
 * then the conformance cases. With a name: only the tests whose suite and name match it. Last line: `N passed, N failed`; exit status 1 unless everything passed.
 * Nothing is hidden: a file that dies, hangs, registers no suite or never calls `.run()` is a failure.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Counts } from './counts.js'
import { readCounts, showCounts, total } from './counts.js'
import { root, run } from './process.js'
import type { Report } from './suite.js'

const conformance = { script: 'test/conformance/run.ts', cases: 'test/conformance/cases' }

/** What came of one file: its counts, its suites and what to print. */
export type Outcome = { readonly file: string; readonly counts: Counts; readonly suites: number; readonly text: string }

/** Test files below a folder, as paths from the root, in a fixed order. */
export const discover = (from = 'test'): readonly string[] =>
  readdirSync(join(root, from), { recursive: true, encoding: 'utf8' })
    .map((path) => `${from}/${path.replaceAll('\\', '/')}`)
    .filter((path) => path.endsWith('.test.ts'))
    .toSorted()

const readReport = (path: string): Report | null => (existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : null)

/** Why a file is red although no test of it is to blame, or null. */
const blame = (report: Report | null, code: number | null, signal: string | null, name: string): string | null => {
  if (signal !== null) return `killed by ${signal} (a test that never yields?)`
  if (report === null) return 'registered nothing: it died early, or does not use test/support/suite.ts'
  if (report.suites.length === 0) return 'registered no suite'
  if (report.neverRun.length > 0) return `never calls .run(): ${report.neverRun.join(', ')}`
  if (report.declared === 0) return name === '' ? 'declares no test' : null
  if (code !== 0 && report.passed === report.declared) return `every test passed, yet it ended with status ${code}`
  return null
}

/** Runs one test file in a process of its own, which is killed after `limit` milliseconds. */
export const runFile = async (file: string, name = '', limit = 300_000): Promise<Outcome> => {
  const folder = mkdtempSync(join(tmpdir(), 'quantrace-test-'))
  const reportPath = join(folder, 'report.json')
  try {
    const env = { ...process.env, QUANTRACE_REPORT: reportPath, QUANTRACE_TEST: name }
    const ended = await run(process.execPath, ['--import', 'tsx', file], { env, limit })
    const report = readReport(reportPath)
    const why = blame(report, ended.code, ended.signal, name)
    const passed = report?.passed ?? 0
    const unfinished = (report?.declared ?? 0) - passed
    const counts = { passed, failed: Math.max(unfinished, why === null ? 0 : 1) }
    const head = `${counts.failed === 0 ? 'ok  ' : 'FAIL'} ${file}  ${showCounts(counts)}  ${ended.seconds.toFixed(1)} s`
    const text =
      counts.failed === 0
        ? report?.declared === 0
          ? ''
          : head
        : [head, ...(why === null ? [] : [`  ${why}`]), ended.output].join('\n')
    return { file, counts, suites: report?.suites.length ?? 0, text }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Runs files in `jobs` processes at a time; prints in the files' own order, whichever ends first. */
const runFiles = async (files: readonly string[], name: string, jobs: number): Promise<readonly Outcome[]> => {
  const outcomes = new Array<Outcome | undefined>(files.length).fill(undefined)
  let started = 0
  let printed = 0
  const work = async (): Promise<void> => {
    while (started < files.length) {
      const i = started++
      outcomes[i] = await runFile(files[i], name)
      for (let next = outcomes[printed]; next !== undefined; next = outcomes[++printed])
        if (next.text !== '') console.log(next.text)
    }
  }
  await Promise.all(Array.from({ length: jobs }, work))
  return outcomes.filter((outcome) => outcome !== undefined)
}

/** Every backend passes the recorded cases, with one thread and with two; those of one thread run side by side. */
const backends: readonly (readonly (readonly string[])[])[] = [
  [
    ['--backend', 'reference'],
    ['--backend', 'wasm', '--threads', '1'],
  ],
  [['--backend', 'wasm', '--threads', '2']],
]

/** Runs the conformance cases on one backend; its own last line gives the counts. */
const runCases = async (options: readonly string[]): Promise<Counts> => {
  const ended = await run(process.execPath, ['--import', 'tsx', conformance.script, ...options, conformance.cases], {})
  console.log(`\n${conformance.script} ${options.join(' ')} ${conformance.cases}\n${ended.output}`)
  const counts = readCounts(ended.output)
  if (counts === null) {
    console.log(
      `FAIL ${conformance.script}: its last line is not "N passed, N failed" (ended with ${ended.code ?? ended.signal})`,
    )
    return { passed: 0, failed: 1 }
  }
  if (ended.code !== 0 && counts.failed === 0) {
    console.log(`FAIL ${conformance.script}: reports no failure, yet ended with ${ended.code ?? ended.signal}`)
    return { ...counts, failed: 1 }
  }
  return counts
}

const runConformance = async (): Promise<Counts> => {
  if (!existsSync(join(root, conformance.script))) {
    console.log(`\nskipped: ${conformance.script} is not there yet`)
    return { passed: 0, failed: 0 }
  }
  const counts: Counts[] = []
  for (const together of backends) counts.push(...(await Promise.all(together.map(runCases))))
  return total(counts)
}

/** Runs all that matches the pattern (a regular expression over paths) and the name; true if something ran and nothing failed. */
export const runTests = async (pattern = '', name = ''): Promise<boolean> => {
  const matches = new RegExp(pattern)
  const files = discover().filter((file) => matches.test(file))
  const outcomes = await runFiles(files, name, Math.min(availableParallelism(), 4))
  const suites = outcomes.reduce((n, outcome) => n + outcome.suites, 0)
  console.log(`\n${files.length} files, ${suites} suites`)
  const lost = files.length - outcomes.length
  if (lost !== 0) console.log(`FAIL ${lost} files have no outcome`)
  const cases = name === '' && matches.test(conformance.script) ? await runConformance() : { passed: 0, failed: 0 }
  const counts = total([...outcomes.map((outcome) => outcome.counts), cases, { passed: 0, failed: lost }])
  if (counts.passed + counts.failed === 0) console.log(`Nothing matches ${String(matches)} ${name}`)
  console.log(showCounts(counts))
  return counts.failed === 0 && counts.passed > 0
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  process.exitCode = (await runTests(process.argv[2], process.argv[3])) ? 0 : 1
}

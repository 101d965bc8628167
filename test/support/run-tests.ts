/**
 * The whole test suite: `npm test`, or `npm test -- <pattern>` for the files whose path matches a regular expression.
 * Each test file runs in its own process, then the conformance cases run. The last line is `N passed, N failed`.
 */
import { existsSync, readdirSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { inOrder, root, run, secondsSince, type Outcome } from './process.js'

/** Milliseconds per test file, and for all conformance cases together. */
const fileLimit = 180_000
const conformanceLimit = 600_000

type Count = { readonly passed: number; readonly failed: number }
type Judged = Count & { readonly problem: string | undefined; readonly took: string; readonly output: string }

// eslint-disable-next-line no-control-regex
const plain = (text: string): string => text.replace(/\u001b\[[0-9;]*m/g, '')

const lastNumber = (text: string, pattern: RegExp): number | undefined => {
  const found = [...text.matchAll(pattern)].at(-1)
  return found === undefined ? undefined : Number(found[1])
}

/** Why a process must count as failed even if its totals look fine. */
const complaint = ({ code, timedOut }: Outcome, limit: number): string | undefined =>
  timedOut ? `killed after ${limit / 1000} s` : code !== 0 ? `exit code ${code ?? 'none (killed by a signal)'}` : undefined

/** Reads uvu's totals. A process that ended badly has at least one failure, one without totals exactly one. */
const judgeFile = (outcome: Outcome): Count & { readonly problem: string | undefined } => {
  const text = plain(outcome.output)
  const total = lastNumber(text, /^ {2}Total: +(\d+)$/gm)
  const passed = lastNumber(text, /^ {2}Passed: +(\d+)$/gm)
  const problem = complaint(outcome, fileLimit)
  if (total === undefined || passed === undefined) return { passed: 0, failed: 1, problem: problem ?? 'no totals were printed' }
  if (total === 0) return { passed: 0, failed: 1, problem: problem ?? 'it has no tests' }
  const failed = total - passed
  return { passed, failed: problem !== undefined && failed === 0 ? 1 : failed, problem }
}

/** Reads the `N passed, N failed` of the conformance runner's last line. */
const judgeConformance = (outcome: Outcome): Count & { readonly problem: string | undefined } => {
  const line = plain(outcome.output).trimEnd().split('\n').at(-1) ?? ''
  const found = /^(\d+) passed, (\d+) failed$/.exec(line.trim())
  const problem = complaint(outcome, conformanceLimit)
  if (found === null) return { passed: 0, failed: 1, problem: problem ?? "its last line isn't 'N passed, N failed'" }
  const [passed, failed] = [Number(found[1]), Number(found[2])]
  if (passed + failed === 0) return { passed: 0, failed: 1, problem: problem ?? 'it found no cases' }
  return { passed, failed: problem !== undefined && failed === 0 ? 1 : failed, problem }
}

const findTests = (folder: string): readonly string[] =>
  readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return path === join(root, 'test', 'bench') ? [] : findTests(path)
    return entry.name.endsWith('.test.ts') ? [relative(root, path).split(sep).join('/')] : []
  }).toSorted()

/** Output is worth reading only where something went wrong, or was skipped. */
const report = (name: string, { passed, failed, problem, took, output }: Judged): void => {
  const good = failed === 0
  console.log(`${good ? 'ok  ' : 'FAIL'} ${name}: ${passed} passed, ${failed} failed${problem === undefined ? '' : ` (${problem})`}, ${took}`)
  if (!good) console.log(output.trimEnd().replace(/^/gm, '     '))
}

const timedRun = async (args: readonly string[], limit: number, judge: (outcome: Outcome) => Count & { readonly problem: string | undefined }): Promise<Judged> => {
  const start = performance.now()
  const outcome = await run(process.execPath, ['--import', 'tsx', ...args], { limit })
  return { ...judge(outcome), took: secondsSince(start), output: outcome.output }
}

const main = async (): Promise<void> => {
  const pattern = new RegExp(process.argv[2] ?? '')
  const files = findTests(join(root, 'test')).filter((file) => pattern.test(file))
  const results: Judged[] = [
    ...await inOrder(files, 2, (file) => timedRun(['test/support/run-file.ts', file], fileLimit, judgeFile), report),
  ]
  const runner = 'test/conformance/run.ts'
  if (pattern.test(runner) && existsSync(join(root, runner))) {
    const result = await timedRun([runner, 'test/conformance/cases'], conformanceLimit, judgeConformance)
    report('conformance', result)
    results.push(result)
  }
  if (results.length === 0) {
    report('npm test', { passed: 0, failed: 1, problem: `no test file matches ${pattern}`, took: '0 s', output: '' })
  }
  const passed = results.reduce((sum, result) => sum + result.passed, 0)
  const failed = results.length === 0 ? 1 : results.reduce((sum, result) => sum + result.failed, 0)
  console.log(`\n${passed} passed, ${failed} failed`)
  process.exitCode = failed === 0 ? 0 : 1
}

await main()

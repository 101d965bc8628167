/**
 * The one wrapper around uvu that every test file uses. uvu has no time-outs, and a file that forgets `.run()` passes
 * silently; here each test has a time-out, and a suite that never ran turns the file's exit status red.
 * Knows nothing of other files: `run-tests.ts` adds up the reports that this module writes when a file's process ends.
 */
import { writeFileSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { suite as uvuSuite } from 'uvu'

/** Time that one test may take unless it says otherwise, in milliseconds. */
export const defaultTimeout = 60_000

/** What a test file leaves behind, written as JSON to the path in `QUANTRACE_REPORT` when its process ends. */
export type Report = {
  /** Names of the suites that were made. */
  readonly suites: readonly string[]
  /** Names of those whose `.run()` was never called. */
  readonly neverRun: readonly string[]
  /** Tests that were declared. */
  readonly declared: number
  /** Tests that passed. */
  readonly passed: number
}

/** A suite: call it to declare a test, and `run()` once at the end of the file. There is no `only` and no `skip`; `npm test -- FILE NAME` runs one. */
export type Suite = {
  /** Declares a test; it fails when it throws, rejects or takes longer than its time-out. */
  (name: string, body: () => void | Promise<void>, options?: { readonly timeout?: number }): void
  /** Runs once before the suite's tests. */
  readonly before: (hook: () => void | Promise<void>) => void
  /** Runs once after the suite's tests, also where one failed. */
  readonly after: (hook: () => void | Promise<void>) => void
  /** Hands the suite to uvu. */
  readonly run: () => void
}

const ledger = { made: new Map<object, string>(), ran: new Set<object>(), declared: 0, passed: 0 }

const report = (): Report => ({
  suites: [...ledger.made.values()],
  neverRun: [...ledger.made].filter(([key]) => !ledger.ran.has(key)).map(([, name]) => name),
  declared: ledger.declared,
  passed: ledger.passed,
})

process.on('exit', () => {
  const { neverRun, declared, passed } = report()
  if (neverRun.length > 0) console.error(`Never run (no call of .run()): ${neverRun.join(', ')}`)
  if (neverRun.length > 0 || passed < declared) process.exitCode = process.exitCode || 1
  const path = process.env['QUANTRACE_REPORT']
  if (path !== undefined) writeFileSync(path, JSON.stringify(report()))
})

/** Fails a test that took longer than its limit: at the limit where it waits, afterwards where it never yielded. */
const limited = async (body: () => void | Promise<void>, limit: number): Promise<void> => {
  const start = performance.now()
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`timed out after ${limit} ms`)), limit)
  })
  try {
    await Promise.race([Promise.resolve().then(body), late])
  } finally {
    clearTimeout(timer)
  }
  const took = performance.now() - start
  if (took > limit) throw new Error(`took ${Math.round(took)} ms, its limit is ${limit} ms`)
}

/** The tests that were asked for by name, a regular expression (`npm test -- FILE NAME`); without it, all. */
const asked = new RegExp(process.env['QUANTRACE_TEST'] ?? '')

/** A named suite. Its tests run in order, one after the other, once `run()` has been called. */
export const suite = (name: string): Suite => {
  const inner = uvuSuite(name)
  ledger.made.set(inner, name)
  const declare = (
    testName: string,
    body: () => void | Promise<void>,
    options: { readonly timeout?: number } = {},
  ): void => {
    if (!asked.test(`${name}: ${testName}`)) return
    ledger.declared++
    inner(testName, async () => {
      await limited(body, options.timeout ?? defaultTimeout)
      ledger.passed++
    })
  }
  return Object.assign(declare, {
    before: (hook: () => void | Promise<void>) => inner.before(() => hook()),
    after: (hook: () => void | Promise<void>) => inner.after(() => hook()),
    run: () => {
      ledger.ran.add(inner)
      inner.run()
    },
  })
}

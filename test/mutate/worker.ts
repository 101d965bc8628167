/** The process that holds a bundle: loads test files when they are asked for, and runs tests with a mutant active. */
import { pathToFileURL } from 'node:url'
import fc from 'fast-check'
import type { Collected } from './collected.js'
import { newRuntime } from './runtime.js'

/** What the worker is asked: to load files, or to run tests until one fails. `most`: how often the mutant may be reached in each test. */
export type Asked =
  | { readonly is: 'load'; readonly files: readonly string[] }
  | {
      readonly is: 'run'
      readonly tests: readonly TestName[]
      readonly mutant: number
      readonly most: readonly number[]
    }
  | { readonly is: 'measure'; readonly test: TestName }

/** A test: its file, and which of its tests. */
export type TestName = { readonly file: string; readonly index: number }

/** How often places were reached: numbers of places, and counts. */
export type Reached = readonly (readonly [id: number, times: number])[]

/** What it answers. */
export type Answered =
  | {
      readonly is: 'loaded'
      readonly tests: readonly (TestName & { readonly name: string })[]
      readonly reached: Reached
    }
  | { readonly is: 'ran'; readonly failed: number | null; readonly why: string }
  | { readonly is: 'measured'; readonly ms: number; readonly reached: Reached; readonly failed: string | null }
  | { readonly is: 'broken'; readonly why: string }

type BundleModule = {
  readonly taken: () => readonly Collected[]
  readonly files: { readonly [file: string]: () => Promise<unknown> }
}

const [, , path, mutants, active] = process.argv
const { switches, places } = newRuntime(Number(mutants))
Object.assign(globalThis, { $M: places })
// Properties draw the same numbers in every run, so that a mutant's fate does not depend on luck.
fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: 1 })
const ALWAYS = 1e9
switches.choose(Number(active), ALWAYS)

const say = (answer: Answered): void => void process.send?.(answer)
const text = (e: unknown): string => (e instanceof Error ? e.message : String(e)).slice(0, 400)

const reachedNow = (): Reached => {
  const out: (readonly [number, number])[] = []
  switches.reached.forEach((n, id) => {
    if (n > 0) out.push([id, n])
  })
  return out
}

const tests = new Map<string, readonly Collected[]>()

const load = async ({ taken, files }: BundleModule, file: string): Promise<readonly Collected[]> => {
  const known = tests.get(file)
  if (known !== undefined) return known
  taken()
  await files[file]()
  const found = taken()
  tests.set(file, found)
  return found
}

const answer = async (bundle: BundleModule, asked: Asked): Promise<Answered> => {
  if (asked.is === 'load') {
    const found = []
    for (const file of asked.files)
      found.push(...(await load(bundle, file)).map(({ name }, index) => ({ file, index, name })))
    return { is: 'loaded', tests: found, reached: reachedNow() }
  }
  if (asked.is === 'measure') {
    const test = (await load(bundle, asked.test.file))[asked.test.index]
    switches.forget()
    const start = performance.now()
    const failed = await test.run().then(
      () => null,
      (e: unknown) => text(e),
    )
    return { is: 'measured', ms: performance.now() - start, reached: reachedNow(), failed }
  }
  for (const [k, { file, index }] of asked.tests.entries()) {
    const test = (await load(bundle, file))[index]
    switches.choose(asked.mutant, asked.most[k])
    try {
      await test.run()
    } catch (e) {
      return { is: 'ran', failed: k, why: text(e) }
    } finally {
      if (Number(active) < 0) switches.choose(-1, 0)
    }
  }
  return { is: 'ran', failed: null, why: '' }
}

// What escapes a test is its failure all the same; the parent sees that the process ended.
process.on('unhandledRejection', () => process.exit(3))
console.log = () => {}

const bundle: BundleModule = await import(pathToFileURL(path).href)
say({ is: 'loaded', tests: [], reached: reachedNow() })
process.on('message', (asked: Asked) => {
  answer(bundle, asked).then(say, (e: unknown) => say({ is: 'broken', why: text(e) }))
})
process.on('disconnect', () => process.exit(0))

/** The unchanged tree: which tests there are, how long each takes, and which places each reaches. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Bundle } from './bundle.js'
import { newHand, type Hand } from './hand.js'
import type { TestName } from './worker.js'

/** A test with what it reaches. */
export type Known = TestName & {
  readonly name: string
  readonly ms: number
  /** How often it reaches each place. */
  readonly reached: ReadonlyMap<number, number>
}

/** All of it. */
export type Survey = {
  readonly tests: readonly Known[]
  /** Places that are reached while sources are evaluated: whoever changes them must begin anew. */
  readonly atLoad: ReadonlySet<number>
  /** Tests that fail in the unchanged tree: they are not asked. */
  readonly broken: readonly string[]
}

const LOADING = 120_000
/** A test that takes longer is no test for mutants. */
const LONGEST = 30_000

/** What is known of one test file. */
type OfFile = { readonly tests: readonly Known[]; readonly broken: readonly string[] }

/** Loads a file and runs each of its tests once; `renew` gives another worker where one hung or died. */
const ofFile = async (file: string, hand: Hand, renew: () => Promise<Hand>): Promise<OfFile> => {
  const loaded = await hand.ask({ is: 'load', files: [file] }, LOADING)
  if (loaded.is !== 'loaded') {
    await renew()
    return { tests: [], broken: [`${file}: ${JSON.stringify(loaded)}`] }
  }
  const [tests, broken]: readonly [Known[], string[]] = [[], []]
  let now = hand
  for (const { index, name } of loaded.tests) {
    const came = await now.ask({ is: 'measure', test: { file, index } }, LONGEST)
    if (came.is === 'measured' && came.failed === null) {
      tests.push({ file, index, name, ms: came.ms, reached: new Map(came.reached) })
      continue
    }
    broken.push(`${file}: ${name}: ${came.is === 'measured' ? came.failed : came.is}`)
    if (came.is !== 'measured') now = await renew()
  }
  return { tests, broken }
}

type Stored = Omit<OfFile, 'tests'> & {
  readonly tests: readonly (Omit<Known, 'reached'> & { readonly reached: readonly (readonly [number, number])[] })[]
}

/** What was found out before of the same file and the same sources. */
const recall = (path: string): OfFile | null => {
  if (!existsSync(path)) return null
  const { tests, broken }: Stored = JSON.parse(readFileSync(path, 'utf8'))
  return { broken, tests: tests.map((t) => ({ ...t, reached: new Map(t.reached) })) }
}
const remember = (path: string, { tests, broken }: OfFile): void => {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, JSON.stringify({ broken, tests: tests.map((t) => ({ ...t, reached: [...t.reached] })) }))
}

/** Loads every file and runs each of its tests once. `pathOf` says where what is known of a file is kept; null: nowhere. */
export const surveyed = async (
  bundle: Bundle,
  pathOf: (file: string) => string | null = () => null,
): Promise<Survey> => {
  let hand = newHand(bundle)
  const first = await hand.ready
  if (first.is !== 'loaded') throw new Error(`the sources: ${JSON.stringify(first)}`)
  const renew = async (): Promise<Hand> => {
    hand.end()
    hand = newHand(bundle)
    await hand.ready
    return hand
  }
  const all: OfFile[] = []
  for (const file of bundle.files) {
    const path = pathOf(file)
    const known = path === null ? null : recall(path)
    if (known !== null) {
      all.push(known)
      continue
    }
    const found = await ofFile(file, hand, renew)
    all.push(found)
    if (path !== null) remember(path, found)
  }
  hand.end()
  return {
    tests: all.flatMap((f) => f.tests),
    atLoad: new Set(first.reached.map(([id]) => id)),
    broken: all.flatMap((f) => f.broken),
  }
}

/** The unchanged tree: which tests there are, how long each takes, and which places each reaches. */
import type { Bundle } from './bundle.js'
import { newHand, type Came } from './hand.js'
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

const demanded = <K extends Came['is']>(came: Came, is: K, what: string): Came & { readonly is: K } => {
  if (came.is !== is) throw new Error(`${what}: ${JSON.stringify(came).slice(0, 400)}`)
  return came as Came & { readonly is: K }
}

/** Loads every file and runs each of its tests once. */
export const surveyed = async (bundle: Bundle): Promise<Survey> => {
  let hand = newHand(bundle)
  const first = demanded(await hand.ready, 'loaded', 'the sources')
  const tests: Known[] = []
  const broken: string[] = []
  for (const file of bundle.files) {
    const loaded = await hand.ask({ is: 'load', files: [file] }, LOADING)
    if (loaded.is !== 'loaded') {
      broken.push(`${file}: ${JSON.stringify(loaded)}`)
      hand.end()
      hand = newHand(bundle)
      await hand.ready
      continue
    }
    for (const { index, name } of loaded.tests) {
      const came = await hand.ask({ is: 'measure', test: { file, index } }, LONGEST)
      if (came.is === 'measured' && came.failed === null) {
        tests.push({ file, index, name, ms: came.ms, reached: new Map(came.reached) })
        continue
      }
      broken.push(`${file}: ${name}: ${came.is === 'measured' ? came.failed : came.is}`)
      if (came.is === 'measured') continue
      hand.end()
      hand = newHand(bundle)
      await hand.ready
    }
  }
  hand.end()
  return { tests, atLoad: new Set(first.reached.map(([id]) => id)), broken }
}

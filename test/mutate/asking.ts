/** Asks the tests of one mutant after the other: those that reach its place, those first that killed neighbours, then the fastest. */
import type { Bundle } from './bundle.js'
import { newHand, type Came, type Hand } from './hand.js'
import type { Known, Survey } from './survey.js'

/** What became of a mutant: the test that noticed it, or how it ended otherwise. */
export type Fate =
  | { readonly is: 'killed'; readonly by: string }
  | { readonly is: 'survived'; readonly asked: number }
  /** No test reaches its place. */
  | { readonly is: 'unreached' }

/** How long the tests of one mutant may take together, in milliseconds of the unchanged tree. */
const ALL = 20_000
/** Tests that are asked in one question, in milliseconds. */
const AT_ONCE = 400
/** So much longer than in the unchanged tree a test may take, and its place may be reached. */
const SLOWER = 8
const PATIENCE = 8_000
const MORE_OFTEN = 30
const FREE = 20_000
/** A worker that has seen so many mutants is replaced, for memory. */
const WORN = 150

/** Where asking stands. */
export type Asking = {
  readonly fateOf: (mutant: number) => Promise<Fate>
  readonly end: () => void
}

const chunks = (tests: readonly Known[]): readonly (readonly Known[])[] => {
  const out: Known[][] = []
  let ms = Infinity
  for (const t of tests) {
    if (ms + t.ms > AT_ONCE) {
      out.push([])
      ms = 0
    }
    out[out.length - 1].push(t)
    ms += t.ms
  }
  return out
}

const within = (tests: readonly Known[]): readonly Known[] => {
  let ms = 0
  return tests.filter((t) => (ms += t.ms) <= ALL)
}

const timeFor = (tests: readonly Known[]): number => PATIENCE + SLOWER * tests.reduce((ms, t) => ms + t.ms, 0)

/** Starts to ask. */
export const newAsking = (bundle: Bundle, { tests, atLoad }: Survey): Asking => {
  /** How many mutants of a file each test has killed. */
  const kills = new Map<string, Map<Known, number>>()
  let warm: Hand | null = null
  let seen = 0

  const fresh = async (active: number): Promise<readonly [Hand, Came]> => {
    const hand = newHand(bundle, active)
    return [hand, await hand.ready]
  }
  const hand = async (): Promise<Hand> => {
    if (warm !== null && seen < WORN) return warm
    warm?.end()
    ;[warm] = await fresh(-1)
    seen = 0
    return warm
  }
  const dropped = (): void => {
    warm?.end()
    warm = null
  }

  const ordered = (file: string, which: readonly Known[]): readonly Known[] => {
    const of = kills.get(file)
    return within(
      which.toSorted((a, b) => (of?.get(b) ?? 0) / (b.ms + 20) - (of?.get(a) ?? 0) / (a.ms + 20) || a.ms - b.ms),
    )
  }
  const noted = (file: string, test: Known): Fate => {
    const of = kills.get(file) ?? new Map<Known, number>()
    kills.set(file, of.set(test, (of.get(test) ?? 0) + 1))
    return { is: 'killed', by: `${test.file}: ${test.name}` }
  }
  const question = (part: readonly Known[], mutant: number) => ({
    is: 'run' as const,
    tests: part.map(({ file, index }) => ({ file, index })),
    mutant,
    most: part.map((t) => FREE + MORE_OFTEN * (t.reached.get(mutant) ?? 0)),
  })

  /** The first test of these that fails; in a warm worker it must pass again without the mutant, else that worker is spoiled. */
  const asked = async (
    h: Hand,
    part: readonly Known[],
    mutant: number,
    isWarm: boolean,
  ): Promise<Known | 'spoiled' | null> => {
    const came = await h.ask(question(part, mutant), timeFor(part))
    if (came.is === 'late' || came.is === 'died') {
      if (isWarm) dropped()
      return part[0]
    }
    if (came.is !== 'ran') return part[0]
    if (came.failed === null) return null
    const killer = part[came.failed]
    if (!isWarm) return killer
    const again = await h.ask(question([killer], -1), timeFor([killer]))
    if (again.is === 'ran' && again.failed === null) return killer
    dropped()
    return 'spoiled'
  }

  const inWarm = async (file: string, which: readonly Known[], mutant: number): Promise<Fate | 'spoiled'> => {
    seen++
    for (const part of chunks(which)) {
      const found = await asked(await hand(), part, mutant, true)
      if (found === 'spoiled') return found
      if (found !== null) return noted(file, found)
    }
    return { is: 'survived', asked: which.length }
  }

  const inFresh = async (file: string, which: readonly Known[], mutant: number): Promise<Fate> => {
    const [h, came] = await fresh(mutant)
    try {
      if (came.is !== 'loaded') return { is: 'killed', by: `the sources: ${came.is}` }
      for (const part of chunks(which)) {
        const found = await asked(h, part, mutant, false)
        if (found !== null && found !== 'spoiled') return noted(file, found)
      }
      return { is: 'survived', asked: which.length }
    } finally {
      h.end()
    }
  }

  const fateOf = async (mutant: number): Promise<Fate> => {
    const { file } = bundle.mutants[mutant]
    const reaching = tests.filter((t) => t.reached.has(mutant))
    if (!atLoad.has(mutant)) {
      if (reaching.length === 0) return { is: 'unreached' }
      const fate = await inWarm(file, ordered(file, reaching), mutant)
      return fate === 'spoiled' ? inFresh(file, ordered(file, reaching), mutant) : fate
    }
    // What is evaluated once shows wherever its file is used; and data of a file, where nothing of it runs.
    const ofFile = new Set(bundle.mutants.flatMap((m, id) => (m.file === file ? [id] : [])))
    const near = new Set(tests.filter((t) => [...t.reached.keys()].some((id) => ofFile.has(id))))
    const rest = tests.filter((t) => !near.has(t))
    return inFresh(file, [...ordered(file, [...near]), ...ordered(file, rest)], mutant)
  }
  return { fateOf, end: dropped }
}

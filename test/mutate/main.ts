/**
 * `npm run mutate -- --group ops --sample 50 --seed 1`: changes one operator, number or name at a time, and asks the tests whether they notice. All mutants
 * stand in one bundle and are chosen at run time; each is asked of the tests that reach its place. What was asked before, of the same file and the same
 * tests, is taken from `out/mutants.json`; `--anew` asks again, `--tests nn/` asks fewer test files, and `--report` asks none and counts whatever of the
 * sample was never killed as left. Prints the share that was killed, and every survivor that `equivalent.ts` does not explain.
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { root } from '../support/process.js'
import { newAsking, type Fate } from './asking.js'
import { bundled, sourceFiles, sourcesOf, testsOf, type Bundle } from './bundle.js'
import { whyEquivalent } from './equivalent.js'
import { GROUPS, type Group } from './groups.js'
import { surveyed } from './survey.js'

const { values } = parseArgs({
  options: {
    group: { type: 'string', default: '' },
    file: { type: 'string', default: '' },
    sample: { type: 'string', default: 'Infinity' },
    seed: { type: 'string', default: '1' },
    minutes: { type: 'string', default: 'Infinity' },
    tests: { type: 'string', default: '' },
    anew: { type: 'boolean', default: false },
    report: { type: 'boolean', default: false },
  },
})
const start = performance.now()
const minutes = (): number => (performance.now() - start) / 60_000
const out = join(root, 'out')
const ledgerFile = join(out, 'mutants.json')
mkdirSync(out, { recursive: true })
/** Bundles of this run alone: another one may be under way. */
const bundles = join(out, `mutate/${process.pid}`)
const stored = (): Record<string, Fate> => (existsSync(ledgerFile) ? JSON.parse(readFileSync(ledgerFile, 'utf8')) : {})
const ledger = stored()
/** Beside what another run may have written meanwhile. */
const keep = (): void => writeFileSync(ledgerFile, JSON.stringify({ ...stored(), ...ledger }, null, 1))

const sha = (...texts: readonly string[]): string => {
  const h = createHash('sha256')
  for (const t of texts) h.update(t).update('\0')
  return h.digest('hex').slice(0, 24)
}

const lineOf = ({ mutants, sources }: Bundle, id: number): string =>
  (sources.get(mutants[id].file) ?? '').split('\n')[mutants[id].line - 1].trim()

/** A sample by what is changed and not by where, so that it is the same one when other lines are added. */
const sampled = (bundle: Bundle): readonly number[] => {
  const drawn = bundle.mutants.map(({ file, from, to, nth }, id) => ({
    id,
    at: sha(values.seed, file, lineOf(bundle, id), from, to, String(nth)),
  }))
  return drawn
    .toSorted((a, b) => (a.at < b.at ? -1 : 1))
    .slice(0, Math.min(Number(values.sample), drawn.length))
    .map(({ id }) => id)
}

/** Keys of a bundle's mutants: a mutant that was killed stays so while its file is the same, one that survived while the tests are, too. */
const keysOf = ({ mutants, sources, files }: Bundle) => {
  const tests = sha(...files.map((f) => readFileSync(join(root, f), 'utf8')))
  const key = (id: number, ...more: readonly string[]): string => {
    const { file, at, from, to } = mutants[id]
    return sha(sources.get(file) ?? '', String(at), from, to, ...more)
  }
  return { killed: (id: number) => key(id), survived: (id: number) => key(id, tests) }
}

/** Where what is known of a test file is kept: until it or any source changes. */
const surveyPath = ({ mutants }: Bundle): ((file: string) => string) => {
  const corpus = readdirSync(join(root, 'test/fuzz/corpus')).join()
  const sources = sha(JSON.stringify(mutants), corpus, ...sourceFiles().map((f) => readFileSync(join(root, f), 'utf8')))
  return (file) => join(out, 'mutate/survey', `${sha(sources, readFileSync(join(root, file), 'utf8'))}.json`)
}

const report = (bundle: Bundle, id: number, fate: Fate): void => {
  if (fate.is === 'killed') return
  const { file, line, from, to } = bundle.mutants[id]
  console.log(`${fate.is.padEnd(9)} ${file}:${line}  ${from} → ${to === '' ? 'nothing' : to}   ${lineOf(bundle, id)}`)
}

/** Counts of a group. */
type Tally = { killed: number; equivalent: number; left: number; anew: number }

const ofGroup = async (g: Group): Promise<void> => {
  const sources = sourcesOf(g, values.file)
  if (sources.length === 0) return
  const files = testsOf(g).filter((f) => new RegExp(values.tests).test(f))
  const bundle = await bundled(join(bundles, `${g.name}.mjs`), sources, files)
  const { killed, survived } = keysOf(bundle)
  const known = (id: number): Fate | undefined =>
    values.anew ? undefined : (ledger[killed(id)] ?? ledger[survived(id)])
  const all = bundle.mutants
  const chosen = sampled(bundle)
  const tally: Tally = { killed: 0, equivalent: 0, left: 0, anew: 0 }
  const count = (id: number, fate: Fate): void => {
    if (fate.is === 'killed') tally.killed++
    else if (whyEquivalent(bundle.mutants[id], lineOf(bundle, id)) !== null) tally.equivalent++
    else {
      tally.left++
      report(bundle, id, fate)
    }
  }
  for (const id of chosen) {
    const fate = known(id)
    if (fate !== undefined) count(id, fate)
    else if (values.report) count(id, { is: 'survived', asked: 0 })
  }
  const open = values.report ? [] : chosen.filter((id) => known(id) === undefined)
  if (open.length > 0) {
    const survey = await surveyed(bundle, surveyPath(bundle))
    console.log(
      `${g.name}: ${survey.tests.length} tests in ${(survey.tests.reduce((ms, t) => ms + t.ms, 0) / 1000).toFixed(0)} s; ${open.length} of ${all.length} mutants to ask, of ${survey.atLoad.size} in fresh processes`,
    )
    for (const b of survey.broken) console.log(`not asked: ${b}`)
    const asking = newAsking(bundle, survey)
    for (const id of open) {
      if (minutes() > Number(values.minutes)) break
      const fate = await asking.fateOf(id)
      tally.anew++
      ledger[fate.is === 'killed' ? killed(id) : survived(id)] = fate
      count(id, fate)
      if (tally.anew % 20 === 0) keep()
    }
    keep()
    asking.end()
  }
  const asked = tally.killed + tally.left
  console.log(
    `${g.name}: ${tally.killed} of ${asked} killed (${((100 * tally.killed) / Math.max(1, asked)).toFixed(1)} %), ${tally.equivalent} equivalent, of ${all.length} mutants; ${tally.anew} asked now, ${(tally.anew / Math.max(0.01, minutes())).toFixed(0)} a minute`,
  )
}

for (const g of GROUPS.filter((group) => group.name.includes(values.group))) await ofGroup(g)
rmSync(bundles, { recursive: true, force: true })

/**
 * `npm run fuzz -- --minutes M --seed S`: random programs through every backend, pass, exporter and importer, forward and backward. What differs is
 * shrunk, printed as code and kept in `test/fuzz/corpus`, from where it is a test. Ends with a line of figures; status 1 where something was found.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import fc from 'fast-check'
import { programArb, type DrawnProgram } from '../../src/testing/index.js'
import { root } from '../support/process.js'
import { checkRoutes, type Finding } from './routes.js'
import { stored } from './corpus.js'
import { newEngines } from './engines.js'
import { integerProgramArb } from './integers.js'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    most: { type: 'string', default: '200' },
    programs: { type: 'string', default: 'Infinity' },
    corpus: { type: 'string', default: join(root, 'test/fuzz/corpus') },
  },
})
const [minutes, first, most, wanted] = [values.minutes, values.seed, values.most, values.programs].map(Number)
const start = performance.now()
const elapsed = (): number => (performance.now() - start) / 1000
const end = minutes * 60

/** Programs of one batch: fast-check shrinks within it. */
const BATCH = 250
const totals = { programs: 0, nodes: 0, found: 0 }
const seen = new Map<string, number>()
/** The program before, of which threads may have left something. */
let before = ''

const engines = await newEngines()

/** Of eight batches one is of programs on integers. */
const drawnBy = (seed: number): fc.Arbitrary<DrawnProgram> => {
  const numbers = { nonFinite: seed % 5 === 0, huge: seed % 5 === 1 }
  return seed % 8 === 7 ? integerProgramArb({ ...numbers, most: Math.min(most, 24) }) : programArb({ ...numbers, most })
}

const batch = async (seed: number): Promise<void> => {
  let last: Finding | null = null
  const property = fc.asyncProperty(drawnBy(seed), async (d) => {
    totals.programs++
    totals.nodes += d.program.graph.nodes.length
    let finding: Finding | null
    try {
      finding = await checkRoutes(d, last === null ? { ...engines, turn: totals.programs } : engines)
    } catch (e) {
      finding = { route: 'thrown', says: e instanceof Error ? (e.stack ?? e.message) : String(e) }
    }
    if (finding === null) {
      if ([2, 6].includes(totals.programs % 8)) before = JSON.stringify(stored(d.recipe))
      return true
    }
    if (last === null)
      console.log(
        `\nseed ${seed}: ${finding.route}: ${finding.says}\nbefore: ${before}\ndrawn: ${JSON.stringify(stored(d.recipe))}`,
      )
    last = finding
    return false
  })
  const details = await fc.check(property, {
    numRuns: BATCH,
    seed,
    interruptAfterTimeLimit: Math.max(1, (end - elapsed()) * 1000),
    markInterruptAsFailure: false,
  })
  if (!details.failed || details.counterexample === null || last === null) return
  totals.found++
  const finding: Finding = last
  const [program] = details.counterexample
  const kind = `${finding.route}: ${program.recipe.steps.map((s) => s.op).join(' ')}`
  seen.set(kind, (seen.get(kind) ?? 0) + 1)
  if ((seen.get(kind) ?? 0) > 1) return
  const name = createHash('sha256').update(JSON.stringify(program.recipe)).digest('hex').slice(0, 12)
  mkdirSync(values.corpus, { recursive: true })
  writeFileSync(
    join(values.corpus, `${name}.json`),
    `${JSON.stringify({ ...finding, recipe: stored(program.recipe) }, null, 1)}\n`,
  )
  console.log(`\nseed ${seed}: ${finding.route}\n${finding.says}\n${program.code}\n→ ${name}.json`)
}

for (let seed = first; elapsed() < end && totals.programs < wanted; seed++) {
  await batch(seed)
  if (seed % 4 === 0)
    console.log(
      `${totals.programs} programs, ${(totals.programs / elapsed()).toFixed(1)}/s, ${totals.found} differences, seed ${seed}`,
    )
}
engines.dispose()
for (const [kind, n] of seen) console.log(`${n} × ${kind}`)
console.log(
  `${totals.programs} programs of ${(totals.nodes / totals.programs).toFixed(1)} nodes in ${elapsed().toFixed(0)} s (${(totals.programs / elapsed()).toFixed(1)}/s), seeds from ${first}: ${totals.found} differences`,
)
process.exitCode = totals.found === 0 ? 0 : 1

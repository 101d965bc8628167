/** The runner itself: what is changed, what is not, and that a change is seen. The runs that ask the tests: `npm run mutate`. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { transformSync } from 'esbuild'
import * as assert from 'uvu/assert'
import { cacheFolder, root } from '../support/process.js'
import { suite } from '../support/suite.js'
import { newAsking } from './asking.js'
import { bundled, sourcesOf, testsOf } from './bundle.js'
import { EQUIVALENT, whyEquivalent } from './equivalent.js'
import { GROUPS } from './groups.js'
import { mutantsOf } from './mutants.js'
import { Endless, newRuntime } from './runtime.js'
import { surveyed } from './survey.js'

const test = suite('mutate')

const SOURCE = `
const f = (a: number, b: number, flag: boolean): unknown => {
  let sum = 0
  for (let i = 0; i < b; i++) sum += a
  return !flag && sum >= 2 ? Math.max(-sum, 1) : [sum].some((x) => x === a + 1)
}
export const g = { doc: 'at least 1', examples: [{ x: 1 }], f, text: f.toString(), say: (n: number): string => \`\${n + 1}\` }
`

test('operators, numbers and names are changed; texts, types, examples are not', async () => {
  const { mutants } = await mutantsOf('x.ts', SOURCE)
  assert.equal(
    mutants.map((m) => `${m.line}: ${m.from} → ${m.to}`).toSorted(),
    [
      '3: 0 → 1',
      '4: 0 → 1',
      '4: < → <=',
      '4: += → -=',
      '5: ! → ',
      '5: && → ||',
      '5: + → -',
      '5: - → ',
      '5: 1 → 2',
      '5: 1 → 2',
      '5: 2 → 3',
      '5: === → !==',
      '5: >= → >',
      '5: max → min',
      '5: some → every',
    ].toSorted(),
  )
})

test('all mutants stand in one text, and each is chosen by its number', async () => {
  const { mutants, text } = await mutantsOf('x.ts', SOURCE)
  const { switches, places } = newRuntime(mutants.length)
  const { code } = transformSync(text, { loader: 'ts', format: 'cjs' })
  const module: { exports: { g?: { f: (a: number, b: number, flag: boolean) => unknown } } } = { exports: {} }
  new Function('module', '$M', code)(module, places)
  const f = module.exports.g?.f ?? (() => null)
  const original = (a: number, b: number, flag: boolean) =>
    !flag && a * b >= 2 ? Math.max(-a * b, 1) : a * b === a + 1
  const calls = [
    [1, 1, false],
    [1, 2, false],
    [1, 2, true],
    [-3, 1, false],
    [-1, 1, true],
    [2, 1, false],
  ] as const
  const all = (): string => JSON.stringify(calls.map(([a, b, flag]) => f(a, b, flag)))
  const right = JSON.stringify(calls.map(([a, b, flag]) => original(a, b, flag)))
  assert.is(all(), right)
  assert.ok(switches.reached.every((n) => n > 0))
  const seen = mutants.filter((_, id) => {
    switches.choose(id, 1000)
    return all() !== right
  })
  switches.choose(-1, 0)
  assert.is(all(), right)
  // `some` of a list of one is `every` of it, and `-sum` is the smaller of the two anyway where it is asked for.
  assert.ok(seen.length >= mutants.length - 5, `${seen.length} of ${mutants.length}`)
})

test('a mutant that never ends is ended', () => {
  const { switches, places } = newRuntime(1)
  switches.choose(0, 500)
  assert.throws(
    () => {
      for (let i = 0; places.lessEqual(0, 0, i) || i >= 0; i++);
    },
    (e: unknown) => e instanceof Endless,
  )
})

test('an op: its mutants are asked of the tests that reach them, in one warm process', async () => {
  const [ops] = GROUPS
  // Bundles lie where they find the packages that they leave outside.
  mkdirSync(cacheFolder, { recursive: true })
  const folder = mkdtempSync(join(cacheFolder, 'mutants-'))
  try {
    const bundle = await bundled(join(folder, 'ops.mjs'), sourcesOf(ops, 'ops/softsign.ts'), [
      'test/ops/activations.test.ts',
    ])
    assert.ok(bundle.mutants.length > 0)
    const survey = await surveyed(bundle)
    assert.equal(survey.broken, [])
    const asking = newAsking(bundle, survey)
    const fates = []
    for (const id of bundle.mutants.keys()) fates.push(await asking.fateOf(id))
    asking.end()
    assert.ok(
      fates.some((f) => f.is === 'killed'),
      JSON.stringify(fates),
    )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('every group has sources and tests', () => {
  for (const g of GROUPS) assert.ok(sourcesOf(g).length > 0 && testsOf(g).length > 3, g.name)
})

test('every mutant that nobody can tell has a reason, and is still one of its file', async () => {
  for (const file of new Set(EQUIVALENT.map((e) => e.file))) {
    const source = readFileSync(join(root, file), 'utf8')
    const lines = source.split('\n').map((l) => l.trim())
    const { mutants } = await mutantsOf(file, source)
    for (const e of EQUIVALENT.filter((x) => x.file === file)) {
      assert.ok(e.why.length > 20)
      const found = mutants.some(
        (m) => whyEquivalent(m, lines[m.line - 1]) === e.why && m.from === e.from && m.to === e.to,
      )
      assert.ok(found, `${file}: ${e.line}: ${e.from} → ${e.to} ${e.nth ?? ''}`)
    }
  }
})

test.run()

/** The harness itself: each way in which a test file or the import graph can be wrong must turn red. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import * as assert from 'uvu/assert'
import { readCounts, showCounts } from './counts.js'
import { root, run, type Ended } from './process.js'
import { runFile, type Outcome } from './run-tests.js'
import { suite } from './suite.js'

const test = suite('harness')

/** Writes files into a new folder, works there, and removes it. */
const withFiles = async <T>(
  files: Readonly<Record<string, string>>,
  work: (folder: string) => Promise<T>,
): Promise<T> => {
  const folder = mkdtempSync(join(tmpdir(), 'quantrace-harness-'))
  try {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true })
      writeFileSync(join(folder, path), text)
    }
    return await work(folder)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const header = `import { suite } from '${pathToFileURL(join(root, 'test/support/suite.ts')).href}'\nconst test = suite('fixture')\n`

const outcomeOf = (body: string, limit?: number, name = ''): Promise<Outcome> =>
  withFiles({ 'package.json': '{"type":"module"}', 'x.test.ts': body }, (folder) =>
    runFile(join(folder, 'x.test.ts'), name, limit),
  )

const expectRed = async (body: string, why: RegExp, limit?: number): Promise<Outcome> => {
  const outcome = await outcomeOf(body, limit)
  assert.ok(outcome.counts.failed > 0, outcome.text)
  assert.match(outcome.text, why)
  return outcome
}

test('a file whose tests pass is green and counted', async () => {
  const { counts, suites } = await outcomeOf(`${header}test('a', () => {})\ntest('b', async () => {})\ntest.run()`)
  assert.equal([counts, suites], [{ passed: 2, failed: 0 }, 1])
})

test('a name runs what it matches, of suites and tests, and a file of which it matches nothing is not red', async () => {
  const body = `${header}test('one', () => {})\ntest('two', () => { throw new Error('no') })\ntest.run()`
  assert.equal((await outcomeOf(body, undefined, 'fixture: one')).counts, { passed: 1, failed: 0 })
  assert.equal((await outcomeOf(body, undefined, 'two|three')).counts, { passed: 0, failed: 1 })
  const nothing = await outcomeOf(body, undefined, 'three')
  assert.equal([nothing.counts, nothing.text], [{ passed: 0, failed: 0 }, ''])
})

test('a failing test is red, and the others still count', async () => {
  const { counts } = await expectRed(
    `${header}test('a', () => {})\ntest('b', () => { throw new Error('no') })\ntest.run()`,
    /no/,
  )
  assert.equal(counts, { passed: 1, failed: 1 })
})

test('a test that never ends is timed out', async () => {
  await expectRed(
    `${header}test('a', () => new Promise(() => {}), { timeout: 50 })\ntest.run()`,
    /timed out after 50 ms/,
  )
})

test('a test that blocks beyond its limit is red', async () => {
  const block = 'const end = Date.now() + 80; while (Date.now() < end);'
  await expectRed(
    `${header}test('a', () => { ${block} }, { timeout: 20 })\ntest.run()`,
    /limit is 20 ms|timed out after 20 ms/,
  )
})

test('a test that never yields is killed', async () => {
  await expectRed(`${header}test('a', () => { for (;;); })\ntest.run()`, /killed by SIGKILL/, 2000)
})

test('a file that never calls run() is red', async () => {
  await expectRed(`${header}test('a', () => {})`, /never calls \.run\(\): fixture/)
})

test('a test declared after run() is red', async () => {
  const { counts } = await expectRed(`${header}test('a', () => {})\ntest.run()\ntest('late', () => {})`, /FAIL/)
  assert.equal(counts, { passed: 1, failed: 1 })
})

test('a file without a suite is red', async () => {
  await expectRed('export {}', /registered nothing/)
})

test('a file that dies is red, before its tests and amid them', async () => {
  await expectRed(`throw new Error('early')`, /early/)
  const { counts } = await expectRed(
    `${header}test('a', () => {})\ntest('b', () => process.exit(0))\ntest('c', () => {})\ntest.run()`,
    /FAIL/,
  )
  assert.equal(counts, { passed: 1, failed: 2 })
})

test('an error outside of every test is red', async () => {
  const late = `setTimeout(() => { throw new Error('stray') }, 20)`
  await expectRed(`${header}test('a', () => { ${late} })\ntest.run()`, /stray/)
})

test('counts are read back from the line that reports them', () => {
  assert.equal(readCounts(`noise\n${showCounts({ passed: 3, failed: 1 })}\n`), { passed: 3, failed: 1 })
  assert.is(readCounts('3 passed, 1 failed\nmore'), null)
})

const layers = (files: Readonly<Record<string, string>>): Promise<Ended> =>
  withFiles(
    { 'package.json': '{"type":"module"}', 'tsconfig.json': '{"compilerOptions":{"module":"nodenext"}}', ...files },
    (folder) => run(process.execPath, ['--import', 'tsx', join(root, 'test/support/check-layers.ts'), folder]),
  )

const leaf = 'export type A = number\nexport const a: A = 1\n'

test('imports that go down are allowed', async () => {
  const { code, output } = await layers({
    'src/data/a.ts': leaf,
    'src/ops/b.ts': `import { a } from '../data/a.js'\nexport const b = a\n`,
    'src/index.ts': `export { b } from './ops/b.js'\n`,
    'examples/e.ts': `import { b } from '../src/index.js'\nconsole.log(b)\n`,
  })
  assert.is(code, 0, output)
  assert.match(output, '4 files, 3 imports: 0 forbidden, 0 cycles')
})

test('an import that goes up is named, type-only and dynamic ones too', async () => {
  const { code, output } = await layers({
    'src/ops/a.ts': leaf,
    'src/data/value.ts': `import { a } from '../ops/a.js'\nexport const v = a\n`,
    'src/data/type.ts': `import type { A } from '../ops/a.js'\nexport type T = A\n`,
    'src/data/reexport.ts': `export * from '../ops/a.js'\n`,
    'src/graph/lazy.ts': `export const l = () => import('../ops/a.js')\n`,
  })
  assert.is(code, 1)
  for (const file of ['data/value', 'data/type', 'data/reexport', 'graph/lazy']) {
    assert.match(output, `src/${file}.ts imports src/ops/a.ts`)
  }
})

test('viz, Node, foreign packages and private modules are out of reach where they should be', async () => {
  const { code, output } = await layers({
    'src/data/a.ts': leaf,
    'viz/v.ts': leaf,
    'src/nn/viz.ts': `export * from '../../viz/v.js'\n`,
    'src/nn/node.ts': `export { join } from 'node:path'\n`,
    'src/nn/foreign.ts': `export * from 'uvu'\n`,
    'src/nn/missing.ts': `export * from './nowhere.js'\n`,
    'examples/e.ts': `export * from '../src/data/a.js'\n`,
  })
  assert.is(code, 1)
  for (const why of [
    'src may not import viz',
    'also run in a browser',
    "uvu is not in package.json's dependencies",
    'no such file',
    'examples import each other',
  ]) {
    assert.match(output, why)
  }
})

test('a cycle is printed, through types too', async () => {
  const { code, output } = await layers({
    'src/data/a.ts': `import type { B } from './b.js'\nexport type A = B\n`,
    'src/data/b.ts': `import type { A } from './a.js'\nexport type B = A\n`,
  })
  assert.is(code, 1)
  assert.match(output, /cycle: src\/data\/[ab]\.ts -> src\/data\/[ab]\.ts -> src\/data\/[ab]\.ts/)
})

test.run()

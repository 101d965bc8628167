/** Every `@example` that is a whole program: it type-checks as it stands, runs, and prints what is said behind it. The entry points have one. */
import * as assert from 'uvu/assert'
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { examplesOf, linkSources, play, typecheck, writeExamples } from '../support/blocks.js'
import type { Played } from '../support/play-blocks.js'
import { root } from '../support/process.js'
import { suite } from '../support/suite.js'

/** What users begin with. */
const ENTRIES: readonly string[] = [
  'calibrate',
  'chain',
  'compile',
  'createWasm',
  'customQuantizer',
  'evaluate',
  'explainPlan',
  'exportOnnx',
  'grad',
  'importOnnx',
  'init',
  'model',
  'precompile',
  'quantize',
  'run',
  'scan',
  'specialize',
  'surrogate',
  'toC',
  'toHtml',
  'toInteger',
  'toStateDict',
  'trace',
  'train',
  'trainer',
  'withLoss',
]

const test = suite('examples in docstrings')
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'quantrace-examples-')))

const sources = ['src', 'viz'].flatMap((top) =>
  readdirSync(join(root, top), { recursive: true, encoding: 'utf8' })
    .filter((f) => f.endsWith('.ts') && !f.startsWith('generated') && !f.includes('onnx/proto'))
    .map((f) => `${top}/${f}`),
)
const examples = sources.flatMap((file) => examplesOf(file, readFileSync(join(root, file), 'utf8')))
const files = writeExamples(folder, examples)
const tsconfig = linkSources(folder)
const played = new Map<string, Played>()

test.before(async () => {
  for (const p of await play(folder, files, tsconfig)) played.set(p.file, p)
})
test.after(() => rmSync(folder, { recursive: true, force: true }))

test('examples are found, with what they print and whose they are', () => {
  const text =
    '/**\n * A.\n * @example\n * ```ts\n * log(1)\n *\n * x\n * ```\n * ```text\n * 1\n * ```\n */\nexport const a = 1\n/** B. @example b() */\nexport const b = 2\n'
  assert.equal(examplesOf('f', text), [
    { name: 'a', block: { file: 'f', line: 4, code: 'log(1)\n\nx\n', prints: '1\n' } },
  ])
})

test('every entry point has one that runs', () => {
  const names = new Set(examples.map((e) => e.name))
  assert.equal(
    ENTRIES.filter((n) => !names.has(n)),
    [],
  )
})

test('all of them type-check', async () => assert.is(await typecheck(tsconfig), ''), { timeout: 120_000 })

examples.forEach(({ name, block }, i) =>
  test(`${name} (${block.file}, line ${block.line})`, () => {
    const p = played.get(files[i])
    assert.ok(p, `${name} was not run`)
    assert.is(p?.error, null)
    if (block.prints !== null) assert.is(p?.printed, block.prints)
  }),
)

test.run()

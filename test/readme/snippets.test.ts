/** Every block of TypeScript in README.md and .github/*.md: it type-checks as it stands, runs, and prints what is said below it. */
import * as assert from 'uvu/assert'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { allBlocks, blocksOf, linkSources, nameOf, play, typecheck, writeBlocks } from '../support/blocks.js'
import type { Played } from '../support/play-blocks.js'
import { suite } from '../support/suite.js'

const test = suite('README and its pages')
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'quantrace-readme-')))
const blocks = allBlocks()
const files = writeBlocks(folder, blocks)
const tsconfig = linkSources(folder)
const played = new Map<string, Played>()

test.before(async () => {
  for (const p of await play(folder, files, tsconfig)) played.set(p.file, p)
})
test.after(() => rmSync(folder, { recursive: true, force: true }))

test('blocks are found, with what they print', () => {
  const text = 'a\n```ts\nlog(1)\n```\n\n```text\n1\n```\n```sh\nx\n```\n```ts\ny\n```\nb\n```text\n2\n```\n'
  assert.equal(blocksOf('f', text), [
    { file: 'f', line: 2, code: 'log(1)\n', prints: '1\n' },
    { file: 'f', line: 12, code: 'y\n', prints: null },
  ])
  assert.ok(blocks.length >= 14, `${blocks.length} blocks`)
})

test('all of them type-check', async () => assert.is(await typecheck(tsconfig), ''), { timeout: 120_000 })

blocks.forEach((block, i) =>
  test(`${block.file}, line ${block.line}`, () => {
    const p = played.get(files[i])
    assert.ok(p, `${nameOf(block)} was not run`)
    assert.is(p?.error, null)
    if (block.prints !== null) assert.is(p?.printed, block.prints)
    // Snippets are small; the bound is wide, for machines that are busy.
    assert.ok((p?.ms ?? 0) < 20_000, `it took ${p?.ms} ms`)
  }),
)

test.run()

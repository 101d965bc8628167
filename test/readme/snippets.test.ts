/** Every block of TypeScript in README.md and .github/*.md: it type-checks as it stands, runs, and prints what is said below it. So do the commands in `console` blocks. */
import * as assert from 'uvu/assert'
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  allBlocks,
  allCommands,
  blocksOf,
  commandsOf,
  linkSources,
  looksAs,
  nameOf,
  play,
  playCommands,
  typecheck,
  writeBlocks,
} from '../support/blocks.js'
import type { Played } from '../support/play-blocks.js'
import { suite } from '../support/suite.js'

const test = suite('README and its pages')
const folder = realpathSync(mkdtempSync(join(tmpdir(), 'quantrace-readme-')))
const blocks = allBlocks()
const files = writeBlocks(folder, blocks)
const tsconfig = linkSources(folder)
const played = new Map<string, Played>()
const commands = allCommands()
const printed: string[] = []

test.before(async () => {
  for (const p of await play(folder, files, tsconfig)) played.set(p.file, p)
  // Behind the blocks, whose files they use.
  printed.push(...(await playCommands(folder, commands, tsconfig)))
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

test('commands are found, with what they print', () => {
  const text = 'a\n```console\n$ npx quantrace run "a b" c # now\n1\n2\n$ ls\nx\n$ quantrace viz\n```\n'
  assert.equal(commandsOf('f', text), [
    { file: 'f', line: 3, args: ['run', 'a b', 'c'], prints: '1\n2\n' },
    { file: 'f', line: 8, args: ['viz'], prints: '' },
  ])
  assert.ok(looksAs('a … c (d)\n…\nz\n', 'a b c (d)\n1\n2\nz\n'))
  assert.not(looksAs('a … c\n', 'a b\nc\n'))
  assert.ok(commands.length >= 7, `${commands.length} commands`)
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

commands.forEach((c, i) =>
  test(`${c.file}, line ${c.line}: quantrace ${c.args.join(' ')}`, () => {
    if (!looksAs(c.prints, printed[i])) assert.is(printed[i], c.prints)
  }),
)

test.run()

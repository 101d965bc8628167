/** What is exported is written down: every name with its signature, and with a sentence for people. */
import * as assert from 'uvu/assert'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { apiFiles, readApi, type Entry } from '../support/api.js'
import { documents } from '../support/blocks.js'
import { root } from '../support/process.js'
import { suite } from '../support/suite.js'

const test = suite('what is exported')
let entries: readonly Entry[] = []

test.before(async () => {
  entries = await readApi()
})

const linesOf = (text: string): readonly string[] => text.split('\n').filter((line) => line !== '')

test('the declarations are found as modules export them', async () => {
  const values = Object.keys(await import('../../src/index.js'))
  const main = entries.find((e) => e.name === 'quantrace')
  const all = entries.filter((e) => e === main || main?.parts.includes(e.name))
  const names = new Set(all.flatMap((e) => e.exported.map((x) => x.name)))
  assert.equal(
    values.filter((name) => !names.has(name)),
    [],
  )
  for (const name of ['trace', 'Layer', 'orThrow', 'Int8ActPerTensorFloat', 'attr']) assert.ok(names.has(name), name)
})

test('every name has a docstring', () => {
  const silent = entries.flatMap((e) => e.exported.filter((x) => x.says === '').map((x) => `${e.name} ${x.name}`))
  assert.equal(silent, [])
})

test('test/api.txt and .github/API.md are up to date (after a change that is meant: npm run api)', () => {
  for (const [path, text] of Object.entries(apiFiles(entries))) {
    const [now, then] = [linesOf(text), linesOf(readFileSync(join(root, path), 'utf8'))]
    const added = now.filter((line) => !then.includes(line)).map((line) => `+ ${line}`)
    const gone = then.filter((line) => !now.includes(line)).map((line) => `- ${line}`)
    assert.is([...gone, ...added].join('\n'), '', `${path} is out of date: look at these lines, then npm run api`)
  }
})

test('every name stands in a document', () => {
  const text = documents.map((path) => readFileSync(join(root, path), 'utf8')).join('\n')
  const named = new Set(text.match(/\w+/g))
  const unnamed = entries.flatMap((e) => e.exported.filter((x) => !named.has(x.name)).map((x) => x.name))
  assert.equal(unnamed, [])
})

test('README explains every kind of error', () => {
  const kinds = entries
    .flatMap((e) => e.exported.filter((x) => x.name === 'QuantError' || x.name === 'QuantWarning'))
    .flatMap((x) => [...x.signature.matchAll(/tag: '(\w+)'/g)].map((m) => m[1]))
  const readme = readFileSync(join(root, 'README.md'), 'utf8')
  assert.ok(kinds.length > 10)
  assert.equal(
    kinds.filter((kind) => !readme.includes(`\`${kind}\``)),
    [],
  )
})

test('README names every package that is needed', () => {
  const { dependencies, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const readme = readFileSync(join(root, 'README.md'), 'utf8').split('## Dependencies')[1]
  const named = (name: string): boolean => readme.includes(name) || name.startsWith('@types/')
  assert.equal(
    Object.keys({ ...dependencies, ...devDependencies }).filter((name) => !named(name)),
    [],
  )
})

test.run()

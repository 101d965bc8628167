/** What a user installs: licences, where it comes from, and that nothing of it runs a script. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as assert from 'uvu/assert'
import { root } from './process.js'
import { suite } from './suite.js'

const test = suite('dependencies')

type Locked = {
  readonly version: string
  readonly license?: string
  readonly resolved?: string
  readonly integrity?: string
  readonly dev?: boolean
  readonly devOptional?: boolean
  readonly hasInstallScript?: boolean
}

const read = (file: string): { readonly [key: string]: never } => JSON.parse(readFileSync(join(root, file), 'utf8'))
const locked: { readonly [path: string]: Locked } = read('package-lock.json')['packages']
const installed = Object.entries(locked).filter(([path, p]) => path !== '' && p.dev !== true && p.devOptional !== true)
const FREE = /^\(?(?:MIT|ISC|BSD-[23]-Clause|Apache-2\.0|Unlicense|CC0-1\.0| AND | OR )+\)?$/

test('every package that a user installs has a free licence, a checksum and the registry as its source', () => {
  assert.ok(installed.length > 20)
  for (const [path, p] of installed) {
    assert.match(p.license ?? 'none', FREE, path)
    assert.match(p.integrity ?? 'none', /^sha512-/, path)
    // Without an address it is the registry's; with one it must be.
    assert.match(p.resolved ?? 'https://registry.npmjs.org/', /^https:\/\/registry\.npmjs\.org\//, path)
  }
})

test('nothing that a user installs runs a script, quantrace neither', () => {
  assert.equal(
    installed.filter(([, p]) => p.hasInstallScript === true).map(([path]) => path),
    [],
  )
  const scripts: { readonly [name: string]: string } = read('package.json')['scripts']
  assert.equal(
    Object.keys(scripts).filter((name) => /^(?:pre|post)?install$|^prepare$/.test(name)),
    [],
  )
})

test('README names each package that quantrace depends on', () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8')
  const section = readme.slice(readme.indexOf('## Dependencies'))
  for (const name of Object.keys(read('package.json')['dependencies'])) assert.ok(section.includes(name), name)
})

test.run()

/**
 * Every preset as data, said by what it has that the first preset of its use has not: as it is recorded in `presets.txt`. What a preset computes is
 * compared with Brevitas elsewhere; this says that none was changed unseen. `QUANTRACE_RENEW=1 npx tsx test/nn/presetData.test.ts` records anew.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import * as presets from '../../src/quantizers/presets.js'
import { suite } from '../support/suite.js'

const test = suite('presets as data')
const FILE = fileURLToPath(new URL('presets.txt', import.meta.url))

type Data = { readonly [field: string]: unknown }
const isPreset = (x: unknown): x is Data =>
  typeof x === 'object' && x !== null && 'use' in x && 'name' in x && 'quantType' in x

const shown = (x: unknown): string => (typeof x === 'object' && x !== null ? JSON.stringify(x) : String(x))
const FIRST: { readonly [use: string]: Data } = {
  act: q.Int8ActPerTensorFloat as unknown as Data,
  weight: q.Int8WeightPerTensorFloat as unknown as Data,
  bias: q.Int8Bias as unknown as Data,
}

const lineOf = (p: Data): string => {
  const base = FIRST[String(p.use)]
  const fields = [...new Set([...Object.keys(p), ...Object.keys(base)])].toSorted()
  const own = fields.filter((f) => f !== 'name' && (base === p || shown(p[f]) !== shown(base[f])))
  return `${String(p.name)}: ${own.map((f) => `${f}=${shown(p[f])}`).join(' ')}`
}

test('no preset was changed unseen', () => {
  const found = Object.values(presets).filter(isPreset).map(lineOf).toSorted()
  if (process.env['QUANTRACE_RENEW'] === '1') writeFileSync(FILE, `${found.join('\n')}\n`)
  const lines = readFileSync(FILE, 'utf8').trimEnd().split('\n')
  assert.ok(lines.length > 100)
  const now = new Map(found.map((l) => [l.split(':', 1)[0], l]))
  for (const line of lines) assert.is(now.get(line.split(':', 1)[0]), line)
})

test.run()

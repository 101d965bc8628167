/** Each program that once was computed differently by two ways, and a few new ones. Many more: `npm run fuzz -- --minutes 10 --seed 7`. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { programArb, programOfRecipe, type DrawnProgram } from '../../src/testing/index.js'
import { root } from '../support/process.js'
import { suite } from '../support/suite.js'
import { restored } from './corpus.js'
import { newEngines, type Engines } from './engines.js'
import { integerProgramArb } from './integers.js'
import { checkRoutes } from './routes.js'

const test = suite('fuzz')
const FOLDER = join(root, 'test/fuzz/corpus')

const agree = async (d: DrawnProgram, engines: Engines): Promise<void> => {
  const found = await checkRoutes(d, engines)
  if (found !== null) throw new Error(`${found.route}: ${found.says}\n${d.code}`)
}

const withEngines = async (body: (engines: Engines) => Promise<void>): Promise<void> => {
  const engines = await newEngines()
  try {
    await body(engines)
  } finally {
    engines.dispose()
  }
}

test('all ways to compute a program of the corpus agree', () =>
  withEngines(async (engines) => {
    const files = readdirSync(FOLDER).filter((name) => name.endsWith('.json'))
    assert.ok(files.length > 0)
    for (const name of files) {
      const { recipe } = JSON.parse(readFileSync(join(FOLDER, name), 'utf8'))
      await agree(q.orThrow(programOfRecipe(restored(recipe))), engines)
    }
  }))

test('all ways to compute a random program agree', () =>
  withEngines((engines) =>
    fc.assert(
      fc.asyncProperty(programArb({ most: 40 }), (d) => agree(d, engines)),
      { numRuns: 60, seed: 17 },
    ),
  ))

test('all ways to compute a random program on integers agree', () =>
  withEngines((engines) =>
    fc.assert(
      fc.asyncProperty(integerProgramArb({ most: 8 }), (d) => agree(d, engines)),
      { numRuns: 20, seed: 17 },
    ),
  ))

test.run()

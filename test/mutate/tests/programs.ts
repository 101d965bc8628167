/** Programs of the corpus, and drawn ones, each a test of its own: all ways to compute one agree. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import * as q from '../../../src/index.js'
import { programArb, programOfRecipe, type DrawnProgram } from '../../../src/testing/index.js'
import { restored } from '../../fuzz/corpus.js'
import { integerProgramArb } from '../../fuzz/integers.js'
import { checkRoutes } from '../../fuzz/routes.js'
import { root } from '../../support/process.js'
import { suite } from '../../support/suite.js'

const test = suite('programs')
const FOLDER = join(root, 'test/fuzz/corpus')

const agree = async (d: DrawnProgram): Promise<void> => {
  const found = await checkRoutes(d, { threads: null })
  if (found !== null) throw new Error(`${found.route}: ${found.says}`)
}

for (const name of readdirSync(FOLDER).toSorted())
  test(name, () => {
    const { recipe } = JSON.parse(readFileSync(join(FOLDER, name), 'utf8'))
    return agree(q.orThrow(programOfRecipe(restored(recipe))))
  })

const drawn = (what: string, arb: fc.Arbitrary<DrawnProgram>, most: number): void => {
  for (let seed = 1; seed <= most; seed++)
    test(`${what} ${seed}`, () => fc.assert(fc.asyncProperty(arb, agree), { numRuns: 3, seed, endOnFailure: true }))
}
drawn('drawn', programArb({ most: 12 }), 60)
drawn('on integers', integerProgramArb({ most: 6 }), 12)

test.run()

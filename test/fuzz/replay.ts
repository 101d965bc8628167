/** `npx tsx test/fuzz/replay.ts FILE …`: recipes of the corpus again, each with its code and what differs now. */
import { readFileSync } from 'node:fs'
import * as q from '../../src/index.js'
import { programOfRecipe } from '../../src/testing/index.js'
import { restored } from './corpus.js'
import { newEngines } from './engines.js'
import { checkRoutes } from './routes.js'

const engines = await newEngines()
for (const file of process.argv.slice(2)) {
  const drawn = q.orThrow(programOfRecipe(restored(JSON.parse(readFileSync(file, 'utf8')).recipe)))
  const found = await checkRoutes(drawn, engines).catch((e: unknown) => ({
    route: 'thrown',
    says: String(e),
  }))
  console.log(`${file}\n${drawn.code}\n${found === null ? 'all agree' : `${found.route}: ${found.says}`}\n`)
}
engines.dispose()

/** `npx tsx test/fuzz/replay.ts FILE …`: recipes of the corpus again, each with its code and what differs now. */
import { readFileSync } from 'node:fs'
import * as q from '../../src/index.js'
import { programOfRecipe } from '../../src/testing/index.js'
import { restored } from './corpus.js'
import { checkRoutes } from './routes.js'

const threads = q.orThrow(await q.createWasm({ threads: 2, splitAbove: 64 }))
for (const file of process.argv.slice(2)) {
  const drawn = q.orThrow(programOfRecipe(restored(JSON.parse(readFileSync(file, 'utf8')).recipe)))
  const found = await checkRoutes(drawn, { threads }).catch((e: unknown) => ({
    route: 'thrown',
    says: String(e),
  }))
  console.log(`${file}\n${drawn.code}\n${found === null ? 'all agree' : `${found.route}: ${found.says}`}\n`)
}
threads.dispose()

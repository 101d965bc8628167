/**
 * `npm run tutorial`: Brevitas' tutorial on quantized activations, cell by cell; exit status 1 if a number deviates.
 * With `-- --pages out/tutorial` also a page for each of its ideas.
 */
import { parseArgs } from 'node:util'
import { transcript } from './cells.js'
import { writePages } from './index.js'

try {
  const { values } = parseArgs({ options: { pages: { type: 'string' } } })
  for (const { cell, about, printed } of transcript()) console.log([`[${cell}] ${about}`, ...printed].join('\n') + '\n')
  console.log('Every number, scale and error agrees with the tutorial.')
  if (values.pages !== undefined) for (const path of writePages(values.pages)) console.log(path)
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
}

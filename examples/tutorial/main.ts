/**
 * `npm run tutorial`: Brevitas' tutorial on quantized activations, cell by cell; exit status 1 if a number deviates.
 * With `-- --pages out/tutorial` also a page for each of its ideas. Exit status 2: an option that it doesn't have.
 */
import { parseArgs } from 'node:util'
import { orThrow } from '../../src/index.js'
import { transcript } from './cells.js'
import { writePages } from './index.js'

const USAGE = 'usage: npm run tutorial -- [--pages DIR]'

const readOptions = (): { readonly pages?: string | undefined; readonly help?: boolean | undefined } => {
  try {
    return parseArgs({ options: { pages: { type: 'string' }, help: { type: 'boolean' } } }).values
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`)
    return process.exit(2)
  }
}

const { pages, help } = readOptions()
if (help === true) {
  console.log(USAGE)
  process.exit(0)
}
try {
  for (const { cell, about, printed } of transcript()) console.log([`[${cell}] ${about}`, ...printed].join('\n') + '\n')
  console.log('Every number, scale and error agrees with the tutorial.')
  if (pages !== undefined) for (const path of orThrow(writePages(pages))) console.log(path)
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
}

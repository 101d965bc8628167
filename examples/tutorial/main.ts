/** `npm run tutorial`: Brevitas' tutorial on quantized activations, cell by cell; exit status 1 if a number deviates. */
import { transcript } from './cells.js'

try {
  for (const { cell, about, printed } of transcript()) console.log([`[${cell}] ${about}`, ...printed].join('\n') + '\n')
  console.log('Every number, scale and error agrees with the tutorial.')
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
}

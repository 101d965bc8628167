/** `npm run faults -- --kills 100`: kills a training at random moments, and compares its end, bit for bit. Status 1 where it differs. */
import { parseArgs } from 'node:util'
import { killing } from './kill.js'

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '100' },
    steps: { type: 'string', default: '30000' },
    seed: { type: 'string', default: '1' },
  },
})
const found = await killing(Number(values.kills), Number(values.steps), Number(values.seed), 1500)
console.log(`${found.kills} kills; it started at steps ${found.starts.join(', ')}`)
console.log(
  found.digest === found.expected
    ? 'the end is that of a training that was never stopped, bit for bit'
    : `FAIL it ended with ${found.digest}, not ${found.expected}`,
)
process.exitCode = found.digest === found.expected ? 0 : 1

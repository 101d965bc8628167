/** `npm run faults -- --kills 100`: kills a training at random moments, and compares its end, bit for bit. Status 1 where it differs. */
import { parseArgs } from 'node:util'
import { killing } from './kill.js'

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
  },
})
const start = performance.now()
const found = await killing(Number(values.kills), Number(values.seed))
console.log(
  `${found.kills} kills in ${((performance.now() - start) / 1000).toFixed(0)} s; it started at steps ${found.starts.join(', ')}`,
)
console.log(
  found.digest === found.expected
    ? 'the end is that of a training that was never stopped, bit for bit'
    : `FAIL it ended with ${found.digest}, not ${found.expected}`,
)
const lost = found.starts.filter((step, k) => step < (found.starts[k - 1] ?? 0))
if (lost.length > 0) console.log(`FAIL it went back to steps ${lost.join(', ')}: a checkpoint was lost`)
process.exitCode = found.digest === found.expected && lost.length === 0 ? 0 : 1

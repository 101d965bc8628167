/** `npm run load -- --steps 50000`: steps in constant memory, programs made and released, programs side by side, cost by size. Status 1 where one fails. */
import { parseArgs } from 'node:util'
import { concurrent, linear, programs, steps, type Loaded } from './checks.js'

const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: '50000' },
    programs: { type: 'string', default: '1000' },
    nodes: { type: 'string', default: '10000' },
  },
})
if (globalThis.gc === undefined) console.log('without --expose-gc memory is measured as the collector leaves it')
const say = ({ figures, fault }: Loaded): void => {
  console.log(figures)
  if (fault === null) return
  console.log(`FAIL ${fault}`)
  process.exitCode = 1
}
say(linear(Number(values.nodes)))
say(await steps(Number(values.steps)))
say(await programs(Number(values.programs)))
say(await concurrent(200))

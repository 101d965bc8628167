/** `npm run hostile -- --each 10000 --seed 1 --kind ONNX`: hostile files and names, each kind so many times. Status 1 where something gave way. */
import { parseArgs } from 'node:util'
import { attack } from './attack.js'
import { KINDS } from './kinds.js'

const { values } = parseArgs({
  options: {
    each: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    kind: { type: 'string', default: '' },
  },
})
let faults = 0
for (const kind of KINDS.filter((k) => k.name.includes(values.kind))) {
  const start = performance.now()
  const found = attack(kind, Number(values.each), Number(values.seed))
  faults += found.faults.length
  console.log(
    `${found.kind}: ${found.inputs} inputs in ${((performance.now() - start) / 1000).toFixed(0)} s, ${found.refused} refused, slowest ${found.slowestMs.toFixed(0)} ms, memory +${found.rssMiB.toFixed(0)} MiB, ${found.faults.length} faults`,
  )
  for (const f of found.faults.slice(0, 5)) console.log(`  ${f}`)
}
process.exitCode = faults === 0 ? 0 : 1

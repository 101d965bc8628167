/**
 * `npm run bench:step -- [--net digits|depthwise|mlp] [--batches 32,128] [--fma] [--rows 20]`: where the time of a training step of a network of
 * `int8Nets.ts` goes (forward, backward and statistics, one thread): by what is done, and by kernel, beside the machine's limits. Least of many
 * rounds of each stage.
 */
import { parseArgs } from 'node:util'
import * as q from '../../src/index.js'
import { batchOf, int8Nets, settled, trainingOf, type Int8Net } from './int8Nets.js'

/** What a stage is for. The first word that its label, or its kernel's, begins with decides. */
const PURPOSES: readonly (readonly [what: string, begins: RegExp])[] = [
  ['operands into order: planes, words, panels', /^(place|planes|pack|copy|turn|transform weight|input to|weight to)/],
  ['guards and sums of parts', /^(look for|sum|transform sums|join)/],
  ['products, with the loops behind them', /^(product|winograd|dots)/],
  ['pools', /^(maxPool|avgPool)/],
  ['statistics', /^(chunks|maxAll|kth)/],
  ['element-wise loops', /^loop/],
]

const purposeOf = (label: string): string => PURPOSES.find(([, begins]) => begins.test(label))?.[0] ?? 'the rest'

/** The step's program, and what it is run on once every quantizer has its scale. */
const stepOf = (net: Int8Net, n: number) => {
  const x = batchOf(net, n)
  const { params, state } = settled(net, x)
  const { program, target } = trainingOf(net, x)
  return { program, args: { params, state, inputs: { x, target } } as never }
}

const shares = (p: q.Profile): string => {
  const sums = new Map<string, number>()
  for (const row of p.rows)
    for (const s of row.stages.length === 0 ? [{ label: row.kernel, ms: row.ms }] : row.stages)
      sums.set(purposeOf(s.label), (sums.get(purposeOf(s.label)) ?? 0) + s.ms)
  const total = [...sums.values()].reduce((a, b) => a + b, 0)
  return [...sums]
    .sort((a, b) => b[1] - a[1])
    .map(
      ([what, ms]) =>
        `${(1000 * ms).toFixed(0).padStart(9)}  ${((100 * ms) / total).toFixed(1).padStart(5)} %  ${what}`,
    )
    .join('\n')
}

const { values } = parseArgs({
  options: {
    net: { type: 'string', default: 'digits' },
    batches: { type: 'string', default: '32,128' },
    fma: { type: 'boolean', default: false },
    rows: { type: 'string', default: '20' },
  },
})
const net = int8Nets().find(({ name }) => name === values.net)
if (net === undefined)
  throw new Error(
    `no net ${values.net}; there are ${int8Nets()
      .map(({ name }) => name)
      .join(', ')}`,
  )
for (const n of values.batches.split(',').map(Number)) {
  const backend = q.orThrow(await q.createWasm({ threads: 1, fma: values.fma }))
  const { program, args } = stepOf(net, n)
  const p = q.orThrow(q.profile(program, args, { rounds: 40, warmUpMs: 1500 }, backend))
  console.log(`${net.name}, batch ${n}, Node ${process.versions.node}${backend.features.rungs.fma ? ', fma' : ''}`)
  console.log(shares(p))
  console.log(q.showProfile(p, Number(values.rows)))
  backend.dispose()
}

/** The built-in statistics are what their names say, of numbers of any size and sign: compared with plain sums and sorts. */
import * as assert from 'uvu/assert'
import fc from 'fast-check'
import * as q from '../../src/index.js'
import { STATISTICS } from '../../src/quantizers/builtIns.js'
import { suite } from '../support/suite.js'

const test = suite('statistics')

type Row = readonly number[]
type Percentages = { readonly highPercentileQ: number; readonly lowPercentileQ: number }

const sorted = (r: Row): Row => r.toSorted((a, b) => a - b)
const size = (r: Row): Row => r.map(Math.abs)
const most = (r: Row): number => sorted(r)[r.length - 1]
const least = (r: Row): number => Math.min(0, sorted(r)[0])
const mean = (r: Row): number => r.reduce((a, b) => a + b, 0) / r.length
/** torch.kthvalue with Brevitas' ranks: of the high percentage floor(p/100 * n + 0.5), of the low one the next above. */
const high = (r: Row, p: number): number => sorted(r)[Math.floor(0.01 * p * r.length + 0.5) - 1]
const low = (r: Row, p: number): number => Math.min(0, sorted(r)[Math.ceil(0.01 * p * r.length) - 1])

/** Of each row; those that look over channels, of all rows. */
const NAIVE: { readonly [name: string]: (rows: readonly Row[], p: Percentages) => Row } = {
  MAX: (rows) => rows.map((r) => most(size(r))),
  MIN_MAX: (rows) => rows.map((r) => Math.abs(most(r) - least(r))),
  ZERO_MIN_MAX: (rows) => rows.map((r) => Math.max(0, most(r)) - least(r)),
  AVE: (rows) => rows.map((r) => mean(size(r))),
  MAX_AVE: (rows) => [mean(rows.map((r) => most(size(r))))],
  MAX_L2: (rows) => [Math.sqrt(mean(rows.map((r) => most(size(r)) ** 2)))],
  PERCENTILE: (rows, p) => rows.map((r) => high(size(r), p.highPercentileQ)),
  PERCENTILE_INTERVAL: (rows, p) => rows.map((r) => Math.abs(high(r, p.highPercentileQ) - low(r, p.lowPercentileQ))),
}

const of = (name: keyof typeof STATISTICS, rows: readonly Row[], p: Percentages): Row => {
  const net = q.functionLayer('statistic', (x: q.Value) => STATISTICS[name].of(x, p as never))
  const x = q.tensorOf([rows.length, rows[0].length], rows.flat())
  const program = q.orThrow(q.trace(net, q.tensorInput(x.shape), { mode: 'eval' }))
  const { outputs } = q.orThrow(q.run(program, { params: {}, state: {}, inputs: x } as never))
  return [...q.valueOf(outputs as q.Output).data]
}

/** Eighths; all of one sign, or both, beyond 1 or below. */
const rowsArb = fc
  .tuple(
    fc.integer({ min: 1, max: 4 }),
    fc.integer({ min: 1, max: 9 }),
    fc.constantFrom(-40, -3, 0, 1),
    fc.constantFrom(-1, 2, 5, 50),
  )
  .chain(([n, length, min, max]) =>
    fc.array(
      fc.array(
        fc.integer({ min: Math.min(min, max), max: Math.max(min, max) }).map((v) => v / 8),
        {
          minLength: length,
          maxLength: length,
        },
      ),
      { minLength: n, maxLength: n },
    ),
  )
const percentagesArb = fc.constantFrom(
  { highPercentileQ: 99.999, lowPercentileQ: 0.001 },
  { highPercentileQ: 90, lowPercentileQ: 10 },
  { highPercentileQ: 70, lowPercentileQ: 40 },
)

for (const name of Object.keys(STATISTICS) as (keyof typeof STATISTICS)[])
  test(`${name}: as computed by hand`, () => {
    const naive = NAIVE[name]
    assert.ok(naive !== undefined, `${name} is not known here: say what it is`)
    fc.assert(
      fc.property(rowsArb, percentagesArb, (rows, p) => {
        const [ours, theirs] = [of(name, rows, p), naive(rows, p)]
        assert.is(ours.length, theirs.length)
        theirs.forEach((v, i) => assert.ok(Math.abs(v - ours[i]) <= 1e-6 * (1 + Math.abs(v)), `${ours} for ${theirs}`))
      }),
      { numRuns: 40, seed: 3, includeErrorInReport: true },
    )
  })

test.run()

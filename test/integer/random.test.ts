/** Random networks: their integers are those of the float program. `INTEGER_NETS=2000` asks for as many (npm test: a few), `INTEGER_FROM` says where to begin. */
import * as assert from 'uvu/assert'
import { explainAll, orThrow } from '../../src/index.js'
import { isLeft } from 'fp-ts/lib/Either.js'
import {
  compareInteger,
  quantizeInputs,
  runInteger,
  toC,
  toInteger,
  type LayerComparison,
} from '../../src/integer/index.js'
import { suite } from '../support/suite.js'
import { hasCompiler, runC, type Call } from './cc.js'
import { randomNet } from './random.js'

const test = suite('integer: random networks')
const COUNT = Number(process.env['INTEGER_NETS'] ?? 12)
const FROM = Number(process.env['INTEGER_FROM'] ?? 1000)
const IN_C = Math.min(COUNT, 40)

/** Share of integers that may differ where each layer is given the same ones: float32 sums are off by their last bits, and near a tie that shows. */
const SELDOM = 0.001
/** The same from end to end, where a finer grid sees a step of the layer before as several. */
const IN_ALL = 0.01

/** How many integers were compared, and how many of them differ: each layer by itself, and from end to end. */
type Tally = { elements: number; own: number; inAll: number; most: number }
const differ = (all: readonly LayerComparison[]): number => all.reduce((n, c) => n + c.elements - c.equal, 0)

const FORMS = ['auto', 'multiplier', 'thresholds'] as const

/** The laws of one network in one form; what differs is added up. */
const holds = (seed: number, requantization: (typeof FORMS)[number], t: Tally): void => {
  const { program, fixed, x, says, exact } = randomNet(seed)
  const made = toInteger(program, fixed, { requantization })
  if (isLeft(made)) throw new Error(`${says}\n${explainAll(made.left)}`)
  const given = (what: 'data' | 'layers' | 'sums') =>
    orThrow(compareInteger(made.right, program, fixed, [x], { given: what }))
  const all = given('data')
  if (exact) assert.is(differ(all), 0, `${says}: scales are powers of two`)
  const layers = given('layers')
  for (const c of layers)
    assert.is(c.further, 0, `${says}: ${c.path}, given the same integers, is ${c.most} steps apart`)
  if (requantization === 'thresholds')
    for (const c of given('sums')) assert.is(c.equal, c.elements, `${says}: ${c.path}, given the same sums`)
  for (const { path, accumulator: a } of made.right.accumulators)
    assert.ok(-(2 ** (a.bits - 1)) <= a.lo && a.hi < 2 ** (a.bits - 1), `${says}: ${path}`)
  t.elements += all.reduce((n, c) => n + c.elements, 0)
  t.own += differ(layers)
  t.inAll += differ(all)
  t.most = Math.max(t.most, ...all.map((c) => c.most))
}

for (const form of FORMS)
  test(
    `${COUNT} networks from seed ${FROM} on, ${form}: equal where scales are powers of two; a layer given the same integers at most one step apart${form === 'thresholds' ? ', and equal given the same sums' : ', seldom'}`,
    () => {
      const t: Tally = { elements: 0, own: 0, inAll: 0, most: 0 }
      for (let seed = FROM; seed < FROM + COUNT; seed++) holds(seed, form, t)
      const says = `${t.own} of ${t.elements} integers a step apart, from end to end ${t.inAll}, by up to ${t.most}`
      if (COUNT > 100) console.log(`${form}: ${says}`)
      if (form === 'multiplier') return
      assert.ok(t.own <= SELDOM * t.elements && t.inAll <= IN_ALL * t.elements, says)
    },
    { timeout: 30_000 * Math.max(4, COUNT) },
  )

test(
  `${IN_C} of them in C${hasCompiler ? '' : ' (skipped: no C compiler here)'}`,
  () => {
    if (!hasCompiler) return
    const calls: Call[] = []
    const expected: number[][] = []
    for (let seed = FROM; seed < FROM + IN_C; seed++) {
      const { program, fixed, x } = randomNet(seed)
      const integer = orThrow(toInteger(program, fixed))
      const given = orThrow(quantizeInputs(integer, x))
      calls.push({
        c: orThrow(toC(integer, { name: `r${seed}` })),
        inputs: integer.inputs.map((i) => given[i.name].data),
      })
      expected.push([...orThrow(runInteger(integer, given))[''].data])
    }
    runC(calls).forEach((printed, k) => assert.equal(printed, expected[k], `seed ${FROM + k}`))
  },
  { timeout: 300_000 },
)

test.run()

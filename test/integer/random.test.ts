/** Random networks: their integers are those of the float program. `INTEGER_NETS=2000` asks for as many (npm test: a few), `INTEGER_FROM` says where to begin. */
import * as assert from 'uvu/assert'
import { explainAll, orThrow } from '../../src/index.js'
import { isLeft } from 'fp-ts/lib/Either.js'
import { compareInteger, quantizeInputs, runInteger, toC, toInteger } from '../../src/integer/index.js'
import { suite } from '../support/suite.js'
import { hasCompiler, runC, type Call } from './cc.js'
import { randomNet } from './random.js'

const test = suite('integer: random networks')
const COUNT = Number(process.env['INTEGER_NETS'] ?? 12)
const FROM = Number(process.env['INTEGER_FROM'] ?? 1000)
const IN_C = Math.min(COUNT, 40)

/** Share of elements that may be one step apart: float32 sums are off by their last bits, and near a tie that shows. */
const ONE_APART = 0.02
/** Share of elements that may be further apart. */
const FURTHER = 0.0001

test(
  `${COUNT} networks from seed ${FROM} on: equal where scales are powers of two, else a layer behind equal ones is at most one step apart, seldom`,
  () => {
    let [elements, apart, further] = [0, 0, 0]
    for (let seed = FROM; seed < FROM + COUNT; seed++) {
      const { program, fixed, x, says, exact } = randomNet(seed)
      const made = toInteger(program, fixed)
      if (isLeft(made)) throw new Error(`${says}\n${explainAll(made.left)}`)
      let same = true
      for (const c of orThrow(compareInteger(made.right, program, fixed, [x]))) {
        // Behind a layer that is a step off, a finer grid sees that step as several.
        if (same) assert.is(c.further, 0, `${says}: ${c.path} is ${c.most} steps apart`)
        same &&= c.equal === c.elements
        if (exact) assert.ok(same, `${says}: ${c.path}`)
        elements += c.elements
        apart += c.elements - c.equal
        further += c.further
      }
      for (const { path, accumulator: a } of made.right.accumulators)
        assert.ok(-(2 ** (a.bits - 1)) <= a.lo && a.hi < 2 ** (a.bits - 1), `${says}: ${path}`)
    }
    assert.ok(apart <= ONE_APART * elements, `${apart} of ${elements}`)
    assert.ok(further <= FURTHER * elements, `${further} of ${elements} further than a step`)
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

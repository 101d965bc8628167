/** The networks made with the real Brevitas: our integers, and those of the C that is written, against Brevitas' own. */
import * as assert from 'uvu/assert'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { orThrow } from '../../src/index.js'
import { quantizeInputs } from '../../src/integer/index.js'
import { decode, isRng, readCase, type Case } from '../conformance/format.js'
import { finalOf } from '../conformance/final.js'
import { integerOfCase, nameFor, type Written } from '../conformance/integer.js'
import { suite } from '../support/suite.js'
import { foreignTo, hasCompiler, runC } from './cc.js'

const test = suite('integer: networks of Brevitas')
const folder = fileURLToPath(new URL('../conformance/cases/integer/', import.meta.url))

type Net = { readonly name: string; readonly c: Case; readonly made: Written }
const nets: Net[] = []

test.before(() => {
  for (const file of readdirSync(folder)) {
    const c = readCase(folder + file)
    if (!isRng(c)) nets.push({ name: file, c, made: orThrow(integerOfCase(c, nameFor(file))) })
  }
})

test('every network has an integer program, with the integers of Brevitas', () => {
  assert.is(nets.length, 25)
  for (const { name, c, made } of nets) {
    const expected = c.steps[c.steps.length - 1].expect?.y?.int
    if (expected === undefined) throw new Error(`${name} has no integers`)
    const apart = [...decode(expected).data].map((v, i) => Math.abs(v - made.y[i]))
    assert.is(apart.length, made.y.length, name)
    assert.ok(
      Math.max(...apart) <= (name.includes('fixed-point') ? 0 : 1),
      `${name} is ${Math.max(...apart)} steps off`,
    )
    assert.ok(apart.filter((d) => d > 0).length <= Math.max(1, 0.02 * apart.length), name)
  }
})

test('accumulators fit the widths that were proved', () => {
  for (const { name, made } of nets)
    for (const { path, accumulator: a } of made.integer.accumulators)
      assert.ok(-(2 ** (a.bits - 1)) <= a.lo && a.lo <= a.hi && a.hi < 2 ** (a.bits - 1), `${name} ${path}`)
})

test('no form is more than a step from the float rule, and few integers are', () => {
  for (const { name, made } of nets)
    for (const r of made.integer.requantizations) {
      assert.ok(r.most <= 1, `${name} ${r.path}`)
      assert.ok(r.apart <= 1e-3 * r.of, `${name} ${r.path}: ${r.apart} of ${r.of}`)
      if (name.includes('fixed-point')) assert.is(r.apart, 0)
    }
})

test(
  `in C: no floats, no allocation, and the same integers${hasCompiler ? '' : ' (skipped: no C compiler here)'}`,
  () => {
    for (const { made } of nets) assert.is(foreignTo(made.c), null)
    if (!hasCompiler) return
    const calls = nets.map(({ c, made }) => {
      const given = orThrow(quantizeInputs(made.integer, orThrow(finalOf(c)).inputs))
      return { c: made.c, inputs: made.integer.inputs.map((i) => given[i.name].data) }
    })
    const printed = runC(calls)
    nets.forEach(({ name, made }, k) => assert.equal(printed[k], made.y, name))
  },
  { timeout: 120_000 },
)

test.run()

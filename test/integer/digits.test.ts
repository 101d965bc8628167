/** The network of `npm start` in C: on digits, the same integers as our evaluator's. `INTEGER_DIGITS=2000` asks for as many (npm test: a few). */
import * as assert from 'uvu/assert'
import { finishCollection, init, orThrow, run, tensorInput, trace } from '../../src/index.js'
import { compareInteger, quantizeInputs, runInteger, toC, toInteger } from '../../src/integer/index.js'
import { loadDigits } from '../../examples/digits/data.js'
import { quantNet } from '../../examples/digits/network.js'
import { suite } from '../support/suite.js'
import { foreignTo, hasCompiler, runC } from './cc.js'

const test = suite('integer: digits')
const COUNT = Number(process.env['INTEGER_DIGITS'] ?? 6)

test(
  `${COUNT} digits at 4 bits: C, our integers and the float program${hasCompiler ? '' : ' (C skipped: no compiler here)'}`,
  () => {
    const digits = loadDigits(64, Math.max(64, COUNT))
    const net = quantNet(4)
    const { params, state: first } = orThrow(init(net, 0))
    const x = { shape: [16, 1, 28, 28], data: digits.train.images.data.slice(0, 16 * 784) }
    const steps = orThrow(trace(net, tensorInput(x.shape), { mode: 'train' }))
    const state = orThrow(finishCollection(net)(orThrow(run(steps, { params, state: first, inputs: x })).state))
    const program = orThrow(trace(net, tensorInput([1, 1, 28, 28]), { mode: 'eval' }))
    const integer = orThrow(toInteger(program, { params, state }))
    const c = orThrow(toC(integer, { name: 'digits' }))
    assert.is(foreignTo(c), null)
    const images = Array.from({ length: COUNT }, (_, i) => ({
      shape: [1, 1, 28, 28],
      data: digits.test.images.data.slice(784 * i, 784 * (i + 1)),
    }))
    for (const layer of orThrow(compareInteger(integer, program, { params, state }, images.slice(0, 4)))) {
      assert.is(layer.further, 0)
      assert.ok(layer.oneApart < 0.01, layer.path)
    }
    if (!hasCompiler) return
    const given = images.map((image) => orThrow(quantizeInputs(integer, image)))
    const printed = runC(given.map((g) => ({ c, inputs: integer.inputs.map((i) => g[i.name].data) })))
    given.forEach((g, k) => assert.equal(printed[k], [...orThrow(runInteger(integer, g))[''].data], `digit ${k}`))
  },
  { timeout: 600_000 },
)

test.run()

/** Errors per layer: none where nothing is quantized, less after each step, and a table that says so. */
import * as assert from 'uvu/assert'
import { chain, Conv2d, Flatten, init, Linear, orThrow, ReLU, tensorInput, type Tensor } from '../../src/index.js'
import { calibrate, layerErrors, quantize, roundWeights, schemes, showSteps } from '../../src/quantize/index.js'
import { suite } from '../support/suite.js'

const test = suite('quantize: errors')

const net = chain({
  conv: Conv2d({ inChannels: 1, outChannels: 4, kernelSize: 3, padding: 1 }),
  relu: ReLU(),
  flat: Flatten(),
  fc: Linear({ inFeatures: 64, outFeatures: 5 }),
})
const inputs = tensorInput([8, 1, 4, 4])
const trained = orThrow(init(net, 1))
const samples: Tensor = { shape: [32, 1, 4, 4], data: Float32Array.from({ length: 512 }, (_, i) => Math.sin(i * 1.9)) }

test('a layer in floats has no error; rounding by results gains in each layer', () => {
  const q = orThrow(calibrate(orThrow(quantize(net, inputs, trained, schemes.w3a8)), samples))
  const before = orThrow(layerErrors(q, q.float, samples, { batchSize: 10 }))
  assert.equal(
    before.map((e) => e.path),
    ['conv', 'fc', ''],
  )
  assert.ok(before.every((e) => e.error > 0 && e.error < 0.2))
  const same = orThrow(layerErrors({ ...q, ...q.float }, q.float, samples))
  assert.ok(same.every((e) => e.error === 0))
  const after = orThrow(layerErrors(orThrow(roundWeights(q, q.float, samples)), q.float, samples))
  after.forEach((e, i) => assert.ok(e.error < before[i].error, e.path))
  const table = showSteps([
    { step: 'calibrated', errors: before },
    { step: 'rounded', errors: after },
  ])
  assert.equal(
    table.split('\n').map((l) => l.split(/\s+/)[0]),
    ['dB', 'conv', 'fc', 'results'],
  )
  assert.match(showSteps([{ step: 'float', errors: same }]), '∞')
})

test('what is no list of steps is refused', () => {
  assert.throws(
    () => showSteps('calibrated' as never),
    (e: Error) => e.message.includes('a list of steps'),
  )
  assert.throws(
    () => showSteps([{ errors: [] }] as never),
    (e: Error) => e.message.includes('a list of steps'),
  )
})

test.run()

/** Options of quantizers at the edge of what they may be: the last that is accepted, and the first that is not. */
import * as assert from 'uvu/assert'
import * as E from 'fp-ts/lib/Either.js'
import * as q from '../../src/index.js'
import { rangeThreshold } from '../../src/quantizers/activationScale.js'
import { integerThreshold } from '../../src/quantizers/scaling.js'
import { suite } from '../support/suite.js'

const test = suite('options at the edge')
type Options = { readonly [option: string]: unknown }

/** What is said of an activation, or of a layer with weights, with such options; null: nothing. */
const said = (options: Options, of: 'act' | 'linear' = 'act'): string | null => {
  const layer = of === 'act' ? q.QuantIdentity(options) : q.QuantLinear({ inFeatures: 8, outFeatures: 3, ...options })
  const made = q.trace(layer as q.Layer<unknown, unknown, q.Value, q.Value>, q.tensorInput([2, 8]), { mode: 'train' })
  return E.isLeft(made) ? q.explainAll(made.left) : null
}

test('steps of collection and of delay are counts', () => {
  for (const collectStatsSteps of [1, 30, 1000]) assert.is(said({ collectStatsSteps }), null)
  for (const collectStatsSteps of [0, -1, 1.5, 2 ** 53])
    assert.match(said({ collectStatsSteps }) ?? '', /collectStatsSteps/, `${collectStatsSteps}`)
  for (const quantDelaySteps of [0, 1, 5]) assert.is(said({ quantDelaySteps }), null)
  for (const quantDelaySteps of [-1, 0.5]) assert.match(said({ quantDelaySteps }) ?? '', /it counts calls/)
  const bias = { biasQuant: q.Int8Bias, inputQuant: q.Int8ActPerTensorFloat }
  assert.is(said({ ...bias, biasQuantDelaySteps: 0 }, 'linear'), null)
  assert.match(said({ ...bias, biasQuantDelaySteps: 1 }, 'linear') ?? '', /can not be delayed/)
})

test('momentums lie between 0 and 1, both included', () => {
  for (const m of [0, 0.5, 1, null]) assert.is(said({ scalingStatsMomentum: m }), null)
  for (const m of [-0.1, 1.1, NaN]) assert.match(said({ scalingStatsMomentum: m }) ?? '', /scalingStatsMomentum/)
})

test('ranges have a lower end below the upper one', () => {
  const learned = { actQuant: q.Int8ActPerTensorFloatMinMaxInit }
  assert.is(said({ ...learned, minVal: -1, maxVal: 1 }), null)
  assert.is(said({ ...learned, minVal: 1, maxVal: 1 }), null)
  assert.match(said({ ...learned, minVal: 2, maxVal: 1 }) ?? '', /max_val 1 is below min_val 2/)
  assert.match(said({ ...learned, minVal: -1 }) ?? '', /max_val/)
  assert.match(said({ ...learned, maxVal: 1 }) ?? '', /min_val/)
  assert.is(said({ actQuant: q.Uint8ActPerTensorFloatMaxInit, maxVal: 6 }), null)
})

test('widths of integers: whole numbers from 1 to 32', () => {
  for (const bitWidth of [1, 2, 8, 32]) assert.is(said({ bitWidth }), null, `${bitWidth}`)
  for (const bitWidth of [0, 33, 2.5]) assert.ok(said({ bitWidth }) !== null, `${bitWidth}`)
  for (const weightBitWidth of [2, 8]) assert.is(said({ weightBitWidth }, 'linear'), null)
  for (const weightBitWidth of [0, 33, 2.5]) assert.ok(said({ weightBitWidth }, 'linear') !== null, `${weightBitWidth}`)
})

test('one signed bit without its lowest integer is no grid', () => {
  assert.match(said({ bitWidth: 1, signed: true, narrowRange: true }) ?? '', /leaves only 0/)
  assert.is(said({ bitWidth: 1, signed: true, narrowRange: false }), null)
  assert.is(said({ bitWidth: 2, signed: true, narrowRange: true }), null)
})

test('by what a threshold is divided: the most steps, or the largest minifloat, restricted as the threshold is', () => {
  const of = (options: Partial<q.Quantizer>): number => integerThreshold({ ...q.Int8ActPerTensorFloat, ...options })
  assert.is(of({ signed: true, narrowRange: false }), 128)
  assert.is(of({ signed: true, narrowRange: true }), 127)
  assert.is(of({ signed: false, narrowRange: false }), 255)
  assert.is(of({ signed: false, narrowRange: true }), 254)
  assert.is(of({ restrictScalingType: 'POWER_OF_TWO', signed: true, narrowRange: true }), 128)
  assert.is(of({ restrictScalingType: 'POWER_OF_TWO', signed: false }), 256)
  const minifloat = (restrictValueFloatToIntImpl: 'CEIL' | 'ROUND' | 'FLOOR'): number =>
    integerThreshold({
      ...q.Fp8e4m3OCPActPerTensorFloat,
      restrictScalingType: 'POWER_OF_TWO',
      restrictValueFloatToIntImpl,
    } as q.Quantizer)
  // The largest is 448, and its logarithm 8.8.
  assert.equal((['CEIL', 'ROUND', 'FLOOR'] as const).map(minifloat), [512, 512, 256])
  assert.is(integerThreshold(q.Fp8e4m3OCPActPerTensorFloat as q.Quantizer), 448)
})

test('the threshold of a range is its farther end', () => {
  const of = (options: Partial<q.Quantizer>): number =>
    rangeThreshold({ ...q.Int8ActPerTensorFloatMinMaxInit, ...options })
  assert.is(of({ minVal: -3, maxVal: 1 }), 3)
  assert.is(of({ minVal: -1, maxVal: 3 }), 3)
  assert.is(of({ minVal: null, maxVal: 0.5 }), 0.5)
  assert.is(of({ minVal: -0.5, maxVal: null }), 0.5)
  assert.is(of({ minVal: -3, maxVal: 1, scalingInit: 7 }), 7)
  assert.is(of({ minVal: -3, maxVal: 1, scalingInit: 7, scalingConst: 9 }), 9)
})

test('no threshold is below the least that is allowed', () => {
  const scaleOf = (scalingMinVal: number | null): number => {
    const net = q.QuantIdentity({ scalingMinVal, returnQuantTensor: true } as never)
    const { params, state } = q.orThrow(q.init(net, 0))
    const program = q.orThrow(q.trace(net, q.tensorInput([4]), { mode: 'train' }))
    const ran = q.orThrow(q.run(program, { params, state, inputs: q.tensorOf([4], [0.25, -0.25, 0.25, 0.25]) }))
    return (ran.outputs as unknown as q.QuantTensor).scale.data[0]
  }
  assert.is(scaleOf(1), 1 / 128)
  assert.is(scaleOf(0), 0.25 / 128)
  assert.is(scaleOf(null), 0.25 / 128)
})

test.run()

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

test('grids that could hold 0 alone are refused; percentages may cross, as in Brevitas', () => {
  const fixed = { actQuant: q.Int8ActPerTensorFloatMinMaxInit }
  assert.match(said({ ...fixed, minVal: 0, maxVal: 0 }) ?? '', /the range from 0 to 0 holds 0 alone/)
  assert.match(said({ actQuant: q.Uint8ActPerTensorFloatMaxInit, maxVal: 0 }) ?? '', /holds 0 alone/)
  assert.is(said({ ...fixed, minVal: -1, maxVal: 0 }), null)
  const unsigned = { actQuant: q.Uint8ActPerTensorFloat, bitWidth: 1 }
  assert.is(said(unsigned), null)
  assert.match(said({ ...unsigned, narrowRange: true }) ?? '', /one unsigned bit without its highest integer/)
  const interval = { actQuant: q.ShiftedUint8ActPerTensorFloat }
  assert.is(said({ ...interval, lowPercentileQ: 1, highPercentileQ: 99 }), null)
  for (const [lowPercentileQ, highPercentileQ] of [
    [60, 40],
    [50, 50],
  ])
    assert.is(said({ ...interval, lowPercentileQ, highPercentileQ }), null)
})

test('corners are aligned where there are any; layer norms take their own axes, and do not broadcast', () => {
  const traced = (layer: q.Layer<unknown, unknown, q.Value, q.Value>, shape: q.Shape): string => {
    const made = q.trace(layer, q.tensorInput(shape), { mode: 'eval' })
    return E.isLeft(made) ? q.explainAll(made.left) : 'accepted'
  }
  for (const mode of [{}, { mode: 'nearest' as const }, { mode: 'nearest-exact' as const }])
    assert.match(
      traced(q.Upsample({ scaleFactor: 2, alignCorners: true, ...mode }) as never, [1, 1, 2, 2]),
      /no corners to align/,
    )
  assert.is(
    traced(q.Upsample({ scaleFactor: 2, alignCorners: true, mode: 'bilinear' }) as never, [1, 1, 2, 2]),
    'accepted',
  )
  assert.is(traced(q.Upsample({ scaleFactor: 2, alignCorners: false }) as never, [1, 1, 2, 2]), 'accepted')
  for (const norm of [q.LayerNorm, q.QuantLayerNorm])
    for (const shape of [[2, 1], [3, 1], [2, 5], [], [1]])
      assert.match(traced(norm({ normalizedShape: 3 }) as never, shape), /does not end in \[3\][^]*set normalizedShape/)
})

test('a network keeps the layers that it was made of; a record is needed, and a name says why it can be none', () => {
  const parts: Record<string, q.Layer> = { act: q.ReLU() }
  const net = q.chain(parts as never) as q.Layer
  const wired = q.model(
    parts as never,
    ((l: { act: (...a: unknown[]) => [q.Value, unknown] }, p: { act: unknown }, s: { act: unknown }, x: q.Value) => [
      l.act(p.act, s.act, x)[0],
      {},
    ]) as never,
  ) as q.Layer
  parts.late = q.QuantLinear({ inFeatures: 2, outFeatures: 5 })
  parts.self = q.chain(parts as never)
  for (const layer of [net, wired]) {
    assert.equal(Object.keys(layer.params as object), ['act'])
    q.orThrow(q.trace(layer, q.tensorInput([1, 2]), { mode: 'eval' }))
  }
  const told = (layers: unknown): string => q.explainAll((q.chain(layers as never) as q.Layer).problems)
  for (const none of [q.ReLU(), [q.ReLU()], new Map([['a', q.ReLU()]])])
    assert.match(told(none), /must be a record of layers by name/)
  for (const [name, why] of [
    ['', /needs a name/],
    ['7', /reorders numeric keys/],
    ['a.b', /a dot separates/],
    ['__proto__', /prototype/],
  ] as const)
    assert.match(told(Object.fromEntries([[name, q.ReLU()]])), why)
})

test('layers nested too deep are refused, not met as a full stack; a row of layers may be long', () => {
  const nested = (depth: number): q.Layer => {
    let layer: q.Layer = q.ReLU()
    for (let k = 1; k < depth; k++) layer = k % 2 === 0 ? q.chain({ a: layer }) : q.residual(layer)
    return layer
  }
  for (const depth of [1, 50, 200]) {
    q.orThrow(q.init(nested(depth), 0))
    q.orThrow(q.trace(nested(depth), q.tensorInput([1, 2]), { mode: 'eval' }))
  }
  for (const depth of [201, 20_000])
    for (const made of [
      q.init(nested(depth), 0),
      q.trace(nested(depth), q.tensorInput([1, 2]), { mode: 'eval' }),
      q.trace(
        q.withLoss(nested(depth), q.mseLoss),
        { x: q.tensorInput([1, 2]), target: q.tensorInput([1, 2]) },
        { mode: 'train' },
      ),
    ]) {
      assert.ok(E.isLeft(made))
      if (E.isLeft(made)) assert.match(q.explainAll(made.left), /layers are nested more than 200 deep/)
    }
  const row = Object.fromEntries(Array.from({ length: 500 }, (_, k) => [`l${k}`, q.ReLU()]))
  q.orThrow(q.trace(q.chain(row as never), q.tensorInput([1, 2]), { mode: 'eval' }))
})

test.run()

/** Normed weights (weight norm, A2Q, A2Q+) whose scale is restricted in another way than the presets have it: recorded from Brevitas 0.13.4 (`restrict_scaling_impl`). */
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('normed weights')

/** sin of 18 numbers from -1 to 1.3. */
const WEIGHT = q.tensorOf(
  [3, 6],
  Array.from({ length: 18 }, (_, i) => Math.fround(Math.sin(-1 + (2.3 * i) / 17))),
)

const RECORDED = [
  {
    preset: q.Int8AccumulatorAwareWeightQuant,
    restrictScalingType: 'FP',
    value: [-0.09938633441925049, -0.08613482117652893, -0.07288331538438797, -0.05963180214166641],
    gradient: [-0.019335158169269562, -0.0096072256565094, 0.00012070313096046448, 0.009848633781075478],
    scale: [20.52941131591797, 16.888235092163086, 43.782352447509766],
  },
  {
    preset: q.Int8AccumulatorAwareWeightQuant,
    restrictScalingType: 'POWER_OF_TWO',
    value: [-0.1171875, -0.1015625, -0.0859375, -0.0703125],
    gradient: [-0.02279829978942871, -0.011327989399433136, 0.0001423172652721405, 0.011612623929977417],
    scale: [0.11117111891508102, 0.04572669044137001, 0.23709073662757874],
  },
  {
    preset: q.Int8AccumulatorAwareZeroCenterWeightQuant,
    restrictScalingType: 'FP',
    value: [-0.10601209104061127, -0.07288331538438797, -0.026503022760152817, 0.013251511380076408],
    gradient: [-0.020714640617370605, 0.016253873705863953, 0.05322238802909851, -0.05322238802909851],
    scale: [10.135293960571289, 9.717647552490234, 10.047059059143066],
  },
  {
    preset: q.Int8WeightNormL2PerChannelFixedPoint,
    restrictScalingType: 'FP',
    value: [-0.8414709568023682, -0.7619618773460388, -0.6692013144493103, -0.5565634965896606],
    gradient: [-0.06622356176376343, -0.025402426719665527, 0.008249729871749878, 0.03562307357788086],
    scale: [182.30589294433594, 98.67059326171875, 453.0940856933594],
  },
] as const

for (const { preset, restrictScalingType, value, gradient, scale } of RECORDED)
  test(`${preset.name}, ${restrictScalingType}: numbers and gradients of Brevitas`, () => {
    const weightQuant = q.withOptions({ restrictScalingType })(preset)
    const net = q.model(
      {
        input: q.QuantIdentity({ returnQuantTensor: true }),
        fc: q.QuantLinear({
          inFeatures: 6,
          outFeatures: 3,
          bias: false,
          weightQuant,
          weightAccumulatorBitWidth: 14,
        } as never),
      },
      (layers, params, state, x: q.Value) => {
        const [one, input] = layers.input(params.input, state.input, x)
        const [y, fc] = layers.fc(params.fc, state.fc, one as never)
        return [y as q.Value, { input, fc }]
      },
    )
    const program = q.orThrow(q.trace(net, q.tensorInput([6, 6]), { mode: 'train' }))
    const made = q.orThrow(q.init(net, 0))
    const params = { ...made.params, fc: { ...made.params.fc, weight: WEIGHT } } as typeof made.params
    // Rows of the identity: the result is the weight, turned.
    const eye = q.tensorOf(
      [6, 6],
      Array.from({ length: 36 }, (_, i) => Number(i % 7 === 0)),
    )
    const cotangent = q.tensorOf(
      [6, 3],
      Array.from({ length: 18 }, (_, i) => (-0.5 + (1.4 * ((i % 3) * 6 + Math.floor(i / 3))) / 17) * (128 / 127)),
    )
    const back = q.orThrow(q.vjp(program))
    const { outputs, grads } = q.orThrow(
      q.run(back, { params, state: made.state, inputs: { inputs: eye, cotangent } as never }),
    )
    const close = (found: readonly number[], expected: readonly number[], what: string): void =>
      expected.forEach((v, i) =>
        assert.ok(Math.abs(found[i] - v) <= 3e-5 * Math.abs(v) + 2e-6, `${what} ${i}: ${found[i]} for ${v}`),
      )
    const y = q.valueOf(outputs as q.Output).data
    close(
      value.map((_, i) => (y[3 * i] * 128) / 127),
      value,
      'weight',
    )
    close([...(grads.params as { readonly fc: { readonly weight: q.Tensor } }).fc.weight.data], gradient, 'gradient')
    type Learned = { readonly fc: { readonly weightQuant: { readonly scale: { readonly value: q.Tensor } } } }
    close([...(grads.state as unknown as Learned).fc.weightQuant.scale.value.data], scale, 'scale')
  })

test.run()

/** A zero point is the lower end of data in steps, from the lowest integer on; signed or not, values are those of the naive formula. */
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('zero points')

type Net = q.Layer<unknown, unknown, q.Value, q.Value>

/** What a quantizer of activations gives after a step of training, as a quant tensor. */
const given = (quantizer: q.Quantizer, options: object, x: q.Tensor): q.QuantTensor => {
  const net = q.QuantIdentity({ actQuant: quantizer, returnQuantTensor: true, ...options }) as unknown as Net
  const start = q.orThrow(q.init(net, 0))
  const train = q.orThrow(q.trace(net, q.tensorInput(x.shape), { mode: 'train' }))
  const { state } = q.orThrow(q.run(train, { ...start, inputs: x }))
  const program = q.orThrow(q.trace(net, q.tensorInput(x.shape), { mode: 'eval' }))
  const { outputs } = q.orThrow(q.run(program, { ...start, state, inputs: x }))
  if (!q.isQuantTensor(outputs as q.Output)) throw new TypeError('a quant tensor was expected')
  return outputs as q.QuantTensor
}

const OPTIONS = { collectStatsSteps: 1 }
const WIDTHS: readonly (readonly [string, object, number])[] = [
  ['8 bits', { ...OPTIONS }, 8],
  ['4 bits', { ...OPTIONS, bitWidth: 4 }, 4],
  ['a learned width', { ...OPTIONS, bitWidth: 5, bitWidthImplType: 'PARAMETER' }, 5],
]

/** Half to even. */
const rounded = (v: number): number => {
  const near = Math.round(v)
  return near - v === 0.5 && near % 2 !== 0 ? near - 1 : near
}

for (const [what, options, bits] of WIDTHS)
  for (const signed of [false, true])
    for (const low of [-3, -0.5, 0])
      test(`${what}, ${signed ? 'signed' : 'unsigned'}, data from ${low} on`, () => {
        const x = q.tensorOf(
          [4, 8],
          Array.from({ length: 32 }, (_, i) => low + ((i * 7) % 32) * 0.11),
        )
        const y = given({ ...q.ShiftedUint8ActPerTensorFloat, signed }, options, x)
        assert.is(y.signed, signed)
        const [s] = y.scale.data
        const [lo, hi] = signed ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1]
        const within = (v: number): number => Math.min(hi, Math.max(lo, v))
        const z = within(rounded(Math.fround(Math.abs(Math.min(0, low)) / s) + lo))
        assert.is(y.zeroPoint.data[0], z)
        y.value.data.forEach((v, i) => {
          const steps = within(rounded(Math.fround(Math.fround(x.data[i] / s) + z))) - z
          assert.is(v + 0, Math.fround(steps * s) + 0)
        })
      })

test.run()

/** Integer weights: for every weight preset `(int - zeroPoint) * scale` is the weight that forwards use, bit for bit. */
import fc from 'fast-check'
import * as q from '../../src/index.js'
import { integerWeights, type IntegerWeights } from '../../src/nn/program/integers.js'
import { errorsOf, get, same, sameBits, says } from './support.js'
import { suite } from '../support/suite.js'

const test = suite('nn: integers')

const presets: readonly q.Quantizer[] = [
  q.Int8WeightPerTensorFloat,
  q.Int8WeightPerChannelFloat,
  q.Int8WeightPerTensorFixedPoint,
  q.Int8WeightPerChannelFixedPoint,
  q.Int8WeightPerTensorFloatMSE,
  q.Int8WeightPerChannelFloatMSE,
  q.Int8WeightPerTensorFixedPointMSE,
  q.Int8WeightPerChannelFixedPointMSE,
  q.ShiftedUint8WeightPerTensorFloat,
  q.ShiftedUint8WeightPerChannelFloat,
  q.SignedBinaryWeightPerTensorConst,
  q.SignedTernaryWeightPerTensorConst,
]

/** The element of a broadcast scale or zero point that belongs to element `i` of a weight whose channel axis is `axis`. */
const at = (t: q.Tensor, weight: q.Shape, axis: number, i: number): number => {
  const inner = weight.slice(axis + 1).reduce((p, n) => p * n, 1)
  return t.data[t.data.length === 1 ? 0 : Math.floor(i / inner) % weight[axis]]
}

/** `(int - zeroPoint) * scale`, each operation rounded to float32. */
const rebuilt = (w: IntegerWeights, axis: number): q.Tensor => ({
  shape: w.int.shape,
  data: w.int.data.map(
    (n, i) => Math.fround(n - at(w.zeroPoint, w.int.shape, axis, i)) * at(w.scale, w.int.shape, axis, i),
  ),
})

const checkRange = (w: IntegerWeights): void => {
  const [lo, hi] = w.signed ? [-(2 ** (w.bitWidth - 1)), 2 ** (w.bitWidth - 1) - 1] : [0, 2 ** w.bitWidth - 1]
  same(
    w.int.data.every((n) => Number.isInteger(n) && (w.bitWidth === 1 ? Math.abs(n) === 1 : n >= lo && n <= hi)),
    true,
  )
}

const eye = (n: number): q.Tensor => ({
  shape: [n, n],
  data: Float32Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0)),
})
const transposed = ({ shape: [rows, columns], data }: q.Tensor): q.Tensor => ({
  shape: [columns, rows],
  data: Float32Array.from({ length: data.length }, (_, i) => data[(i % rows) * columns + Math.floor(i / rows)] + 0),
})

for (const preset of presets)
  test(`${preset.name}: a forward over the identity gives the same weight`, () => {
    const layer = q.QuantLinear({ inFeatures: 5, outFeatures: 3, bias: false, weightQuant: preset })
    for (const seed of [0, 1, 2]) {
      const { params, state } = get(q.init(layer, seed))
      const w = get(integerWeights(layer, params, state))
      sameBits(rebuilt(w, 0), w.value)
      checkRange(w)
      for (const mode of ['eval', 'train'] as const) {
        const ran = get(q.run(get(q.trace(layer, q.tensorInput([5, 5]), { mode })), { params, state, inputs: eye(5) }))
        sameBits(transposed(w.value), { shape: [5, 3], data: q.valueOf(ran.outputs).data.map((x) => x + 0) })
        sameBits(get(integerWeights(layer, params, ran.state)).value, w.value)
      }
    }
  })

for (const preset of presets)
  test(`${preset.name}: convolutions, plain and transposed`, () => {
    const o = { inChannels: 4, outChannels: 6, kernelSize: 3, weightQuant: preset }
    for (const [layer, axis, shape] of [
      [q.QuantConv2d({ ...o, groups: 2 }), 0, [6, 2, 3, 3]],
      [q.QuantConv1d(o), 0, [6, 4, 3]],
      [q.QuantConvTranspose2d(o), 1, [4, 6, 3, 3]],
    ] as const) {
      const { params, state } = get(q.init(layer, 4))
      const w = get(integerWeights(layer, params, state))
      same(w.int.shape, shape)
      sameBits(rebuilt(w, axis), w.value)
      checkRange(w)
    }
  })

test('any width from 2 to 32 bits, any finite weights', () => {
  const weights = fc.array(fc.double({ min: -50, max: 50, noNaN: true }), { minLength: 6, maxLength: 6 })
  fc.assert(
    fc.property(
      fc.constantFrom(...presets.filter((p) => p.quantType === 'INT')),
      fc.integer({ min: 2, max: 32 }),
      weights,
      (weightQuant, weightBitWidth, xs) => {
        const layer = q.QuantLinear({ inFeatures: 3, outFeatures: 2, weightQuant, weightBitWidth })
        const { params, state } = get(q.init(layer, 0))
        const w = get(integerWeights(layer, { ...params, weight: q.tensorOf([2, 3], xs) }, state))
        sameBits(rebuilt(w, 0), w.value)
        same(w.bitWidth, weightBitWidth)
        same(
          w.int.data.every((n) => Number.isInteger(n)),
          true,
        )
      },
    ),
    { numRuns: 300 },
  )
})

test('a plain weight, params of another layer and wrong options are typed errors', () => {
  const plain = q.QuantLinear({ inFeatures: 3, outFeatures: 2, weightQuant: null })
  const other = get(q.init(plain, 0))
  const [e] = errorsOf(integerWeights(plain, other.params, other.state))
  same(e.tag, 'LayerError')
  says(e.fix, /weightQuant/)
  const wide = q.QuantLinear({ inFeatures: 4, outFeatures: 2 })
  same(errorsOf(integerWeights(wide, other.params, other.state))[0].tag, 'InputError')
  same(
    errorsOf(
      integerWeights(q.QuantLinear({ inFeatures: 3, outFeatures: 2, weightBitWidth: 0 }), other.params, other.state),
    )[0].tag,
    'ConfigError',
  )
})

test.run()

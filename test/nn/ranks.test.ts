/** Numbers of axes that each layer takes: those of torch 2.13 and Brevitas 0.13.4, recorded by calling them. */
import * as E from 'fp-ts/lib/Either.js'
import * as assert from 'uvu/assert'
import * as q from '../../src/index.js'
import { suite } from '../support/suite.js'

const test = suite('ranks')

const SHAPES: readonly q.Shape[] = [[4], [3, 4], [2, 3, 4], [2, 3, 4, 4], [2, 3, 4, 4, 4], [1, 2, 3, 4, 4, 4]]
/** Of a layer that reads channels: the same with 3 of them, a single sample where there is one axis less. */
const channelsFirst = (spatial: number): readonly q.Shape[] =>
  SHAPES.map((s) => (s.length === spatial + 1 ? [3, ...s.slice(1)] : s))

const conv = { inChannels: 3, outChannels: 2, kernelSize: 2 }
const table: readonly (readonly [
  name: string,
  layer: q.AnyLayer,
  ranks: readonly number[],
  shapes?: readonly q.Shape[],
])[] = [
  ['MaxPool1d', q.MaxPool1d({ kernelSize: 2 }), [2, 3]],
  ['MaxPool2d', q.MaxPool2d({ kernelSize: 2 }), [3, 4]],
  ['MaxPool3d', q.MaxPool3d({ kernelSize: 2 }), [4, 5]],
  ['AvgPool1d', q.AvgPool1d({ kernelSize: 2 }), [2, 3]],
  ['AvgPool2d', q.AvgPool2d({ kernelSize: 2 }), [3, 4]],
  ['AdaptiveMaxPool1d', q.AdaptiveMaxPool1d({ outputSize: 2 }), [2, 3]],
  ['AdaptiveMaxPool2d', q.AdaptiveMaxPool2d({ outputSize: 2 }), [3, 4]],
  ['AdaptiveAvgPool2d', q.AdaptiveAvgPool2d({ outputSize: 2 }), [3, 4]],
  ['Upsample', q.Upsample({ scaleFactor: 2 }), [3, 4, 5]],
  ['Upsample to a size', q.Upsample({ size: 3 }), [3, 4, 5]],
  ['Upsample nearest-exact', q.Upsample({ scaleFactor: 2, mode: 'nearest-exact' }), [3, 4, 5]],
  ['Upsample linear', q.Upsample({ scaleFactor: 2, mode: 'linear' }), [3]],
  ['Upsample bilinear', q.Upsample({ scaleFactor: 2, mode: 'bilinear' }), [4]],
  ['Upsample trilinear', q.Upsample({ scaleFactor: 2, mode: 'trilinear' }), [5]],
  ['BatchNorm1d', q.BatchNorm1d({ numFeatures: 3 }), [2, 3], SHAPES.map((s) => (s.length === 2 ? [4, 3] : s))],
  ['BatchNorm2d', q.BatchNorm2d({ numFeatures: 3 }), [4], SHAPES],
  ['Linear', q.Linear({ inFeatures: 4, outFeatures: 2 }), [1, 2, 3, 4, 5, 6]],
  ['Conv1d', q.Conv1d(conv), [2, 3], channelsFirst(1)],
  ['Conv2d', q.Conv2d(conv), [3, 4], channelsFirst(2)],
  ['Conv3d', q.Conv3d(conv), [4, 5], channelsFirst(3)],
  ['QuantConvTranspose1d', q.QuantConvTranspose1d(conv), [2, 3], channelsFirst(1)],
  ['QuantConvTranspose2d', q.QuantConvTranspose2d(conv), [3, 4], channelsFirst(2)],
  ['QuantConvTranspose3d', q.QuantConvTranspose3d(conv), [4, 5], channelsFirst(3)],
  ['Dropout2d', q.Dropout2d({ p: 0 }), [1, 2, 3, 4, 5, 6]],
]

for (const [name, layer, ranks, shapes = SHAPES] of table)
  test(`${name} takes ${ranks.join(', ')} axes`, () => {
    for (const mode of ['eval', 'train'] as const)
      shapes.forEach((shape, i) => {
        const traced = q.trace(layer as q.Layer<unknown, unknown>, q.tensorInput(shape), { mode })
        const wanted = ranks.includes(i + 1)
        assert.is(E.isRight(traced), wanted, `[${shape.join()}] in ${mode}`)
        if (E.isLeft(traced)) {
          assert.is(traced.left[0].tag, 'ShapeError')
          assert.ok(traced.left[0].message.includes(`[${shape.join(',')}]`), traced.left[0].message)
        }
      })
  })

const quantTable: readonly (readonly [name: string, layer: q.AnyLayer, ranks: readonly number[]])[] = [
  ['QuantUpsample', q.QuantUpsample({ scaleFactor: 2 }), [3, 4, 5]],
  ['QuantUpsample bilinear', q.QuantUpsample({ scaleFactor: 2, mode: 'bilinear' }), [4]],
  ['QuantUpsamplingNearest2d', q.QuantUpsamplingNearest2d({ scaleFactor: 2 }), [3, 4, 5]],
  ['QuantUpsamplingBilinear2d', q.QuantUpsamplingBilinear2d({ scaleFactor: 2 }), [4]],
  ['TruncAvgPool2d', q.TruncAvgPool2d({ kernelSize: 2 }), [3, 4]],
  ['TruncAdaptiveAvgPool2d', q.TruncAdaptiveAvgPool2d({ outputSize: 2 }), [3, 4]],
  // Their weights are viewed as [1,C,1] and [1,C,1,1], and torch broadcasts: 3 channels fit the last axes of a few shapes.
  ['BatchNorm1dToQuantScaleBias', q.BatchNorm1dToQuantScaleBias({ numFeatures: 3 }), [1, 2, 3]],
  ['BatchNorm2dToQuantScaleBias', q.BatchNorm2dToQuantScaleBias({ numFeatures: 3 }), [1, 2, 4]],
  ['QuantScaleBias', q.QuantScaleBias({ numFeatures: 3 }), [1, 2, 4]],
]

for (const [name, layer, ranks] of quantTable)
  test(`${name} takes quant tensors of ${ranks.join(', ')} axes`, () =>
    SHAPES.forEach((shape, i) => {
      const x = q.quantInput(shape, { bits: 8, signed: true })
      const traced = q.trace(layer as q.Layer<unknown, unknown>, x as never, { mode: 'eval' })
      assert.is(E.isRight(traced), ranks.includes(i + 1), `[${shape.join()}]`)
    }))

test('a linear mode that does not fit names the one that does', () => {
  const traced = q.trace(q.Upsample({ scaleFactor: 2, mode: 'bilinear' }), q.tensorInput([1, 2, 4]), { mode: 'eval' })
  assert.match(
    E.isLeft(traced) ? q.explainAll(traced.left) : '',
    /mode bilinear resizes \[N,C,H,W\], not \[1,2,4\]\n.*give mode: 'linear'/,
  )
})

test.run()

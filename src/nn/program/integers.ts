/** A layer's integer weights with scale and zero point, as a deployment needs them: `(int - zeroPoint) * scale` is the quantized weight. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import { argumentProblems, required, type Field } from '../../data/fields.js'
import { intRepr, isQuantTensor, type QuantTensor } from '../../data/quantTensor.js'
import { log2 } from '../../data/math.js'
import { broadcastStrides } from '../../data/shape.js'
import type { Tensor } from '../../data/tensor.js'
import { walk } from '../../ops/support/elementwise.js'
import { isLayer, layerProblems } from '../layers/checks.js'
import type { Layer, None } from '../layers/layer.js'
import { run, trace } from './program.js'
import type { WeightLayer, WeightParams, WeightState } from '../layers/weightLayers.js'

/** The integers behind a layer's quantized weight. `scale` and `zeroPoint` broadcast over them. */
export type IntegerWeights = {
  /** Whole numbers as floats, in the shape of the weight; -0 where the weight is -0, so that no bit is lost. */
  readonly int: Tensor
  readonly scale: Tensor
  readonly zeroPoint: Tensor
  readonly bitWidth: number
  readonly signed: boolean
  /** The quantized weight that forwards use: `(int - zeroPoint) * scale`, each operation rounded to float32. */
  readonly value: Tensor
}

/** The layer's weight as a program of its own: no input, the quantized weight as the result. */
const weightProgram = (layer: WeightLayer): Layer<WeightParams, WeightState, None> => ({
  layer: layer.layer,
  params: layer.params,
  state: layer.state,
  problems: layer.problems,
  config: layer.config,
  apply: (params, state, _x, kit) => [layer.quantWeight(params, state, kit), state],
})

const dequantized = (i: number, z: number, s: number): number => Math.fround(Math.fround(i - z) * s)

/** What i may stand for: -0, or beyond 2^22, where the division that reads an integer back can miss it, a float32 number next to i. */
const around = (i: number): readonly number[] => {
  if (i === 0) return [-0]
  const ulp = Math.max(1, 2 ** (Math.floor(log2(Math.abs(i))) - 23))
  return [i - ulp, i + ulp, i - 2 * ulp, i + 2 * ulp]
}

/** The integers, mended where float32 read one back without its sign or a step off. */
const integersOf = (t: QuantTensor): Tensor => {
  const { shape, data } = intRepr(t)
  walk(
    shape,
    [t.scale, t.zeroPoint].map((p) => broadcastStrides(p.shape, shape)),
    (e, [j, k]) => {
      const [s, z] = [t.scale.data[j], t.zeroPoint.data[k]]
      const gives = (i: number): boolean => Object.is(dequantized(i, z, s), t.value.data[e])
      if (!gives(data[e])) data[e] = around(data[e]).find(gives) ?? data[e]
    },
  )
  return { shape, data }
}

const weighted: Field = {
  says: 'a layer with weights: QuantLinear, QuantConv2d, …',
  like: 'QuantLinear({ inFeatures: 4, outFeatures: 2 })',
  holds: (x) => isLayer(x) && 'quantWeight' in x && typeof x.quantWeight === 'function',
}

/**
 * A layer's integer weights, scale and zero point, for the params and state of a moment. Traces and runs a small
 * program in eval; the layer's own state does not move.
 * @example
 * const weights = integerWeights(layer, params, state) // Right: { int, scale, zeroPoint, bitWidth, value, signed }
 */
export const integerWeights = (
  layer: WeightLayer,
  params: WeightParams,
  state: WeightState,
): E.Either<QuantErrors, IntegerWeights> => {
  const wrong = [
    ...layerProblems('integerWeights', layer),
    ...argumentProblems('integerWeights', { layer }, { layer: required(weighted) }),
  ]
  if (wrong.length > 0) return E.left(wrong)
  const program = trace(weightProgram(layer), {}, { mode: 'eval' })
  if (E.isLeft(program)) return program
  const ran = run(program.right, { params, state, inputs: {} })
  if (E.isLeft(ran)) return ran
  const t = ran.right.outputs
  if (!isQuantTensor(t))
    return E.left([
      {
        tag: 'LayerError',
        layer: layer.layer,
        path: '',
        message: `the integer weights of a ${layer.layer} were asked for, but its weight is not quantized (weightQuant: null)`,
        fix: 'give it a weightQuant, Int8WeightPerTensorFloat for instance',
      },
    ])
  const { scale, zeroPoint, bitWidth, signed, value } = t
  return E.right({ int: integersOf(t), scale, zeroPoint, bitWidth: bitWidth.data[0], signed, value })
}

/** The biases of the gates of recurrent layers. */
import { at } from '../../data/tree.js'
import type { Kit, Value } from '../../graph/op.js'
import { isValue } from '../../graph/trace.js'
import { quantizeBias } from '../../quantizers/weight.js'
import { dequantize } from '../functions/index.js'
import type { Built, GatePlaces } from './recurrentPlaces.js'
import { accumulatorScale, plainOperand } from './weightForward.js'

/** What biases depend on: the layer, its parameters, and its quantized weights. */
type Biased = {
  readonly b: Built
  readonly kit: Kit
  readonly params: unknown
  readonly weights: ReadonlyMap<string, Value>
}

/** The bias of a gate, on the scale of input times input weight where it is quantized; null: there is none. */
export const biasOf = (run: Biased, g: GatePlaces, x: Value, product: Value): Value | null => {
  const bias = at(run.params, g.bias)
  if (!isValue(bias)) return null
  const { bias: q } = run.b
  const w = run.weights.get(g.wi)
  if (q === null || w === undefined) return bias
  const scale = q.biasScale === 'external' ? accumulatorScale(x, w, product, run.kit) : null
  const path = g.bias.slice(0, g.bias.lastIndexOf('.'))
  return dequantize(
    run.kit.scoped(`${path}.biasQuant`, () =>
      quantizeBias(q, run.kit, bias, scale, () => plainOperand(run.kit, x, w) ?? ''),
    ),
  )
}

/**
 * The bias of the hidden part of a gate; null: there is none. It is quantized where its quantizer has a scale of its own: the state has none before the
 * first step, from which one could follow.
 */
export const hiddenBiasOf = (run: Biased, { hiddenBias: path }: GatePlaces): Value | null => {
  const bias = path === null ? null : at(run.params, path)
  if (path === null || !isValue(bias)) return null
  const { bias: q } = run.b
  if (q === null || q.biasScale === 'external') return bias
  const place = `${path.slice(0, path.lastIndexOf('.'))}.biasQuant`
  return dequantize(run.kit.scoped(place, () => quantizeBias(q, run.kit, bias, null, () => '')))
}

/** A batch norm that no layer can take over, as a layer of its own: a quantized scale and a bias per channel. */
import * as E from 'fp-ts/lib/Either.js'
import type { ChannelMap, TrainedLayer, Unmerged } from '../layers/layer.js'
import { BatchNorm1dToQuantScaleBias, BatchNorm2dToQuantScaleBias, QuantScaleBias } from '../layers/normLayers.js'
import type { WeightQuantizers } from '../layers/weightLayers.js'
import { init } from '../program/program.js'
import type { Flow } from './flow.js'
import { trainedAt, type Numbers } from './pairs.js'
import type { Placed } from './places.js'

const noRank = (path: string): Unmerged => ({
  why: `${path} is called with inputs of several numbers of axes, or not at all: a scale per channel has one shape`,
  fix: 'give each call a batch norm of its own',
})

/** The scale-and-bias layer for inputs of so many axes, whose channels stand at axis 1. */
const layerFor = (rank: number, numFeatures: number, quantizers: WeightQuantizers) => {
  const options = { ...quantizers, numFeatures }
  if (rank === 3) return BatchNorm1dToQuantScaleBias(options)
  if (rank === 4) return BatchNorm2dToQuantScaleBias(options)
  return QuantScaleBias({ ...options, runtimeShape: Array.from({ length: rank }, (_, i) => (i === 1 ? -1 : 1)) })
}

/** A trained batch norm folded into a scale-and-bias layer (Brevitas `mul_add_from_bn`). */
export const foldedNorm = (
  flow: Flow,
  numbers: Numbers,
  norm: Placed,
  quantizers: WeightQuantizers,
): E.Either<Unmerged, TrainedLayer> => {
  const ranks = new Set((flow.calls.get(norm.path) ?? []).map((c) => c.x?.shape.length))
  const [rank] = ranks
  if (ranks.size !== 1 || rank === undefined) return E.left(noRank(norm.path))
  const map: E.Either<Unmerged, ChannelMap> =
    norm.layer.channelMap?.(trainedAt(norm, numbers)) ?? E.left(noRank(norm.path))
  return E.chain(({ factor, shift }: ChannelMap): E.Either<Unmerged, TrainedLayer> => {
    const layer = layerFor(rank, factor.length, quantizers)
    const fresh = init(layer, 0)
    if (E.isLeft(fresh)) return E.left({ why: fresh.left[0].message, fix: fresh.left[0].fix })
    const shape = [factor.length]
    const params = { weight: { shape, data: factor }, bias: { shape, data: shift } }
    return E.right({ layer, params, state: fresh.right.state })
  })(map)
}

/** Cross-layer equalisation: channels of neighbouring layers get weights of like ranges, and nothing else changes. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import { count, fieldProblems, type Fields } from '../data/fields.js'
import type { ChannelMap, Layer, Side, TrainedLayer, Unmerged } from '../nn/layers/layer.js'
import { flowOf, type Flow } from '../nn/merging/flow.js'
import type { InputsOf } from '../nn/program/program.js'
import { prepared, type Prepared } from './prepare.js'
import { regionsOf, type Member, type Region } from './regions.js'
import { branchOf, leafAt, withLeaf } from './taps.js'
import { trainedOf } from './trees.js'
import type { Trained } from './types.js'

/** How ranges are equalised. */
export type EqualizeOptions = {
  /** At most so many rounds over all regions (default 20): layers stand in several. */
  readonly iterations?: number
}

/** A network whose ranges were equalised, ready to be quantized. */
export type Equalized<I, O> = Trained<I, O> & {
  /** Layers whose output channels were scaled, with those that undo it. */
  readonly equalized: readonly { readonly sources: readonly string[]; readonly sinks: readonly string[] }[]
}

const OPTIONS: Fields<EqualizeOptions> = { iterations: count }

/** The largest weight of each channel of a region, over the layers on one side. */
const rangesOf = (
  numbers: Trained<unknown, unknown>,
  members: readonly Member[],
  side: Side,
  channels: number,
): Float64Array => {
  const most = new Float64Array(channels)
  for (const { path, layer, repeat } of members) {
    const [weight, of] = [leafAt(numbers, path, 'weight'), layer.absorb?.channelOf(side)]
    if (weight === null || of === undefined) continue
    weight.data.forEach((w, i) => {
      const c = Math.floor(of[i] / repeat)
      most[c] = Math.max(most[c], Math.abs(w))
    })
  }
  return most
}

const scaledBy = (factors: Float64Array, repeat: number): ChannelMap => ({
  factor: Float32Array.from({ length: factors.length * repeat }, (_, i) => factors[Math.floor(i / repeat)]),
  shift: new Float32Array(factors.length * repeat),
})

const withScaled = <I, O>(
  t: Trained<I, O>,
  { path, layer, repeat }: Member,
  side: Side,
  factors: Float64Array,
): Trained<I, O> => {
  const trees = { params: branchOf(t.params, path), state: branchOf(t.state, path) }
  const taken: E.Either<Unmerged, TrainedLayer> | undefined = layer.absorb?.take(trees, scaledBy(factors, repeat), side)
  if (taken === undefined || E.isLeft(taken)) return t
  // A bias that is not there need not be scaled: the layer stays what it is.
  const { weight, bias } = taken.right.params
  const params = withLeaf(t.params, path, 'weight', weight)
  return { ...t, params: 'bias' in trees.params ? withLeaf(params, path, 'bias', bias) : params }
}

/** One region, its ranges made equal; and how much that changed. */
const equalizedAt = <I, O>(
  t: Trained<I, O>,
  { channels, sources, sinks }: Region,
): readonly [Trained<I, O>, number] => {
  const [made, read] = [rangesOf(t, sources, 'behind', channels), rangesOf(t, sinks, 'before', channels)]
  // What makes both ranges the root of their product; a channel without weights on a side stays. Powers of two keep
  // every bit of the weights.
  const factors = made.map((m, c) => (m > 0 && read[c] > 0 ? 2 ** Math.round(Math.log2(Math.sqrt(read[c] / m))) : 1))
  const change = factors.reduce((most, f) => Math.max(most, Math.abs(Math.log2(f))), 0)
  if (change === 0) return [t, 0]
  const inverse = factors.map((f) => 1 / f)
  const behind = sources.reduce((now, m) => withScaled(now, m, 'behind', factors), t)
  return [sinks.reduce((now, m) => withScaled(now, m, 'before', inverse), behind), change]
}

/**
 * Scales the channels between layers with weights so that the ranges of weights on both sides become alike, through
 * ReLU, pools, sums and depthwise layers (all that is `homogeneous`), round after round; no data is needed. Batch norms
 * are merged first. The results of the network stay what they were bit for bit where no float overflows: factors are
 * powers of two. Best before activations get few bits.
 * Source: Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction (2019), section 4.1;
 * Brevitas `EqualizeGraph`, whose factors are not rounded.
 * @example pipe(equalize(net, inputs, trained), E.chain((e) => quantize(e.net, inputs, e, schemes.w4a4)))
 */
export const equalize = <P, S, I, O>(
  net: Layer<P, S, I, O>,
  inputs: InputsOf<I>,
  trained: { readonly params: P; readonly state: S },
  options: EqualizeOptions = {},
): E.Either<QuantErrors, Equalized<I, O>> => {
  const given = trainedOf('equalize', net, trained)
  const wrong = [...(E.isLeft(given) ? given.left : []), ...fieldProblems('equalize', options, OPTIONS)]
  if (E.isLeft(given) || wrong.length > 0) return E.left(wrong)
  const ready = prepared(given.right, inputs)
  return E.chain(({ merged }: Prepared<I, O>) =>
    E.map((flow: Flow): Equalized<I, O> => {
      const regions = regionsOf(flow)
      let now: Trained<I, O> = { net: merged.net, params: merged.params, state: merged.state }
      for (let k = 0; k < (options.iterations ?? 20); k++) {
        let most = 0
        for (const region of regions) {
          const [next, change] = equalizedAt(now, region)
          now = next
          most = Math.max(most, change)
        }
        if (most === 0) break
      }
      return {
        ...now,
        equalized: regions.map(({ sources, sinks }) => ({
          sources: sources.map((m) => m.path),
          sinks: sinks.map((m) => m.path),
        })),
      }
    })(flowOf(merged.net, inputs)),
  )(ready)
}

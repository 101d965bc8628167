/** Bias correction: the mean error of each output channel, moved into the bias. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import { anything, count, func, type Fields } from '../data/fields.js'
import type { Backend } from '../evaluator/backend.js'
import type { Value } from '../graph/op.js'
import type { Layer, TensorTree } from '../nn/layers/layer.js'
import type { InputsOf } from '../nn/program/program.js'
import { askedProblems } from './asked.js'
import type { Progress } from './calibrate.js'
import { remade } from './convert.js'
import type { Looking } from './looking.js'
import { passOver } from './runner.js'
import { countOf, feedOf, type Cut, type Samples } from './samples.js'
import { channelAxis, channelMeans, leafAt, probing, weightedIn, withLayer, withLeaf, type Weighted } from './taps.js'
import { tensorsOf } from './trees.js'
import type { Quantized, Trained } from './types.js'

/** How biases are corrected. */
export type CorrectOptions = Cut & {
  /** Told after each layer. */
  readonly onProgress?: (progress: Omit<Progress, 'samples'> & { readonly path: string }) => void
  readonly backend?: Backend
}

const OPTIONS: Fields<CorrectOptions> = { batches: count, batchSize: count, onProgress: func, backend: anything }

/** The means of channels of the products of layers over samples, by path. */
type Means = ReadonlyMap<string, Float64Array>

const meansOf = <I, O>(
  { net, params, state }: Trained<I, O>,
  looking: Looking<I>,
  paths: ReadonlySet<string>,
): E.Either<QuantErrors, Means> => {
  const sums = new Map<string, { readonly sum: Float64Array; weight: number }>()
  // Which result is of which layer: the same for all shapes.
  let owners: readonly string[] = []
  const probe = (declared: InputsOf<I>): E.Either<QuantErrors, Layer<TensorTree, TensorTree, I, readonly Value[]>> =>
    E.map((all: readonly Weighted[]) => {
      const asked = all.filter(({ path }) => paths.has(path))
      owners = asked.flatMap(({ path, products }) => products.map(() => path))
      return probing(net, (value) =>
        asked.flatMap(({ layer, products }) =>
          products.map((p) => channelMeans(value(p.node), channelAxis(layer, p.rank))),
        ),
      )
    })(weightedIn(net, declared))
  const done = passOver(probe, looking, { params, state }, (outputs, batch) => {
    const weight = countOf(batch)
    const results = tensorsOf(outputs)
    results.forEach(({ data }, k) => {
      const entry = sums.get(owners[k]) ?? { sum: new Float64Array(data.length), weight: 0 }
      for (let i = 0; i < data.length; i++) entry.sum[i] += weight * data[i]
      entry.weight += weight
      sums.set(owners[k], entry)
    })
  })
  return E.map(() => new Map([...sums].map(([path, { sum, weight }]) => [path, sum.map((x) => x / weight)] as const)))(
    done,
  )
}

/** The same network whose layer has a bias. */
export const withBiasAt = <I, O>(q: Quantized<I, O>, { path, layer }: Weighted, size: number): Quantized<I, O> => {
  if (leafAt(q, path, 'bias') !== null) return q
  const form = remade(layer, { bias: true })
  if (form === null) return q
  const bias = { shape: [size], data: new Float32Array(size) }
  return { ...q, net: withLayer(q.net, path, form), params: withLeaf(q.params, path, 'bias', bias) }
}

const corrected = <I, O>(q: Quantized<I, O>, at: Weighted, error: Float64Array): Quantized<I, O> => {
  const ready = withBiasAt(q, at, error.length)
  const bias = leafAt(ready, at.path, 'bias')
  if (bias === null) return ready
  const moved = { ...bias, data: bias.data.map((b, i) => b + error[i]) }
  return { ...ready, params: withLeaf(ready.params, at.path, 'bias', moved) }
}

/**
 * Moves the mean error of each output channel of each layer with weights into its bias, layer by layer in the order of
 * their calls: what a layer is given has been corrected by then. `float` is the network to agree with,
 * `quantized.float` as a rule; its layers stand under the same paths. A layer without a bias gets one. Weights and
 * scales stay as they are.
 * Source: Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction (2019), section 4.2,
 * with measured means; Brevitas `bias_correction_mode`.
 * @example pipe(calibrated, (q) => correctBias(q, q.float, images, { batches: 16 }))
 */
export const correctBias = <I, O>(
  quantized: Quantized<I, O>,
  float: Trained<I, O>,
  data: Samples<I>,
  options: CorrectOptions = {},
): E.Either<QuantErrors, Quantized<I, O>> => {
  const wrong = askedProblems('correctBias', quantized, options, OPTIONS, float)
  if (wrong.length > 0) return E.left(wrong)
  const feed = feedOf<I>('correctBias', quantized.inputs, data, options)
  if (E.isLeft(feed)) return feed
  const looking: Looking<I> = { inputs: quantized.inputs, feed: feed.right, backend: options.backend }
  const ours = weightedIn(quantized.net, quantized.inputs)
  if (E.isLeft(ours)) return ours
  const wanted = meansOf(float, looking, new Set(ours.right.map(({ path }) => path)))
  if (E.isLeft(wanted)) return wanted
  const layers = ours.right.filter(({ path }) => wanted.right.has(path))
  let q = quantized
  for (const [k, at] of layers.entries()) {
    const now = meansOf(q, looking, new Set([at.path]))
    if (E.isLeft(now)) return now
    const [target, got] = [wanted.right.get(at.path), now.right.get(at.path)]
    if (target !== undefined && got !== undefined)
      q = corrected(
        q,
        at,
        target.map((m, i) => m - got[i]),
      )
    options.onProgress?.({ batch: k + 1, total: layers.length, path: at.path })
  }
  return E.right(q)
}

/** Bias correction: the mean error of each output channel, moved into the bias. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import { anything, count, func, type Fields } from '../data/fields.js'
import type { Tensor } from '../data/tensor.js'
import type { Backend } from '../evaluator/backend.js'
import { askedProblems, type Progress } from './calibrate.js'
import { remade } from './convert.js'
import { runnerOf } from './runner.js'
import { countOf, feedOf, type Cut, type Feed, type Samples } from './samples.js'
import { channelAxis, channelMeans, leafAt, probing, weightedIn, withLayer, withLeaf, type Weighted } from './taps.js'
import type { Quantized, Trained } from './types.js'

/** How biases are corrected. */
export type CorrectOptions = Cut & {
  /** Told after each layer. */
  readonly onProgress?: (progress: Omit<Progress, 'samples'> & { readonly path: string }) => void
  readonly backend?: Backend
}

const OPTIONS: Fields<CorrectOptions> = { batches: count, batchSize: count, onProgress: func, backend: anything }

/** Means of channels over samples, one list for each layer. */
type Means = readonly Float64Array[]

const meansOf = <I, O>(
  { net, params, state }: Trained<I, O>,
  inputs: Quantized<I, O>['inputs'],
  layers: readonly Weighted[],
  feed: Feed<I>,
  backend: Backend | undefined,
): E.Either<QuantErrors, Means> => {
  const probe = probing(net, (value) =>
    layers.flatMap(({ layer, products }) =>
      products.map((p) => channelMeans(value(p.node), channelAxis(layer, p.rank))),
    ),
  )
  const runner = runnerOf(probe, inputs, { mode: 'eval', ...(backend === undefined ? {} : { backend }) })
  const sums: Float64Array[] = []
  let n = 0
  try {
    for (const batch of feed.each()) {
      if (E.isLeft(batch)) return batch
      const ran = runner.run({ params, state }, batch.right)
      if (E.isLeft(ran)) return ran
      const weight = countOf(batch.right)
      const results = ran.right.outputs as readonly Tensor[]
      results.forEach(({ data }, k) => {
        sums[k] ??= new Float64Array(data.length)
        for (let i = 0; i < data.length; i++) sums[k][i] += weight * data[i]
      })
      n += weight
    }
  } finally {
    runner.dispose()
  }
  let at = 0
  return E.right(
    layers.map(({ products }) => {
      const own = sums.slice(at, (at += products.length))
      return own[0].map((_, i) => own.reduce((sum, s) => sum + s[i], 0) / (n * own.length))
    }),
  )
}

/** The network whose layer at a path has a bias, and that bias. */
const withBias = <I, O>(q: Quantized<I, O>, { path, layer }: Weighted, size: number): Quantized<I, O> => {
  if (leafAt(q, path, 'bias') !== null) return q
  const form = remade(layer, { bias: true })
  if (form === null) return q
  const bias = { shape: [size], data: new Float32Array(size) }
  return { ...q, net: withLayer(q.net, path, form), params: withLeaf(q.params, path, 'bias', bias) }
}

const corrected = <I, O>(q: Quantized<I, O>, at: Weighted, error: Float64Array): Quantized<I, O> => {
  const ready = withBias(q, at, error.length)
  const bias = leafAt(ready, at.path, 'bias')
  if (bias === null) return ready
  const moved = { ...bias, data: bias.data.map((b, i) => b + error[i]) }
  return { ...ready, params: withLeaf(ready.params, at.path, 'bias', moved) }
}

/**
 * Moves the mean error of each output channel of each layer with weights into its bias, layer by layer in the order of their calls: what a layer is given has been
 * corrected by then. `float` is the network to agree with, `quantized.float` as a rule; its layers stand under the same paths. A layer
 * without a bias gets one. Weights and scales stay as they are.
 * Source: Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction (2019), section 4.2, with measured means; Brevitas `bias_correction_mode`.
 * @example pipe(calibrated, (q) => correctBias(q, q.float, images, { batches: 16 }))
 */
export const correctBias = <I, O>(
  quantized: Quantized<I, O>,
  float: Trained<I, O>,
  data: Samples<I>,
  options: CorrectOptions = {},
): E.Either<QuantErrors, Quantized<I, O>> => {
  const wrong = askedProblems('correctBias', quantized, options, OPTIONS)
  if (wrong.length > 0) return E.left(wrong)
  const feed = feedOf<I>('correctBias', quantized.inputs, data, options)
  if (E.isLeft(feed)) return feed
  const [ours, theirs] = [weightedIn(quantized.net, quantized.inputs), weightedIn(float.net, quantized.inputs)]
  if (E.isLeft(ours)) return ours
  if (E.isLeft(theirs)) return theirs
  const byPath = new Map(theirs.right.map((w) => [w.path, w] as const))
  const layers = ours.right.filter(({ path }) => byPath.has(path))
  const wanted = meansOf(
    float,
    quantized.inputs,
    layers.flatMap(({ path }) => byPath.get(path) ?? []),
    feed.right,
    options.backend,
  )
  if (E.isLeft(wanted)) return wanted
  let q = quantized
  for (const [k, at] of layers.entries()) {
    const now = meansOf(q, q.inputs, [at], feed.right, options.backend)
    if (E.isLeft(now)) return now
    q = corrected(
      q,
      at,
      wanted.right[k].map((m, i) => m - now.right[0][i]),
    )
    options.onProgress?.({ batch: k + 1, total: layers.length, path: at.path })
  }
  return E.right(q)
}

/** Bias correction: the mean error of each output channel, moved into the bias. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import { anything, count, func, type Fields } from '../data/fields.js'
import type { Backend } from '../evaluator/backend.js'
import type { NodeId } from '../data/quant.js'
import type { Kit, Value } from '../graph/op.js'
import { isValue } from '../graph/trace.js'
import type { AnyLayer, Layer, TensorTree, Traced } from '../nn/layers/layer.js'
import { askedProblems } from './asked.js'
import type { Progress } from './calibrate.js'
import { remade } from './convert.js'
import type { Looking } from './looking.js'
import { bothNumbers, pairOf } from './pair.js'
import { placed } from './plan.js'
import { passOver } from './runner.js'
import { countOf, feedOf, type Cut, type Samples } from './samples.js'
import {
  channelAxis,
  channelMeans,
  emittedBy,
  leafAt,
  weightedAmong,
  withLayer,
  withLayers,
  withResults,
  withLeaf,
  type Product,
  type Weighted,
} from './taps.js'
import { tensorsOf } from './trees.js'
import type { Quantized, Trained } from './types.js'

/** How biases are corrected. */
export type CorrectOptions = Cut & {
  /** Told after each batch. */
  readonly onProgress?: (progress: Progress) => void
  readonly backend?: Backend
}

/** A layer and where it stands. */
type Placed = Pick<Weighted, 'path' | 'layer'>

const OPTIONS: Fields<CorrectOptions> = { batches: count, batchSize: count, onProgress: func, backend: anything }

/**
 * What one trace has seen: products of the float network by path, those of each call in turn, and the mean error of
 * each corrected product.
 */
type Seen = {
  readonly floats: (kit: Kit) => ReadonlyMap<string, readonly Product[]>
  readonly calls: Map<string, number>
  readonly errors: (readonly [path: string, error: Value])[]
}

const seenIn = <I, O>(float: Trained<I, O>): Seen => {
  let floats: ReadonlyMap<string, readonly Product[]> | null = null
  return {
    floats: (kit) =>
      (floats ??= new Map(weightedAmong(emittedBy(kit), float.net, 'float').map((w) => [w.path, w.products]))),
    calls: new Map(),
    errors: [],
  }
}

/**
 * A layer whose bias is what it should be for these very samples: it is called once to see the mean error of its
 * products, and again with that error in its bias. What stands in front of the bias is the same in both calls, and
 * emitted once.
 */
const correctedLayer = ({ path, layer }: Placed, seen: Seen): AnyLayer => ({
  ...layer,
  apply: (params: Traced<TensorTree>, state: never, x: never, kit: Kit) => {
    const before = emittedBy(kit).length
    const plain = layer.apply(params as never, state, x, kit)
    const product = emittedBy(kit)
      .slice(before)
      .find((n) => n.op.product !== undefined && n.path === kit.path())
    const call = seen.calls.get(path) ?? 0
    const float = seen.floats(kit).get(path)?.[call]
    // What a loop computes can't be seen from outside.
    const isInLoop = (kit.depth?.() ?? 0) > 0
    if (product === undefined || float === undefined || isInLoop || !isValue(params.bias)) return plain
    seen.calls.set(path, call + 1)
    const means = (id: NodeId): Value => channelMeans(kit.value(id), channelAxis(layer, product.shape.length))
    const error = kit.emit('sub', [means(float.node), means(product.id)])
    seen.errors.push([path, error])
    return layer.apply({ ...params, bias: kit.emit('add', [params.bias, error]) } as never, state, x, kit)
  },
})

/**
 * The float network and beside it the quantized one, with biases that fit; the results are the errors that they take
 * away.
 */
const correcting = <I, O>(
  float: Trained<I, O>,
  quant: Trained<I, O>,
  layers: readonly Placed[],
  owned: (paths: readonly string[]) => void,
): Layer<TensorTree, TensorTree, I, readonly Value[]> =>
  withResults(pairOf(float, quant), (params, state, x, kit) => {
    const seen = seenIn(float)
    const net = withLayers(quant.net, new Map(layers.map((at) => [at.path, correctedLayer(at, seen)])))
    pairOf(float, { ...quant, net }).apply(params, state, x, kit)
    owned(seen.errors.map(([path]) => path))
    return [seen.errors.map(([, error]) => error), state]
  })

/** The mean error of each channel of each layer over samples. */
const errorsOver = <I, O>(
  float: Trained<I, O>,
  quant: Trained<I, O>,
  layers: readonly Placed[],
  looking: Looking<I>,
  onProgress: CorrectOptions['onProgress'],
): E.Either<QuantErrors, ReadonlyMap<string, Float64Array>> => {
  const sums = new Map<string, { readonly sum: Float64Array; weight: number }>()
  // Which result is of which layer: the same for all shapes.
  let owners: readonly string[] = []
  let [batch, samples] = [0, 0]
  const net = correcting(float, quant, layers, (paths) => {
    owners = paths
  })
  const done = passOver(net, looking, bothNumbers(float, quant), (outputs, given) => {
    const weight = countOf(given)
    const results = tensorsOf(outputs)
    results.forEach(({ data }, k) => {
      const entry = sums.get(owners[k]) ?? { sum: new Float64Array(data.length), weight: 0 }
      for (let i = 0; i < data.length; i++) entry.sum[i] += weight * data[i]
      entry.weight += weight
      sums.set(owners[k], entry)
    })
    batch++
    samples += weight
    onProgress?.({ batch, total: looking.feed.total, samples })
  })
  return E.map(() => new Map([...sums].map(([path, { sum, weight }]) => [path, sum.map((x) => x / weight)] as const)))(
    done,
  )
}

/** A network and its parameters, whose layer at a path has a bias. */
export const biasedAt = <I, O>(
  t: Trained<I, O>,
  { path, layer }: Placed,
  size: number,
): Pick<Trained<I, O>, 'net' | 'params'> => {
  const form = leafAt(t, path, 'bias') === null ? remade(layer, { bias: true }) : null
  if (form === null) return t
  const bias = { shape: [size], data: new Float32Array(size) }
  return { net: withLayer(t.net, path, form), params: withLeaf(t.params, path, 'bias', bias) }
}

/** The same network whose layer has a bias. */
export const withBiasAt = <I, O>(q: Quantized<I, O>, at: Placed, size: number): Quantized<I, O> => {
  const { net, params } = biasedAt(q, at, size)
  return net === q.net ? q : { ...q, net, params }
}

/**
 * The same network whose layer has the bias of the float one: an error that was moved into it before (by a rounding, or
 * another correction) is measured again, and would count twice.
 */
const fromFloatBias = <I, O>(q: Quantized<I, O>, float: Trained<I, O>, at: Placed): Quantized<I, O> => {
  const ready = withBiasAt(q, at, at.layer.absorb?.count('behind') ?? 0)
  const bias = leafAt(ready, at.path, 'bias')
  if (bias === null) return ready
  const data = leafAt(float, at.path, 'bias')?.data ?? new Float32Array(bias.data.length)
  return { ...ready, params: withLeaf(ready.params, at.path, 'bias', { ...bias, data }) }
}

/** Has it a weight in its parameters, whose output channels are known? */
const hasWeight = (layer: AnyLayer): boolean => 'weight' in layer.params && layer.absorb !== undefined

const corrected = <I, O>(q: Quantized<I, O>, path: string, error: Float64Array): Quantized<I, O> => {
  const bias = leafAt(q, path, 'bias')
  if (bias === null) return q
  const moved = { ...bias, data: bias.data.map((b, i) => b + error[i]) }
  return { ...q, params: withLeaf(q.params, path, 'bias', moved) }
}

/**
 * Moves the mean error of each output channel of each layer with weights into its bias. In each batch a layer is given
 * what those in front of it make with biases that fit this batch, so that one pass corrects layers in order. The mean
 * over the batches is what moves. `float` is the network to agree with, `quantized.float` as a rule. Its layers stand
 * under the same paths. A layer without a bias gets one. Weights and scales stay as they are.
 * Behind `roundWeights`, or a second time, it starts from the biases of `float` again.
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
  const known = new Set(placed(float.net).flatMap(({ path, layer }) => (hasWeight(layer) ? [path] : [])))
  const ready = placed(quantized.net)
    .filter(({ path, layer }) => known.has(path) && hasWeight(layer))
    .reduce((q, at) => fromFloatBias(q, float, at), quantized)
  const layers = placed(ready.net).filter(({ path }) => known.has(path))
  const errors = errorsOver(float, ready, layers, looking, options.onProgress)
  // A layer whose products were not seen (it is never called, or stands in a loop) keeps the bias that it had.
  return E.map((found: ReadonlyMap<string, Float64Array>) =>
    placed(quantized.net).reduce((q, at) => {
      const error = found.get(at.path)
      return error === undefined ? q : corrected(fromFloatBias(q, float, at), at.path, error)
    }, quantized),
  )(errors)
}

/** How much each layer minds having few bits. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors } from '../data/error.js'
import { anything, count, func, listOf, oneOf, whole, type Field, type Fields } from '../data/fields.js'
import { valueOf, isQuantTensor, type Output } from '../data/quantTensor.js'
import { sizeOf } from '../data/shape.js'
import { isTensor, type Tensor } from '../data/tensor.js'
import { leaves } from '../data/tree.js'
import type { Backend } from '../evaluator/backend.js'
import type { DataOf, OutputsOf } from '../nn/program/program.js'
import type { Quantizer } from '../quantizers/quantizer.js'
import { askedProblems } from './asked.js'
import type { Looking } from './looking.js'
import { overBatches, runnerOf, using, type Runner } from './runner.js'
import { feedOf, type Cut, type Feed, type Samples } from './samples.js'
import { momentsAt, type Moments } from './rounding/moments.js'
import { problemOf, type Asked } from './rounding/problem.js'
import { plainRounding, solved } from './rounding/solve.js'
import { weightQuantizer, whyNot } from './roundWeights.js'
import { leafAt, weightedIn, withLeaf, type Weighted } from './taps.js'
import type { Quantized } from './types.js'

/** How sensitivities are measured. */
export type SensitivityOptions<I = unknown, O = unknown> = Cut & {
  /** Bit widths to try (default 2, 3, 4, 5, 6, 8). */
  readonly bits?: readonly number[]
  /** How weights are rounded: `gptq` (default), as `roundWeights` will; `nearest`, as the quantizer itself does. */
  readonly rounding?: 'gptq' | 'nearest'
  /**
   * What the results of a batch cost (default: their squared distance from those of the float network, in parts of the
   * variance of these), in the mean over batches. For labelled samples cross entropy, or the share of wrong answers.
   */
  readonly loss?: (results: OutputsOf<O>, batch: number, samples: DataOf<I>) => number
  /** Told after each layer. */
  readonly onProgress?: (progress: { readonly layer: number; readonly total: number; readonly path: string }) => void
  readonly backend?: Backend
}

/** Bit widths that are tried if none are given. */
export const DEFAULT_BITS: readonly number[] = [2, 3, 4, 5, 6, 8]

const width: Field = {
  ...whole,
  says: 'a whole number from 2 to 16',
  like: '4',
  holds: (x) => whole.holds(x) && Number(x) >= 2 && Number(x) <= 16,
}
/** Options that `searchBits` shares. */
export const SENSITIVITY: Fields<SensitivityOptions> = {
  batches: count,
  batchSize: count,
  bits: {
    ...listOf(width),
    says: 'a list of whole numbers from 2 to 16',
    like: '[2, 4, 8]',
    holds: (x) => listOf(width).holds(x) && Array.isArray(x) && x.length > 0,
  },
  rounding: oneOf('gptq', 'nearest'),
  loss: func,
  onProgress: func,
  backend: anything,
}

/** The size of one layer, of which its cost at any number of bits follows. */
export type LayerSize = {
  readonly path: string
  /** How many weights it has. */
  readonly weights: number
  /** Multiplications of one sample. */
  readonly multiplications: number
  /** Bits of the activations that it multiplies (32: floats). */
  readonly actBits: number
}

/** What one layer costs, and what the network loses if only its weights have so many bits. */
export type LayerSensitivity = LayerSize & {
  /** Losses by bit width, those of more bits never larger. */
  readonly losses: readonly { readonly bits: number; readonly loss: number }[]
}

/** Sensitivities of all layers whose weights can have any number of bits. */
export type Sensitivity = {
  /** The loss of the float network. */
  readonly float: number
  readonly layers: readonly LayerSensitivity[]
  /** Layers that are left as they are, and why. */
  readonly kept: readonly { readonly path: string; readonly why: string }[]
}

const ASKED: Asked = { scales: 'search', target: 'own', bias: false, damping: 0.01, sweeps: 4 }

const numbersIn = (results: unknown): readonly Float32Array[] =>
  leaves((x): x is Output => isTensor(x) || isQuantTensor(x as Output), results).map(({ leaf }) => valueOf(leaf).data)

/** Squared distance from what the float network gave, in parts of the variance of that. */
const distanceFrom = (wanted: readonly Float32Array[], got: readonly Float32Array[]): number => {
  let [off, all] = [0, 0]
  wanted.forEach((w, k) => {
    const mean = w.reduce((sum, x) => sum + x, 0) / Math.max(1, w.length)
    for (let i = 0; i < w.length; i++) {
      off += (got[k][i] - w[i]) ** 2
      all += (w[i] - mean) ** 2
    }
  })
  return all > 0 ? off / all : off
}

const noNumber = (loss: number): QuantError => ({
  tag: 'InputError',
  input: 'loss',
  path: '',
  message: `sensitivity: the loss of the samples is ${loss}, against which nothing can be compared`,
  fix: 'let loss return a finite number for each batch',
})

/** The mean loss of the float network with some weights. */
type Judged<I> = (params: Quantized<I, unknown>['params']) => E.Either<QuantErrors, number>

const judgeBy = <I, O>(
  q: Quantized<I, O>,
  runner: Runner<I, O>,
  feed: Feed<I>,
  loss: SensitivityOptions<I, O>['loss'],
): E.Either<QuantErrors, Judged<I>> => {
  const { params: floatParams, state } = q.float
  type Cost = (results: OutputsOf<O>, k: number, batch: DataOf<I>) => number
  const run = (params: typeof floatParams, cost: Cost): E.Either<QuantErrors, number> => {
    let [sum, k] = [0, 0]
    const done = overBatches(runner, { params, state }, feed, (results, batch) => {
      sum += cost(results, k++, batch)
    })
    if (E.isLeft(done)) return done
    return Number.isFinite(sum) ? E.right(sum / Math.max(1, k)) : E.left([noNumber(sum)])
  }
  if (loss !== undefined) return E.right((params) => run(params, loss))
  const wanted: (readonly Float32Array[])[] = []
  const first = run(floatParams, (results) => {
    wanted.push(numbersIn(results).map((x) => x.slice()))
    return 0
  })
  return E.map((): Judged<I> => (params) => run(params, (results, k) => distanceFrom(wanted[k], numbersIn(results))))(
    first,
  )
}

const multiplicationsOf = ({ products }: Weighted, samples: number): number =>
  products.reduce((sum, p) => sum + p.size * sizeOf(p.weight.slice(1)), 0) / Math.max(1, samples)

/**
 * Losses that never grow with the number of bits: where more bits were measured to be worse, that was luck of those
 * samples.
 */
const monotone = (losses: readonly { readonly bits: number; readonly loss: number }[]) => {
  let least = Infinity
  return [...losses]
    .sort((a, b) => a.bits - b.bits)
    .map(({ bits, loss }) => {
      least = Math.min(least, loss)
      return { bits, loss: least }
    })
}

/** Losses of one layer at each of the bit widths. */
const lossesOf = <I, O>(
  q: Quantized<I, O>,
  at: Weighted,
  weight: Tensor,
  { bits, rounding, looking, judge }: Ready<I>,
): E.Either<QuantErrors, LayerSensitivity['losses']> => {
  const quantizer = weightQuantizer(at)
  const moments = rounding === 'gptq' ? momentsAt(q.float, q.float, at.path, looking) : E.right(null)
  if (E.isLeft(moments) || quantizer === null) return E.isLeft(moments) ? moments : E.right([])
  const problem = moments.right === null ? null : problemOf(weight, moments.right as Moments, ASKED)
  const out: { readonly bits: number; readonly loss: number }[] = []
  for (const b of bits) {
    const asked: Quantizer = { ...quantizer, bitWidth: b }
    const data = problem === null ? plainRounding(weight, asked) : solved(weight, problem, asked, ASKED).weight
    const loss = judge(withLeaf(q.float.params, at.path, 'weight', { ...weight, data }))
    if (E.isLeft(loss)) return loss
    out.push({ bits: b, loss: loss.right })
  }
  return E.right(monotone(out))
}

type Ready<I> = {
  readonly bits: readonly number[]
  readonly rounding: 'gptq' | 'nearest'
  readonly looking: Looking<I>
  readonly judge: Judged<I>
}

const noLayers = (): QuantError => ({
  tag: 'InputError',
  input: 'quantized',
  path: '',
  message: 'sensitivity: no layer has weights whose bits can be chosen',
  fix: 'quantize with a preset of integers and a scale per tensor or channel: schemes.int8 for instance',
})

/** What is wrong with what `sensitivity` is given. */
export const sensitivityProblems = (
  asker: string,
  quantized: unknown,
  options: unknown,
  fields: { readonly [name: string]: Field },
): QuantErrors => askedProblems(asker, quantized, options, fields)

/**
 * Measures, layer by layer and bit width by bit width, what a network loses when only the weights of that layer are
 * rounded, all else in floats. Losses of more bits are never larger: where they were measured to be, the smaller one
 * counts for both.
 * Source: Dong et al., HAWQ (2019), whose curvature is replaced by the loss itself.
 * @example pipe(sensitivity(q, images, { batches: 4 }), E.map(({ layers }) => layers.map((l) => [l.path, l.losses])))
 */
export const sensitivity = <I, O>(
  quantized: Quantized<I, O>,
  data: Samples<I>,
  options: SensitivityOptions<I, O> = {},
): E.Either<QuantErrors, Sensitivity> => {
  const wrong = sensitivityProblems('sensitivity', quantized, options, SENSITIVITY)
  if (wrong.length > 0) return E.left(wrong)
  const feed = feedOf<I>('sensitivity', quantized.inputs, data, options)
  if (E.isLeft(feed)) return feed
  const { bits = DEFAULT_BITS, rounding = 'gptq', loss, onProgress, backend } = options
  const looking: Looking<I> = { inputs: quantized.inputs, feed: feed.right, backend }
  const found = choosable(quantized)
  if (E.isLeft(found)) return found
  const { net } = quantized.float
  return using(runnerOf(net, looking.inputs, { mode: 'eval', backend }), (runner) =>
    E.chain((judge: Judged<I>) =>
      measured(quantized, found.right, { judge, looking, bits: [...new Set(bits)], rounding }, onProgress),
    )(judgeBy(quantized, runner, feed.right, loss)),
  )
}

const measured = <I, O>(
  quantized: Quantized<I, O>,
  { layers: asked, kept }: Choosables,
  ready: Ready<I>,
  onProgress: SensitivityOptions['onProgress'],
): E.Either<QuantErrors, Sensitivity> => {
  const float = ready.judge(quantized.float.params)
  if (E.isLeft(float)) return float
  const layers: LayerSensitivity[] = []
  for (const [k, { at, weight, size }] of asked.entries()) {
    const losses = lossesOf(quantized, at, weight, ready)
    if (E.isLeft(losses)) return losses
    layers.push({ ...size, losses: losses.right })
    onProgress?.({ layer: k + 1, total: asked.length, path: at.path })
  }
  return E.right({ float: float.right, layers, kept })
}

/** Layers whose weights can have any number of bits, and those that stay as they are. */
export type Choosables = {
  readonly layers: readonly { readonly at: Weighted; readonly weight: Tensor; readonly size: LayerSize }[]
  readonly kept: Sensitivity['kept']
}

/** Which layers' bits can be chosen, and how large these are: known without a run. */
export const choosable = <I, O>(quantized: Quantized<I, O>): E.Either<QuantErrors, Choosables> =>
  E.chain((all: readonly Weighted[]): E.Either<QuantErrors, Choosables> => {
    const samples = samplesOf(quantized.inputs)
    const found = all.map((at) => {
      const weight = leafAt(quantized.float, at.path, 'weight')
      const why = whyNot(weightQuantizer(at), at) ?? (weight === null ? 'the float network has no such weight' : null)
      return { at, weight, why }
    })
    const layers = found.flatMap(({ at, weight, why }): Choosables['layers'] => {
      if (why !== null || weight === null) return []
      const size: LayerSize = {
        path: at.path,
        weights: weight.data.length,
        multiplications: multiplicationsOf(at, samples),
        actBits: at.products.reduce((most, p) => Math.max(most, p.bits ?? 32), 0),
      }
      return [{ at, weight, size }]
    })
    const kept = found.flatMap(({ at, why }) => (why === null ? [] : [{ path: at.path, why }]))
    return layers.length === 0 ? E.left([noLayers()]) : E.right({ layers, kept })
  })(weightedIn(quantized.net, quantized.inputs))

/** The samples of the batch that was declared. */
const samplesOf = (inputs: unknown): number =>
  leaves(
    (x): x is { readonly shape: readonly number[] } =>
      typeof x === 'object' && x !== null && 'input' in x && 'shape' in x,
    inputs,
  )[0]?.leaf.shape[0] ?? 1

/** How much each layer minds having few bits. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import { anything, count, flag, func, listOf, oneOf, whole, type Field, type Fields } from '../data/fields.js'
import type { Tensor } from '../data/tensor.js'
import type { Backend } from '../evaluator/backend.js'
import type { DataOf, OutputsOf } from '../nn/program/program.js'
import type { Quantizer } from '../quantizers/quantizer.js'
import { activationLosses, type ActivationSensitivity } from './activationLosses.js'
import { askedProblems } from './asked.js'
import { choosable, type Choosables, type LayerSize } from './choosable.js'
import { biasedAt } from './correctBias.js'
import { judgeBy, monotone, type Judge, type Losses } from './judge.js'
import type { Looking } from './looking.js'
import { placed } from './plan.js'
import { runnerOf, using } from './runner.js'
import { feedOf, type Cut, type Samples } from './samples.js'
import { momentsAt, type Moments } from './rounding/moments.js'
import { problemOf, type Asked } from './rounding/problem.js'
import { plainRounding, solved } from './rounding/solve.js'
import { biasFor, weightQuantizer } from './roundWeights.js'
import { leafAt, withLeaf, type Weighted } from './taps.js'
import type { Quantized, Trained } from './types.js'

/** How sensitivities are measured. */
export type SensitivityOptions<I = unknown, O = unknown> = Cut & {
  /** Bit widths to try for weights (default 2, 3, 4, 5, 6, 8). */
  readonly bits?: readonly number[]
  /**
   * Bit widths to try for activations too: of each layer that quantizes what others multiply. By default activations
   * keep the bits that they have.
   */
  readonly activations?: readonly number[]
  /** How weights are rounded: `gptq` (default), as `roundWeights` will; `nearest`, as the quantizer itself does. */
  readonly rounding?: 'gptq' | 'nearest'
  /** Whether the mean error is taken away by the bias (default true), as `roundWeights` and `correctBias` will. */
  readonly bias?: boolean
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
const widths: Field = {
  ...listOf(width),
  says: 'a list of whole numbers from 2 to 16',
  like: '[2, 4, 8]',
  holds: (x) => listOf(width).holds(x) && Array.isArray(x) && x.length > 0,
}
/** Options that `searchBits` shares. */
export const SENSITIVITY: Fields<SensitivityOptions> = {
  batches: count,
  batchSize: count,
  bits: widths,
  activations: widths,
  rounding: oneOf('gptq', 'nearest'),
  bias: flag,
  loss: func,
  onProgress: func,
  backend: anything,
}

/** What one layer costs, and what the network loses if only its weights have so many bits. */
export type LayerSensitivity = LayerSize & {
  readonly losses: Losses
}

/** Sensitivities of all layers whose weights can have any number of bits. */
export type Sensitivity = {
  /** The loss of the float network. */
  readonly float: number
  readonly layers: readonly LayerSensitivity[]
  /** Of activations; absent where none were asked for. */
  readonly activations?: readonly ActivationSensitivity[]
  /** Layers that are left as they are, and why. */
  readonly kept: readonly { readonly path: string; readonly why: string }[]
}

/** As `roundWeights` rounds, with half of its sweeps. */
const ASKED: Asked = { scales: 'search', target: 'own', bias: true, damping: 0.01, sweeps: 4 }

type Ready<I, O> = {
  readonly bits: readonly number[]
  readonly rounding: 'gptq' | 'nearest'
  readonly bias: boolean
  readonly looking: Looking<I>
  readonly judge: Judge<I, O>
  readonly told: (path: string) => void
}

/** Losses of one layer at each of the bit widths. */
const lossesOf = <I, O>(
  float: Trained<I, O>,
  at: Weighted,
  weight: Tensor,
  { bits, rounding, bias, looking, judge }: Ready<I, O>,
): E.Either<QuantErrors, Losses> => {
  const quantizer = weightQuantizer(at)
  const nothing: E.Either<QuantErrors, Moments | null> = E.right(null)
  const moments = rounding === 'gptq' || bias ? momentsAt(float, float, at.path, looking) : nothing
  if (E.isLeft(moments) || quantizer === null) return E.isLeft(moments) ? moments : E.right([])
  const asking = { ...ASKED, bias }
  const problem = rounding === 'gptq' && moments.right !== null ? problemOf(weight, moments.right, asking) : null
  const offset = bias ? leafAt(float, at.path, 'bias') : null
  const out: { readonly bits: number; readonly loss: number }[] = []
  for (const b of bits) {
    const asked: Quantizer = { ...quantizer, bitWidth: b }
    const data = problem === null ? plainRounding(weight, asked) : solved(weight, problem, asked, asking).weight
    const rounded = withLeaf(float.params, at.path, 'weight', { ...weight, data })
    const loss = judge.params(
      offset === null || moments.right === null
        ? rounded
        : withLeaf(rounded, at.path, 'bias', biasFor(offset, data, weight, moments.right, 'own')),
    )
    if (E.isLeft(loss)) return loss
    out.push({ bits: b, loss: loss.right })
  }
  return E.right(monotone(out))
}

/** What is wrong with what `sensitivity` is given. */
export const sensitivityProblems = (
  asker: string,
  quantized: unknown,
  options: unknown,
  fields: { readonly [name: string]: Field },
): QuantErrors => askedProblems(asker, quantized, options, fields)

/** The float network, whose layers all have biases where these are to move. */
const biased = <I, O>(float: Trained<I, O>, { layers }: Choosables): Trained<I, O> => {
  const at = new Map(placed(float.net).map((p) => [p.path, p]))
  return layers.reduce((t, { size, weight }) => {
    const place = at.get(size.path)
    return place === undefined ? t : { ...t, ...biasedAt(t, place, weight.shape[0]) }
  }, float)
}

/**
 * Measures, layer by layer and bit width by bit width, what a network loses when only the weights of that layer are
 * rounded, all else in floats; with `activations`, also what it loses when only those of a layer are. Losses of more
 * bits are never larger: where they were measured to be, the smaller one counts for both.
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
  const { bits = DEFAULT_BITS, activations: widths, rounding = 'gptq', bias = true, loss, onProgress, ...how } = options
  const looking: Looking<I> = { inputs: quantized.inputs, feed: feed.right, backend: how.backend }
  const found = choosable(quantized)
  if (E.isLeft(found)) return found
  const { activations: acting } = found.right
  const total = found.right.layers.length + (widths === undefined ? 0 : acting.length)
  let layer = 0
  const told = (path: string): void => onProgress?.({ layer: ++layer, total, path })
  const float = bias ? biased(quantized.float, found.right) : quantized.float
  return using(runnerOf(float.net, looking.inputs, { mode: 'eval', backend: how.backend }), (runner) =>
    E.chain((judge: Judge<I, O>): E.Either<QuantErrors, Sensitivity> => {
      const ready = { judge, looking, bits: [...new Set(bits)], rounding, bias, told }
      const weights = weightLosses(float, found.right, ready)
      if (E.isLeft(weights) || widths === undefined) return weights
      const asked = { widths: [...new Set(widths)], data, how, judge, told }
      return E.map((activations: readonly ActivationSensitivity[]) => ({ ...weights.right, activations }))(
        activationLosses(quantized, acting, asked),
      )
    })(judgeBy(float, runner, looking, loss)),
  )
}

const weightLosses = <I, O>(
  float: Trained<I, O>,
  { layers: asked, kept }: Choosables,
  ready: Ready<I, O>,
): E.Either<QuantErrors, Sensitivity> => {
  const none = ready.judge.params(float.params)
  if (E.isLeft(none)) return none
  const layers: LayerSensitivity[] = []
  for (const { at, weight, size } of asked) {
    const losses = lossesOf(float, at, weight, ready)
    if (E.isLeft(losses)) return losses
    layers.push({ ...size, losses: losses.right })
    ready.told(at.path)
  }
  return E.right({ float: none.right, layers, kept })
}

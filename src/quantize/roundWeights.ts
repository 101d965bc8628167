/** Weights rounded so that results stay close, not the weights themselves: GPTQ, layer by layer. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../data/error.js'
import { anything, count, finite, flag, func, nonNegative, oneOf, whole, type Fields } from '../data/fields.js'
import type { Tensor } from '../data/tensor.js'
import type { Backend } from '../evaluator/backend.js'
import { integerThreshold, preprocessNumber } from '../quantizers/scaling.js'
import type { Quantizer } from '../quantizers/quantizer.js'
import { askedProblems } from './asked.js'
import type { Progress } from './calibrate.js'
import { withBiasAt } from './correctBias.js'
import { remade } from './convert.js'
import type { Looking } from './looking.js'
import { numbersFrom } from './numbers.js'
import { feedOf, type Cut, type Samples } from './samples.js'
import { momentsAt, type Moments } from './rounding/moments.js'
import { errorOf, problemOf, type Asked } from './rounding/problem.js'
import { plainRounding, solved, type Solved } from './rounding/solve.js'
import { branchOf, leafAt, weightedIn, withLayer, withLeaf, type Weighted } from './taps.js'
import type { Quantized, Trained } from './types.js'

/** How weights are rounded. */
export type RoundOptions = Cut & {
  /** `search` (default): the step of each channel is searched too. `keep`: as the quantizer has it. */
  readonly scales?: 'search' | 'keep'
  /**
   * What to agree with: `float` (default), the results of the float network, whatever came before; `own`, those of this
   * layer's float weights.
   */
  readonly target?: 'float' | 'own'
  /** Move what is left of the mean error into the bias (default true). */
  readonly bias?: boolean
  /**
   * How much of the mean second moment is added to each (default 0.01): keeps weights whose inputs hardly occur where
   * they are.
   */
  readonly damping?: number
  /** Rounds of descent after the rounding itself (default 8; 0: GPTQ alone). */
  readonly sweeps?: number
  /** Told after each layer. */
  readonly onProgress?: (progress: Omit<Progress, 'samples'> & { readonly path: string }) => void
  readonly backend?: Backend
}

const OPTIONS: Fields<RoundOptions> = {
  batches: count,
  batchSize: count,
  scales: oneOf('search', 'keep'),
  target: oneOf('float', 'own'),
  bias: flag,
  damping: { ...nonNegative, says: 'a number from 0 on', holds: (x) => finite.holds(x) && Number(x) >= 0 },
  sweeps: whole,
  onProgress: func,
  backend: anything,
}

/** A layer whose weights were rounded, or why not. */
export type RoundedLayer = {
  readonly path: string
  /**
   * Squared error of its results over samples, of plain rounding and now, in parts of the variance of what unrounded
   * weights can do; null where nothing was done.
   */
  readonly before: number | null
  readonly after: number | null
  /** Why its weights stayed as they are. */
  readonly kept: string | null
}

/** What `roundWeights` gives. */
export type RoundedWeights<I, O> = Quantized<I, O> & { readonly rounded: readonly RoundedLayer[] }

/** Why the weights of a layer can't be rounded by rows; null: they can. */
export const whyNot = (q: Quantizer | null, { layer, products }: Weighted): string | null => {
  if (q === null) return 'it has no weight quantizer'
  if (layer.absorb?.weightAxis('behind') !== 0 || products.length === 0)
    return `${layer.layer} has another weight than rows of output channels`
  if (q.quantType !== 'INT' || q.bitWidth === null || q.bitWidthImplType !== 'CONST')
    return `${q.name} is no quantizer of integers of a fixed width`
  if (q.zeroPointImpl !== 'zero') return `${q.name} has a zero point`
  if (q.preScaling !== null || q.scalingOver === 'GROUP')
    return `${q.name} has other scales than one per tensor or channel`
  return null
}

/** The quantizer of a layer's weights. */
export const weightQuantizer = ({ layer }: Weighted): Quantizer | null => {
  const q = layer.source?.quantizers?.weightQuant ?? null
  return q === null || q.use === 'trunc' ? null : q
}

/** The bias that takes the mean error away: `b + w_float·mean_float - w·mean`. */
export const biasFor = (bias: Tensor, w: Float32Array, float: Tensor, m: Moments, target: Asked['target']): Tensor => {
  const means = target === 'own' ? m.ownMeans : m.floatMeans
  const perGroup = float.shape[0] / m.groups
  const data = bias.data.map((b, o) => {
    const g = Math.floor(o / perGroup)
    let sum = 0
    for (let i = 0; i < m.n; i++)
      sum += float.data[o * m.n + i] * means[g * m.n + i] - w[o * m.n + i] * m.ownMeans[g * m.n + i]
    return b + sum
  })
  return { ...bias, data }
}

/** A network whose layer has these weights, on steps that its quantizer keeps. */
const withWeights = <I, O>(
  q: Quantized<I, O>,
  at: Weighted,
  quantizer: Quantizer,
  { weight, steps }: Solved,
): E.Either<QuantErrors, Quantized<I, O>> => {
  const form = remade(at.layer, { weightQuant: { ...quantizer, scalingImplType: 'PARAMETER_FROM_STATS' } })
  if (form === null) return E.right(q)
  const old = leafAt(q, at.path, 'weight')
  const params = old === null ? q.params : withLeaf(q.params, at.path, 'weight', { ...old, data: weight })
  return E.map((fresh: Trained<I, O>): Quantized<I, O> => {
    const scale = branchOf(fresh.state, `${at.path === '' ? '' : `${at.path}.`}weightQuant.scale`)
    const { value, initDone } = scale as { readonly value: Tensor; readonly initDone: Tensor }
    const t = integerThreshold(quantizer)
    const stored = value.data.map((_, o) => preprocessNumber(steps[o] * t, quantizer))
    const known = {
      ...scale,
      value: { ...value, data: stored },
      initDone: { ...initDone, data: Float32Array.of(1) },
    }
    const place = at.path === '' ? 'weightQuant' : `${at.path}.weightQuant`
    return { ...q, ...fresh, state: withLeaf(fresh.state, place, 'scale', known) }
  })(numbersFrom(withLayer(q.net, at.path, form), { params, state: q.state }))
}

/** One layer, rounded. */
const roundedAt = <I, O>(
  q: Quantized<I, O>,
  float: Trained<I, O>,
  at: Weighted,
  looking: Looking<I>,
  asked: Asked,
): E.Either<QuantErrors, readonly [Quantized<I, O>, RoundedLayer]> => {
  const quantizer = weightQuantizer(at)
  const [weight, wanted] = [leafAt(q, at.path, 'weight'), leafAt(float, at.path, 'weight')]
  const kept =
    whyNot(quantizer, at) ?? (weight === null || wanted === null ? 'the float network has no such weight' : null)
  if (kept !== null || quantizer === null || weight === null || wanted === null)
    return E.right([q, { path: at.path, before: null, after: null, kept }])
  return E.chain((m: Moments) => {
    const problem = problemOf(wanted, m, asked)
    const done = solved(wanted, problem, quantizer, asked)
    return E.map((next: Quantized<I, O>) => {
      const ready = asked.bias ? withBiasAt(next, at, wanted.shape[0]) : next
      const bias = leafAt(float, at.path, 'bias') ?? leafAt(ready, at.path, 'bias')
      const params =
        asked.bias && bias !== null
          ? withLeaf(ready.params, at.path, 'bias', biasFor(bias, done.weight, wanted, m, asked.target))
          : ready.params
      const report = {
        path: at.path,
        before: errorOf(plainRounding(wanted, quantizer), problem),
        after: errorOf(done.weight, problem),
        kept: null,
      }
      return [{ ...ready, params }, report] as const
    })(withWeights(q, at, quantizer, done))
  })(momentsAt(float, q, at.path, looking))
}

/**
 * Rounds the weights of each layer so that its results over samples stay close to those of the float network, layer by
 * layer in the order of their calls: what a layer is given is that of layers which are quantized already, and what it
 * should make of it that of the float network. Each output channel's step is searched as well. The quantizers keep
 * these steps from then on, as learned scales. Layers with weights per output channel and quantizers of integers are
 * rounded, others told in `rounded`.
 * Sources: Frantar et al., GPTQ (2022); its target from the float network as in Li et al., GPTAQ (2025), Zhang et al.,
 * Qronos (2025); the descent behind it as in Behdin et al., QuantEase (2023). Brevitas `gptq_mode`.
 * @example pipe(calibrated, (q) => roundWeights(q, q.float, images, { batches: 16 }))
 */
export const roundWeights = <I, O>(
  quantized: Quantized<I, O>,
  float: Trained<I, O>,
  data: Samples<I>,
  options: RoundOptions = {},
): E.Either<QuantErrors, RoundedWeights<I, O>> => {
  const wrong = askedProblems('roundWeights', quantized, options, OPTIONS, float)
  if (wrong.length > 0) return E.left(wrong)
  const feed = feedOf<I>('roundWeights', quantized.inputs, data, options)
  if (E.isLeft(feed)) return feed
  const { scales = 'search', target = 'float', bias = true, damping = 0.01, sweeps = 8, onProgress, backend } = options
  const looking = { inputs: quantized.inputs, feed: feed.right, backend }
  const layers = weightedIn(quantized.net, quantized.inputs)
  if (E.isLeft(layers)) return layers
  const rounded: RoundedLayer[] = []
  let q = quantized
  for (const [k, at] of layers.right.entries()) {
    const done = roundedAt(q, float, at, looking, { scales, target, bias, damping, sweeps })
    if (E.isLeft(done)) return done
    q = done.right[0]
    rounded.push(done.right[1])
    onProgress?.({ batch: k + 1, total: layers.right.length, path: at.path })
  }
  return E.right({ ...q, rounded })
}

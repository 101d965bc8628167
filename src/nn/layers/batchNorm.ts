/** torch's BatchNorm, and what it is in evaluation: a factor and a shift per channel. */
import * as E from 'fp-ts/lib/Either.js'
import {
  byDefault,
  count,
  demandArguments,
  flag,
  fraction,
  nonNegative,
  orNull,
  record,
  required,
  type OptionsOf,
  type Resolved,
} from '../../data/fields.js'
import { showShape, sizeOf } from '../../data/shape.js'
import { isTensor, tensorField, type Tensor } from '../../data/tensor.js'
import type { Kit, Value } from '../../graph/op.js'
import { dequantize, reshape } from '../functions/index.js'
import { demandValue } from '../functions/support.js'
import {
  constantLeaf,
  countingLeaf,
  type ChannelMap,
  type Layer,
  type None,
  type SpecTree,
  type Traced,
  type Trees,
  type Unmerged,
} from './layer.js'
import { quantizedLayer } from './quantizedLayer.js'

/** Scale and shift of a normalisation. */
export type NormParams = { readonly weight: Tensor; readonly bias: Tensor }
/** Running statistics of a batch norm. */
export type BatchNormState = {
  readonly runningMean: Tensor
  readonly runningVar: Tensor
  readonly numBatchesTracked: Tensor
}
const BATCH_NORM = {
  numFeatures: required({ ...count, like: '64' }),
  /** Default 1e-5. */
  eps: byDefault({ ...nonNegative, like: '1e-5' }, 1e-5),
  /** The weight of a batch in running statistics (default 0.1); null: the plain mean over all batches. */
  momentum: byDefault(orNull({ ...fraction, like: '0.1' }), 0.1),
  /** Has it a weight and a bias (default true)? */
  affine: byDefault(flag, true),
  /** Does it keep running statistics for evaluation (default true)? Without them it normalises by each batch, in evaluation too. */
  trackRunningStats: byDefault(flag, true),
}
/** Options of a batch norm. */
export interface BatchNormOptions extends OptionsOf<typeof BATCH_NORM> {}
/** A batch norm as its options make it. */
export type BatchNorm<O extends BatchNormOptions> = Layer<
  O extends { readonly affine: false } ? None : NormParams,
  O extends { readonly trackRunningStats: false } ? None : BatchNormState
>

const channelView = (v: Value, rank: number): Value =>
  reshape(
    v,
    Array.from({ length: rank }, (_, i) => (i === 1 ? sizeOf(v.shape) : 1)),
  )

/** `(x - mean)/sqrt(var + eps)`, from statistics that broadcast over x. */
export const normalized = (kit: Kit, centred: Value, variance: Value, eps: number): Value =>
  kit.emit('div', [centred, kit.emit('sqrt', [kit.emit('add', [variance, kit.constant(eps)])])])

/** One value per channel has no variance: the batch norm would give zeros, and its running variance die out (torch refuses, too). */
const oneValue = (kit: Kit, name: string, { shape }: Value): Value =>
  kit.failWith({
    tag: 'ShapeError',
    op: name,
    path: kit.path(),
    message: `${name} is given ${shape[0] === 0 ? 'no' : 'one'} value per channel in training, ${showShape(shape)}: more than one is needed for their variance`,
    fix: 'train on batches of more samples (loader: { dropLast: true } leaves out a last batch of one), or trace this layer with its running statistics: { freeze: its path }',
  })

/** Inputs that torch's batch norms take, by their number of axes. */
type Takes = { readonly ranks: readonly number[]; readonly words: string }

/** Refuses, as torch does, an input of another number of axes or channels. */
const misfit = (name: string, x: Value, numFeatures: number, { ranks, words }: Takes): Value | null => {
  const given = showShape(x.shape)
  const wrong = (): string | null =>
    x.shape[1] === numFeatures
      ? null
      : `${name} has ${numFeatures} features, but its input ${given} has ${x.shape[1]} channels`
  const refuse = ranks.includes(x.shape.length) ? wrong() : `${name} normalises ${words}, not ${given}`
  return refuse === null
    ? null
    : x.kit.fail({ op: name, refuse, fix: `give it an input ${words} with C = ${numFeatures}, or change the layer` })
}

type Norm = Resolved<typeof BATCH_NORM> & { readonly name: string }
type Params = Partial<Traced<NormParams>>
type State = Partial<Traced<BatchNormState>>

/** A normalised value times the weight plus the bias, if it has them. */
const shifted = ({ weight, bias }: Params, x: Value): Value =>
  weight === undefined || bias === undefined
    ? x
    : x.kit.emit('add', [
        x.kit.emit('mul', [x, channelView(weight, x.shape.length)]),
        channelView(bias, x.shape.length),
      ])

/** Running statistics after a batch of n values per channel. */
const blended = (
  kit: Kit,
  s: Traced<BatchNormState>,
  { numFeatures, momentum }: Norm,
  batch: { readonly mean: Value; readonly variance: Value; readonly n: number },
): Traced<BatchNormState> => {
  const batches = kit.emit('add', [s.numBatchesTracked, kit.constant(1)])
  const share = momentum === null ? kit.emit('div', [kit.constant(1), batches]) : kit.constant(momentum)
  const rest = momentum === null ? kit.emit('sub', [kit.constant(1), share]) : kit.constant(1 - momentum)
  const blend = (old: Value, now: Value): Value =>
    kit.emit('add', [
      kit.emit('mul', [old, rest]),
      kit.emit('mul', [reshape(kit.emit('detach', [now]), [numFeatures]), share]),
    ])
  const unbiased = kit.emit('mul', [batch.variance, kit.constant(batch.n / (batch.n - 1))])
  return {
    runningMean: blend(s.runningMean, batch.mean),
    runningVar: blend(s.runningVar, unbiased),
    numBatchesTracked: batches,
  }
}

const isTracking = (s: State): s is Traced<BatchNormState> => s.runningMean !== undefined

const normalize = (o: Norm, p: Params, s: State, x: Value, kit: Kit): readonly [Value, State] => {
  const rank = x.shape.length
  if (kit.mode === 'eval' && isTracking(s)) {
    const centred = kit.emit('sub', [x, channelView(s.runningMean, rank)])
    return [shifted(p, normalized(kit, centred, channelView(s.runningVar, rank), o.eps)), s]
  }
  const dims = x.shape.map((_, i) => i).filter((i) => i !== 1)
  const n = dims.reduce((c, d) => c * x.shape[d], 1)
  if (x.shape.length > 1 && n < 2) return [oneValue(x.kit, o.name, x), s]
  const mean = kit.emit('mean', [x], { dims, keepdim: true })
  const centred = kit.emit('sub', [x, mean])
  const variance = kit.emit('mean', [kit.emit('mul', [centred, centred])], { dims, keepdim: true })
  const next = isTracking(s) ? blended(kit, s, o, { mean, variance, n }) : s
  return [shifted(p, normalized(kit, centred, variance, o.eps)), next]
}

const noStatistics: Unmerged = {
  why: 'it keeps no running statistics (trackRunningStats: false): it normalises by each batch, which no weights can',
  fix: 'train it with trackRunningStats: true',
}

const notFinite = (channel: number, variance: number): Unmerged => ({
  why: `channel ${channel} has the running variance ${variance}: its factor is not finite`,
  fix: 'look where its statistics come from; a variance is above 0, or above -eps',
})

/** A batch norm's factor and shift: `weight/sqrt(var + eps)` and `bias - mean·weight/sqrt(var + eps)`, in float32 (Brevitas mul_add_from_bn). */
const mapOf = (params: Partial<NormParams>, mean: Tensor, variance: Tensor, eps: number): ChannelMap => {
  const [w, b] = [params.weight?.data, params.bias?.data]
  const factor = variance.data.map((v, i) =>
    Math.fround((w?.[i] ?? 1) / Math.fround(Math.sqrt(Math.fround(v + Math.fround(eps))))),
  )
  return { factor, shift: mean.data.map((m, i) => Math.fround((b?.[i] ?? 0) - Math.fround(m * factor[i]))) }
}

const channelMap =
  (eps: number) =>
  ({ params, state }: Trees): E.Either<Unmerged, ChannelMap> => {
    const { runningMean: mean, runningVar: variance } = state
    if (!isTensor(mean) || !isTensor(variance)) return E.left(noStatistics)
    const map = mapOf(params as Partial<NormParams>, mean, variance, eps)
    const bad = map.factor.findIndex((m, i) => !Number.isFinite(m) || !Number.isFinite(map.shift[i]))
    return bad < 0 ? E.right(map) : E.left(notFinite(bad, variance.data[bad]))
  }

type BatchNormLayer = Layer<Partial<NormParams>, Partial<BatchNormState>>

const batchNorm = <O extends BatchNormOptions>(name: string, options: O, takes: Takes): BatchNorm<O> => {
  const layer: BatchNormLayer = quantizedLayer({
    name,
    options,
    own: BATCH_NORM,
    places: {},
    printed: ({ eps, momentum }) => ({ eps: String(eps), momentum: String(momentum) }),
    build: (_q, own) => {
      const leaf = (value: number, learned: boolean) => constantLeaf([own.numFeatures], value, learned)
      const params: SpecTree = own.affine ? { weight: leaf(1, true), bias: leaf(0, true) } : {}
      const state: SpecTree = own.trackRunningStats
        ? { runningMean: leaf(0, false), runningVar: leaf(1, false), numBatchesTracked: countingLeaf }
        : {}
      return {
        params,
        state,
        channelMap: channelMap(own.eps),
        apply: (p: Params, s: State, given: Value, kit: Kit) => {
          demandValue(name, given)
          const x = dequantize(given, `${name} gets the bare value and returns a plain tensor`)
          const bad = misfit(name, x, own.numFeatures, takes)
          return bad !== null ? ([bad, s] as const) : normalize({ ...own, name }, p, s, x, kit)
        },
      }
    },
  })
  return layer as BatchNorm<O>
}

/** torch.nn.BatchNorm1d: batch statistics in training, running ones in eval. Input `[N, C]` or `[N, C, L]`; strips. */
export const BatchNorm1d = <const O extends BatchNormOptions>(o: O): BatchNorm<O> =>
  batchNorm('BatchNorm1d', o, { ranks: [2, 3], words: '[N, C] or [N, C, L]' })
/** torch.nn.BatchNorm2d. Input `[N, C, H, W]`; strips. */
export const BatchNorm2d = <const O extends BatchNormOptions>(o: O): BatchNorm<O> =>
  batchNorm('BatchNorm2d', o, { ranks: [4], words: '[N, C, H, W]' })
/** torch.nn.BatchNorm3d. Input `[N, C, D, H, W]`; strips. */
export const BatchNorm3d = <const O extends BatchNormOptions>(o: O): BatchNorm<O> =>
  batchNorm('BatchNorm3d', o, { ranks: [5], words: '[N, C, D, H, W]' })

const FOLDED = {
  weight: tensorField,
  bias: tensorField,
  runningMean: required(tensorField),
  runningVar: required(tensorField),
}

/**
 * A trained batch norm as a scale and a bias, the parameters of BatchNorm1d/2dToQuantScaleBias: `weight/sqrt(var + eps)` and
 * `bias - mean·weight/sqrt(var + eps)`, in float32 (Brevitas mul_add_from_bn). `eps` is that of the layer that is loaded. Without affine
 * parameters weight is 1 and bias 0.
 */
export const foldBatchNorm = (
  bn: Partial<NormParams> & Pick<BatchNormState, 'runningMean' | 'runningVar'>,
  eps = 1e-5,
): NormParams => {
  demandArguments('foldBatchNorm', { batchNorm: bn, eps }, { batchNorm: required(record), eps: nonNegative })
  demandArguments('foldBatchNorm', bn, FOLDED)
  const { factor, shift } = mapOf(bn, bn.runningMean, bn.runningVar, eps)
  const { shape } = bn.runningMean
  return { weight: { shape, data: factor }, bias: { shape, data: shift } }
}

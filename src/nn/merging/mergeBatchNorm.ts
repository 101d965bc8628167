/** Merges the batch norms of a trained network into the layers with weights beside them. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import {
  demandArguments,
  either,
  fieldProblems,
  flag,
  list,
  record,
  required,
  shaped,
  type Fields,
} from '../../data/fields.js'
import { isTensor } from '../../data/tensor.js'
import type { Value } from '../../graph/op.js'
import { dequantize, isQuantValue } from '../functions/index.js'
import { layerProblems } from '../layers/checks.js'
import { functionLayer } from '../layers/functionLayer.js'
import type { AnyLayer, Layer, Side, TensorTree } from '../layers/layer.js'
import type { WeightQuantizers } from '../layers/weightLayers.js'
import type { InputsOf } from '../program/program.js'
import { treesProblems } from '../program/wanted.js'
import { flowOf, type Flow } from './flow.js'
import { foldedNorm } from './fold.js'
import { treeProblems, unmerged } from './into.js'
import { pairOf, type Numbers, type Pair } from './pairs.js'
import { branchAt, changedLayers, withBranch, type Placed } from './places.js'

/** How batch norms are merged. */
export type MergeOptions = {
  /** Refuse the whole where one batch norm can't be merged (default false: it stays, and is told in `kept`). */
  readonly strict?: boolean
  /**
   * Turn each batch norm that stays into a layer of its own, a scale and a bias per channel: BatchNorm1d/2dToQuantScaleBias, or QuantScaleBias for
   * inputs of other ranks; `true`, or with the quantizers of that layer (`{ weightQuant: null }`: floats).
   */
  readonly fold?: boolean | WeightQuantizers
}

/** A batch norm that went into a layer. */
export type MergedNorm = {
  /** Path of the batch norm. */
  readonly batchNorm: string
  /** Path of the layer that took it over. */
  readonly into: string
  /** Where it stood, seen from that layer. */
  readonly side: Side
  /** The layer had no bias and got one. */
  readonly newBias: boolean
  /** The scale of its weights had been learned, and is taken from the merged weights again at the next call. */
  readonly scaleAnew: boolean
}

/** A batch norm that stayed. */
export type KeptNorm = {
  readonly path: string
  readonly layer: string
  readonly why: string
  readonly fix: string
}

/** A network without the batch norms that could be merged, with its numbers. */
export type Merged<I, O> = {
  readonly net: Layer<TensorTree, TensorTree, I, O>
  readonly params: TensorTree
  readonly state: TensorTree
  readonly merged: readonly MergedNorm[]
  /** Paths of those that became a scale and a bias. */
  readonly folded: readonly string[]
  readonly kept: readonly KeptNorm[]
}

const OPTIONS: Fields<MergeOptions> = { strict: flag, fold: either(flag, record) }

/** What stands where a batch norm stood that can't simply be left out: it gives on what it is given, as plain as the batch norm gave it. */
const passing: AnyLayer = functionLayer<Value>(
  'Identity',
  (x) => dequantize(x, 'the batch norm that was merged here gave a plain tensor'),
  {},
  [],
  { layer: 'Identity', options: {}, takes: [] },
)

/** What stands in a batch norm's place: nothing in a chain where what it was given is plain, as its own result was. */
const inItsPlace = (flow: Flow, { path, parent }: Placed): AnyLayer | null => {
  const given = flow.calls.get(path)?.[0]?.x ?? null
  const spare = Object.keys(parent.source?.within ?? {}).length > 1
  return parent.source?.sequential === true && spare && given !== null && !isQuantValue(given) ? null : passing
}

type Now = Numbers & { readonly net: AnyLayer; readonly merged: readonly MergedNorm[] }

const mergedNorm = ({ norm, into, side, became }: Pair, { params, state }: Numbers): MergedNorm => {
  const scale = branchAt(state, `${into.path}.weightQuant.scale`)
  return {
    batchNorm: norm.path,
    into: into.path,
    side,
    newBias: became.params.bias !== undefined && branchAt(params, into.path).bias === undefined,
    scaleAnew: isTensor(scale.initDone) && scale.initDone.data[0] !== 0,
  }
}

/** A network after some pairs, no two of one layer. */
const after = (now: Now, flow: Flow, pairs: readonly Pair[]): Now => {
  const changes = new Map<string, AnyLayer | null>()
  let { params, state } = now
  for (const { norm, into, became } of pairs) {
    const instead = inItsPlace(flow, norm)
    changes.set(norm.path, instead).set(into.path, became.layer)
    params = withBranch(withBranch(params, into.path, became.params), norm.path, instead === null ? null : {})
    state = withBranch(withBranch(state, into.path, became.state), norm.path, instead === null ? null : {})
  }
  return {
    net: changedLayers(now.net, changes),
    params,
    state,
    merged: [...now.merged, ...pairs.map((p) => mergedNorm(p, now))],
  }
}

/** Of each layer the first pair: what else concerns it is looked at again. */
const apart = (pairs: readonly Pair[]): readonly Pair[] =>
  pairs.filter((p, i) => pairs.findIndex((o) => o.into.path === p.into.path) === i)

/** A network whose batch norms that stayed are folded, as far as they can be. */
const withFolds = (
  now: Now,
  flow: Flow,
  kept: readonly KeptNorm[],
  quantizers: WeightQuantizers,
): Now & { readonly folded: readonly string[]; readonly kept: readonly KeptNorm[] } => {
  const changes = new Map<string, AnyLayer>()
  const still: KeptNorm[] = []
  let { params, state } = now
  for (const one of kept) {
    const norm = flow.layers.get(one.path)
    const folded = norm === undefined ? null : foldedNorm(flow, now, norm, quantizers)
    if (folded === null || E.isLeft(folded)) {
      still.push(folded === null ? one : { ...one, ...folded.left })
      continue
    }
    changes.set(one.path, folded.right.layer)
    params = withBranch(params, one.path, folded.right.params)
    state = withBranch(state, one.path, folded.right.state)
  }
  return { ...now, net: changedLayers(now.net, changes), params, state, folded: [...changes.keys()], kept: still }
}

type Round = { readonly now: Now; readonly flow: Flow; readonly kept: readonly KeptNorm[]; readonly done: boolean }

const round = <I>(now: Now, inputs: InputsOf<I>): E.Either<QuantErrors, Round> =>
  E.map((flow: Flow): Round => {
    const norms = [...flow.layers.values()].filter((p) => p.layer.channelMap !== undefined)
    const found = norms.map((norm) => [norm, pairOf(flow, now, norm)] as const)
    const pairs = apart(found.flatMap(([, p]) => (E.isRight(p) ? [p.right] : [])))
    const kept = found.flatMap(([{ path, layer }, p]) => (E.isLeft(p) ? [{ path, layer: layer.layer, ...p.left }] : []))
    return { now: pairs.length === 0 ? now : after(now, flow, pairs), flow, kept, done: pairs.length === 0 }
  })(flowOf(now.net as Layer<TensorTree, TensorTree, I>, inputs))

const areNumbers = (x: unknown): x is Numbers => treesProblems('mergeBatchNorm', 'trained', x).length === 0

/**
 * Merges the batch norms of a trained network into the convolutions, transposed convolutions and linear layers behind which (or in front of
 * which, with no quantizer and no padding of zeros between) they stand, in chains, models and residuals: before an export, or before the
 * last epochs. `inputs` are declared as for `trace`, which shows what flows where. The running statistics are merged, whatever the mode; in
 * evaluation a float network gives the same numbers within rounding, and a quantized one other integers: scales per channel follow the merged weights, one per
 * tensor changes. A learned scale of merged weights is taken from them again at the next call (`scaleAnew`). In a chain a merged batch norm
 * is left out, elsewhere an Identity stands under its name.
 * What can't be merged stays and is told in `kept`, with the reason and the fix; with `strict` it is an error, with `fold` a layer of its own. Merging twice changes nothing.
 * @example pipe(mergeBatchNorm(net, tensorInput([1, 3, 32, 32]), trained), E.map(({ net, params, state, kept }) => …))
 */
export const mergeBatchNorm = <P, S, I, O>(
  net: Layer<P, S, I, O>,
  inputs: InputsOf<I>,
  trained: { readonly params: P; readonly state: S },
  options: MergeOptions = {},
): E.Either<QuantErrors, Merged<I, O>> => {
  const wrong = [...layerProblems('mergeBatchNorm', net), ...fieldProblems('mergeBatchNorm', options, OPTIONS)]
  const numbers: unknown = trained
  if (wrong.length > 0 || !areNumbers(numbers))
    return E.left([...wrong, ...treesProblems('mergeBatchNorm', 'trained', numbers)])
  const misfits = treeProblems(net, numbers, 'what was trained')
  if (misfits.length > 0) return E.left(misfits)
  const { params, state } = numbers
  let now: Now = { net, params, state, merged: [] }
  // Each round merges at least one batch norm: behind one that went away another may stand.
  for (;;) {
    const so = round<I>(now, inputs)
    if (E.isLeft(so)) return so
    now = so.right.now
    if (!so.right.done) continue
    const { flow, kept: left } = so.right
    const fold = options.fold === true ? {} : (options.fold ?? false)
    const end = fold === false ? { ...now, folded: [], kept: left } : withFolds(now, flow, left, fold)
    if (options.strict === true && end.kept.length > 0)
      return E.left(end.kept.map((k) => unmerged(k.layer, k.path, `${k.layer} can't be merged: ${k.why}`, k.fix)))
    return E.right({ ...end, net: end.net as Layer<TensorTree, TensorTree, I, O> })
  }
}

const shown = {
  merge: required({
    ...shaped('what mergeBatchNorm gave, unwrapped', {
      merged: required(list),
      folded: required(list),
      kept: required(list),
    }),
    like: 'orThrow(mergeBatchNorm(…))',
  }),
}

/** What `mergeBatchNorm` did, for people: a line for each batch norm. */
export const showMerge = (merge: Pick<Merged<unknown, unknown>, 'merged' | 'folded' | 'kept'>): string => {
  demandArguments('showMerge', { merge }, shown)
  return [
    ...merge.merged.map(
      (m) =>
        `${m.batchNorm} went into ${m.into}, ${m.side} which it stood${m.newBias ? '; it has a bias now' : ''}${m.scaleAnew ? '; its scale is taken from the merged weights at the next call' : ''}`,
    ),
    ...merge.folded.map((path) => `${path} is a scale and a bias of its own`),
    ...merge.kept.map((k) => `${k.path} stays: ${k.why}\n  fix: ${k.fix}`),
  ].join('\n')
}

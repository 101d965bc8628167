/** One batch norm into one layer with weights, by hand: Brevitas' `merge_bn`. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantError, QuantErrors } from '../../data/error.js'
import { fieldProblems, oneOf, record, required, shaped, whole, type Field, type Fields } from '../../data/fields.js'
import { showShape, sizeOf } from '../../data/shape.js'
import { isTensor } from '../../data/tensor.js'
import { at } from '../../data/tree.js'
import { isLayer, layerProblems } from '../layers/checks.js'
import type { Absorb, AnyLayer, Side, TrainedLayer, Trees, Unmerged } from '../layers/layer.js'
import { wantedOfLayer } from '../program/wanted.js'

/** How one batch norm is merged by hand. */
export type MergeIntoOptions = {
  /** Where the batch norm stands, seen from the layer (default behind it). */
  readonly side?: Side
  /** The axis of the weight along which the batch norm's channels stand; known by the layer, and refused if it says another. */
  readonly outputChannelDim?: number
}

const OPTIONS: Fields<MergeIntoOptions> = {
  side: oneOf('behind', 'before'),
  outputChannelDim: whole,
}

/** An error of a merge. */
export const unmerged = (layer: string, path: string, message: string, fix: string): QuantError => ({
  tag: 'LayerError',
  layer,
  path,
  message,
  fix,
})

/** What is wrong with parameters and state of a layer: each leaf that it declares must be there, of its shape. */
export const treeProblems = (layer: AnyLayer, trees: Trees, what: string): QuantErrors =>
  wantedOfLayer(layer).flatMap(({ which, path, shape }): QuantErrors => {
    const t = at(trees[which], path)
    return isTensor(t) && t.data.length === sizeOf(shape) && showShape(t.shape) === showShape(shape)
      ? []
      : [
          {
            tag: 'InputError',
            input: `${which}.${path}`,
            path: '',
            message: `${what} has ${isTensor(t) ? `${showShape(t.shape)} at` : 'no'} ${which}.${path}, where ${layer.layer} keeps a tensor ${showShape(shape)}`,
            fix: 'give the parameters and the state that init, train or a checkpoint of this very layer gave',
          },
        ]
  })

const trained: Field = required(
  shaped('a layer with its parameters and its state', {
    layer: required({ says: 'a layer', like: 'QuantConv2d({ … })', holds: isLayer }),
    params: required(record),
    state: required(record),
  }),
)

const givenProblems = (layer: TrainedLayer, norm: TrainedLayer, options: MergeIntoOptions): QuantErrors => {
  const wrong = [
    ...fieldProblems('mergeBatchNormInto', { layer, norm }, { layer: trained, norm: trained }),
    ...fieldProblems('mergeBatchNormInto', options, OPTIONS),
  ]
  if (wrong.length > 0) return wrong
  const broken = [layer, norm].flatMap((l) => layerProblems('mergeBatchNormInto', l.layer))
  return broken.length > 0
    ? broken
    : [...treeProblems(layer.layer, layer, 'the layer'), ...treeProblems(norm.layer, norm, 'the batch norm')]
}

/** Another axis than the layer's own; torch's words where its sizes don't fit. */
const axisProblem = (absorb: Absorb, l: TrainedLayer, side: Side, dim: number | undefined): Unmerged | null => {
  const axis = absorb.weightAxis(side)
  if (dim === undefined || dim === axis) return null
  const { weight } = l.params
  const [size, count] = [isTensor(weight) ? weight.shape[dim] : undefined, absorb.count(side)]
  const torch =
    size === undefined || size === count
      ? ''
      : `: The size of tensor a (${size}) must match the size of tensor b (${count}) at non-singleton dimension ${dim}`
  return {
    why: `these channels stand at axis ${axis} of its weight, not at ${dim}${torch}`,
    fix: `leave outputChannelDim out, or give ${axis}`,
  }
}

/** What can absorb, and how many channels come. */
export const countProblem = (absorb: Absorb, side: Side, channels: number): Unmerged | null =>
  absorb.count(side) === channels
    ? null
    : {
        why: `it has ${absorb.count(side)} ${side === 'behind' ? 'output' : 'input'} channels, and the batch norm has ${channels}`,
        fix: 'merge a batch norm with as many features as the layer has channels on that side',
      }

const noWeights = (name: string): Unmerged => ({
  why: 'it has no weights that could take over a factor per channel',
  fix: `merge into a convolution, transposed convolution or linear layer; ${name} is none`,
})
const noNorm = (name: string): Unmerged => ({
  why: `${name} is no batch norm`,
  fix: 'give a BatchNorm1d or BatchNorm2d',
})

/**
 * Merges one batch norm into one layer with weights (Brevitas `merge_bn`): `m = weight/sqrt(var + eps)` of the running statistics goes into
 * the weight along its output channels, `bias·m + bias_bn - mean·m` into the bias, a new one if the layer had none. Behind the layer, or in
 * front of it (`side: 'before'`; then along its input channels). A learned scale of the weights is made anew, at the next call; input and
 * output quantizers keep their state (an output quantizer that stood in front of the batch norm is not adapted: `mergeBatchNorm` refuses that).
 * Batch norms without affine parameters count as weight 1 and bias 0.
 * @example mergeBatchNormInto({ layer: conv, ...trained.conv }, { layer: bn, ...trained.bn }) // Right: { layer, params, state }
 */
export const mergeBatchNormInto = (
  layer: TrainedLayer,
  norm: TrainedLayer,
  options: MergeIntoOptions = {},
): E.Either<QuantErrors, TrainedLayer> => {
  const wrong = givenProblems(layer, norm, options)
  if (wrong.length > 0) return E.left(wrong)
  const { side = 'behind', outputChannelDim } = options
  const { absorb } = layer.layer
  const refused = (name: string, { why, fix }: Unmerged): E.Either<QuantErrors, never> =>
    E.left([unmerged(name, '', `${norm.layer.layer} can't be merged into ${layer.layer.layer}: ${why}`, fix)])
  if (absorb === undefined) return refused(layer.layer.layer, noWeights(layer.layer.layer))
  const { channelMap } = norm.layer
  if (channelMap === undefined) return refused(norm.layer.layer, noNorm(norm.layer.layer))
  const map = channelMap(norm)
  if (E.isLeft(map)) return refused(norm.layer.layer, map.left)
  const misfit =
    axisProblem(absorb, layer, side, outputChannelDim) ?? countProblem(absorb, side, map.right.factor.length)
  if (misfit !== null) return refused(layer.layer.layer, misfit)
  const taken = absorb.take(layer, map.right, side)
  return E.isLeft(taken) ? refused(layer.layer.layer, taken.left) : taken
}

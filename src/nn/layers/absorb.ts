/** How a layer with weights takes over what a batch norm is in evaluation: a factor and a shift per channel. */
import * as E from 'fp-ts/lib/Either.js'
import { marksOf } from '../../data/marks.js'
import { manualSeed } from '../../data/random.js'
import { sizeOf, type Shape } from '../../data/shape.js'
import { isTensor, type Tensor } from '../../data/tensor.js'
import { mapTree } from '../../data/tree.js'
import type { Quantizer } from '../../quantizers/quantizer.js'
import type {
  Absorb,
  AnyLayer,
  ChannelMap,
  LeafSpec,
  Side,
  SpecTree,
  TensorTree,
  TrainedLayer,
  Trees,
  Unmerged,
} from './layer.js'

/** The geometry of a product as a merge needs it. */
export type Weighing = {
  readonly weightShape: Shape
  /** Axis of the output channels in the weight: 0, or 1 of a transposed convolution. */
  readonly axis: number
  readonly groups: number
  /** Does each output element see each weight of its kernel exactly once (nothing padded with zeros, nothing left out)? */
  readonly whole: boolean
}

type Along = { readonly input: Int32Array; readonly output: Int32Array }

/** The input and the output channel of each element of a weight, groups counted. */
const channelsOf = ({ weightShape, axis, groups }: Weighing): Along => {
  const [first, second] = weightShape
  const kernel = sizeOf(weightShape.slice(2))
  const n = first * second * kernel
  const [input, output] = [new Int32Array(n), new Int32Array(n)]
  const [outer, inner] = axis === 0 ? [output, input] : [input, output]
  for (let i = 0; i < n; i++) {
    const a = Math.floor(i / (second * kernel))
    outer[i] = a
    // The second axis counts within a group, of which the first axis holds `first / groups` rows.
    inner[i] = Math.floor(a / (first / groups)) * second + (Math.floor(i / kernel) % second)
  }
  return { input, output }
}

const like = (t: Tensor, data: Float32Array): Tensor => ({ ...t, shape: t.shape, data })

/** The weight times the factor of each element's channel, in float32 (Brevitas `merge_bn`). */
const scaled = (w: Tensor, channel: Int32Array, { factor }: ChannelMap): Tensor =>
  like(
    w,
    w.data.map((x, i) => x * factor[channel[i]]),
  )

const moves = (shift: Float32Array): boolean => shift.some((a) => a !== 0)

/** The bias behind a batch norm: `bias·factor + shift`, each step in float32. */
const biasBehind = (bias: Tensor | undefined, { factor, shift }: ChannelMap): Tensor => ({
  shape: [shift.length],
  data: bias === undefined ? shift : bias.data.map((b, i) => Math.fround(b * factor[i]) + shift[i]),
})

/** What the weights make of the shift of their input, added to the bias; none where there is none and nothing to add. */
const biasBefore = (
  bias: Tensor | undefined,
  w: Tensor,
  n: number,
  along: Along,
  { shift }: ChannelMap,
): Tensor | undefined => {
  if (bias === undefined && !moves(shift)) return undefined
  const sums = new Float64Array(n)
  w.data.forEach((x, i) => {
    sums[along.output[i]] += x * shift[along.input[i]]
  })
  return { shape: [n], data: Float32Array.from(sums, (s, o) => (bias?.data[o] ?? 0) + s) }
}

const notWhole: Unmerged = {
  why: 'zeros are padded to the input, behind the batch norm: its shift does not reach the borders (a transposed convolution: each output element meets another part of the kernel)',
  fix: "put the batch norm behind the layer, or give the layer padding: 0 or a paddingMode other than 'zeros'",
}

const notFinite = (what: string): Unmerged => ({
  why: `${what} would not be finite`,
  fix: 'look at the running variance of the batch norm (0 with eps 0, or negative?) and at the weights',
})

const isFinite = (t: Tensor | undefined): boolean => t === undefined || t.data.every(Number.isFinite)

/** A weight and a bias after a map of their output, or input; what they were is finite. */
export const weighed = (
  g: Weighing,
  trees: { readonly weight: Tensor; readonly bias?: Tensor },
  map: ChannelMap,
  side: Side,
): E.Either<Unmerged, { readonly weight: Tensor; readonly bias?: Tensor }> => {
  const along = channelsOf(g)
  if (side === 'before' && moves(map.shift) && !g.whole) return E.left(notWhole)
  const weight = scaled(trees.weight, side === 'behind' ? along.output : along.input, map)
  const outputs = g.axis === 0 ? g.weightShape[0] : g.weightShape[1] * g.groups
  const bias =
    side === 'behind' ? biasBehind(trees.bias, map) : biasBefore(trees.bias, trees.weight, outputs, along, map)
  const whole = [weight, bias].every(isFinite) || ![trees.weight, trees.bias].every(isFinite)
  return whole ? E.right(bias === undefined ? { weight } : { weight, bias }) : E.left(notFinite('the merged weights'))
}

/** What a layer with weights says of itself to take over a batch norm. */
export type Weighted = {
  readonly kind: Weighing & {
    readonly biasSize: number
    readonly channelLast: boolean
    readonly spatial: number | null
  }
  readonly quantizers: {
    readonly input: Quantizer | null
    readonly weight: Quantizer | null
    readonly output: Quantizer | null
  }
  /** Its weight quantizer's state. */
  readonly weightState: SpecTree
  /** The same layer, with a bias. */
  readonly withBias: () => AnyLayer
  readonly self: () => AnyLayer
}

const between = (place: string, side: Side): Unmerged => ({
  why: `its ${place} stands between the weights and the batch norm, and knows the numbers ${side === 'behind' ? 'in front of' : 'behind'} the batch norm, not what would then go through it`,
  fix:
    side === 'behind'
      ? 'quantize behind the batch norm (a QuantIdentity or QuantReLU there) instead of with outputQuant, or merge by hand with mergeBatchNormInto and let the quantizer collect again'
      : 'quantize in front of the batch norm, or put the batch norm behind a layer',
})

const against = (l: Weighted, side: Side): Unmerged | null => {
  const place = side === 'behind' ? 'output' : 'input'
  if (l.quantizers[place] !== null) return between(`${place}Quant`, side)
  const q = l.quantizers.weight
  return q !== null && (q.scalingImplType === 'CONST' || q.scalingImplType === 'PARAMETER')
    ? {
        why: `the scale of its weights starts from a number (scalingImplType ${q.scalingImplType}), not from the weights: merged ones need not fit into its range`,
        fix: 'take a weightQuant whose scale follows the weights, Int8WeightPerTensorFloat for instance, or merge by hand with mergeBatchNormInto',
      }
    : null
}

const BINARY: Unmerged = {
  why: 'its weights are binary, all of one size: no factor per channel fits into them',
  fix: 'fold the batch norm into a layer of its own: BatchNorm1dToQuantScaleBias or BatchNorm2dToQuantScaleBias with foldBatchNorm',
}

const isSpec = (x: unknown): x is LeafSpec =>
  typeof x === 'object' && x !== null && 'init' in x && typeof x.init === 'function'

/** A quantizer's state as it is before its first call. */
const anew = (spec: SpecTree): TensorTree =>
  mapTree(isSpec, spec, (leaf) => ({ ...leaf.init(manualSeed(0))[0], ...marksOf(leaf) })) as TensorTree

const taken =
  (l: Weighted) =>
  ({ params, state }: Trees, map: ChannelMap, side: Side): E.Either<Unmerged, TrainedLayer> => {
    const { weight, bias } = params
    if (!isTensor(weight)) return E.left(BINARY)
    const merged = weighed(l.kind, isTensor(bias) ? { weight, bias } : { weight }, map, side)
    return E.map((p: { readonly weight: Tensor; readonly bias?: Tensor }): TrainedLayer => ({
      layer: p.bias === undefined || isTensor(bias) ? l.self() : l.withBias(),
      params: { ...params, ...p },
      state: { ...state, weightQuant: anew(l.weightState) },
    }))(merged)
  }

/** How a layer with weights takes over a batch norm. */
export const absorbing = (l: Weighted): Absorb => {
  const { kind } = l
  const outputs = kind.biasSize
  const inputs = kind.axis === 0 ? kind.weightShape[1] * kind.groups : kind.weightShape[0]
  return {
    channels: (rank) => {
      if (kind.channelLast) return rank - 1
      // A single sample has no batch axis.
      return rank === (kind.spatial ?? 0) + 1 ? 0 : 1
    },
    count: (side) => (side === 'behind' ? outputs : inputs),
    weightAxis: (side) => (side === 'behind' ? kind.axis : 1 - kind.axis),
    channelOf: (side) => channelsOf(kind)[side === 'behind' ? 'output' : 'input'],
    against: (side) => against(l, side),
    take: taken(l),
  }
}

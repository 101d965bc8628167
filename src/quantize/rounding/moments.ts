/** Second moments of what products are given, over samples: of the quantized network, and of the float one beside it. */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import { sizeOf, type Shape } from '../../data/shape.js'
import type { Attrs, Value } from '../../graph/op.js'
import type { Layer, TensorTree } from '../../nn/layers/layer.js'
import type { ConvAttrs } from '../../ops/support/convShape.js'
import type { Looking } from '../looking.js'
import { passOver } from '../runner.js'
import { emittedBy, probing, weightedAmong, type Product, type Weighted } from '../taps.js'
import { bothNumbers, pairOf } from '../pair.js'
import { tensorsOf } from '../trees.js'
import type { Trained } from '../types.js'

/** Per group of channels: means and second moments of its inputs, as the quantized network has them (`own`) and against the float ones (`cross`: float by quantized). */
export type Moments = {
  readonly groups: number
  /** Inputs of one output. */
  readonly n: number
  /** Positions that were seen. */
  readonly count: number
  readonly own: Float64Array
  readonly cross: Float64Array
  readonly ownMeans: Float64Array
  readonly floatMeans: Float64Array
}

const isConv = (attrs: Attrs): attrs is ConvAttrs => 'stride' in attrs

/** What each output of a product sees: [groups, inputs of an output, positions]. */
const patches = (x: Value, { attrs, weight }: Product): Value => {
  const { kit } = x
  if (!isConv(attrs)) {
    const n = x.shape[x.shape.length - 1]
    const rows = kit.emit('reshape', [x], { shape: [1, sizeOf(x.shape) / n, n] })
    return kit.emit('permute', [rows], { dims: [0, 2, 1] })
  }
  const n = sizeOf(weight.slice(1))
  const counted = (shape: Shape): Value => kit.emit('reshape', [kit.emit('arange', [], { size: n })], { shape })
  // A kernel for each input of an output, 1 there and 0 elsewhere: its result is that input.
  const eye = kit.emit('equal', [counted([n, 1]), counted([1, n])])
  const one = kit.emit('reshape', [eye], { shape: [n, ...weight.slice(1)] })
  const { groups } = attrs
  const kernels = groups === 1 ? one : kit.emit('concat', new Array<Value>(groups).fill(one), { dim: 0 })
  const spread = kit.emit('conv', [x, kernels], attrs)
  const [batch, , ...plane] = spread.shape
  const split = kit.emit('reshape', [spread], { shape: [batch, groups, n, sizeOf(plane)] })
  const ordered = kit.emit('permute', [split], { dims: [1, 2, 0, 3] })
  return kit.emit('reshape', [ordered], { shape: [groups, n, batch * sizeOf(plane)] })
}

/** Of one product: second moments of rows of one matrix against another, the means of both, and how many positions there are. */
const momentsIn = (own: Value, float: Value): readonly Value[] => {
  const { kit } = own
  const columns = kit.emit('permute', [own], { dims: [0, 2, 1] })
  const mean = (v: Value): Value => kit.emit('mean', [v], { dims: [2], keepdim: false })
  return [
    kit.emit('matmul', [own, columns]),
    kit.emit('matmul', [float, columns]),
    mean(own),
    mean(float),
    kit.constant(own.shape[2]),
  ]
}
const VALUES = 5

const productsAt = (all: readonly Weighted[], path: string): readonly Product[] =>
  all.find((w) => w.path === path)?.products ?? []

/** Both networks in one trace, whose results are the moments of the products of the layer at a path. */
const measuring = <I, O>(
  float: Trained<I, O>,
  quant: Trained<I, O>,
  path: string,
): Layer<TensorTree, TensorTree, I, readonly Value[]> =>
  probing(pairOf(float, quant), (kit) => {
    const nodes = emittedBy(kit)
    const theirs = productsAt(weightedAmong(nodes, float.net, 'float'), path)
    const ours = productsAt(weightedAmong(nodes, quant.net, 'quant'), path)
    return ours.flatMap((p, k) => momentsIn(patches(kit.value(p.x), p), patches(kit.value(theirs[k].x), theirs[k])))
  })

/** What the products of the layer at a path are given over samples, in a quantized network and in the float one beside it. */
export const momentsAt = <I, O>(
  float: Trained<I, O>,
  quant: Trained<I, O>,
  path: string,
  looking: Looking<I>,
): E.Either<QuantErrors, Moments> => {
  const sums: Float64Array[] = [0, 1, 2, 3].map(() => new Float64Array(0))
  let [groups, n, count] = [0, 0, 0]
  const done = passOver(measuring(float, quant, path), looking, bothNumbers(float, quant), (outputs) => {
    const results = tensorsOf(outputs)
    for (let k = 0; k < results.length; k += VALUES) {
      const positions = results[k + VALUES - 1].data[0]
      sums.forEach((_, j) => {
        const { data } = results[k + j]
        if (sums[j].length === 0) sums[j] = new Float64Array(data.length)
        const [to, weight] = [sums[j], j < 2 ? 1 : positions]
        for (let i = 0; i < data.length; i++) to[i] += weight * data[i]
      })
      ;[groups, n] = results[k].shape
      count += positions
    }
  })
  const [own, cross, ownMeans, floatMeans] = sums
  return E.map(() => ({
    groups,
    n,
    count,
    own: own.map((x) => x / count),
    cross: cross.map((x) => x / count),
    ownMeans: ownMeans.map((x) => x / count),
    floatMeans: floatMeans.map((x) => x / count),
  }))(done)
}

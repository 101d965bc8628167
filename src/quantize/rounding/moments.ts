/**
 * Second moments of what products are given, over samples: of the quantized network, and of the float one beside it.
 */
import * as E from 'fp-ts/lib/Either.js'
import type { QuantErrors } from '../../data/error.js'
import { sizeOf, type Shape } from '../../data/shape.js'
import type { Attrs, Value } from '../../graph/op.js'
import type { Layer, TensorTree } from '../../nn/layers/layer.js'
import type { InputsOf } from '../../nn/program/program.js'
import type { ConvAttrs } from '../../ops/support/convShape.js'
import type { Looking } from '../looking.js'
import { passOver } from '../runner.js'
import { probing, weightedIn, type Product, type Weighted } from '../taps.js'
import { tensorsOf, tracedBranch } from '../trees.js'
import type { Trained } from '../types.js'

/**
 * Per group of channels: means and second moments of its inputs, as the quantized network has them (`own`) and against
 * the float ones (`cross`: float by quantized).
 */
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

/** Two networks side by side in one trace. */
export const pairOf = <I, O>(
  float: Trained<I, O>,
  quant: Trained<I, O>,
): Layer<TensorTree, TensorTree, I, readonly O[]> => ({
  layer: 'pair',
  params: { float: float.net.params, quant: quant.net.params },
  state: { float: float.net.state, quant: quant.net.state },
  problems: [],
  config: { name: 'pair', parts: [] },
  apply: (params, state, x, kit) => {
    const both = (['float', 'quant'] as const).map((name) =>
      kit.scoped(name, () =>
        (name === 'float' ? float : quant).net.apply(tracedBranch(params, name), tracedBranch(state, name), x, kit),
      ),
    )
    return [both.map(([y]) => y), state]
  },
})

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

/** Second moments of rows of one matrix against another, then the means of both. */
const momentsIn = (own: Value, float: Value): readonly Value[] => {
  const { kit } = own
  const columns = kit.emit('permute', [own], { dims: [0, 2, 1] })
  const mean = (v: Value): Value => kit.emit('mean', [v], { dims: [2], keepdim: false })
  return [kit.emit('matmul', [own, columns]), kit.emit('matmul', [float, columns]), mean(own), mean(float)]
}

const productsAt = (all: readonly Weighted[], path: string): readonly Product[] =>
  all.find((w) => w.path === path)?.products ?? []

/**
 * What the products of the layer at a path are given over samples, in a quantized network and in the float one beside
 * it.
 */
export const momentsAt = <I, O>(
  float: Trained<I, O>,
  quant: Trained<I, O>,
  path: string,
  looking: Looking<I>,
): E.Either<QuantErrors, Moments> => {
  const pair = pairOf(float, quant)
  let positions: readonly number[] = []
  const probe = (declared: InputsOf<I>) => {
    const [theirs, ours] = [
      weightedIn(pair, declared, float.net, 'float'),
      weightedIn(pair, declared, quant.net, 'quant'),
    ]
    if (E.isLeft(theirs)) return theirs
    if (E.isLeft(ours)) return ours
    const [f, q] = [productsAt(theirs.right, path), productsAt(ours.right, path)]
    return E.right(
      probing(pair, (value) => {
        const matrices = q.map((p, k) => [patches(value(p.x), p), patches(value(f[k].x), f[k])] as const)
        positions = matrices.map(([own]) => own.shape[2])
        return matrices.flatMap(([own, theirs]) => momentsIn(own, theirs))
      }),
    )
  }
  const sums: Float64Array[] = [0, 1, 2, 3].map(() => new Float64Array(0))
  let count = 0
  const numbers = {
    params: { float: float.params, quant: quant.params },
    state: { float: float.state, quant: quant.state },
  }
  let [groups, n] = [0, 0]
  const done = passOver(probe, looking, numbers, (outputs) => {
    const results = tensorsOf(outputs)
    results.forEach(({ shape, data }, k) => {
      if (sums[k % 4].length === 0) sums[k % 4] = new Float64Array(data.length)
      const [to, weight] = [sums[k % 4], k % 4 < 2 ? 1 : positions[Math.floor(k / 4)]]
      for (let i = 0; i < data.length; i++) to[i] += weight * data[i]
      ;[groups, n] = [shape[0], shape[1]]
    })
    count += positions.reduce((a, b) => a + b, 0)
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

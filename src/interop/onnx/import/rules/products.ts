/** Convolutions, matrix products, and norms with their scales and shifts. */
import { quantOf } from '../../../../data/quant.js'
import { showShape, sizeOf } from '../../../../data/shape.js'
import type { Value } from '../../../../graph/op.js'
import { add, mul } from '../../../../nn/functions/index.js'
import type { Importing, ImportRule, Stored } from '../entry.js'
import { float32 } from '../host.js'
import { autoPads, perAxis } from '../windows.js'
import { broadcasts, typed } from '../values.js'

const CLOSE = 1e-6

/** The scale of a sum of products, where its numbers are those that the bias was stored with. */
const accumulatorScale = (x: Importing, v: Value, w: Value, y: Value, bias: Stored): Value | null => {
  const [qv, qw, qy] = [v, w, y].map((o) => quantOf(o.carried))
  if (qv === null || qw === null || qy === null || !bias.zeroIsZero) return null
  const [sv, sw] = [qv, qw].map((q) => x.numbersOf(x.kit.value(q.scale)))
  const stored = float32(bias.scale)
  if (sv === null || sw === null || sv.length !== 1) return null
  const n = Math.max(sw.length, stored.length)
  if (![sw, stored].every((s) => s.length === 1 || s.length === n)) return null
  for (let i = 0; i < n; i++) {
    const own = stored[stored.length === 1 ? 0 : i]
    if (!(Math.abs(sv[0] * sw[sw.length === 1 ? 0 : i] - own) <= CLOSE * Math.abs(own))) return null
  }
  const scale = x.kit.value(qy.scale)
  return x.kit.emit('reshape', [scale], { shape: sizeOf(scale.shape) === 1 ? [] : [sizeOf(scale.shape)] })
}

/** Where operators have their bias, and the axis of channels that it lies along. */
const BIAS = { operand: 2, axis: 1 }

/** Adds the bias to the product y of v and w. */
const biased = (x: Importing, v: Value, w: Value, y: Value): Value => {
  const { operand: i, axis } = BIAS
  if (!x.has(i)) return y
  const e = x.entry(i)
  const quantized = e.is === 'stored' && e.shape[0] === y.shape[axis]
  if (quantized) {
    const scale = accumulatorScale(x, v, w, y, e)
    const b = scale === null ? e.make() : e.make(scale)
    return x.kit.emit('addBias', [y, b], { axis, sameScale: scale !== null })
  }
  const b = x.plain(i, 'weight')
  return sizeOf(b.shape) === y.shape[axis]
    ? x.kit.emit('add', [y, x.kit.emit('reshape', [b], { shape: y.shape.map((n, d) => (d === axis ? n : 1)) })])
    : x.refuse(
        `a bias ${showShape(b.shape)} does not fit axis ${axis} of ${showShape(y.shape)}`,
        'give one per channel',
      )
}

const kernelOf = (x: Importing, w: Value): readonly number[] => {
  const kernel = w.shape.slice(2)
  const said = x.list('kernel_shape')
  return said === null || said.join() === kernel.join()
    ? kernel
    : x.refuse(`its kernel_shape ${said.join()} is not that of its weight ${showShape(w.shape)}`, 'leave it out')
}

const images = (x: Importing, v: Value, w: Value): void => {
  if (v.shape.length < 3 || w.shape.length !== v.shape.length)
    x.refuse(
      `input ${showShape(v.shape)} and weight ${showShape(w.shape)} are no batch of images and kernels`,
      'give [N,C,…] and [O,C,…]',
    )
}

/** Conv. */
export const conv: ImportRule = (x) => {
  const [v, w] = [x.value(0), x.value(1, 'weight')]
  images(x, v, w)
  const kernel = kernelOf(x, w)
  const n = kernel.length
  const [stride, dilation] = [perAxis(x, 'strides', n, 1), perAxis(x, 'dilations', n, 1)]
  const padding = autoPads(x, v.shape.slice(2), kernel, stride, dilation)
  const y = x.kit.emit('conv', [v, w], { stride, padding, dilation, groups: x.number('group', 1) })
  return biased(x, v, w, y)
}

/** Pads of a transposed convolution: given, or such that the result has the shape that is asked for. */
const transposedPads = (
  x: Importing,
  full: readonly number[],
  size: readonly number[],
  stride: readonly number[],
): readonly (readonly [number, number])[] => {
  const n = full.length
  const extra = perAxis(x, 'output_padding', n, 0)
  const asked = x.list('output_shape')
  const auto = x.text('auto_pad', 'NOTSET')
  const pads = x.list('pads')
  if (asked === null && auto !== 'SAME_UPPER' && auto !== 'SAME_LOWER')
    return full.map((_, d) => [pads?.[d] ?? 0, (pads?.[d + n] ?? 0) - extra[d]])
  return full.map((f, d) => {
    const want = asked === null ? size[d] * stride[d] : asked.slice(-n)[d]
    const all = f + extra[d] - want
    const before = auto === 'SAME_UPPER' ? Math.floor(all / 2) : all - Math.floor(all / 2)
    return [before, all - before - extra[d]]
  })
}

type Pads = ReturnType<typeof transposedPads>

/** Can a transposed convolution say these pads itself, with a padding and elements more on one side? */
const areEven = (
  pads: Pads,
  full: readonly number[],
  stride: readonly number[],
  dilation: readonly number[],
): boolean =>
  pads.every(([b, a], d) => b >= a && b >= 0 && b - a < Math.max(stride[d], dilation[d]) && 2 * b <= full[d])

/** ConvTranspose. Uneven pads are cut off a result without any. */
export const convTranspose: ImportRule = (x) => {
  const [v, w] = [x.value(0), x.value(1, 'weight')]
  images(x, v, w)
  const kernel = kernelOf(x, w)
  const n = kernel.length
  const [stride, dilation] = [perAxis(x, 'strides', n, 1), perAxis(x, 'dilations', n, 1)]
  const groups = x.number('group', 1)
  const size = v.shape.slice(2)
  const full = size.map((s, d) => (s - 1) * stride[d] + dilation[d] * (kernel[d] - 1) + 1)
  const pads = transposedPads(x, full, size, stride)
  const none = kernel.map(() => 0)
  const attrs = { stride, dilation, groups, correct: true }
  const y = areEven(pads, full, stride, dilation)
    ? x.kit.emit('convTranspose', [v, w], {
        ...attrs,
        padding: pads.map(([b]) => b),
        outputPadding: pads.map(([b, a]) => b - a),
      })
    : x.kit.emit('pad', [x.kit.emit('convTranspose', [v, w], { ...attrs, padding: none, outputPadding: none })], {
        pad: [[0, 0], [0, 0], ...pads.map(([b, a]): readonly [number, number] => [0 - b, 0 - a])],
        mode: 'constant',
        value: 0,
      })
  return biased(x, v, w, y)
}

const swapped = (v: Value): Value => v.kit.emit('permute', [v], { dims: [1, 0] })

/** Is the third operand one number per column, a bias? */
const isBias = (x: Importing, y: Value): boolean => {
  if (!x.has(2)) return false
  const c = x.entry(2)
  return c.is === 'stored' || (c.is === 'known' && c.host.shape.length === 1 && c.host.data.length === y.shape[1])
}

/** Gemm: `alpha A' B' + beta C`. */
export const gemm: ImportRule = (x) => {
  const [a, b] = [x.value(0), x.value(1, 'weight')]
  if (a.shape.length !== 2 || b.shape.length !== 2)
    return x.refuse(`${showShape(a.shape)} and ${showShape(b.shape)} are no matrices`, 'give two matrices')
  const [alpha, beta] = [x.number('alpha', 1), x.number('beta', 1)]
  x.number('broadcast', 1)
  const v = x.number('transA', 0) !== 0 ? swapped(a) : a
  const w = x.number('transB', 0) !== 0 ? b : (x.transposed(b) ?? swapped(b))
  const y = x.kit.emit('linear', [v, w])
  if (alpha === 1 && beta === 1 && isBias(x, y)) return biased(x, v, w, y)
  const product = alpha === 1 ? y : mul(y, alpha)
  if (!x.has(2) || beta === 0) return product
  const c = x.plain(2, 'weight')
  return broadcasts(x, product, c) ?? add(product, beta === 1 ? c : mul(c, beta))
}

/** MatMul; with a matrix on the right a linear layer, which keeps metadata. */
export const matmul: ImportRule = (x) => {
  const [a, b] = [x.value(0), x.value(1, 'weight')]
  const other = x.transposed(b)
  if (a.shape.length > 1 && b.shape.length === 2) {
    const weight = other ?? (quantOf(b.carried) === null ? null : swapped(b))
    if (weight !== null) return typed(x.kit.emit('linear', [a, weight]), x.type(0))
  }
  return typed(x.kit.emit('matmul', [x.plain(0), x.plain(1, 'weight')]), x.type(0))
}

const channelView = (v: Value, rank: number): Value =>
  v.kit.emit('reshape', [v], { shape: Array.from({ length: rank }, (_, i) => (i === 1 ? sizeOf(v.shape) : 1)) })

/** `(x - mean)/sqrt(var + eps)`. */
const normalized = (v: Value, mean: Value, variance: Value, eps: number): Value => {
  const { kit } = v
  return kit.emit('div', [kit.emit('sub', [v, mean]), kit.emit('sqrt', [add(variance, eps)])])
}

const moments = (v: Value, dims: readonly number[]): readonly [mean: Value, variance: Value] => {
  const { kit } = v
  const mean = kit.emit('mean', [v], { dims, keepdim: true })
  const centred = kit.emit('sub', [v, mean])
  return [mean, kit.emit('mean', [kit.emit('mul', [centred, centred])], { dims, keepdim: true })]
}

/**
 * BatchNormalization with the statistics of the file, in training too, as one fine-tunes; scale and shift are trained. With `training_mode`
 * the statistics are those of the batch, and the running ones are results.
 */
export const batchNorm: ImportRule = (x) => {
  const v = x.plain(0)
  if (v.shape.length < 2) return x.refuse(`its input ${showShape(v.shape)} has no channels`, 'give [N, C, …]')
  const rank = v.shape.length
  const [scale, shift] = [1, 2].map((i) => channelView(x.plain(i, 'weight'), rank))
  const [mean, variance] = [3, 4].map((i) => x.plain(i))
  const eps = x.number('epsilon', 1e-5)
  const momentum = x.number('momentum', 0.9)
  for (const old of ['is_test', 'spatial', 'consumed_inputs'] as const) x.has_(old)
  const scaled = (m: Value, s: Value): Value => add(mul(normalized(v, m, s, eps), scale), shift)
  if (x.number('training_mode', 0) === 0) return scaled(channelView(mean, rank), channelView(variance, rank))
  const [m, s] = moments(
    v,
    v.shape.map((_, i) => i).filter((i) => i !== 1),
  )
  const blend = (old: Value, now: Value): Value =>
    add(mul(old, momentum), mul(x.kit.emit('reshape', [now], { shape: old.shape }), 1 - momentum))
  return [scaled(m, s), blend(mean, m), blend(variance, s)].map((value) => typed(value, x.type(0)))
}

/** LayerNormalization over the axes from `axis` on; mean and 1/deviation are results too. */
export const layerNorm: ImportRule = (x) => {
  const v = x.plain(0)
  const given = x.number('axis', -1)
  const axis = given < 0 ? given + v.shape.length : given
  x.number('stash_type', 1)
  const [mean, variance] = moments(
    v,
    v.shape.map((_, i) => i).filter((i) => i >= axis),
  )
  const eps = x.number('epsilon', 1e-5)
  const scaled = mul(normalized(v, mean, variance, eps), x.plain(1, 'weight'))
  const y = x.has(2) ? add(scaled, x.plain(2, 'weight')) : scaled
  const inverse = x.kit.emit('div', [x.kit.constant(1), x.kit.emit('sqrt', [add(variance, eps)])])
  return [y, mean, inverse].map((value) => typed(value, x.type(0)))
}

/** RMSNormalization: without a mean. */
export const rmsNorm: ImportRule = (x) => {
  const v = x.plain(0)
  const given = x.number('axis', -1)
  const axis = given < 0 ? given + v.shape.length : given
  x.number('stash_type', 1)
  const dims = v.shape.map((_, i) => i).filter((i) => i >= axis)
  const square = x.kit.emit('mean', [x.kit.emit('mul', [v, v])], { dims, keepdim: true })
  const size = x.kit.emit('sqrt', [add(square, x.number('epsilon', 1e-5))])
  return mul(x.kit.emit('div', [v, size]), x.plain(1, 'weight'))
}

/** InstanceNormalization: each channel of each sample by its own statistics. */
export const instanceNorm: ImportRule = (x) => {
  const v = x.plain(0)
  const rank = v.shape.length
  const [mean, variance] = moments(v, v.shape.map((_, i) => i).slice(2))
  const [scale, shift] = [1, 2].map((i) => channelView(x.plain(i, 'weight'), rank))
  return add(mul(normalized(v, mean, variance, x.number('epsilon', 1e-5)), scale), shift)
}

/** Strides, dilations and pads of windows, given or worked out. */
import type { Importing } from './entry.js'

/** A list with one number per spatial axis, or `otherwise` for each. */
export const perAxis = (x: Importing, name: string, n: number, otherwise: number): readonly number[] => {
  const given = x.list(name) ?? new Array<number>(n).fill(otherwise)
  return given.length === n
    ? given
    : x.refuse(`its ${name} ${given.join()} do not fit ${n} spatial axes`, 'give one number per axis')
}

/** Zeros before and after each axis: given, or (`auto_pad`) such that the result has `ceil(size/stride)` elements. */
export const autoPads = (
  x: Importing,
  size: readonly number[],
  kernel: readonly number[],
  stride: readonly number[],
  dilation: readonly number[],
): readonly (readonly [number, number])[] => {
  const auto = x.text('auto_pad', 'NOTSET')
  const given = x.list('pads')
  const n = kernel.length
  if (auto === 'VALID') return kernel.map(() => [0, 0])
  if (auto === 'NOTSET' || auto === '') {
    if (given !== null && given.length !== 2 * n)
      return x.refuse(`its pads ${given.join()} do not fit ${n} spatial axes`, 'give two numbers per axis')
    return kernel.map((_, d) => [given?.[d] ?? 0, given?.[d + n] ?? 0])
  }
  if (auto !== 'SAME_UPPER' && auto !== 'SAME_LOWER') return x.refuse(`there is no auto_pad ${auto}`, 'give pads')
  return kernel.map((k, d) => {
    const extent = dilation[d] * (k - 1) + 1
    const all = Math.max(0, (Math.ceil(size[d] / stride[d]) - 1) * stride[d] + extent - size[d])
    const small = Math.floor(all / 2)
    return auto === 'SAME_UPPER' ? [small, all - small] : [all - small, small]
  })
}

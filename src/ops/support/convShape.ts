/** Attributes and shape rules of the convolutions, for any number of spatial axes. */
import type { Shape } from '../../data/shape.js'
import { MOST_ELEMENTS, sameShape, showShape, sizeOf } from '../../data/shape.js'
import { count, flag, integer, list, optional, pair, whole } from '../../graph/attr.js'
import type { AttrsOf } from '../../graph/attributes.js'
import type { Refusal } from '../../graph/op.js'
import { isRefusal, refuse } from '../../graph/op.js'

/**
 * Geometry of a convolution, one entry per spatial axis. `padding` is zeros before and after the axis; a negative
 * number crops (used by gradients). Source: torch.nn.functional.conv1d, conv2d, conv3d.
 */
export const convolution = {
  stride: list(count),
  padding: list(pair(integer)),
  dilation: list(count),
  groups: count,
}
/** Attributes of a convolution. */
export type ConvAttrs = AttrsOf<typeof convolution>

/** Geometry of a transposed convolution, one entry per spatial axis. Source: torch.nn.functional.conv_transpose2d. */
export const transposed = {
  stride: list(count),
  padding: list(whole),
  outputPadding: list(whole),
  dilation: list(count),
  groups: count,
  /** `true` (absent: false) counts products rightly where Brevitas' bit width is too small. */
  correct: optional(flag),
}
/** Attributes of a transposed convolution. */
export type ConvTransposeAttrs = AttrsOf<typeof transposed>

const isCount = (n: number): boolean => Number.isInteger(n) && n >= 1

/** The first thing that is wrong with lists which must have one whole number, at least `least`, per spatial axis; or null. */
export const badGeometry = (
  spatial: number,
  least: number,
  lists: { readonly [name: string]: readonly number[] },
): Refusal | null => {
  for (const [name, list] of Object.entries(lists)) {
    if (list.length !== spatial)
      return refuse(
        `${name} [${list.join(',')}] has ${list.length} entries, but there are ${spatial} spatial axes`,
        `give ${name} one number per spatial axis`,
      )
    if (!list.every((n) => Number.isInteger(n) && n >= least))
      return refuse(`${name} [${list.join(',')}] must be whole numbers of at least ${least}`, `correct ${name}`)
  }
  return null
}

/** A convolution works on a padded copy of its input, which must fit memory even where strides leave little of it. */
const badPadding = (padded: Shape): Refusal | null =>
  sizeOf(padded) <= MOST_ELEMENTS
    ? null
    : refuse(`the padded input ${showShape(padded)} has more than ${MOST_ELEMENTS} elements`, 'use less padding')

const badRanks = (name: string, x: Shape, w: Shape, stride: readonly number[]): Refusal | null =>
  x.length < 3 || x.length !== w.length || stride.length !== x.length - 2
    ? refuse(
        `${name} with a stride for ${stride.length} spatial axes does not fit input ${showShape(x)} and weight ${showShape(w)}`,
        'give input and weight two axes more than there are spatial axes: [N,C,…] and two channel axes before the kernel',
      )
    : null

const badGroups = (groups: number, x: Shape, w: Shape): Refusal | null =>
  isCount(groups) && w[0] % groups === 0
    ? null
    : refuse(
        `${groups} groups do not divide the ${w[0]} outer channels of weight ${showShape(w)} (input ${showShape(x)})`,
        'choose a number of groups that divides the channels of input and output',
      )

/** Shape [N,O,*S'] of `conv` of x [N,C,*S] with w [O,C/groups,*K], or a refusal. */
export const convShape = (x: Shape, w: Shape, attrs: ConvAttrs): Shape | Refusal => {
  const { stride, padding, dilation, groups } = attrs
  const spatial = x.length - 2
  const bad =
    badRanks('conv', x, w, stride) ??
    badGeometry(spatial, 1, { stride, dilation, kernel: w.slice(2) }) ??
    badGroups(groups, x, w)
  if (bad !== null) return bad
  if (padding.length !== spatial)
    return refuse(
      `padding ${JSON.stringify(padding)} is not one pair for each of the ${spatial} spatial axes`,
      'give padding as [before, after] per spatial axis',
    )
  if (x[1] !== w[1] * groups)
    return refuse(
      `input ${showShape(x)} has ${x[1]} channels, but weight ${showShape(w)} with ${groups} groups reads ${w[1] * groups}`,
      `use an input with ${w[1] * groups} channels, or a weight of shape [O,${x[1] / groups},…]`,
    )
  const padded = padding.map(([before, after], d) => x[d + 2] + before + after)
  const wide = badPadding([x[1], ...padded.map((n) => Math.max(n, 0))])
  if (wide !== null) return wide
  const out = stride.map((s, d) => Math.floor((padded[d] - dilation[d] * (w[d + 2] - 1) - 1) / s) + 1)
  return out.every((n) => n >= 1)
    ? [x[0], w[0], ...out]
    : refuse(
        `the kernel of weight ${showShape(w)} (dilation [${dilation.join(',')}]) is larger than the padded input ${showShape(x)}`,
        'use a larger input, more padding or a smaller kernel',
      )
}

/** Checks that `g` has the shape of `conv(x, w)`; `result` if so. */
export const gradientShape = (result: Shape, x: Shape, w: Shape, g: Shape, attrs: ConvAttrs): Shape | Refusal => {
  const out = convShape(x, w, attrs)
  if (isRefusal(out)) return out
  return sameShape(out, g)
    ? result
    : refuse(
        `a cotangent of shape ${showShape(g)} does not belong to a convolution of ${showShape(x)} with ${showShape(w)}, which gives ${showShape(out)}`,
        `pass one of shape ${showShape(out)}`,
      )
}

/** The convolution of which the transposed one is the input gradient: the same loops, read the other way round. */
export const convOfTranspose = (a: ConvTransposeAttrs): ConvAttrs => ({
  stride: a.stride,
  padding: a.padding.map((p, d) => [p, p - a.outputPadding[d]] as const),
  dilation: a.dilation,
  groups: a.groups,
})

/** Shape [N,O,*S'] of `convTranspose` of x [N,C,*S] with w [C,O/groups,*K], or a refusal. */
export const convTransposeShape = (x: Shape, w: Shape, attrs: ConvTransposeAttrs): Shape | Refusal => {
  const { stride, padding, outputPadding, dilation, groups } = attrs
  const spatial = x.length - 2
  const bad =
    badRanks('convTranspose', x, w, stride) ??
    badGeometry(spatial, 1, { stride, dilation, kernel: w.slice(2) }) ??
    badGeometry(spatial, 0, { padding, outputPadding }) ??
    badGroups(groups, x, w)
  if (bad !== null) return bad
  if (x[1] !== w[0])
    return refuse(
      `input ${showShape(x)} has ${x[1]} channels, but weight ${showShape(w)} reads ${w[0]}`,
      `use an input with ${w[0]} channels, or a weight of shape [${x[1]},O/groups,…]`,
    )
  if (outputPadding.some((p, d) => p >= Math.max(stride[d], dilation[d])))
    return refuse(
      `outputPadding [${outputPadding.join(',')}] must be smaller than stride [${stride.join(',')}] or dilation [${dilation.join(',')}]`,
      'use a smaller outputPadding; it only chooses between sizes that one stride rounds together',
    )
  const out = stride.map(
    (s, d) => (x[d + 2] - 1) * s - 2 * padding[d] + dilation[d] * (w[d + 2] - 1) + outputPadding[d] + 1,
  )
  const wide = badPadding([w[1] * groups, ...out.map((n, d) => Math.max(n, 0) + 2 * padding[d])])
  if (wide !== null) return wide
  return out.every((n) => n >= 1)
    ? [x[0], w[1] * groups, ...out]
    : refuse(
        `padding [${padding.join(',')}] leaves nothing of the result of input ${showShape(x)} and weight ${showShape(w)}`,
        'use less padding',
      )
}

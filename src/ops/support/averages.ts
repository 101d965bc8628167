/** Attributes and divisors of average pools. */
import type { Shape } from '../../data/shape.js'
import { sizeOf, stridesOf } from '../../data/shape.js'
import { finite, flag, optional, orNull } from '../../graph/attr.js'
import type { AttrsOf } from '../../graph/attributes.js'
import type { Refusal } from '../../graph/op.js'
import { refuse } from '../../graph/op.js'
import { pooledShape, pooling, slidingShape } from './windows.js'

/** Geometry of an average pool. Each window is divided by `divisorOverride`, or else by its size, zeros of the padding included or not. */
export const avgPooling = {
  ...pooling,
  countIncludePad: flag,
  divisorOverride: orNull(finite),
  /** `true` (absent: false) gives right metadata where Brevitas' is a quirk. */
  correct: optional(flag),
}
/** Attributes of an average pool. */
export type AvgPoolAttrs = AttrsOf<typeof avgPooling>

/** Shape of an average pool of `x`, or a refusal. */
export const avgPoolShape = (name: string, x: Shape, attrs: AvgPoolAttrs): Shape | Refusal =>
  attrs.divisorOverride === 0
    ? refuse(`${name}: divisorOverride is 0`, 'give another divisor, or null for the size of the window')
    : slidingShape(
        name,
        x,
        attrs,
        attrs.kernel.map(() => 1),
      )

/** Sizes of the windows along each pooled axis, as far as they count for the divisor. */
const axisSizes = (
  x: Shape,
  out: Shape,
  { kernel, stride, padding, countIncludePad }: AvgPoolAttrs,
): readonly (readonly number[])[] =>
  kernel.map((k, d) => {
    const length = pooledShape(x, kernel.length)[d]
    const [first, end] = countIncludePad ? [-padding[d], length + padding[d]] : [0, length]
    return Array.from({ length: pooledShape(out, kernel.length)[d] }, (_, i) => {
      const start = i * stride[d] - padding[d]
      return Math.min(start + k, end) - Math.max(start, first)
    })
  })

/** By what each window of a plane is divided. */
export const divisorsOf = (x: Shape, out: Shape, attrs: AvgPoolAttrs): Float64Array => {
  const sizes = axisSizes(x, out, attrs)
  const counts = sizes.map((s) => s.length)
  const steps = stridesOf(counts)
  const { divisorOverride } = attrs
  return Float64Array.from(
    { length: sizeOf(counts) },
    (_, i) => divisorOverride ?? sizes.reduce((n, s, d) => n * s[Math.floor(i / steps[d]) % counts[d]], 1),
  )
}

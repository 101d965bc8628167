/** Attributes, shape rule and indices of padding: shared by `pad` and its gradient. */
import type { Shape } from '../../data/shape.js'
import { showShape } from '../../data/shape.js'
import { finite, integer, list, pair, word } from '../../graph/attr.js'
import type { AttrsOf } from '../../graph/attributes.js'
import type { Refusal } from '../../graph/op.js'
import { isRefusal, refuse } from '../../graph/op.js'
import { listOf } from './indices.js'
import type { AxisLookup } from './lookup.js'

/** What new elements are: a value, a mirror image without its edge, the edge, or the other end. */
export type PadMode = PadAttrs['mode']

/** `[before, after]` for every axis (negative: crops, mode `constant` only), and how new elements are filled. Source: torch.nn.functional.pad. */
export const padding = {
  pad: list(pair(integer)),
  mode: word('constant', 'reflect', 'replicate', 'circular'),
  value: finite,
}
/** Attributes of padding. */
export type PadAttrs = AttrsOf<typeof padding>

/** Most elements that a mode can add on one side of an axis of n. */
const most = (mode: PadMode, n: number): number => {
  if (mode === 'reflect') return n - 1
  if (mode === 'circular') return n
  return n > 0 ? Infinity : 0
}

const badAxis = (x: Shape, { pad, mode }: PadAttrs): Refusal | null => {
  for (const [d, [before, after]] of pad.entries()) {
    const text = `[${before},${after}] of axis ${d} of ${showShape(x)}`
    if (!Number.isInteger(before) || !Number.isInteger(after))
      return refuse(`pad ${text} is no pair of whole numbers`, 'give [before, after] for every axis')
    if (mode === 'constant') {
      if (x[d] + Math.min(before, 0) + Math.min(after, 0) < 0)
        return refuse(`pad ${text} crops more than there is`, `crop at most ${x[d]} elements`)
    } else if (before < 0 || after < 0)
      return refuse(`pad ${text} crops, which mode '${mode}' does not`, "use slice, or mode 'constant'")
    else if (Math.max(before, after) > Math.max(0, most(mode, x[d])))
      return refuse(
        `pad ${text} is too wide for mode '${mode}'`,
        `pad by at most ${Math.max(0, most(mode, x[d]))}, or use mode 'constant'`,
      )
  }
  return null
}

const badAttrs = (x: Shape, { pad }: PadAttrs): Refusal | null => {
  return pad.length === x.length && pad.every((p) => p.length === 2)
    ? null
    : refuse(
        `${pad.length} pads do not fit the ${x.length} axes of ${showShape(x)}`,
        'give one pair [before, after] per axis, [0,0] for an axis that is not padded',
      )
}

/** Shape of the padded `x`, or a refusal. */
export const paddedShape = (x: Shape, attrs: PadAttrs): Shape | Refusal => {
  const bad = badAttrs(x, attrs) ?? badAxis(x, attrs)
  return bad ?? x.map((n, d) => n + attrs.pad[d][0] + attrs.pad[d][1])
}

/** Which index of an axis of n is read at position i (before 0 and from n on: padding); -1 for the value. */
const source = (i: number, n: number, mode: PadMode): number => {
  if (i >= 0 && i < n) return i
  if (mode === 'constant') return -1
  if (mode === 'replicate') return i < 0 ? 0 : n - 1
  if (mode === 'circular') return i < 0 ? i + n : i - n
  return i < 0 ? -i : 2 * (n - 1) - i
}

/** What each axis of the padded tensor reads. */
export const padAxes = (x: Shape, { pad, mode }: PadAttrs): readonly AxisLookup[] =>
  x.map((n, d) => listOf(n + pad[d][0] + pad[d][1], (i) => source(i - pad[d][0], n, mode)))

/** Shape rule of a gradient: g must have the shape that the forward op gives for `input`. */
export const cotangentOf = (name: string, g: Shape, input: Shape, forward: Shape | Refusal): Shape | Refusal => {
  if (isRefusal(forward)) return forward
  const same = forward.length === g.length && forward.every((n, i) => n === g[i])
  return same
    ? input
    : refuse(
        `${name}: a cotangent of shape ${showShape(g)} does not belong to an input of ${showShape(input)}, which gives ${showShape(forward)}`,
        `pass one of shape ${showShape(forward)}`,
      )
}

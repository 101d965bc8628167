/** Channels to pixels and back (F.pixel_shuffle, F.pixel_unshuffle): each is the other's gradient. */
import { gridOf, type Carried } from '../data/quant.js'
import { showShape, type Shape } from '../data/shape.js'
import { count } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import { refuse, type Kit, type Op, type Value } from '../graph/op.js'
import { claim, keep, losesGroups, perTensor } from './support/metadata.js'

const attributes = { factor: count }
type Factor = AttrsOf<typeof attributes>

const carry = (args: readonly Value[], _attrs: Factor, kit: Kit): Carried => {
  const lost = losesGroups(args, 'channels become pixels')
  if (lost !== null) return lost
  const q = gridOf(args[0].carried)
  return q === null || perTensor(q, kit)
    ? keep(args)
    : claim(args, q, 'a per-channel scale no longer fits: channels became pixels')
}

/** Visits each element of the shuffled plane `[…, C, H*r, W*r]` with its place in `[…, C*r*r, H, W]`. */
const places = (large: Shape, r: number, visit: (shuffled: number, packed: number) => void): void => {
  const [c, h, w] = large.slice(-3)
  const outer = large.slice(0, -3).reduce((p, n) => p * n, 1)
  const [hs, ws] = [h / r, w / r]
  let i = 0
  for (let n = 0; n < outer; n++)
    for (let k = 0; k < c; k++)
      for (let y = 0; y < h; y++)
        for (let x = 0; x < w; x++)
          visit(i++, (((n * c + k) * r * r + (y % r) * r + (x % r)) * hs + Math.floor(y / r)) * ws + Math.floor(x / r))
}

const FIX = 'give [N, C, H, W] and a whole factor that divides the channels by its square'

/** `[…, C*r², H, W]` to `[…, C, H*r, W*r]`. */
export const pixelShuffle: Op<Factor> = {
  name: 'pixelShuffle',
  doc: 'Channels become pixels: [N, C*r², H, W] to [N, C, H*r, W*r] (F.pixel_shuffle).',
  operands: ['x'],
  layout: 'move',
  attributes,
  shape: ([x], { factor: r }) => {
    const [c, h, w] = x.slice(-3)
    return x.length >= 3 && Number.isInteger(r) && r >= 1 && c % (r * r) === 0
      ? [...x.slice(0, -3), c / (r * r), h * r, w * r]
      : refuse(`${showShape(x)} can't be shuffled by ${r}`, FIX)
  },
  grids: 'all',
  carry,
  vjp: ({ g, attrs, kit }) => [kit.emit('pixelUnshuffle', [g], attrs)],
  evaluate: ([x], { factor }, out) => {
    places(out.shape, factor, (i, j) => {
      out.data[i] = x.data[j]
    })
    return null
  },
  examples: [{ args: [{ shape: [1, 4, 2, 3], quant: { bits: 4, signed: true } }], attrs: { factor: 2 } }],
  smooth: true,
}

/** `[…, C, H*r, W*r]` to `[…, C*r², H, W]`. */
export const pixelUnshuffle: Op<Factor> = {
  name: 'pixelUnshuffle',
  doc: 'Pixels become channels: [N, C, H*r, W*r] to [N, C*r², H, W] (F.pixel_unshuffle).',
  operands: ['x'],
  layout: 'move',
  attributes,
  shape: ([x], { factor: r }) => {
    const [c, h, w] = x.slice(-3)
    return x.length >= 3 && Number.isInteger(r) && r >= 1 && h % r === 0 && w % r === 0
      ? [...x.slice(0, -3), c * r * r, h / r, w / r]
      : refuse(
          `${showShape(x)} can't be unshuffled by ${r}`,
          'give [N, C, H, W] and a factor that divides height and width',
        )
  },
  grids: 'all',
  carry,
  vjp: ({ g, attrs, kit }) => [kit.emit('pixelShuffle', [g], attrs)],
  evaluate: ([x], { factor }, out) => {
    places(x.shape, factor, (i, j) => {
      out.data[j] = x.data[i]
    })
    return null
  },
  examples: [{ args: [{ shape: [1, 1, 4, 2], quant: { bits: 4, signed: false } }], attrs: { factor: 2 } }],
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    pixelShuffle: Factor
    pixelUnshuffle: Factor
  }
}

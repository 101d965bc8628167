/** Dropout by an explicit mask, and masks from a counter-based generator: no hidden randomness in a graph. */
import { gridOf } from '../data/quant.js'
import { fraction, shape } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import type { Op } from '../graph/op.js'
import { broadcasting, evaluateBinary, strips, sumTo } from './support/elementwise.js'
import { claim, keep, zeroIsOnGrid } from './support/metadata.js'

const probability = { p: fraction }
type Probability = AttrsOf<typeof probability>

/** `x * mask / (1 - p)` (F.dropout in training); a NaN or an infinity that is dropped is NaN, as torch's 0 times it. */
export const dropout: Op<Probability> = {
  name: 'dropout',
  sign: () => 'kept',
  doc: 'x * mask / (1 - p) (F.dropout in training).',
  operands: ['x', 'mask'],
  attributes: probability,
  shape: broadcasting,
  grids: 'all',
  carry: (args, { p }) => {
    const q = gridOf(args[0].carried)
    return q === null || (p === 0 && zeroIsOnGrid(q))
      ? keep(args)
      : claim(args, q, `in training the value is scaled by 1/(1 - ${p}), which leaves the grid`)
  },
  vjp: ({ g, args: [x, mask], attrs, kit }) => [sumTo(kit.emit('dropout', [g, mask], attrs), x.shape), null],
  evaluate: ([x, mask], { p }, out) => {
    const factor = Math.fround(1 / (1 - p))
    return evaluateBinary((v, m) => v * (m === 0 ? 0 : factor), x, mask, out)
  },
  examples: [{ args: [{ shape: [2, 3] }, { shape: [2, 3], range: [1, 1] }], attrs: { p: 0.5 } }],
  smooth: false,
}

/** A 32-bit mix of three integers (the finaliser of MurmurHash3, applied after each). */
const mix = (a: number, b: number, c: number): number => {
  let h = 0x9e3779b9
  for (const k of [a, b, c]) {
    h = (h ^ k) >>> 0
    h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
    h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
    h = (h ^ (h >>> 16)) >>> 0
  }
  return h
}

const mask = { ...probability, shape }
type MaskAttrs = AttrsOf<typeof mask>

/** A mask of 0 (probability p) and 1, a function of `key = (seed, step)` and the position alone. */
export const bernoulliMask: Op<MaskAttrs> = {
  name: 'bernoulliMask',
  doc: '0 with probability p, else 1, as a function of (seed, step) and the position alone.',
  operands: ['key'],
  attributes: mask,
  shape: (_shapes, { shape }) => shape,
  carry: strips('a mask of 0 and 1 is on no grid'),
  vjp: ({ args }) => args.map(() => null),
  evaluate: ([key], { p }, out) => {
    const limit = p * 2 ** 32
    for (let i = 0; i < out.data.length; i++) out.data[i] = mix(key.data[0], key.data[1], i) < limit ? 0 : 1
    return null
  },
  examples: [{ args: [{ shape: [2], range: [3, 3] }], attrs: { p: 0.5, shape: [4, 2] } }],
  smooth: false,
}

declare module '../graph/op.js' {
  interface Primitives {
    dropout: Probability
    bernoulliMask: MaskAttrs
  }
}

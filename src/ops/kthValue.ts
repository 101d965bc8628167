/** The k-th smallest element of each row (torch.kthvalue): the percentile of Brevitas' statistics. */
import type { Shape } from '../data/shape.js'
import { sameShape, showShape, sizeOf } from '../data/shape.js'
import { count } from '../graph/attr.js'
import type { AttrsOf, NoAttrs } from '../graph/attributes.js'
import type { Op, Refusal } from '../graph/op.js'
import { refuse } from '../graph/op.js'
import { strips } from './support/elementwise.js'

const rank = { k: count }
type Rank = AttrsOf<typeof rank>

const rows = ([x]: readonly Shape[], { k }: Rank): Shape | Refusal => {
  const n = x[x.length - 1] ?? 1
  if (!Number.isInteger(k) || k < 1 || k > n)
    return refuse(
      `there is no element number ${k} among ${n} (input ${showShape(x)}): a percentile of nothing, or of too few elements`,
      'give more elements (a larger batch), or a percentile that reaches the first one',
    )
  return x.slice(0, -1)
}

/** The median of three. */
const middleOf = (p: number, q: number, r: number): number => {
  if (p < q) {
    if (q < r) return q
    return p < r ? r : p
  }
  if (p < r) return p
  return q < r ? r : q
}

/**
 * The k-th smallest (from 1) of `a[start … end-1]`, NaN sorting last. Reorders `a`. Hoare's selection, median of three.
 */
export const selectKth = (a: Float32Array, start: number, end: number, k: number): number => {
  let last = end - 1
  for (let i = start; i <= last;) {
    if (Number.isNaN(a[i])) {
      a[i] = a[last]
      a[last--] = NaN
    } else i++
  }
  const want = start + k - 1
  if (want > last) return NaN
  let [lo, hi] = [start, last]
  while (lo < hi) {
    const mid = (lo + hi) >> 1
    const pivot = middleOf(a[lo], a[mid], a[hi])
    let [i, j] = [lo, hi]
    while (i <= j) {
      while (a[i] < pivot) i++
      while (a[j] > pivot) j--
      if (i <= j) {
        const t = a[i]
        a[i++] = a[j]
        a[j--] = t
      }
    }
    if (want <= j) hi = j
    else if (want >= i) lo = i
    else break
  }
  return a[want]
}

/** The k-th smallest of each row along the last axis, no interpolation, NaN last. Gradient: to the one element chosen. */
export const kthValue: Op<Rank> = {
  name: 'kthValue',
  doc: 'The k-th smallest element of each row along the last axis (torch.kthvalue).',
  operands: ['x'],
  exact: 'zeros',
  attributes: rank,
  shape: rows,
  carry: strips('a statistic of a tensor is used as a plain number'),
  vjp: ({ g, args: [x], out, kit }) => [kit.emit('scatterToFirst', [g, x, out()])],
  evaluate: ([x], { k }, out) => {
    const copy = x.data.slice()
    const n = copy.length / Math.max(1, out.data.length)
    for (let r = 0; r < out.data.length; r++) out.data[r] = selectKth(copy, r * n, (r + 1) * n, k) + 0 // -0 becomes 0: order does not tell them apart
    return null
  },
  examples: [
    { args: [{ shape: [7] }], attrs: { k: 5 } },
    { args: [{ shape: [2, 5] }], attrs: { k: 1 } },
  ],
  smooth: true,
}

/** Hands the cotangent of each row to the first element of it that equals the row's chosen value, 0 to the others. */
export const scatterToFirst: Op = {
  name: 'scatterToFirst',
  doc: 'Gradient of kthValue: g at the first element of each row that equals the chosen one.',
  operands: ['g', 'x', 'chosen'],
  // Its zeros say that there is no gradient: a sum with it may leave what it is added to as it is, -0 too.
  exact: 'zeros',
  attributes: {},
  shape: ([g, x, chosen]) =>
    sameShape(g, x.slice(0, -1)) && sameShape(chosen, g)
      ? x
      : refuse(
          `a cotangent ${showShape(g)} and chosen elements ${showShape(chosen)} don't fit the rows of ${showShape(x)}`,
          `give both one number per row: ${showShape(x.slice(0, -1))}`,
        ),
  carry: strips('a gradient is on no grid'),
  vjp: { none: 'which element a percentile chooses has no derivative' },
  evaluate: ([g, x, chosen], _attrs, out) => {
    out.data.fill(0)
    const n = x.data.length / Math.max(1, sizeOf(chosen.shape))
    for (let r = 0; r < chosen.data.length; r++) {
      const c = chosen.data[r]
      for (let i = r * n; i < (r + 1) * n; i++)
        if (x.data[i] === c || (Number.isNaN(c) && Number.isNaN(x.data[i]))) {
          out.data[i] = g.data[r]
          break
        }
    }
    return null
  },
  examples: [{ args: [{ shape: [2] }, { shape: [2, 4] }, { shape: [2] }], attrs: {} }],
  smooth: false,
}

declare module '../graph/op.js' {
  interface Primitives {
    kthValue: Rank
    scatterToFirst: NoAttrs
  }
}

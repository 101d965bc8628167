/** Rows of a table by their indices, and what the gradient needs: the adjoint, and the weight of each index. Indices are whole floats. */
import { sameShape, showShape, type Shape } from '../data/shape.js'
import { gridOf, stripped } from '../data/quant.js'
import { flag, integer, orNull, whole } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import { refuse, type Op } from '../graph/op.js'
import { noPath, strips } from './support/elementwise.js'
import { keep, losesGroups, perTensor } from './support/metadata.js'

const attributes = {
  /** Takes no part in the gradient; counted from the back if negative. */
  paddingIdx: orNull(integer),
  /** Divide the gradient of each row by how often the call names it. */
  scaleGradByFreq: flag,
}
type RowAttrs = AttrsOf<typeof attributes>
const table = { rows: whole }
type TableAttrs = AttrsOf<typeof table>
const weighing = { ...attributes, ...table }
type WeighAttrs = AttrsOf<typeof weighing>

/** What is wrong with index `k` number `i` of a table of `rows`, in the words of torch; or null. */
const badIndex = (k: number, i: number, rows: number): string | null =>
  Number.isInteger(k) && k >= 0 && k < rows
    ? null
    : `index out of range in self: index ${i} is ${k}, and the table has rows 0 to ${rows - 1}`

/** What is wrong with the first bad one of some indices, or null. */
export const badIndices = (indices: Float32Array, rows: number): string | null => {
  const bad = indices.findIndex((k, i) => badIndex(k, i, rows) !== null)
  return bad < 0 ? null : badIndex(indices[bad], bad, rows)
}

const INDICES = { range: [1, 1], fixed: true } as const

/**
 * `table[i]` for each index: `table [N, D]` and `indices [..]` give `[.., D]` (torch.nn.functional.embedding). The run fails on an index
 * that is no whole number from 0 to N-1. Gradient: sparse, `scatterRows` of the rows that were taken.
 */
export const gatherRows: Op<RowAttrs> = {
  name: 'gatherRows',
  doc: 'The rows of a table that indices name (torch.nn.functional.embedding).',
  operands: ['table', 'indices'],
  attributes,
  shape: ([t, i]) =>
    t.length === 2
      ? [...i, t[1]]
      : refuse(`rows are taken of a table [rows, columns], not of ${showShape(t)}`, 'reshape it to two axes'),
  grids: 'all',
  carry: (args, _attrs, kit) => {
    const lost = losesGroups(args, 'rows are taken out of them')
    if (lost !== null) return lost
    const q = gridOf(args[0].carried)
    return q !== null && !perTensor(q, kit)
      ? stripped('each row has a scale of its own, which a quant tensor of taken rows can not hold')
      : keep(args)
  },
  vjp: ({ g, args: [t, indices], attrs, kit }) => {
    const [rows] = t.shape
    const plain = attrs.paddingIdx === null && !attrs.scaleGradByFreq
    const weight = plain ? null : kit.emit('rowWeights', [indices], { ...attrs, rows })
    const own =
      weight === null ? g : kit.emit('mul', [g, kit.emit('reshape', [weight], { shape: [...indices.shape, 1] })])
    return [kit.emit('scatterRows', [own, indices], { rows }), null]
  },
  evaluate: ([t, indices], _attrs, out) => {
    const [rows, n] = t.shape
    for (let i = 0; i < indices.data.length; i++) {
      const k = indices.data[i]
      const bad = badIndex(k, i, rows)
      if (bad !== null) return bad
      out.data.set(t.data.subarray(k * n, (k + 1) * n), i * n)
    }
    return null
  },
  examples: [
    { args: [{ shape: [3, 2] }, { shape: [4], ...INDICES }], attrs: { paddingIdx: null, scaleGradByFreq: false } },
    {
      args: [
        { shape: [2, 3], quant: { bits: 4, signed: true } },
        { shape: [2, 2], ...INDICES },
      ],
      attrs: { paddingIdx: null, scaleGradByFreq: false },
    },
    {
      args: [
        { shape: [3, 2], quant: { bits: 4, signed: true, scaleShape: [3, 1] } },
        { shape: [], ...INDICES },
      ],
      attrs: { paddingIdx: null, scaleGradByFreq: false },
    },
  ],
  smooth: true,
}

const scattered = ([g, i]: readonly Shape[], { rows }: TableAttrs) =>
  g.length === i.length + 1 && sameShape(g.slice(0, -1), i)
    ? [rows, g[g.length - 1]]
    : refuse(
        `cotangents ${showShape(g)} and indices ${showShape(i)} don't fit`,
        'give one row of cotangents for each index',
      )

/** A table of zeros to whose rows those of g are added, in the order of the indices: the gradient of `gatherRows`. */
export const scatterRows: Op<TableAttrs> = {
  name: 'scatterRows',
  doc: 'A table of zeros with rows of g added where indices say (torch.index_add).',
  operands: ['g', 'indices'],
  attributes: table,
  shape: scattered,
  carry: strips('a gradient is on no grid'),
  vjp: ({ g, args: [, indices], kit }) => [
    kit.emit('gatherRows', [g, indices], { paddingIdx: null, scaleGradByFreq: false }),
    null,
  ],
  evaluate: ([g, indices], { rows }, out) => {
    out.data.fill(0)
    const n = out.shape[1]
    for (let i = 0; i < indices.data.length; i++) {
      const k = indices.data[i]
      const bad = badIndex(k, i, rows)
      if (bad !== null) return bad
      for (let j = 0, to = k * n, from = i * n; j < n; j++) out.data[to + j] += g.data[from + j]
    }
    return null
  },
  examples: [{ args: [{ shape: [3, 2] }, { shape: [3], ...INDICES }], attrs: { rows: 4 } }],
  smooth: true,
}

/** What each index weighs in the gradient of an embedding: 0 at `paddingIdx`, one over its number of occurrences with `scaleGradByFreq`, else 1. */
export const rowWeights: Op<WeighAttrs> = {
  name: 'rowWeights',
  doc: 'The weight of each index in the gradient of an embedding: 0 for padding, 1 over its occurrences.',
  operands: ['indices'],
  attributes: weighing,
  shape: ([i]) => i,
  carry: strips('weights of a gradient are on no grid'),
  vjp: noPath,
  evaluate: ([indices], { paddingIdx, scaleGradByFreq, rows }, out) => {
    const padding = paddingIdx !== null && paddingIdx < 0 ? paddingIdx + rows : paddingIdx
    const counts = new Float64Array(scaleGradByFreq ? rows : 0)
    if (scaleGradByFreq) for (const k of indices.data) counts[k]++
    for (let i = 0; i < out.data.length; i++) {
      const k = indices.data[i]
      const bad = badIndex(k, i, rows)
      if (bad !== null) return bad
      if (k === padding) out.data[i] = 0
      else out.data[i] = scaleGradByFreq ? 1 / counts[k] : 1
    }
    return null
  },
  examples: [
    { args: [{ shape: [4], ...INDICES }], attrs: { paddingIdx: 1, scaleGradByFreq: false, rows: 3 } },
    { args: [{ shape: [2, 2], ...INDICES }], attrs: { paddingIdx: -1, scaleGradByFreq: true, rows: 3 } },
  ],
  smooth: false,
}

declare module '../graph/op.js' {
  interface Primitives {
    gatherRows: RowAttrs
    scatterRows: TableAttrs
    rowWeights: WeighAttrs
  }
}

/** Matrix products with broadcast batch axes. Not in Brevitas' tables: the result is a plain tensor (SEMANTICS 11). */
import type { Shape } from '../data/shape.js'
import { broadcastShapes, broadcastStrides, sameShape, showShape, sizeOf } from '../data/shape.js'
import type { NoAttrs } from '../graph/attributes.js'
import type { Op, Refusal, Value } from '../graph/op.js'
import { isRefusal, refuse } from '../graph/op.js'
import { strips, sumTo, walk } from './support/elementwise.js'
import { addRows } from './support/products.js'

/** Shapes as matrices: a vector on the left is one row, on the right one column. */
const asLeft = (s: Shape): Shape => (s.length === 1 ? [1, s[0]] : s)
const asRight = (s: Shape): Shape => (s.length === 1 ? [s[0], 1] : s)

/** Shape of the product of shapes that are matrices or batches of them, or a refusal. */
const matrixShape = (a: Shape, b: Shape): Shape | Refusal => {
  const [k, n] = b.slice(-2)
  const batch = broadcastShapes(a.slice(0, -2), b.slice(0, -2))
  if (a[a.length - 1] !== k)
    return refuse(
      `matmul of ${showShape(a)} and ${showShape(b)}: rows of ${a[a.length - 1]} do not meet columns of ${k}`,
      'make the last axis of the left operand equal the last but one of the right',
    )
  if (batch === null)
    return refuse(
      `matmul of ${showShape(a)} and ${showShape(b)}: the batch axes do not broadcast`,
      'make the axes before the last two equal (or 1)',
    )
  return [...batch, a[a.length - 2], n]
}

const matmulShape = ([a, b]: readonly Shape[]): Shape | Refusal => {
  if (a.length < 1 || b.length < 1)
    return refuse(
      `matmul of ${showShape(a)} and ${showShape(b)}: a scalar is no matrix`,
      'multiply by a scalar with mul',
    )
  const full = matrixShape(asLeft(a), asRight(b))
  if (isRefusal(full)) return full
  return [
    ...full.slice(0, -2),
    ...(a.length === 1 ? [] : full.slice(-2, -1)),
    ...(b.length === 1 ? [] : full.slice(-1)),
  ]
}

const to = (v: Value, shape: Shape): Value => (sameShape(v.shape, shape) ? v : v.kit.emit('reshape', [v], { shape }))

const transposed = (v: Value): Value => {
  const r = v.shape.length
  return v.kit.emit('permute', [v], { dims: v.shape.map((_, i) => (i < r - 2 ? i : 2 * r - 3 - i)) })
}

/** `a · b` for a [...,M,K] and b [...,K,N], batch axes broadcast; vectors as in torch. Source: torch.matmul. */
export const matmul: Op = {
  name: 'matmul',
  doc: 'Product of matrices, of batches of them, and of vectors (torch.matmul).',
  operands: ['a', 'b'],
  exact: 'sum',
  product: { called: 'matrix product', integers: false, columns: true },
  attributes: {},
  shape: matmulShape,
  carry: strips(
    "torch.matmul is in neither of Brevitas' tables: it gets the bare values and returns a plain tensor; use a linear layer",
  ),
  vjp: ({ g, args: [a, b], needs, kit }) => {
    const [left, right] = [to(a, asLeft(a.shape)), to(b, asRight(b.shape))]
    const full = matrixShape(left.shape, right.shape)
    const h = isRefusal(full) ? g : to(g, full)
    return [
      needs[0] ? to(sumTo(kit.emit('matmul', [h, transposed(right)]), left.shape), a.shape) : null,
      needs[1] ? to(sumTo(kit.emit('matmul', [transposed(left), h]), right.shape), b.shape) : null,
    ]
  },
  evaluate: ([a, b], _attrs, out) => {
    const [left, right] = [asLeft(a.shape), asRight(b.shape)]
    const full = matrixShape(left, right)
    if (isRefusal(full)) return full.refuse
    const [rows, n] = full.slice(-2)
    const count = left[left.length - 1]
    const acc = new Float64Array(n)
    const operands = { acc, a: a.data, step: 1, b: b.data, count }
    const batch = full.slice(0, -2)
    const strides = [broadcastStrides(left.slice(0, -2), batch), broadcastStrides(right.slice(0, -2), batch)]
    if (sizeOf(full) === 0) return null
    walk(batch, strides, (i, [p, q]) => {
      for (let r = 0; r < rows; r++) {
        acc.fill(0)
        addRows(operands, (p * rows + r) * count, q * count * n)
        out.data.set(acc, (i * rows + r) * n)
      }
    })
    return null
  },
  examples: [
    { args: [{ shape: [3, 5] }, { shape: [5, 2] }], attrs: {} },
    { args: [{ shape: [2, 1, 2, 3] }, { shape: [3, 3, 2] }], attrs: {} },
    { args: [{ shape: [4] }, { shape: [2, 4, 3] }], attrs: {} },
    { args: [{ shape: [2, 3] }, { shape: [3] }], attrs: {} },
    { args: [{ shape: [4] }, { shape: [4] }], attrs: {} },
  ],
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    matmul: NoAttrs
  }
}

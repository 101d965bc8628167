/** Sums of products over integers: convolutions, linear layers, products of matrices. Sums in double are exact, since the proof keeps them in 32 bits. */
import { integer } from '../../graph/attr.js'
import type { AttrsOf } from '../../graph/attributes.js'
import { conv } from '../../ops/conv.js'
import { convTranspose } from '../../ops/convTranspose.js'
import { linear } from '../../ops/linear.js'
import { matmul } from '../../ops/matmul.js'
import { mul } from '../../ops/mul.js'
import { convForward, convToInput, planConv } from '../../ops/support/convLoops.js'
import { convolution, convOfTranspose, transposed } from '../../ops/support/convShape.js'
import { walk } from '../../ops/support/elementwise.js'
import { dotRows } from '../../ops/support/products.js'
import { broadcastStrides, type Shape } from '../../data/shape.js'
import { centred, type IntegerTensor } from '../values.js'
import { integerOp, ranged } from './record.js'

/** The zero point of the input: what is multiplied is `x - zero`, and padding is the zero point. */
const weighted = { zero: integer, ...ranged }

const quad = { shape: [1, 2, 4, 4], range: [-8, 7] as const, quant: { bits: 4, signed: true } }
const wide = { lo: -4096, hi: 4096 }

const convAttrs = { ...convolution, ...weighted }
/** `Σ (x - zero) * w` over the windows of x. */
export const integerConv = integerOp<AttrsOf<typeof convAttrs>>({
  name: 'integerConv',
  doc: 'Convolution of whole numbers, `Σ (x - zero) * w` in 32 bits; padding counts as the zero point.',
  operands: ['x', 'weight'],
  attributes: convAttrs,
  shape: (shapes, { zero: _z, lo: _l, hi: _h, ...geometry }) => conv.shape(shapes, geometry),
  integers: ([x, w], { zero, ...attrs }, out) =>
    convForward(centred(x.data, zero), centred(w.data), planConv(x.shape, w.shape, out.shape, attrs), out.data),
  examples: [
    {
      args: [quad, { ...quad, shape: [3, 2, 2, 2] }],
      attrs: {
        stride: [1, 2],
        padding: [
          [1, 1],
          [0, 0],
        ],
        dilation: [1, 1],
        groups: 1,
        zero: 1,
        ...wide,
      },
    },
  ],
})

const transposedAttrs = { ...transposed, ...weighted }
/** The transposed convolution of whole numbers. */
export const integerConvTranspose = integerOp<AttrsOf<typeof transposedAttrs>>({
  name: 'integerConvTranspose',
  doc: 'Transposed convolution of whole numbers, sums of `(x - zero) * w` in 32 bits.',
  operands: ['x', 'weight'],
  attributes: transposedAttrs,
  shape: (shapes, { zero: _z, lo: _l, hi: _h, ...geometry }) => convTranspose.shape(shapes, geometry),
  integers: ([x, w], { zero, ...attrs }, out) =>
    convToInput(
      centred(x.data, zero),
      centred(w.data),
      planConv(out.shape, w.shape, x.shape, convOfTranspose(attrs)),
      out.data,
    ),
  examples: [
    {
      args: [quad, { ...quad, shape: [2, 3, 2, 2] }],
      attrs: { stride: [2, 1], padding: [0, 0], outputPadding: [0, 0], dilation: [1, 1], groups: 1, zero: 0, ...wide },
    },
  ],
})

/** Rows of `x - zero` times the transpose of w. */
export const integerLinear = integerOp<AttrsOf<typeof weighted>>({
  name: 'integerLinear',
  doc: 'Rows of `x - zero` times the transpose of w, whole numbers in 32 bits.',
  operands: ['x', 'weight'],
  attributes: weighted,
  shape: (shapes) => linear.shape(shapes, {}),
  integers: ([x, w], { zero }, out) => {
    const [outs, ins] = w.shape
    const [xs, ws] = [centred(x.data, zero), centred(w.data)]
    const rows = outs === 0 ? 0 : out.data.length / outs
    const operands = { x: xs, w: ws, n: ins, count: outs, out: out.data }
    for (let r = 0; r < rows; r++) dotRows(operands, r * ins, r * outs)
  },
  examples: [
    {
      args: [
        { ...quad, shape: [3, 4] },
        { ...quad, shape: [5, 4] },
      ],
      attrs: { zero: 0, ...wide },
    },
  ],
})

/** Zero points of two operands that both are data. */
const pairAttrs = { zeroA: integer, zeroB: integer, ...ranged }
type PairAttrs = AttrsOf<typeof pairAttrs>

const asMatrices = (a: Shape, b: Shape): readonly [Shape, Shape] => [
  a.length === 1 ? [1, a[0]] : a,
  b.length === 1 ? [b[0], 1] : b,
]

const product = (a: IntegerTensor, b: IntegerTensor, attrs: PairAttrs, out: Int32Array, batch: Shape): void => {
  const [left, right] = asMatrices(a.shape, b.shape)
  const [rows, count] = left.slice(-2)
  const n = right[right.length - 1]
  const strides = [broadcastStrides(left.slice(0, -2), batch), broadcastStrides(right.slice(0, -2), batch)]
  walk(batch, strides, (i, [p, q]) => {
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < n; c++) {
        let sum = 0
        for (let k = 0; k < count; k++)
          sum += (a.data[(p * rows + r) * count + k] - attrs.zeroA) * (b.data[(q * count + k) * n + c] - attrs.zeroB)
        out[(i * rows + r) * n + c] = sum
      }
  })
}

/** The product of two matrices of data, batches of them too. */
export const integerMatmul = integerOp<PairAttrs>({
  name: 'integerMatmul',
  doc: 'Product of matrices of whole numbers, `Σ (a - zeroA) * (b - zeroB)` in 32 bits.',
  operands: ['a', 'b'],
  attributes: pairAttrs,
  shape: (shapes) => matmul.shape(shapes, {}),
  integers: ([a, b], attrs, out) => {
    const [vectorA, vectorB] = [a.shape.length === 1, b.shape.length === 1]
    product(a, b, attrs, out.data, out.shape.slice(0, out.shape.length - 2 + Number(vectorA) + Number(vectorB)))
  },
  examples: [
    {
      args: [
        { ...quad, shape: [3, 4] },
        { ...quad, shape: [4, 2] },
      ],
      attrs: { zeroA: 0, zeroB: 1, ...wide },
    },
  ],
})

/** Products of whole numbers, element by element. */
export const integerMul = integerOp<PairAttrs>({
  name: 'integerMul',
  doc: 'Product of whole numbers with broadcasting, `(a - zeroA) * (b - zeroB)`.',
  operands: ['a', 'b'],
  attributes: pairAttrs,
  elementwise: true,
  shape: (shapes) => mul.shape(shapes, {}),
  integers: ([a, b], { zeroA, zeroB }, out) =>
    walk(
      out.shape,
      [a, b].map((t) => broadcastStrides(t.shape, out.shape)),
      (i, [j, k]) => {
        out.data[i] = (a.data[j] - zeroA) * (b.data[k] - zeroB)
      },
    ),
  examples: [
    {
      args: [
        { ...quad, shape: [2, 3] },
        { ...quad, shape: [3] },
      ],
      attrs: { zeroA: 0, zeroB: 0, ...wide },
    },
  ],
})

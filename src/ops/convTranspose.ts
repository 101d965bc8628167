/** Transposed convolution over any number of spatial axes. Brevitas: QuantConvTranspose1d, 2d, 3d (SEMANTICS 12, 15). */
import { sizeOf } from '../data/shape.js'
import type { Op } from '../graph/op.js'
import { accumulated } from './support/accumulate.js'
import { convToInput, planConv } from './support/convLoops.js'
import type { ConvTransposeAttrs } from './support/convShape.js'
import { convOfTranspose, convTransposeShape, transposed } from './support/convShape.js'

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b))

/** How many taps of each kernel axis can meet in one output element: those whose offsets agree modulo the stride. */
const overlaps = (kernel: readonly number[], { stride, dilation }: ConvTransposeAttrs): readonly number[] =>
  kernel.map((k, d) => Math.ceil((k * gcd(stride[d], dilation[d])) / stride[d]))

/** Brevitas' count of the same, summed over the axes where it should be multiplied (a quirk: too small). */
const countedOverlaps = (kernel: readonly number[], { stride }: ConvTransposeAttrs): number =>
  kernel.reduce((sum, k, d) => sum + Math.max(1, Math.ceil(k / stride[d])), 0)

/**
 * Transposed convolution of x [N,C,*S] with w [C,O/groups,*K], giving [N,O,*S']: the input gradient of a convolution.
 * Gradient: `conv` and `convWeightGrad`. Source: torch.nn.functional.conv_transpose1d, 2d, 3d.
 */
export const convTranspose: Op<ConvTransposeAttrs> = {
  name: 'convTranspose',
  doc: 'Transposed convolution of x [N,C,*S] with w [C,O/groups,*K] (torch.nn.functional.conv_transpose1d, 2d, 3d).',
  operands: ['x', 'weight'],
  exact: 'sum',
  product: { called: 'convolution', integers: false },
  attributes: transposed,
  shape: ([x, w], attrs) => convTransposeShape(x, w, attrs),
  grids: 'learned',
  carry: (args, attrs, kit, shape) => {
    const [channels, perGroup, ...kernel] = args[1].shape
    const terms = (channels / attrs.groups) * sizeOf(overlaps(kernel, attrs))
    return accumulated(args, kit, {
      shape,
      axis: 1,
      weightAxis: 1,
      counted: attrs.correct === true ? terms : perGroup * countedOverlaps(kernel, attrs),
      terms,
      repeats: attrs.groups,
      together: args[1].shape[0] / attrs.groups,
    })
  },
  vjp: ({ g, args: [x, w], attrs, needs, kit }) => {
    const like = convOfTranspose(attrs)
    return [
      needs[0] ? kit.emit('conv', [g, w], like) : null,
      needs[1] ? kit.emit('convWeightGrad', [g, x], { ...like, weightShape: w.shape }) : null,
    ]
  },
  evaluate: ([x, w], attrs, out) => {
    convToInput(x.data, w.data, planConv(out.shape, w.shape, x.shape, convOfTranspose(attrs)), out.data)
    return null
  },
  examples: [
    {
      args: [{ shape: [2, 2, 3, 2] }, { shape: [2, 3, 2, 2] }],
      attrs: { stride: [1, 1], padding: [0, 0], outputPadding: [0, 0], dilation: [1, 1], groups: 1 },
    },
    {
      args: [{ shape: [1, 4, 3] }, { shape: [4, 1, 3] }],
      attrs: { stride: [2], padding: [1], outputPadding: [1], dilation: [1], groups: 2 },
    },
    {
      args: [{ shape: [1, 1, 2, 2, 2] }, { shape: [1, 2, 1, 2, 2] }],
      attrs: { stride: [1, 2, 1], padding: [0, 0, 0], outputPadding: [0, 1, 0], dilation: [1, 1, 2], groups: 1 },
    },
    {
      args: [
        { shape: [1, 2, 2, 2], quant: { bits: 3, signed: true } },
        { shape: [2, 2, 2, 2], quant: { bits: 3, signed: true, scaleShape: [1, 2, 1, 1] } },
      ],
      attrs: { stride: [1, 1], padding: [0, 0], outputPadding: [0, 0], dilation: [1, 1], groups: 1 },
    },
    {
      args: [
        { shape: [1, 4, 3], quant: { bits: 3, signed: true } },
        { shape: [4, 2, 2], quant: { bits: 3, signed: true, scaleShape: [1, 2, 1] } },
      ],
      attrs: { stride: [1], padding: [0], outputPadding: [0], dilation: [1], groups: 2 },
    },
  ],
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    convTranspose: ConvTransposeAttrs
  }
}

/** Convolution over any number of spatial axes. Brevitas: QuantConv1d, 2d, 3d (SEMANTICS 12). */
import type { Op } from '../graph/op.js'
import { sizeOf } from '../data/shape.js'
import { accumulated } from './support/accumulate.js'
import { convExamples } from './support/convExamples.js'
import { convForward, planConv } from './support/convLoops.js'
import type { ConvAttrs } from './support/convShape.js'
import { convolution, convShape } from './support/convShape.js'

/**
 * Convolution (a correlation, as in torch) of x [N,C,*S] with w [O,C/groups,*K], giving [N,O,*S']. Padding is zeros, before and
 * after each axis. Gradient: `convInputGrad` and `convWeightGrad`. Source: torch.nn.functional.conv1d, conv2d, conv3d.
 */
export const conv: Op<ConvAttrs> = {
  name: 'conv',
  doc: 'Convolution of x [N,C,*S] with w [O,C/groups,*K] (torch.nn.functional.conv1d, conv2d, conv3d).',
  operands: ['x', 'weight'],
  exact: 'sum',
  product: { called: 'convolution', integers: true },
  attributes: convolution,
  shape: ([x, w], attrs) => convShape(x, w, attrs),
  grids: 'learned',
  carry: (args, _attrs, kit, shape) => {
    const terms = sizeOf(args[1].shape.slice(1))
    return accumulated(args, kit, {
      shape,
      axis: 1,
      weightAxis: 0,
      counted: terms,
      terms,
      repeats: 1,
      together: args[1].shape[1],
    })
  },
  vjp: ({ g, args: [x, w], attrs, needs, kit }) => [
    needs[0] ? kit.emit('convInputGrad', [g, w], { ...attrs, inputShape: x.shape }) : null,
    needs[1] ? kit.emit('convWeightGrad', [x, g], { ...attrs, weightShape: w.shape }) : null,
  ],
  evaluate: ([x, w], attrs, out) => {
    convForward(x.data, w.data, planConv(x.shape, w.shape, out.shape, attrs), out.data)
    return null
  },
  examples: [
    ...convExamples.map(({ x, w, attrs }) => ({ args: [x, w], attrs })),
    {
      args: [{ shape: [1, 1, 2, 3, 2] }, { shape: [2, 1, 1, 2, 2] }],
      attrs: {
        stride: [1, 1, 1],
        padding: [
          [0, 0],
          [1, 0],
          [0, 0],
        ],
        dilation: [1, 1, 1],
        groups: 1,
      },
    },
    {
      args: [
        { shape: [1, 2, 3, 3], quant: { bits: 4, signed: false } },
        { shape: [2, 2, 2, 2], quant: { bits: 3, signed: true } },
      ],
      attrs: {
        stride: [1, 1],
        padding: [
          [1, 1],
          [0, 0],
        ],
        dilation: [1, 1],
        groups: 1,
      },
    },
    {
      args: [
        { shape: [1, 2, 4], quant: { bits: 4, signed: true } },
        { shape: [2, 1, 2], quant: { bits: 4, signed: true, scaleShape: [2, 1, 1] } },
      ],
      attrs: { stride: [1], padding: [[0, 0]], dilation: [1], groups: 2 },
    },
  ],
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    conv: ConvAttrs
  }
}

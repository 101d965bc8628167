/** The gradient of `conv` to its weight. */
import { shape } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import type { Op } from '../graph/op.js'
import { strips } from './support/elementwise.js'
import { convExamples } from './support/convExamples.js'
import { convToWeight, planConv } from './support/convLoops.js'
import { convolution, gradientShape } from './support/convShape.js'

const attributes = { ...convolution, weightShape: shape }
/** Attributes of the convolution, and the shape [O,C/groups,*K] of its weight. */
export type ConvWeightGradAttrs = AttrsOf<typeof attributes>

/** Cotangent of w in `conv(x, w)`: x [N,C,*S], g [N,O,*S'] to [O,C/groups,*K]. Linear in both. Source: torch.nn.grad.conv2d_weight. */
export const convWeightGrad: Op<ConvWeightGradAttrs> = {
  name: 'convWeightGrad',
  doc: "Gradient of conv to its weight, from x [N,C,*S] and g [N,O,*S'] (torch.nn.grad.conv2d_weight).",
  operands: ['x', 'g'],
  exact: 'sum',
  attributes,
  shape: ([x, g], attrs) => gradientShape(attrs.weightShape, x, attrs.weightShape, g, attrs),
  carry: strips('a gradient is a plain number'),
  vjp: ({ g: h, args: [x, g], attrs: { weightShape: _, ...attrs }, needs, kit }) => [
    needs[0] ? kit.emit('convInputGrad', [g, h], { ...attrs, inputShape: x.shape }) : null,
    needs[1] ? kit.emit('conv', [x, h], attrs) : null,
  ],
  evaluate: ([x, g], attrs, out) => {
    convToWeight(x.data, g.data, planConv(x.shape, attrs.weightShape, g.shape, attrs), out.data)
    return null
  },
  examples: convExamples.map(({ x, w, out, attrs }) => ({ args: [x, out], attrs: { ...attrs, weightShape: w.shape } })),
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    convWeightGrad: ConvWeightGradAttrs
  }
}

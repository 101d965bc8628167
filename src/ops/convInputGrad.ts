/** The gradient of `conv` to its input. */
import { shape } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import type { Op } from '../graph/op.js'
import { strips } from './support/elementwise.js'
import { convExamples } from './support/convExamples.js'
import { convToInput, planConv } from './support/convLoops.js'
import { convolution, gradientShape } from './support/convShape.js'

const attributes = { ...convolution, inputShape: shape }
/** Attributes of the convolution, and the shape [N,C,*S] of its input. */
export type ConvInputGradAttrs = AttrsOf<typeof attributes>

/** Cotangent of x in `conv(x, w)`: g [N,O,*S'], w [O,C/groups,*K] to [N,C,*S]. Linear in both. Source: torch.nn.grad.conv2d_input. */
export const convInputGrad: Op<ConvInputGradAttrs> = {
  name: 'convInputGrad',
  doc: "Gradient of conv to its input, from g [N,O,*S'] and w [O,C/groups,*K] (torch.nn.grad.conv2d_input).",
  operands: ['g', 'weight'],
  exact: 'sum',
  attributes,
  shape: ([g, w], attrs) => gradientShape(attrs.inputShape, attrs.inputShape, w, g, attrs),
  carry: strips('a gradient is a plain number'),
  vjp: ({ g: h, args: [g, w], attrs: { inputShape: _, ...attrs }, needs, kit }) => [
    needs[0] ? kit.emit('conv', [h, w], attrs) : null,
    needs[1] ? kit.emit('convWeightGrad', [h, g], { ...attrs, weightShape: w.shape }) : null,
  ],
  evaluate: ([g, w], attrs, out) => {
    convToInput(g.data, w.data, planConv(attrs.inputShape, w.shape, g.shape, attrs), out.data)
    return null
  },
  examples: convExamples.map(({ x, w, out, attrs }) => ({ args: [out, w], attrs: { ...attrs, inputShape: x.shape } })),
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    convInputGrad: ConvInputGradAttrs
  }
}

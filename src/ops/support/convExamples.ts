/** Convolutions on which conv and its gradients are tried: plain, and with stride, padding, dilation and groups. */
import type { Shape } from '../../data/shape.js'
import type { ConvAttrs } from './convShape.js'

type Tried = { readonly [N in 'x' | 'w' | 'out']: { readonly shape: Shape } } & { readonly attrs: ConvAttrs }

/** Input, weight and output of each, and its attributes. */
export const convExamples: readonly Tried[] = [
  {
    x: { shape: [2, 2, 4, 3] },
    w: { shape: [3, 2, 2, 2] },
    out: { shape: [2, 3, 3, 2] },
    attrs: {
      stride: [1, 1],
      padding: [
        [0, 0],
        [0, 0],
      ],
      dilation: [1, 1],
      groups: 1,
    },
  },
  {
    x: { shape: [1, 4, 5] },
    w: { shape: [2, 2, 2] },
    out: { shape: [1, 2, 3] },
    attrs: { stride: [2], padding: [[1, 2]], dilation: [2], groups: 2 },
  },
]

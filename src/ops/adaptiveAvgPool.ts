/** Adaptive average pooling over any number of trailing axes. Brevitas: F.adaptive_avg_pool2d of a quant tensor (SEMANTICS 11). */
import { showShape, sizeOf } from '../data/shape.js'
import { count, flag, list, optional } from '../graph/attr.js'
import type { AttrsOf } from '../graph/attributes.js'
import type { Op } from '../graph/op.js'
import { carryAverage } from './support/poolCarry.js'
import { adaptiveAxes, adaptiveShape, countsOf, meanOver, pooledShape, windowsOf } from './support/windows.js'

/** Attributes of adaptive pools. */
export const adaptive = {
  /** Sizes of the pooled axes of the result. */
  outputSize: list(count),
}
/** Attributes of adaptive pools. */
export type AdaptiveAttrs = AttrsOf<typeof adaptive>

/** Of the average: `correct: true` (absent: false) gives right metadata where Brevitas' is a quirk. */
export const adaptiveAvg = { ...adaptive, correct: optional(flag) }
/** Attributes of the adaptive average pool. */
export type AdaptiveAvgAttrs = AttrsOf<typeof adaptiveAvg>

/** Brevitas' size of a window along one axis of n elements: right only where all windows have it. */
const assumedSize = (n: number, m: number): number => n - (m - 1) * Math.floor(n / m)

/**
 * The mean of each of `outputSize` windows that cover x [N,C,*S] evenly. Gradient: `adaptiveAvgPoolGrad`. Over two axes the
 * result is a quant tensor of scale s/k. Source: torch.nn.functional.adaptive_avg_pool1d, 2d, 3d.
 */
export const adaptiveAvgPool: Op<AdaptiveAvgAttrs> = {
  name: 'adaptiveAvgPool',
  homogeneous: true,
  sign: () => 'kept',
  doc: 'The means of outputSize windows that cover the last axes (torch.nn.functional.adaptive_avg_pool1d, 2d, 3d).',
  operands: ['x'],
  exact: 'sum',
  attributes: adaptiveAvg,
  shape: ([x], { outputSize }) => adaptiveShape('adaptiveAvgPool', x, outputSize),
  grids: 'learned',
  carry: (args, attrs, kit) => {
    const { outputSize } = attrs
    const x = args[0].shape
    const plane = pooledShape(x, outputSize.length)
    // Brevitas looks at the axes from the third on: of a single sample [C,H,W] it misses the first spatial one (quirk).
    const missed = attrs.correct === true ? 0 : outputSize.length + 2 - x.length
    const divisor = sizeOf(plane.map((n, d) => (d < missed ? 1 : assumedSize(n, outputSize[d]))))
    const counts = countsOf(windowsOf(adaptiveAxes(x, outputSize), plane))
    const odd = counts.find((n) => n !== divisor)
    const why = (n: number): string =>
      missed > 0
        ? `Brevitas divides the scale of a single sample ${showShape(x)} by ${divisor}, but a window has ${n} elements; give it a batch of 1`
        : `[${plane.join(',')}] does not divide evenly into [${outputSize.join(',')}]: a window has ${n} elements, but the scale is divided by ${divisor}`
    const uneven = odd === undefined ? null : why(odd)
    return carryAverage(
      args,
      {
        spatial: outputSize.length,
        divisor,
        terms: counts.reduce((a, b) => Math.max(a, b), 1),
        uneven,
        correct: attrs.correct === true,
      },
      kit,
    )
  },
  vjp: ({ g, args: [x], attrs, kit }) => [kit.emit('adaptiveAvgPoolGrad', [g], { ...attrs, inputShape: x.shape })],
  evaluate: ([x], { outputSize }, out) => {
    const plane = pooledShape(x.shape, outputSize.length)
    const windows = windowsOf(adaptiveAxes(x.shape, outputSize), plane)
    meanOver(x.data, sizeOf(plane), windows, countsOf(windows), out.data)
    return null
  },
  examples: [
    { args: [{ shape: [2, 2, 5, 4] }], attrs: { outputSize: [2, 3] } },
    { args: [{ shape: [1, 2, 5] }], attrs: { outputSize: [3] } },
    { args: [{ shape: [1, 1, 2, 3, 2] }], attrs: { outputSize: [1, 2, 2] } },
    { args: [{ shape: [1, 2, 4, 4], quant: { bits: 4, signed: true } }], attrs: { outputSize: [2, 2] } },
  ],
  smooth: true,
}

declare module '../graph/op.js' {
  interface Primitives {
    adaptiveAvgPool: AdaptiveAvgAttrs
  }
}

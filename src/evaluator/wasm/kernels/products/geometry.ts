/** Reads convolutions' attributes and shapes as one problem: a correlation of placed planes with a kernel. */
import type { Shape } from '../../../../data/shape.js'
import { sizeOf, stridesOf } from '../../../../data/shape.js'
import type { Attr, Attrs } from '../../../../graph/op.js'
import type { KernelSpec } from '../../kernel.js'
import type { Placement } from './planes.js'

/** Geometry of a convolution of x [N,G*C,*S] with w [G*O,C,*K] that gives [N,G*O,*S']. */
export type Geometry = {
  readonly batch: number
  readonly groups: number
  /** Channels of input and output within a group. */
  readonly inPer: number
  readonly outPer: number
  readonly input: Shape
  readonly output: Shape
  readonly kernel: Shape
  readonly stride: readonly number[]
  readonly before: readonly number[]
  readonly after: readonly number[]
  readonly dilation: readonly number[]
}

const numbers = (a: Attr | undefined): readonly number[] => (Array.isArray(a) ? a.map(Number) : [])
const pairs = (a: Attr | undefined): readonly (readonly number[])[] =>
  Array.isArray(a) ? a.map((p) => numbers(p)) : []

const geometry = (x: Shape, w: Shape, y: Shape, attrs: Attrs, pads: readonly (readonly number[])[]): Geometry => {
  const groups = Number(attrs['groups'])
  return {
    batch: x[0],
    groups,
    inPer: w[1],
    outPer: w[0] / groups,
    input: x.slice(2),
    output: y.slice(2),
    kernel: w.slice(2),
    stride: numbers(attrs['stride']),
    before: pads.map((p) => p[0]),
    after: pads.map((p) => p[1]),
    dilation: numbers(attrs['dilation']),
  }
}

/** Geometry of the convolution that a step computes, or whose gradient it computes; null for other ops. */
export const geometryOf = ({ op, attrs, shapes, shape }: KernelSpec): Geometry | null => {
  const [p, q] = shapes
  const padding = pairs(attrs['padding'])
  switch (op) {
    case 'conv':
      return geometry(p, q, shape, attrs, padding)
    case 'convInputGrad':
      return geometry(shape, q, p, attrs, padding)
    case 'convWeightGrad':
      return geometry(p, shape, q, attrs, padding)
    case 'convTranspose': {
      const out = numbers(attrs['outputPadding'])
      return geometry(
        shape,
        q,
        p,
        attrs,
        numbers(attrs['padding']).map((n, d) => [n, n - out[d]]),
      )
    }
    default:
      return null
  }
}

/**
 * `y[n, g*to+j, i] = Σ_{c,t} placed[n, g*from+c, i*stride + t*dilation] * w(g, j, c, t)`, where `placed` are the planes of
 * the source in their places. Both the forward convolution and the gradient to the input are one.
 */
export type Correlation = {
  readonly batch: number
  readonly groups: number
  readonly from: number
  readonly to: number
  readonly placement: Placement
  readonly positions: Shape
  readonly stride: readonly number[]
  readonly kernel: Shape
  readonly dilation: readonly number[]
  /** Is the weight [G*to, from, *K] as it lies in memory? Else it is [G*from, to, *K] and its taps are read backwards. */
  readonly flipped: boolean
}

/** The forward convolution. */
export const forwardOf = (g: Geometry): Correlation => ({
  batch: g.batch,
  groups: g.groups,
  from: g.inPer,
  to: g.outPer,
  placement: {
    source: g.input,
    target: g.input.map((n, d) => n + g.before[d] + g.after[d]),
    step: g.input.map(() => 1),
    lead: g.before,
  },
  positions: g.output,
  stride: g.stride,
  kernel: g.kernel,
  dilation: g.dilation,
  flipped: false,
})

/** The gradient to the input: the cotangent, spread by the stride, correlated with the kernel turned round. */
export const backwardOf = (g: Geometry): Correlation => ({
  batch: g.batch,
  groups: g.groups,
  from: g.outPer,
  to: g.inPer,
  placement: {
    source: g.output,
    target: g.input.map((n, d) => n + g.dilation[d] * (g.kernel[d] - 1)),
    step: g.stride,
    lead: g.kernel.map((k, d) => g.dilation[d] * (k - 1) - g.before[d]),
  },
  positions: g.input,
  stride: g.input.map(() => 1),
  kernel: g.kernel,
  dilation: g.dilation,
  flipped: true,
})

/** Offsets of all points of a grid, row-major, in elements: index times step along each axis. */
export const gridOffsets = (counts: Shape, steps: readonly number[]): readonly number[] =>
  counts.reduce<readonly number[]>(
    (all, n, d) => all.flatMap((o) => Array.from({ length: n }, (_, i) => o + i * steps[d])),
    [0],
  )

/** Where each position of a correlation starts within a placed plane, in elements. */
export const positionOffsets = (c: Correlation): readonly number[] => {
  const s = stridesOf(c.placement.target)
  return gridOffsets(
    c.positions,
    s.map((n, d) => n * c.stride[d]),
  )
}

/** How far each tap is from there, in elements. */
export const tapOffsets = (target: Shape, kernel: Shape, dilation: readonly number[]): readonly number[] =>
  gridOffsets(
    kernel,
    stridesOf(target).map((n, d) => n * dilation[d]),
  )

/** Multiplications and additions of a correlation. */
export const correlationFlops = (c: Correlation): number =>
  2 * c.batch * c.groups * c.from * c.to * sizeOf(c.positions) * sizeOf(c.kernel)
